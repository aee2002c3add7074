//! What is read, what is refused, and where.

use serde_json::json;

use super::{faults, playbook};
use crate::domain::plan::playbook::{Text, document::TASK_FIELDS, yaml};

fn refused(source: &str) -> String {
    yaml::read(source).unwrap_err().to_string()
}

#[test]
fn scalars_follow_the_core_schema() {
    let source = "a: 12\nb: 0x1F\nc: 1.5\nd: yes\ne: true\nf:\ng: \"12\"\nh: 2026-01-01\ni: .5\nj: -3\nk: 1e3\nl: 1.2.3\nm: -\n  x\n";
    let value = yaml::read(source.trim_end_matches("m: -\n  x\n")).unwrap();
    assert_eq!(
        value,
        json!({"a": 12, "b": 31, "c": 1.5, "d": "yes", "e": true, "f": null, "g": "12", "h": "2026-01-01",
               "i": 0.5, "j": -3, "k": 1000.0, "l": "1.2.3"})
    );
    assert_eq!(
        yaml::read("{\"a\": [1, {\"b\": \"\\u00e9\"}]}").unwrap(),
        json!({"a": [1, {"b": "é"}]})
    );
}

#[test]
fn what_json_cannot_say_is_refused_with_its_line() {
    assert!(refused("a: &x 1\nb: *x").starts_with("line 1, column 4: anchors"));
    assert!(refused("a: 1\na: 2").starts_with("line 2, column 1: the key `a` is repeated"));
    assert!(refused("a: !!int 1").contains("tags"));
    assert!(refused("a: 1\n---\nb: 2").contains("second document"));
    assert!(refused("a: {{ x }}").contains("a key must be a text"));
    assert!(refused("a: \"\\0\"").contains("U+0000"));
    assert!(refused("a: 99999999999999999999").contains("exactly"));
    assert!(refused("").contains("empty"));
    assert!(refused(&"[".repeat(100)).contains("deeper than 32"));
    assert!(refused("a: [1").starts_with("line "));
}

#[test]
fn faults_have_their_places_in_the_source() {
    let source = "name: x\ntitle: X\ntasks:\n  - ref: a\n    title: A\n  - ref: b\n    titel: B\n";
    let text = Text::of_source(source).unwrap();
    let faults = super::parse(&text.document).unwrap_err();
    let shown = |at: &str| -> Vec<(String, String)> {
        let errors = text.errors(at, &faults).into_iter();
        errors.map(|e| (e.pointer, e.detail.split(": ").next().unwrap().to_owned())).collect()
    };
    let place = |pointer: &str, place: &str| (pointer.to_owned(), place.to_owned());
    assert_eq!(
        shown("/source"),
        [
            place("/source/tasks/1/titel", "line 7, column 12"),
            place("/source/tasks/1/title", "line 6, column 5"),
        ]
    );
    assert_eq!(shown("")[0], place("/tasks/1/titel", "line 7, column 12"), "the body is the text");
    let text = Text::of_document(text.document).unwrap();
    assert_eq!(text.errors("/document", &faults)[0].pointer, "/document/tasks/1/titel");
    assert!(!text.errors("/document", &faults)[0].detail.contains("line"));
}

#[test]
fn every_fault_of_a_document_is_listed_with_its_place() {
    let source = r#"
name: Not A Name
title: ""
color: red
variables:
  Bad: {type: string}
  title: {type: string}
  a: {type: strng}
  b: {type: integer, min: 3, max: 1}
  c: {type: integer, default: x}
  d: {type: list, items: string, one_of: [a], default: [b]}
  e: {type: string, min: 1}
  f: {type: string, required: true, default: x}
tasks:
  - ref: one
    title: "{{ unknown }}"
    description: "{{ 'x' | shout }}"
    prio: 1
  - title: "{% if x %}"
    when: "a is strange"
  - use: Some Thing
    ref: x
    with: [1]
  - 5
criteria: ["{{ f() }}", {text: "", extra: 1}]
"#;
    let places: Vec<String> = faults(source).into_iter().map(|(pointer, _)| pointer).collect();
    for place in [
        "/color",
        "/criteria/0",
        "/criteria/1/extra",
        "/criteria/1/text",
        "/name",
        "/tasks/0/description",
        "/tasks/0/prio",
        "/tasks/0/title",
        "/tasks/1/ref",
        "/tasks/1/title",
        "/tasks/1/when",
        "/tasks/2/use",
        "/tasks/2/with",
        "/tasks/3",
        "/title",
        "/variables/Bad",
        "/variables/a/type",
        "/variables/b/max",
        "/variables/c/default",
        "/variables/d/default/0",
        "/variables/e/min",
        "/variables/f/required",
        "/variables/title",
    ] {
        assert!(places.iter().any(|found| found == place), "{place} is not among {places:#?}");
    }
}

/// A template that no sample reaches is checked all the same.
#[test]
fn a_template_that_is_not_reached_is_checked() {
    let source = "name: x\ntitle: X\nvariables: {on: {type: boolean, default: false}}\ntasks:\n  - {ref: a, title: A}\n  - {ref: b, when: on, title: \"{{ 1 | nope }}\"}\n";
    assert_eq!(faults(source)[0].0, "/tasks/1/title");
}

#[test]
fn a_plan_that_would_be_refused_is_refused_when_it_is_stored() {
    let source = "name: x\ntitle: X\ntasks:\n  - {ref: a, title: A, needs: [b]}\n  - {ref: b, title: B, needs: [a]}\n";
    let found = faults(source);
    assert!(found[0].0.starts_with("/tasks"), "{found:?}");
    let source = "name: x\ntitle: X\ntasks:\n  - {ref: a, title: A, priority: 10}\n";
    assert_eq!(faults(source)[0].0, "/tasks/0/priority");
    let source =
        "name: x\ntitle: X\ntasks:\n  - {ref: a, title: A, estimate: {usd_micros: lots}}\n";
    assert!(faults(source)[0].0.starts_with("/tasks/0/estimate"));
    let source = "name: x\ntitle: X\nvariables: {l: {type: list}}\ntasks:\n  - {ref: a, title: A, for_each: {as: i, in: \"{{ l }}\"}}\n";
    let found = faults(source);
    assert_eq!(found[0].0, "/tasks/0/ref", "{found:?}");
    let source = "name: x\ntitle: X\ntasks:\n  - {ref: a, use: x}\n";
    assert!(faults(source)[0].1.contains("inside itself"));
}

/// Every field of a task can be written, but those that only a brief sets.
#[test]
fn the_fields_are_those_of_a_task() {
    let mut all: Vec<&str> = TASK_FIELDS.to_vec();
    all.extend(["done", "parallel"]);
    for name in all {
        let field = json!({ name: {"no": "such value"} });
        let said = serde_json::from_value::<crate::domain::plan::TaskSpec>(field);
        let said = said.unwrap_err().to_string();
        assert!(!said.contains(&format!("unknown field `{name}`")), "{name}: {said}");
    }
}

#[test]
fn values_keep_their_types() {
    let source = r#"
name: x
title: X
variables:
  n: {type: integer, default: 2}
  list: {type: list, default: [rust, sql]}
tasks:
  - ref: a
    title: "{{ n }} of {{ list | length }}"
    priority: "{{ n + 1 }}"
    capabilities: "{{ list }}"
    labels: ["x", "{{ list }}", "{{ '' }}"]
    input: {count: "{{ n }}", text: "n is {{ n }}", all: ["{{ list }}"]}
    estimate: {usd_micros: {want: "{{ 1000 * n }}", min: 5}}
    approval: {start: "{{ n > 1 }}"}
    risk: "{{ 'high' if n > 1 else none }}"
"#;
    let made = super::expanded(&playbook(source), json!({}), &super::Shelf::default()).unwrap();
    let task = serde_json::to_value(&made.tasks[0]).unwrap();
    assert_eq!(
        task,
        json!({"ref": "a", "title": "2 of 2", "priority": 3, "capabilities": ["rust", "sql"],
               "labels": ["x", "rust", "sql"], "risk": "high",
               "input": {"count": 2, "text": "n is 2", "all": [["rust", "sql"]]},
               "estimate": {"usd_micros": {"want": 2000, "min": 5}},
               "approval": {"start": true, "result": false}})
    );
}
