//! How entries become tasks.

use serde_json::json;

use super::{expanded, lines, playbook};
use crate::domain::plan::playbook::{check_expansion, fault::Subject, shelf::Shelf};

fn shelf(sources: &[&str]) -> Shelf {
    let mut shelf = Shelf::default();
    for source in sources {
        let playbook = playbook(source);
        shelf.put(&playbook.name.clone(), 1, true, playbook);
    }
    shelf
}

const EACH: &str = r#"
name: each
title: Each
variables:
  crates: {type: list}
  deploy: {type: boolean, default: false}
tasks:
  - {ref: plan, title: Plan}
  - {ref: "phase", title: Phase, needs: [plan]}
  - ref: "test-{{ crate | slug }}"
    block: tests
    for_each: {as: crate, in: "{{ crates }}"}
    when: crate != "skip"
    title: "Test {{ crate }} ({{ index }})"
    parent: phase
  - {ref: deploy, title: Deploy, when: deploy, needs: [tests, plan]}
  - {ref: tell, title: Tell, needs: [deploy]}
"#;

#[test]
fn for_each_makes_a_task_per_item_and_needs_name_them_all() {
    let given = json!({"crates": ["A b", "skip", "c"], "deploy": true});
    let made = expanded(&playbook(EACH), given, &Shelf::default()).unwrap();
    assert_eq!(
        lines(&made),
        [
            "plan <-",
            "phase <- plan",
            "test-a-b <- in phase",
            "test-c <- in phase",
            "deploy <- test-a-b test-c plan",
            "tell <- deploy"
        ]
    );
    assert_eq!(made.tasks[3].title, "Test c (3)");
}

#[test]
fn what_is_left_out_passes_its_needs_on() {
    let made = expanded(&playbook(EACH), json!({"crates": ["a"]}), &Shelf::default()).unwrap();
    assert_eq!(lines(&made).last().unwrap(), "tell <- test-a plan");
    // A container without children would be work for an agent.
    let made = expanded(&playbook(EACH), json!({"crates": []}), &Shelf::default()).unwrap();
    assert_eq!(lines(&made), ["plan <-", "tell <- plan"]);
}

const INNER: &str = r#"
name: inner
title: Inner
variables: {what: {type: string}}
tasks:
  - {ref: box, title: Box}
  - {ref: make, title: "Make {{ what }} of {{ title }}", parent: box}
  - {ref: check, title: Check, needs: [make], parent: box}
  - {ref: pack, title: Pack, needs: [box]}
criteria: ["{{ what }} is there"]
"#;
const OUTER: &str = r#"
name: outer
title: Outer
variables: {things: {type: list}}
tasks:
  - {ref: all, title: All}
  - {ref: start, title: Start}
  - ref: "make-{{ thing }}"
    block: makes
    for_each: {as: thing, in: "{{ things }}"}
    use: inner
    with: {what: "the {{ thing }}"}
    needs: [start]
    parent: all
  - {ref: end, title: End, needs: [makes]}
  - {ref: look, title: Look, needs: ["make-{{ things[0] }}/make"]}
"#;

#[test]
fn a_used_playbook_stands_in_its_place() {
    let made = expanded(&playbook(OUTER), json!({"things": ["x", "y"]}), &shelf(&[INNER])).unwrap();
    assert_eq!(
        lines(&made),
        [
            "all <-",
            "start <-",
            "make-x/box <- start in all",
            "make-x/make <- in make-x/box",
            "make-x/check <- make-x/make in make-x/box",
            "make-x/pack <- make-x/box in all",
            "make-y/box <- start in all",
            "make-y/make <- in make-y/box",
            "make-y/check <- make-y/make in make-y/box",
            "make-y/pack <- make-y/box in all",
            "end <- make-x/pack make-y/pack",
            "look <- make-x/make",
        ]
    );
    assert_eq!(made.tasks[3].title, "Make the x of A title");
    let texts: Vec<&str> = made.criteria.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts, ["the x is there", "the y is there"]);
    assert_eq!(check_expansion(&made), Ok(()));
}

#[test]
fn faults_inside_a_used_playbook_are_told_where_it_is_used() {
    let one = |source: &str, others: &[&str]| {
        let found = expanded(&playbook(source), json!({}), &shelf(others)).unwrap_err();
        (found[0].of, found[0].pointer.clone(), found[0].detail.clone())
    };
    let outer = "name: o\ntitle: O\ntasks:\n  - {ref: i, use: inner, with: {what: 5}}\n";
    let (of, at, detail) = one(outer, &[INNER]);
    assert_eq!((of, at.as_str()), (Subject::Document, "/tasks/0/with/what"));
    assert!(detail.contains("must be a text"), "{detail}");
    let (_, at, detail) = one("name: o\ntitle: O\ntasks:\n  - {ref: i, use: gone}\n", &[]);
    assert_eq!((at.as_str(), detail.as_str()), ("/tasks/0/use", "there is no playbook `gone`"));
}

#[test]
fn a_circle_of_playbooks_and_too_deep_ones_are_refused() {
    let a = "name: a\ntitle: A\ntasks:\n  - {ref: x, use: b}\n";
    let b = "name: b\ntitle: B\ntasks:\n  - {ref: x, use: a}\n";
    let found = expanded(&playbook(a), json!({}), &shelf(&[a, b])).unwrap_err();
    assert!(found[0].detail.contains("`a` -> `b` -> `a`"), "{found:?}");
    let deep: Vec<String> = (0..8)
        .map(|n| format!("name: p{n}\ntitle: P\ntasks:\n  - {{ref: x, use: p{}}}\n", n + 1))
        .chain(["name: p8\ntitle: P\ntasks:\n  - {ref: x, title: X}\n".to_owned()])
        .collect();
    let all: Vec<&str> = deep.iter().map(String::as_str).collect();
    let found = expanded(&playbook(all[0]), json!({}), &shelf(&all)).unwrap_err();
    assert!(found[0].detail.contains("deeper than 5"), "{found:?}");
    let made = expanded(&playbook(all[3]), json!({}), &shelf(&all)).unwrap();
    assert_eq!(lines(&made), ["x/x/x/x/x/x <-"]);
}

#[test]
fn values_are_checked_by_their_types() {
    let source = r#"
name: t
title: T
variables:
  s: {type: string, min_length: 2, max_length: 3, default: ab}
  i: {type: integer, min: 1, max: 3, default: 1}
  n: {type: number, default: 1.5}
  b: {type: boolean, default: true}
  e: {type: string, one_of: [x, y], default: x}
  l: {type: list, items: integer, max_items: 2, default: []}
  must: {type: string, description: the important one}
  may: {type: list, required: false}
tasks: [{ref: a, title: "{{ s }}{{ i }}{{ n }}{{ b }}{{ e }}{{ l }}{{ must }}{{ may }}"}]
"#;
    let playbook = playbook(source);
    let good = json!({"must": "m", "i": 2.0, "l": [1, 2]});
    let made = expanded(&playbook, good, &Shelf::default()).unwrap();
    assert_eq!(made.tasks[0].title, "ab21.5Truex[1, 2]m[]");
    let bad =
        json!({"s": "abcd", "i": 1.5, "n": "1", "b": "yes", "e": "z", "l": [1, "x"], "other": 1});
    let found = expanded(&playbook, bad, &Shelf::default()).unwrap_err();
    let mut places: Vec<&str> = found.iter().map(|fault| fault.pointer.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["/b", "/e", "/i", "/l/1", "/must", "/n", "/other", "/s"]);
    assert!(found.iter().all(|fault| fault.of == Subject::Variables));
    assert_eq!(found[0].of_use("/playbook", "t").pointer, "/playbook/variables/other");
}
