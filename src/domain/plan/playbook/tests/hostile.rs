//! Whatever is sent, the answer comes soon and is no panic. The bounds are counts, so that no test looks at a
//! clock: an unbounded one would not end.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Given, expand, expanded, playbook};
use crate::domain::{
    plan::playbook::{Text, check, document::parse, shelf::Shelf, yaml},
    settings,
};

/// Stores a source as the service does, and uses it.
fn store_and_use(source: &str) {
    let Ok(text) = Text::of_source(source) else { return };
    match parse(&text.document) {
        Ok(playbook) => {
            let _ = check(&playbook, &Shelf::default());
            let given = Given { title: "", brief: "" };
            let _ = expand(&playbook, &playbook.sample(), given, &Shelf::default());
        }
        Err(faults) => assert!(!text.errors("/source", &faults).is_empty()),
    }
}

fn too_much(source: &str, given: Value) {
    let found = expanded(&playbook(source), given, &Shelf::default()).unwrap_err();
    let said = &found[0].detail;
    assert!(
        ["too much work", "come of it", "too large"].iter().any(|s| said.contains(s)),
        "{said}"
    );
}

#[test]
fn what_grows_without_end_is_ended() {
    let head = "name: x\ntitle: X\nvariables: {s: {type: string, default: abcdefgh}}\ntasks:\n";
    for title in [
        "{% for a in range(90000) %}{% for b in range(90000) %}x{% endfor %}{% endfor %}",
        &format!("{{% set a = s %}}{}{{{{ a }}}}", "{% set a = a ~ a %}".repeat(60)),
        "{{ s * 900000000 }}",
        "{{ (s * 50000) | replace('a', s * 50000) }}",
        "{% for i in range(90000) %}{{ s * 9000 }}{% endfor %}",
    ] {
        too_much(&format!("{head}  - {{ref: a, title: \"{title}\"}}\n"), json!({}));
    }
    let nested = "{as: i, in: \"{{ range(90000) }}\"}";
    too_much(
        &format!("{head}  - {{ref: \"a{{{{ i }}}}\", title: A, for_each: {nested}}}\n"),
        json!({}),
    );
    // Instances that make nothing are work, too.
    let never = format!(
        "{head}  - {{ref: b, title: B}}\n  - {{ref: \"a{{{{ i }}}}\", title: A, when: false, for_each: {nested}}}\n"
    );
    let _ = expanded(&playbook(&never), json!({}), &Shelf::default());
    let blocks = "{as: i, in: \"{{ range(1000) }}\"}";
    too_much(
        &format!(
            "{head}  - {{ref: \"a{{{{ i }}}}\", block: a, title: A, for_each: {blocks}}}\n  \
             - {{ref: \"b{{{{ i }}}}\", title: B, needs: [a], for_each: {blocks}}}\n"
        ),
        json!({}),
    );
}

/// A reader of templates recurses over operators: a long chain of them would end its stack.
#[test]
fn long_chains_of_operators_are_refused() {
    let head = "name: x\ntitle: X\nvariables: {s: {type: string, default: a}}\ntasks:\n";
    let (many, few) = (20_000, 90);
    for (before, link, after) in [
        ("{{ 1", " + 1", " }}"),
        ("{{ s", " ~ s", " }}"),
        ("{{ s", "|trim", " }}"),
        ("{{ s", ".a", " }}"),
        ("{{ ", "not ", "1 }}"),
        ("{{ ", "(", " }}"),
        ("{% if 0 %}", "{% elif 0 %}", "{% endif %}"),
    ] {
        let source = |count| {
            let title = format!("{before}{}{after}", link.repeat(count));
            format!("{head}  - {{ref: a, title: \"{title}\"}}\n")
        };
        assert_eq!(super::faults(&source(many))[0].0, "/tasks/0/title", "{link}");
        store_and_use(&source(few));
    }
    let condition = format!("{head}  - {{ref: a, title: A, when: \"1{}\"}}\n", " + 1".repeat(many));
    assert_eq!(super::faults(&condition)[0].0, "/tasks/0/when");
}

#[test]
fn playbooks_that_multiply_are_ended() {
    let mut shelf = Shelf::default();
    for n in 0..5 {
        let next = n + 1;
        let source = format!(
            "name: p{n}\ntitle: P\ntasks:\n  - {{ref: \"x{{{{ i }}}}\", use: p{next}, for_each: {{as: i, in: \"{{{{ range(1000) }}}}\"}}}}\n"
        );
        shelf.put(&format!("p{n}"), 1, true, playbook(&source));
    }
    let last = playbook("name: p5\ntitle: P\ntasks:\n  - {ref: a, title: A, when: false}\n");
    shelf.put("p5", 1, true, last);
    let (_, first) = shelf.find("p0", None).unwrap();
    let found = expanded(first, json!({}), &shelf).unwrap_err();
    assert!(found[0].detail.contains("too much work"), "{found:?}");
}

#[test]
fn as_many_tasks_as_a_plan_may_have_are_no_problem() {
    let source = "name: x\ntitle: X\ntasks:\n  - {ref: \"a{{ i }}\", title: \"Do {{ i }}\", description: \"Some text of an ordinary length about {{ title }}\", capabilities: [rust], criteria: [\"{{ i }} is done\"], for_each: {as: i, in: \"{{ range(5000) }}\"}}\n";
    let made = expanded(&playbook(source), json!({}), &Shelf::default()).unwrap();
    assert_eq!(made.tasks.len(), settings::PLAN_TASKS);
}

#[test]
fn bombs_of_yaml_are_no_bombs() {
    let laughs = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n";
    assert!(yaml::read(laughs).is_err());
    for text in [
        "[", "{", "- ", "? ", "a: ", "&a ", "!", "|", "\"", "[{", "- - ", "\t", "#", "%", "---\n",
        "{a: ",
    ] {
        let text = text.repeat(settings::PLAYBOOK_BYTES / text.len());
        let _ = Text::of_source(&text);
    }
    let wide = format!("[{}]", "1,".repeat(100_000));
    store_and_use(&wide);
}

/// Texts made of what templates are made of.
fn template() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{{", "}}", "{%", "%}", "{#", "#}", " s ", " l ", " i ", "if ", "for ", " in ", "endfor",
        "endif", "else", "set ", "x", "'", "\"", "|", "join(", ")", "(", "[", "]", "{", "}", ",",
        ":", "~", "+", "*", "**", "//", "%", "-", "1", "99999", "0.5", " and ", " not ", " is ",
        "defined", "range(", "length", ".", "=", "==", "\\", "\n", "é", "default(", "sort", "raw",
        "endraw", "slug", "macro ", "include ", "self", "loop", "none",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Documents of the right shape, with anything in their places.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        template().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!(["a", "{{ l }}"])),
        Just(json!({"as": "i", "in": "{{ l }}"})),
    ];
    let field = prop::sample::select(vec![
        "ref",
        "title",
        "description",
        "needs",
        "parent",
        "capabilities",
        "criteria",
        "estimate",
        "approval",
        "risk",
        "priority",
        "labels",
        "input",
        "for_each",
        "when",
        "block",
        "use",
        "with",
        "version",
        "budget",
        "x",
    ]);
    let task = prop::collection::btree_map(field, leaf, 0..6).prop_map(|fields| {
        let mut task = json!({"ref": "r", "title": "t"});
        for (name, value) in fields {
            task[name] = value;
        }
        task
    });
    prop::collection::vec(task, 1..4).prop_map(|tasks| {
        json!({"name": "x", "title": "X", "tasks": tasks,
               "variables": {"s": {"type": "string", "default": "abc"}, "l": {"type": "list", "default": ["p", "q"]}}})
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        store_and_use(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_text_of_the_signs_of_yaml_is_read_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "a", "1", ":", ": ", "-", "- ", "\n", "  ", "    ", "[", "]", "{", "}", ",", "|", ">", "'", "\"", "&a", "*a",
            "!", "!!str", "#", "%", "?", "---", "...", "\t", "\\", "é", "\u{feff}", "~", "name", "tasks", "|-", ">+2", "\r",
        ]), 0..60),
    ) {
        store_and_use(&pieces.concat());
    }

    #[test]
    fn any_template_is_rendered_or_refused(text in template()) {
        let mut document = json!({"name": "x", "title": "X", "tasks": [{"ref": "a", "title": "t"}],
            "variables": {"s": {"type": "string", "default": "abc"}, "l": {"type": "list", "default": ["p", "q"]}}});
        document["tasks"][0]["title"] = text.clone().into();
        document["tasks"][0]["input"] = json!([text]);
        store_and_use(&document.to_string());
    }

    #[test]
    fn any_document_is_checked_to_its_end(document in document()) {
        store_and_use(&document.to_string());
    }

    /// YAML reads what JSON writes.
    #[test]
    fn json_is_yaml(document in document()) {
        let text = document.to_string();
        if let Ok(read) = yaml::read(&text) {
            prop_assert_eq!(read, document);
        }
    }
}

/// Containers that nothing came into are left out from the inside out, however deep they are nested.
#[test]
fn a_chain_of_empty_containers_is_left_out() {
    let source = "name: x\ntitle: X\ntasks:\n  - {ref: kept, title: K}\n  - {ref: \"a{{ i }}\", title: A, parent: \"a{{ i + 1 }}\", for_each: {as: i, in: \"{{ range(4000) }}\"}}\n  - {ref: a4000, title: B}\n  - {ref: z, title: Z, parent: a0, when: false}\n";
    let made = expanded(&playbook(source), json!({}), &Shelf::default()).unwrap();
    let refs: Vec<&str> = made.tasks.iter().map(|task| task.r#ref.as_str()).collect();
    assert_eq!(refs, ["kept"]);
}

/// Every task of a used playbook has the ref of its use before its own, and so has every need.
#[test]
fn a_long_ref_of_a_use_does_not_multiply() {
    let mut shelf = Shelf::default();
    let inner = "name: d\ntitle: D\ntasks:\n  - {ref: \"a{{ i }}\", title: A, block: a, for_each: {as: i, in: \"{{ range(4900) }}\"}}\n  - {ref: \"b{{ i }}\", title: B, needs: [a], for_each: {as: i, in: \"{{ range(20) }}\"}}\n";
    shelf.put("d", 1, true, playbook(inner));
    let source = |count| {
        let name = "p".repeat(count);
        format!("name: m\ntitle: M\ntasks:\n  - {{ref: \"{name}\", use: d}}\n")
    };
    let made = expanded(&playbook(&source(100)), json!({}), &shelf).unwrap();
    assert_eq!(made.tasks.len(), 4_920);
    let found = expanded(&playbook(&source(100_000)), json!({}), &shelf).unwrap_err();
    assert_eq!(found[0].pointer, "/tasks/0/ref");
}

#[test]
fn criteria_of_many_uses_are_each_kept_once() {
    let mut shelf = Shelf::default();
    let texts: String = (0..100).map(|n| format!("\"{{{{ x }}}} {n}\", ")).collect();
    let inner = format!(
        "name: c\ntitle: C\nvariables: {{x: {{type: string, default: abc}}}}\ncriteria: [{texts}]\ntasks:\n  - {{ref: a, title: A}}\n"
    );
    shelf.put("c", 1, true, playbook(&inner));
    let source = "name: m\ntitle: M\ntasks:\n  - {ref: \"a{{ i }}\", use: c, with: {x: \"v{{ i % 50 }}\"}, for_each: {as: i, in: \"{{ range(500) }}\"}}\n";
    let made = expanded(&playbook(source), json!({}), &shelf).unwrap();
    assert_eq!((made.tasks.len(), made.criteria.len()), (500, 5_000));
}

/// `+` on lists copies nothing and costs nothing, so a list that doubles is refused before it is made.
#[test]
fn lists_that_double_are_refused() {
    let head = "name: x\ntitle: X\nvariables: {s: {type: string, default: a}}\ntasks:\n";
    let source = |title: &str| format!("{head}  - {{ref: a, title: \"{title}\"}}\n");
    let chain: String = (0..40).map(|n| format!("{{% set a{} = a{n} + a{n} %}}", n + 1)).collect();
    for title in [
        format!("{{% set a = [s] %}}{}{{{{ a | length }}}}", "{% set a = a + a %}".repeat(60)),
        format!("{{% set a0 = [s] %}}{chain}{{{{ a40 | length }}}}"),
        "{% set a = [s] %}{% for i in range(60) %}{% set a = a + a %}{{ a | length }}{% endfor %}".to_owned(),
        "{% set a = [s] %}{% for i in range(60) %}{% for b in [a] %}{% set a = b + b %}{{ a | length }}{% endfor %}{% endfor %}".to_owned(),
        format!("{{% set a = [s] %}}{{% set b = [s] %}}{}{{{{ a | length }}}}", "{% set a = a + b %}{% set b = b + a %}".repeat(40)),
    ] {
        let found = super::faults(&source(&title));
        assert!(found[0].1.contains("added up"), "{title}: {found:?}");
    }
    for title in [
        "{% set n = 1 %}{% set n = n + 1 %}{% set m = n + n %}{{ m + n }}",
        "{% set a = s + s %}{% set b = a + a %}{{ b + a }}",
        "{% set a = [s] %}{% for i in range(90) %}{% set a = a + [i] %}{{ a | length }} {% endfor %}",
    ] {
        let made = expanded(&playbook(&source(title)), json!({}), &Shelf::default());
        assert!(made.is_ok(), "{title}: {made:?}");
    }
}
