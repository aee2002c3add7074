//! Tests of the floors.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::words::Words as _;

fn spec(document: Value) -> FloorSpec {
    let mut whole = json!({"name": "r", "risk": "high"});
    for (name, value) in document.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn rule(id: u128, document: Value) -> FloorRule {
    FloorRule { floor_id: RiskFloorId(Uuid::from_u128(id)), spec: spec(document) }
}

fn subject(payload: Option<&Value>) -> FloorSubject<'_> {
    FloorSubject {
        kind: ApprovalKind::Action,
        project: Some(ProjectId(Uuid::from_u128(1))),
        capabilities: vec!["rust".to_owned(), "deploy".to_owned()],
        tasks: Vec::new(),
        payload,
    }
}

fn task(name: &str, risk: Option<Risk>) -> FloorTask {
    FloorTask { task_id: None, reference: name.to_owned(), risk }
}

fn holds(condition: Value, payload: &Value) -> bool {
    spec(json!({"payload": [condition]})).covers(&subject(Some(payload)))
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let payload = json!({"command": "drop table users", "env": "production"});
    let here = ProjectId(Uuid::from_u128(1));
    for covered in [
        json!({}),
        json!({"kind": "action"}),
        json!({"capability": "deploy"}),
        json!({"project_id": here}),
        json!({"payload": [{"pointer": "/command", "matches": "drop"},
                           {"pointer": "/env", "equals": "production"}]}),
        json!({"kind": "action", "capability": "rust", "project_id": here,
               "payload": [{"pointer": "/env", "matches": "^prod"}]}),
    ] {
        assert!(spec(covered.clone()).covers(&subject(Some(&payload))), "{covered}");
    }
    for other in [
        json!({"kind": "input"}),
        json!({"capability": "depl"}),
        json!({"project_id": Uuid::from_u128(2)}),
        json!({"payload": [{"pointer": "/command", "matches": "drop"},
                           {"pointer": "/env", "equals": "staging"}]}),
        json!({"capability": "deploy", "payload": [{"pointer": "/args", "matches": ""}]}),
    ] {
        assert!(!spec(other.clone()).covers(&subject(Some(&payload))), "{other}");
    }
    let any = spec(json!({"payload": [{"pointer": "", "matches": "."}]}));
    assert!(!any.covers(&subject(None)), "there is no payload");
}

#[test]
fn a_text_does_not_escape_by_its_form() {
    let drops = |pointer: &str| json!({"pointer": pointer, "matches": r"(?i)\bdrop\s+table\b"});
    for payload in [
        json!({"command": "drop table users"}),
        json!({"command": "DrOp \n\t TABLE users"}),
        json!({"command": ["psql", "-c", "DROP TABLE users"]}),
        json!({"command": {"sql": {"drop table users": true}}}),
        json!({"command": [[["select 1", {"then": "drop\u{a0}table users"}]]]}),
    ] {
        assert!(holds(drops("/command"), &payload), "{payload}");
        assert!(holds(drops(""), &payload), "{payload}");
        assert!(!holds(drops("/other"), &payload), "{payload}");
    }
    let steps = json!({"steps": [{"a/b": "x"}, {"a/b": ["keep", "drop table t"]}]});
    assert!(holds(drops("/steps/1/a~1b"), &steps));
    assert!(holds(drops("/steps/1/a~1b/1"), &steps));
    assert!(!holds(drops("/steps/0"), &steps));
    // Case is that of Unicode: the Kelvin sign is a `k`, and sharp letters have two forms.
    assert!(holds(json!({"pointer": "", "matches": "(?i)^kill$"}), &json!("\u{212a}ILL")));
    assert!(holds(
        json!({"pointer": "", "matches": "(?i)ÜBERWEISUNG"}),
        &json!("eine überweisung")
    ));
    assert!(holds(json!({"pointer": "/rows", "matches": "^[0-9]{4,}$"}), &json!({"rows": 10000})));
    assert!(holds(json!({"pointer": "/force", "matches": "true"}), &json!({"force": true})));
}

#[test]
fn equal_numbers_are_equal_however_they_are_written() {
    let one = |payload: &str| {
        let payload = serde_json::from_str(payload).unwrap();
        holds(json!({"pointer": "/n", "equals": 1}), &payload)
    };
    assert!(one(r#"{"n": 1}"#) && one(r#"{"n": 1.0}"#) && one(r#"{"n": 10e-1}"#));
    assert!(!one(r#"{"n": "1"}"#) && !one(r#"{"n": [1]}"#) && !one("{}"));
    let null = json!({"pointer": "/n", "equals": null});
    assert!(holds(null.clone(), &json!({"n": null})) && !holds(null, &json!({})));
    let object = json!({"pointer": "", "equals": {"a": 1, "b": [2]}});
    assert!(holds(object, &json!({"b": [2.0], "a": 1})));
}

#[test]
fn a_rule_that_makes_no_sense_is_refused_with_every_fault() {
    let places = |document: Value| {
        let refused = spec(document).check().expect_err("it is refused");
        refused.errors.into_iter().map(|error| (error.pointer, error.detail)).collect::<Vec<_>>()
    };
    let faults = places(json!({"name": " ", "capability": "Big", "payload": [
        {"pointer": "command", "matches": "(unclosed"},
        {"pointer": "/a~2", "equals": 1},
        {"pointer": ""},
        {"pointer": "", "matches": "a", "equals": 1},
        {"pointer": "", "matches": r"(\w{50}){50}"},
        {"pointer": "", "matches": "(?<=behind)a"},
        {"pointer": "", "matches": "x".repeat(501)},
        {"pointer": "", "matches": ""},
    ]}));
    let pointers: Vec<&str> = faults.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/name",
            "/capability",
            "/payload/0/pointer",
            "/payload/0/matches",
            "/payload/1/pointer",
            "/payload/2",
            "/payload/3",
            "/payload/4/matches",
            "/payload/5/matches",
            "/payload/6/matches",
            "/payload/7/matches",
        ]
    );
    assert_eq!(faults[3].1, "is no regular expression: unclosed group");
    assert!(faults[7].1.starts_with("is too large"), "{}", faults[7].1);
    assert!(faults[8].1.contains("look-around"), "{}", faults[8].1);
    assert!(faults.iter().all(|(_, detail)| !detail.contains('\n')));
    let many = json!({"pointer": "", "equals": 1});
    assert_eq!(places(json!({"payload": vec![many; 9]}))[0].0, "/payload");
    let long = json!({"pointer": "", "equals": "x".repeat(16 * 1024)});
    assert_eq!(places(json!({"payload": [long]}))[0].0, "/payload/0/equals");
    let common =
        json!([{"pointer": "/a~1b/0", "matches": r"(?i)\b(drop|truncate|delete)\s+\p{L}\w*\b"}]);
    assert_eq!(spec(json!({"payload": common})).check(), Ok(()));
}

#[test]
fn a_huge_payload_is_searched_in_linear_time() {
    let text = "a".repeat(settings::JSON_BYTES - 100);
    let payload = json!({"command": text});
    let condition = json!({"pointer": "", "matches": "(a|aa|a?)*(a*)*b$"});
    // A search that backtracks would not end.
    assert!(!holds(condition, &payload));
}

#[test]
fn a_pattern_that_no_longer_compiles_holds() {
    let condition = json!({"pointer": "/command", "matches": "("});
    assert!(holds(condition.clone(), &json!({"command": "harmless"})));
    assert!(!holds(condition, &json!({})));
}

#[test]
fn the_reason_is_the_riskiest_task_or_the_oldest_of_the_riskiest_rules() {
    let rules = [
        rule(3, json!({"name": "late", "risk": "high"})),
        rule(1, json!({"name": "low", "risk": "medium"})),
        rule(2, json!({"name": "early", "risk": "high"})),
    ];
    let mut about = subject(None);
    let name = |about: &FloorSubject<'_>, rules: &[FloorRule]| {
        floor(about, rules).map(|floor| (floor.source, floor.name))
    };
    assert_eq!(name(&about, &rules), Some((FloorSource::Rule, "early".to_owned())));
    about.tasks =
        vec![task("none", None), task("a", Some(Risk::High)), task("b", Some(Risk::High))];
    assert_eq!(name(&about, &rules), Some((FloorSource::Task, "a".to_owned())));
    about.tasks = vec![task("a", Some(Risk::Medium))];
    assert_eq!(name(&about, &rules), Some((FloorSource::Rule, "early".to_owned())));
    assert_eq!(name(&subject(None), &[]), None);
}

#[test]
fn a_plan_is_as_risky_as_its_riskiest_task() {
    let plan = json!([{"ref": "a", "title": "a", "capabilities": ["deploy"]},
                      {"ref": "b", "title": "b", "risk": "critical"}, 7]);
    let (tasks, capabilities) = tasks_of_plan(&plan);
    assert_eq!(capabilities, ["deploy"]);
    assert_eq!(
        highest_task(&tasks).map(|floor| (floor.risk, floor.name)),
        Some((Risk::Critical, "b".into()))
    );
    assert_eq!(tasks_of_plan(&json!({"ref": "a"})), (Vec::new(), Vec::new()));
}

fn risks() -> impl Strategy<Value = Risk> {
    prop::sample::select(Risk::ALL)
}

fn rules() -> impl Strategy<Value = Vec<FloorRule>> {
    let kinds = prop::option::of(prop::sample::select(ApprovalKind::ALL));
    let capabilities = prop::option::of(prop::sample::select(vec!["rust", "deploy", "pay"]));
    let words = prop::option::of(prop::sample::select(vec!["drop", "a", "^x"]));
    let one = (risks(), kinds, capabilities, words).prop_map(|(risk, kind, capability, word)| {
        let conditions: Vec<Value> =
            word.iter().map(|word| json!({"pointer": "/c", "matches": word})).collect();
        spec(json!({"risk": risk, "kind": kind, "capability": capability, "payload": conditions}))
    });
    prop::collection::vec(one, 0..6).prop_map(|specs| {
        let ids = (1u128..).map(|id| RiskFloorId(Uuid::from_u128(id)));
        ids.zip(specs).map(|(floor_id, spec)| FloorRule { floor_id, spec }).collect()
    })
}

fn payloads() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({"c": "drop it"}),
        json!({"c": ["a"]}),
        json!({"c": 1}),
        json!({}),
    ])
}

fn tasks() -> impl Strategy<Value = Vec<FloorTask>> {
    prop::collection::vec(prop::option::of(risks()).prop_map(|risk| task("t", risk)), 0..4)
}

proptest! {
    #[test]
    fn the_risk_is_at_least_every_floor_and_what_was_stated(
        stated in risks(), rules in rules(), payload in payloads(), tasks in tasks(),
    ) {
        let about = FloorSubject { tasks, ..subject(Some(&payload)) };
        let found = floor(&about, &rules);
        let risk = effective(stated, found.as_ref());
        prop_assert!(risk >= stated);
        let of_rules = rules.iter().filter(|rule| rule.spec.covers(&about)).map(|rule| rule.spec.risk);
        let all: Vec<Risk> = of_rules.chain(about.tasks.iter().filter_map(|task| task.risk)).collect();
        for floor in &all {
            prop_assert!(risk >= *floor);
        }
        // It is no higher than somebody wants it, and the reason is the highest floor.
        prop_assert!(risk == stated || all.contains(&risk));
        prop_assert_eq!(found.map(|floor| floor.risk), all.into_iter().max());
    }

    #[test]
    fn to_state_more_is_never_less(one in risks(), other in risks(), rules in rules(), payload in payloads()) {
        let found = floor(&subject(Some(&payload)), &rules);
        let (low, high) = (one.min(other), one.max(other));
        prop_assert!(effective(low, found.as_ref()) <= effective(high, found.as_ref()));
        prop_assert!(effective(high, found.as_ref()) >= high);
    }

    #[test]
    fn another_rule_never_lowers_a_risk(stated in risks(), rules in rules(), payload in payloads(), left in 0usize..6) {
        let about = subject(Some(&payload));
        let fewer = rules[..left.min(rules.len())].to_vec();
        let with = |rules: &[FloorRule]| effective(stated, floor(&about, rules).as_ref());
        prop_assert!(with(&fewer) <= with(&rules));
    }

    #[test]
    fn a_revision_applies_its_floors_and_never_lowers(
        stated in risks(), before in payloads(), after in payloads(), then in rules(), now in rules(),
    ) {
        let first = floor(&subject(Some(&before)), &then);
        let risk = effective(stated, first.as_ref());
        let found = floor(&subject(Some(&after)), &now);
        let kept = raise(first.clone(), found.clone());
        let revised = effective(risk, kept.as_ref());
        prop_assert!(revised >= risk);
        let least = [&first, &found].into_iter().flatten().map(|floor| floor.risk).max();
        prop_assert_eq!(kept.map(|floor| floor.risk), least);
        prop_assert!(Some(revised) >= least);
        prop_assert_eq!(revised, least.map_or(risk, |least| risk.max(least)));
    }
}
