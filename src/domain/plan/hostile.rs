//! Plans that nobody means: arbitrary JSON up to the limits never panics, and what comes of it is bounded.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    PlanContext, TaskSpec, check_plan,
    first_states::first_states,
    new_goal::{NewGoal, draft},
    order::circle,
    read,
    risks::least_risks,
};
use crate::domain::{refusal::Refusal, settings};

/// Members of a task and of a goal, and one of neither.
const NAMES: &[&str] = &[
    "ref",
    "title",
    "description",
    "needs",
    "parent",
    "capabilities",
    "priority",
    "criteria",
    "estimate",
    "budget",
    "input",
    "labels",
    "approval",
    "risk",
    "not_before",
    "start_at",
    "dedup",
    "max_attempts",
    "max_rework",
    "lease_seconds",
    "start_within_seconds",
    "attempt_timeout_seconds",
    "finish_within_seconds",
    "section",
    "parallel",
    "done",
    "tasks",
    "brief",
    "planner",
    "ordering",
    "task_defaults",
    "discovered",
    "metadata",
    "on_behalf_of",
    "deadline",
    "project",
    "text",
    "required",
    "limits",
    "unit",
    "amount",
    "nobody",
];

const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "c",
    "a b",
    "é任务🎯",
    "\u{0}",
    "\u{202e}",
    "\n",
    "high",
    "ask",
    "outline",
    "tasks",
    "auto",
    "usd_micros",
    "2026-03-01T12:00:00Z",
    "9999999-01-01T00:00:00Z",
    "-1",
    "/",
    "~",
    "~1",
    "- [ ] T001 a\n- [ ] T002 b (depends on T001)\n",
    "[",
    "{\"a\":",
    "../..",
    "null",
];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..25).prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        Just(json!(u64::MAX)),
        prop::sample::select(TEXTS).prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
    ]
}

/// Any JSON, most of it with members that a plan has.
fn anything() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 60, 8, |inner| {
        let name = prop_oneof![
            9 => prop::sample::select(NAMES).prop_map(str::to_owned),
            1 => "\\PC{0,20}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Tasks that are nearly right: few refs, links in all directions, and a member that may be anything.
fn nearly() -> impl Strategy<Value = Value> {
    let name = || (0usize..8).prop_map(|n| n.to_string());
    let odd = (prop::sample::select(NAMES), anything());
    let task = (
        name(),
        prop::collection::vec(name(), 0..4),
        prop::option::weighted(0.3, name()),
        prop::option::weighted(0.2, odd),
        any::<bool>(),
    )
        .prop_map(|(name, needs, parent, odd, done)| {
            let mut task =
                json!({"ref": name, "title": "t", "needs": needs, "parent": parent, "done": done});
            if let Some((member, value)) = odd {
                task[member] = value;
            }
            task
        });
    prop::collection::vec(task, 0..10).prop_map(Value::from)
}

/// A refusal says what is wrong, and does not grow with the request.
fn is_bounded(refusal: &Refusal) {
    assert!(refusal.errors.len() <= 100, "{} errors", refusal.errors.len());
    assert!(refusal.detail.chars().count() <= 1_001);
    for error in &refusal.errors {
        assert!(error.pointer.chars().count() <= 251 && error.detail.chars().count() <= 1_001);
        assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{}", error.pointer);
    }
}

/// A plan that was accepted can be laid out.
fn can_be_laid_out(tasks: &[TaskSpec]) {
    let now = chrono::DateTime::UNIX_EPOCH;
    assert_eq!(circle(tasks, &[]), None);
    let laid = first_states(tasks, None, now);
    assert_eq!(laid.len(), tasks.len());
    assert_eq!(least_risks(tasks, None, None).len(), tasks.len());
    let edges: usize = laid.iter().map(|laid| laid.needs.len()).sum();
    assert!(edges <= settings::PLAN_DEPENDENCIES);
}

fn planned(document: &Value) {
    match read(document, "/payload") {
        Ok(tasks) => can_be_laid_out(&tasks),
        Err(refusal) => is_bounded(&refusal),
    }
}

fn posted(document: Value) {
    let Ok(goal) = serde_json::from_value::<NewGoal>(document) else { return };
    for checked in [goal.check(), goal.check_preview()] {
        if let Err(refusal) = checked {
            is_bounded(&refusal);
        }
    }
    match draft(&goal.source()) {
        Ok(draft) => can_be_laid_out(&draft.tasks),
        Err(refusal) => is_bounded(&refusal),
    }
}

proptest! {
    #[test]
    fn no_json_breaks_a_plan(document in prop_oneof![anything(), nearly()]) {
        planned(&document);
    }

    #[test]
    fn no_json_breaks_a_goal(
        document in anything(), tasks in nearly(), brief in prop::sample::select(TEXTS), with_tasks: bool,
    ) {
        posted(document.clone());
        let mut goal = json!({"title": "g", "brief": brief});
        if with_tasks {
            goal["tasks"] = tasks;
        }
        if let Value::Object(members) = document {
            for (name, value) in members {
                goal[name.as_str()] = value;
            }
        }
        posted(goal);
    }
}

fn tasks(count: usize, of: impl Fn(usize) -> Value) -> Value {
    let task = |n: usize| {
        let mut task = json!({"ref": n.to_string(), "title": "t"});
        if let Value::Object(members) = of(n) {
            for (name, value) in members {
                task[name.as_str()] = value;
            }
        }
        task
    };
    (0..count).map(task).collect()
}

/// Plans as large as a request may be, and larger: what is done for a task does not depend on how many
/// there are. Each is read once; if it took more than that, the suite would not end.
#[test]
fn plans_at_the_limits_are_read_once() {
    const MOST: usize = settings::PLAN_TASKS;
    let name = |n: usize| n.to_string();
    let accepted: [Value; 6] = [
        tasks(
            MOST,
            |n| json!({"needs": n.checked_sub(1).map(name).into_iter().collect::<Vec<_>>()}),
        ),
        tasks(
            MOST,
            |n| json!({"needs": (n + 1 < MOST).then(|| name(n + 1)).into_iter().collect::<Vec<_>>()}),
        ),
        tasks(
            MOST,
            |n| json!({"needs": (1..=20).filter_map(|d| n.checked_sub(d)).map(name).collect::<Vec<_>>()}),
        ),
        tasks(MOST, |n| json!({"parent": (n > 0).then(|| name(0))})),
        tasks(MOST, |n| json!({"parent": (n % 20 > 0).then(|| name(n - 1))})),
        tasks(MOST, |n| json!({"done": n % 2 == 0, "labels": ["a", "b"]})),
    ];
    for plan in &accepted {
        let tasks = read(plan, "").expect("it is a plan");
        can_be_laid_out(&tasks);
    }
    let refused: [Value; 7] = [
        tasks(MOST + 1, |_| json!({})),
        tasks(MOST, |n| json!({"needs": [name((n + 1) % MOST)]})),
        tasks(MOST, |n| json!({"parent": (n > 0).then(|| name(n - 1))})),
        tasks(MOST, |n| json!({"parent": name((n + 1) % MOST)})),
        tasks(MOST, |_| json!({"needs": ["nobody", "nobody"]})),
        tasks(MOST, |_| json!({"ref": "same", "title": ""})),
        tasks(
            400,
            |n| json!({"needs": (0..400).filter(|m| *m != n).map(name).collect::<Vec<_>>()}),
        ),
    ];
    for plan in &refused {
        is_bounded(&read(plan, "").expect_err("it is no plan"));
    }
    let long = "x".repeat(1 << 20);
    for member in ["ref", "title", "description", "section", "parent"] {
        let plan = tasks(1, |_| json!({member: long}));
        is_bounded(&read(&plan, "").expect_err("it is too long"));
    }
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    can_be_laid_out(&read(&tasks(1, |_| json!({"input": deep})), "").expect("any JSON is input"));
}

/// A brief as large as a brief may be becomes a plan, or a refusal that does not repeat it.
#[test]
fn briefs_at_the_limit_are_planned_or_refused() {
    let fill = |unit: &str| unit.repeat(settings::BRIEF_BYTES / unit.len());
    let briefs = [
        fill("- [ ] a\n"),
        fill("- a\n"),
        fill("#"),
        fill("<!--"),
        format!("# {}\n{}", "a ".repeat(60_000), "- [ ] b\n".repeat(15_000)),
        format!("{}x", fill("- [ ] a\n")),
        (0..4_900).map(|n| format!("- [ ] T{n} a (depends on T{})\n", n / 2)).collect(),
    ];
    for brief in briefs {
        let goal = NewGoal { title: "g".into(), brief, ..NewGoal::default() };
        match draft(&goal.source()) {
            Ok(draft) => {
                can_be_laid_out(&draft.tasks);
                let none = HashSet::new();
                let context = PlanContext { at: "", taken: &none, around: None };
                assert_eq!(check_plan(&draft.tasks, context), Ok(()));
            }
            Err(refusal) => is_bounded(&refusal),
        }
    }
}
