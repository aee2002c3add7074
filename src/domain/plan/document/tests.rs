//! Reading and writing the plan document: what is forgiven, and what is a finding.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn codes(text: &str) -> Vec<(String, String)> {
    let findings = read_text(text).err().unwrap_or_default();
    findings.into_iter().map(|found| (found.code.to_string(), found.pointer)).collect()
}

fn refs(text: &str) -> Vec<String> {
    read_text(text).unwrap().into_iter().map(|task| task.r#ref).collect()
}

fn one(code: &str, pointer: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), pointer.to_owned())]
}

/// Every object of the schema is strict, and no word is used that servers refuse.
#[test]
fn servers_with_structured_output_accept_the_schema() {
    fn walk(value: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(Value::Object(properties)) = object.get("properties") {
                    let names: BTreeSet<&String> = properties.keys().collect();
                    let required: Vec<String> =
                        serde_json::from_value(object["required"].clone()).unwrap();
                    assert_eq!(names, required.iter().collect());
                    assert_eq!(object["additionalProperties"], json!(false));
                    properties.values().for_each(walk);
                    return;
                }
                for word in [
                    "minItems",
                    "maxItems",
                    "pattern",
                    "format",
                    "minimum",
                    "maximum",
                    "minLength",
                    "maxLength",
                    "$ref",
                    "default",
                    "oneOf",
                ] {
                    assert!(!object.contains_key(word), "{word}");
                }
                object.values().for_each(walk);
            }
            Value::Array(items) => items.iter().for_each(walk),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    walk(schema());
    let fields = schema()["properties"]["tasks"]["items"]["properties"].as_object().unwrap();
    assert_eq!(fields.len(), FIELDS.len());
    assert!(FIELDS.iter().all(|field| fields.contains_key(*field)));
}

#[test]
fn the_document_is_found_wherever_it_stands() {
    let plan = r#"{"tasks": [{"ref": "a", "title": "Write it"}], "notes": []}"#;
    for text in [
        plan.to_owned(),
        format!("  {plan}\n"),
        format!("Here is the plan:\n\n```json\n{plan}\n```\nTell me [what] you think of {{it}}."),
        format!("```\n{plan}\n```"),
        format!("I read [1] and {{\"mood\": \"good\"}}. {plan}"),
        format!("{{\"plan\": {plan}}}"),
        r#"[{"ref": "a", "title": "Write it"}]"#.to_owned(),
    ] {
        assert_eq!(refs(&text), ["a"], "{text}");
    }
}

#[test]
fn what_is_no_document_is_said() {
    for text in ["", "I cannot do that.", "[1, 2]", "{\"mood\": 3}", "null", "{"] {
        assert_eq!(codes(text), one("not_json", ""), "{text}");
    }
    let plan = r#"{"tasks": [{"ref": "a", "title": "Write it"}, {"ref": "b", "title": "Te"#;
    assert_eq!(codes(plan), one("truncated", ""));
    assert_eq!(
        codes(&format!("Sure.\n```json\n{plan}\n```")),
        one("not_json", ""),
        "the fence is no JSON"
    );
    assert_eq!(codes(r#"{"tasks": [{"ref": "a",}]}"#), one("not_json", ""));
    assert_eq!(codes(r#"{"tasks": 3}"#), one("bad_value", "/tasks"));
    assert_eq!(codes(&"[".repeat(100_000)), one("not_json", ""));
    assert_eq!(codes(&"{\"tasks\":".repeat(10_000)), one("not_json", ""));
}

#[test]
fn what_leaves_no_doubt_is_read() {
    let tasks = read(&json!({"tasks": [
        {"ref": 1, "title": "a", "description": null, "needs": null, "parent": "", "estimate": {"wall_ms": 5.0}},
        {"ref": "2", "title": "b", "needs": [1], "criteria": ["c", {"text": "d", "required": false}],
         "estimate": [{"unit": "usd_micros", "amount": 7}, {"unit": "x", "amount": null}],
         "priority": 3, "risk": "high", "approval": "both"},
    ]}))
    .unwrap();
    assert_eq!(tasks[0].r#ref, "1");
    assert_eq!(
        (tasks[0].parent.as_deref(), &tasks[0].estimate["wall_ms"]),
        (None, &Estimate::Exact(5))
    );
    assert_eq!(tasks[1].needs, ["1"]);
    assert_eq!(tasks[1].criteria.iter().map(|one| one.required).collect::<Vec<_>>(), [true, false]);
    assert_eq!(tasks[1].estimate.len(), 1);
    assert_eq!((tasks[1].priority, tasks[1].risk), (Some(3), Some(Risk::High)));
    assert!(tasks[1].approval.start && tasks[1].approval.result);
}

#[test]
fn nothing_is_invented() {
    let task = |extra: Value| {
        let mut task = json!({"ref": "a", "title": "a"});
        for (name, value) in extra.as_object().unwrap() {
            task[name] = value.clone();
        }
        let findings = read(&json!({"tasks": [task]})).unwrap_err();
        findings
            .into_iter()
            .map(|found| (found.code.to_string(), found.pointer))
            .collect::<Vec<_>>()
    };
    assert_eq!(task(json!({"depends_on": ["b"]})), one("unknown_field", "/tasks/0/depends_on"));
    assert_eq!(task(json!({"ref": null})), one("bad_value", "/tasks/0/ref"));
    assert_eq!(task(json!({"title": 5})), one("bad_value", "/tasks/0/title"));
    assert_eq!(task(json!({"needs": "b"})), one("bad_value", "/tasks/0/needs"));
    assert_eq!(task(json!({"needs": [{"ref": "b"}]})), one("bad_value", "/tasks/0/needs/0"));
    assert_eq!(task(json!({"criteria": [5]})), one("bad_value", "/tasks/0/criteria/0"));
    assert_eq!(
        task(json!({"estimate": [{"unit": "x", "amount": "5"}]})),
        one("bad_value", "/tasks/0/estimate/0/amount")
    );
    assert_eq!(
        task(json!({"estimate": [{"unit": "x", "amount": 1.5}]})),
        one("bad_value", "/tasks/0/estimate/0/amount")
    );
    let twice = json!({"estimate": [{"unit": "x", "amount": 1}, {"unit": "x", "amount": 2}]});
    assert_eq!(task(twice), one("bad_value", "/tasks/0/estimate/1/unit"));
    assert_eq!(task(json!({"priority": "high"})), one("bad_value", "/tasks/0/priority"));
    assert_eq!(task(json!({"risk": "huge"})), one("bad_value", "/tasks/0/risk"));
    assert_eq!(task(json!({"approval": "always"})), one("bad_value", "/tasks/0/approval"));
    let many: Vec<Value> = (0..settings::PLAN_TASKS + 1).map(|_| json!({})).collect();
    assert_eq!(read(&json!({"tasks": many})).unwrap_err()[0].code, FindingCode::TooMany);
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        prop::sample::select(FIELDS.to_vec()).prop_map(str::to_owned),
        prop::sample::select(vec!["tasks", "notes", "plan", "unit", "amount", "text"])
            .prop_map(str::to_owned),
        "[a-z~/]{0,4}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_task() -> impl Strategy<Value = TaskSpec> {
    let names = || prop::collection::vec("[a-z]{1,3}", 0..3);
    let parts = (
        ("[a-z0-9]{1,4}", ".{0,9}", ".{0,9}"),
        (names(), prop::option::of("[a-z]{1,3}"), names(), names()),
        prop::collection::btree_map("[a-z]{1,3}", 0..i64::MAX, 0..3),
        (
            prop::option::of(0i16..10),
            prop::option::of(prop::sample::select(Risk::ALL)),
            any::<(bool, bool)>(),
        ),
    );
    parts.prop_map(
        |((r#ref, title, description), (needs, parent, capabilities, criteria), estimate, rest)| {
            let (priority, risk, (start, result)) = rest;
            let criterion = |text| CriterionSpec {
                text,
                required: true,
                satisfied: false,
                ..CriterionSpec::default()
            };
            TaskSpec {
                r#ref,
                title,
                description,
                needs,
                parent,
                capabilities,
                criteria: criteria.into_iter().map(criterion).collect(),
                estimate: estimate
                    .into_iter()
                    .map(|(unit, amount)| (unit, Estimate::Exact(amount)))
                    .collect(),
                priority,
                risk,
                approval: ApprovalPoints { start, result },
                ..TaskSpec::default()
            }
        },
    )
}

proptest! {
    /// Nothing panics, and every fault is said with a place.
    #[test]
    fn any_json_is_read_or_refused(value in any_json(), wrap in any::<bool>()) {
        let value = if wrap { json!({"tasks": [value]}) } else { value };
        if let Err(findings) = read(&value) {
            prop_assert!(!findings.is_empty() && findings.len() <= MOST);
        }
        let text = format!("so: {value} and so on");
        let object = value.as_object().is_some_and(|object| object.contains_key("tasks"));
        prop_assert!(!object || find(&text).is_ok());
        let _ = notes(&value);
    }

    #[test]
    fn any_text_is_read_or_refused(text in r#"([\[\]{}",:a-z0-9 \n`é]|"tasks"|\{"tasks":\[\{){0,60}"#) {
        if let Err(findings) = read_text(&text) {
            prop_assert!(!findings.is_empty());
        }
    }

    /// A document cut anywhere is not taken for a plan.
    #[test]
    fn half_a_document_is_no_plan(tasks in prop::collection::vec(any_task(), 1..4), cut in any::<prop::sample::Index>()) {
        let text = write(&tasks).to_string();
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).skip(1).collect();
        let end = ends[cut.index(ends.len())];
        // Without the notes, whole tasks of a list are not the plan either.
        prop_assert!(read_text(&text[..end]).is_err(), "{}", &text[..end]);
    }

    /// What is written is read as it was.
    #[test]
    fn documents_come_back(tasks in prop::collection::vec(any_task(), 0..5)) {
        let document = write(&tasks);
        prop_assert_eq!(&read(&document).unwrap(), &tasks);
        if !tasks.is_empty() {
            prop_assert_eq!(&read_text(&format!("```json\n{document:#}\n```")).unwrap(), &tasks);
        }
    }
}

/// What begins sixty times and goes on to the end is not read sixty times.
#[test]
fn nested_beginnings_are_read_a_few_times() {
    let inner = format!("{{\"title\": [{}", "1,".repeat(200_000));
    let text = format!("{}{inner}", "[{\"x\":1},".repeat(60));
    assert_eq!(codes(&text), one("not_json", ""));
    // A document behind a few such beginnings is found.
    let plan = r#"{"tasks": [{"ref": "a", "title": "A"}], "notes": []}"#;
    let text = format!("{} {plan}", "Set [{\"x\": 1} and so on. ".repeat(20));
    assert_eq!(refs(&text), ["a"]);
}
