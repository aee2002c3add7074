//! Each finding once, and plans without any.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::domain::{
    budget::ask::Estimate,
    ids::TaskId,
    plan::{CriterionSpec, finding::Severity},
    settings,
    words::Words as _,
};

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// A task that nothing is wrong with.
fn task(name: &str, needs: &[&str]) -> TaskSpec {
    TaskSpec {
        r#ref: name.to_owned(),
        title: format!("Write the {name} chapter"),
        needs: names(needs),
        criteria: vec![CriterionSpec {
            text: "it builds".into(),
            required: true,
            satisfied: false,
            ..CriterionSpec::default()
        }],
        ..TaskSpec::default()
    }
}

fn with(capabilities: &[&str], task: TaskSpec) -> TaskSpec {
    TaskSpec { capabilities: names(capabilities), ..task }
}

fn fleet(groups: &[(&[&str], i64)]) -> Ground {
    let group = |(capabilities, agents): &(&[&str], i64)| AgentGroup {
        capabilities: capabilities.iter().map(|one| (*one).to_owned()).collect(),
        agents: *agents,
        online: *agents,
        slots: *agents,
    };
    let all = groups.iter().flat_map(|(capabilities, _)| capabilities.iter());
    let able = |name: &&str| ((*name).to_owned(), Able { agents: 1, online: 1, ..Able::default() });
    Ground {
        agents: groups.iter().map(group).collect(),
        capabilities: all.map(able).collect(),
        ..Ground::default()
    }
}

/// Code, pointer and refs of each finding.
fn found(tasks: &[TaskSpec], ground: &Ground) -> Vec<(&'static str, String, String)> {
    let line = |finding: Finding| (finding.code.as_str(), finding.pointer, finding.refs.join(" "));
    validate(tasks, ground).into_iter().map(line).collect()
}

fn line(code: &'static str, pointer: &str, refs: &str) -> (&'static str, String, String) {
    (code, pointer.to_owned(), refs.to_owned())
}

#[test]
fn a_good_plan_has_no_findings() {
    let ground = fleet(&[(&["rust"], 2), (&["go"], 1)]);
    let tasks =
        [with(&["rust"], task("a", &[])), with(&["go"], task("b", &["a"])), task("c", &["a"])];
    assert_eq!(found(&tasks, &ground), []);
}

#[test]
fn errors_of_the_plan_itself_have_codes_and_places() {
    let ground = fleet(&[(&["rust"], 2)]);
    let circle = [task("a", &["c"]), task("b", &["a"]), task("c", &["b"])];
    let codes = found(&circle, &ground);
    assert_eq!(codes[0], line("cycle", "/tasks/0", "a b c"));
    assert_eq!(
        found(&[task("a", &[]), task("b", &["x"])], &ground)[0],
        line("unknown_ref", "/tasks/1/needs/0", "b")
    );
    assert_eq!(
        found(&[task("a", &[]), task("a", &[])], &ground)[0],
        line("duplicate_ref", "/tasks/1/ref", "a")
    );
    let bad = TaskSpec { priority: Some(12), ..task("a", &[]) };
    assert_eq!(found(&[bad], &ground)[0], line("bad_value", "/tasks/0/priority", "a"));
    assert_eq!(found(&[], &ground)[0].0, "bad_value");
    let deep: Vec<TaskSpec> = (0..settings::NESTING + 2)
        .map(|depth| TaskSpec {
            parent: depth.checked_sub(1).map(|above| above.to_string()),
            criteria: vec![],
            ..task(&depth.to_string(), &[])
        })
        .collect();
    assert!(found(&deep, &ground).iter().any(|one| one.0 == "too_deep"));
    let many: Vec<TaskSpec> =
        (0..settings::PLAN_TASKS + 1).map(|number| task(&number.to_string(), &[])).collect();
    assert_eq!(found(&many, &ground), [line("too_many", "/tasks", "")]);
}

#[test]
fn capabilities_are_those_of_the_fleet() {
    let ground = fleet(&[(&["rust", "docs"], 1), (&["review:security"], 1)]);
    let tasks = [
        with(&["rsut"], task("a", &[])),
        with(&["rust", "review:security"], task("b", &[])),
        with(&["docs", "rsut"], task("c", &[])),
    ];
    let findings = validate(&tasks, &ground);
    assert_eq!(findings[0].code, FindingCode::UnknownCapability);
    assert_eq!(
        (findings[0].pointer.as_str(), findings[0].refs.join(" ")),
        ("/tasks/0/capabilities/0", "a c".into())
    );
    assert!(findings[0].detail.contains("did you mean `rust`"), "{}", findings[0].detail);
    assert_eq!(findings[1].code, FindingCode::NobodyAble);
    assert_eq!(findings[1].pointer, "/tasks/1/capabilities");
    let none = validate(&tasks[..1], &Ground::default());
    assert!(none[0].detail.contains("no agent is registered"), "{}", none[0].detail);
}

#[test]
fn estimates_are_held_against_budget_and_deadline() {
    let estimate = |unit: &str, amount: i64, task: TaskSpec| TaskSpec {
        estimate: BTreeMap::from([(unit.to_owned(), Estimate::Exact(amount))]),
        ..task
    };
    let tasks =
        [estimate("usd_micros", 60, task("a", &[])), estimate("usd_micros", 50, task("b", &[]))];
    let left = |unit: &str, left: i64| Ground {
        budget_left: BTreeMap::from([(unit.to_owned(), left)]),
        ..fleet(&[(&["x"], 2)])
    };
    assert_eq!(found(&tasks, &left("usd_micros", 110)), []);
    assert_eq!(found(&tasks, &left("usd_micros", 109)), [line("over_budget", "/tasks", "")]);
    assert_eq!(found(&tasks, &left("attempts", 1)), [line("over_budget", "/tasks", "")]);
    assert_eq!(found(&tasks, &left("input_tokens", 0)), []);

    let chain = [
        estimate("wall_ms", 60_000, task("a", &[])),
        estimate("wall_ms", 60_000, task("b", &["a"])),
        task("c", &[]),
    ];
    let by = |ms: i64| {
        let ground = fleet(&[(&["x"], 2)]);
        Ground { deadline: Some(ground.now + TimeDelta::milliseconds(ms)), ..ground }
    };
    assert_eq!(found(&chain, &by(120_000)), []);
    assert_eq!(found(&chain, &by(119_999)), [line("past_deadline", "/tasks", "a b")]);
    // Nothing is known of it: ten minutes are no reason.
    assert_eq!(found(&[task("c", &[])], &by(1_000)), []);
    assert_eq!(found(&[task("c", &[])], &by(-1)), [line("past_deadline", "/tasks", "c")]);
}

#[test]
fn a_leaf_needs_a_criterion_and_somebody_else_to_review_it() {
    let bare = |name: &str| TaskSpec { criteria: vec![], ..task(name, &[]) };
    let inner = TaskSpec { parent: Some("a".into()), ..task("b", &[]) };
    let ground = fleet(&[(&["rust"], 2)]);
    assert_eq!(
        found(&[bare("a"), inner, bare("c")], &ground),
        [line("no_criterion", "/tasks/2/criteria", "c")]
    );
    let done = TaskSpec { done: true, ..bare("d") };
    assert_eq!(found(&[done, task("c", &[])], &ground), []);
    let many: Vec<TaskSpec> = (0..PER_CODE + 3).map(|number| bare(&format!("n{number}"))).collect();
    let all = validate(&many, &Ground { goal_criteria: true, ..ground });
    let without: Vec<&Finding> =
        all.iter().filter(|one| one.code == FindingCode::NoCriterion).collect();
    assert_eq!((without.len(), without[PER_CODE].refs.len()), (PER_CODE + 1, 3));

    let tasks = [with(&["rust"], task("code", &[])), with(&["review"], task("check", &["code"]))];
    let sole = line("reviewer_is_author", "/tasks/1/capabilities", "check");
    assert_eq!(found(&tasks, &fleet(&[(&["rust", "review"], 1)]))[0], sole);
    let others: [&[(&[&str], i64)]; 3] = [
        &[(&["rust", "review"], 2)],
        &[(&["rust", "review"], 1), (&["review"], 1)],
        &[(&["rust"], 1), (&["review"], 1)],
    ];
    for agents in others {
        let found = found(&tasks, &fleet(agents));
        assert!(!found.iter().any(|one| one.0 == "reviewer_is_author"), "{agents:?}");
    }
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let ground = fleet(&[(&["rust"], 2), (&["docs"], 2)]);
    let chain = [task("a", &[]), task("b", &["a"]), task("c", &["b"])];
    assert_eq!(found(&chain, &ground), [line("serial_plan", "/tasks", "a b c")]);
    assert_eq!(found(&chain[..2], &ground), []);
    let vague = TaskSpec { title: "Fix it".into(), ..task("a", &[]) };
    assert_eq!(found(&[vague], &ground), [line("vague_title", "/tasks/0/title", "a")]);
    let open = OpenTask {
        task_id: TaskId(uuid::Uuid::nil()),
        title: "write a chapter".into(),
        same_goal: true,
    };
    let busy = Ground { open_tasks: vec![open], ..ground.clone() };
    let twice = TaskSpec { title: "Write the chapter".into(), ..task("a", &[]) };
    assert_eq!(found(&[twice], &busy), [line("probable_duplicate", "/tasks/0/title", "a")]);
    let bare = TaskSpec { criteria: vec![], ..task("a", &[]) };
    let codes: Vec<&str> =
        found(std::slice::from_ref(&bare), &ground).into_iter().map(|one| one.0).collect();
    assert_eq!(codes, ["no_criterion", "no_verification"]);
    let tested = TaskSpec { title: "Run the tests of the importer".into(), ..bare };
    assert_eq!(found(&[tested], &ground)[0].0, "no_criterion");
    let pair = [with(&["rust"], task("a", &[])), with(&["docs"], task("b", &[]))];
    assert_eq!(
        found(&pair, &fleet(&[(&["rust", "docs"], 3)])),
        [line("one_agent_for_all", "/tasks", "")]
    );
    assert_eq!(found(&pair, &ground), []);
    assert_eq!(
        found(&[task("a", &[]), task("b", &[])], &fleet(&[(&["x"], 1)])),
        [line("one_agent_for_all", "/tasks", "")]
    );
}

#[test]
fn every_code_that_a_plan_can_have_is_tested_above() {
    let document = [FindingCode::NotJson, FindingCode::Truncated, FindingCode::UnknownField];
    let text = include_str!("tests.rs");
    for code in FindingCode::ALL.iter().filter(|code| !document.contains(code)) {
        let named = text.contains(&format!("\"{code}\""))
            || text.contains(&format!("FindingCode::{code:?}"));
        assert!(named, "{code}");
    }
}

#[test]
fn durations_are_shown_by_their_two_largest_units() {
    for (ms, text) in [
        (0, "0 s"),
        (5, "5 ms"),
        (61_000, "1 min 1 s"),
        (3_600_000, "1 h"),
        (90_061_000, "1 d 1 h"),
        (86_400_500, "1 d"),
    ] {
        assert_eq!(shown(ms), text);
    }
    assert_eq!(shown(i64::MIN), "0 s");
}

/// The largest plan, against a large fleet and many open tasks.
#[test]
fn the_largest_plan_is_judged() {
    let tasks: Vec<TaskSpec> = (0..settings::PLAN_TASKS)
        .map(|number| {
            let needs: Vec<String> =
                (1..=10.min(number / 7)).map(|back| (number - 7 * back).to_string()).collect();
            TaskSpec {
                needs,
                capabilities: vec![format!("c{number}"), "x".to_owned()],
                criteria: vec![],
                title: format!("Write chapter {number} of the book of the importer"),
                ..task(&number.to_string(), &[])
            }
        })
        .collect();
    let open = |number| OpenTask {
        task_id: TaskId(uuid::Uuid::nil()),
        title: format!("Write chapter {number} of the book of the importers"),
        same_goal: false,
    };
    let agents = (0..500).map(|number| AgentGroup {
        capabilities: BTreeSet::from([format!("d{number}")]),
        agents: 1,
        online: 1,
        slots: 1,
    });
    let ground = Ground {
        agents: agents.collect(),
        capabilities: (0..3_000).map(|number| (format!("d{number}"), Able::default())).collect(),
        open_tasks: (0..2_000).map(open).collect(),
        ..Ground::default()
    };
    let findings = validate(&tasks, &ground);
    assert!(findings.len() <= FindingCode::ALL.len() * (PER_CODE + 1));
}

proptest! {
    /// Errors come first, each has the severity of its code, and the same plan has the same findings.
    #[test]
    fn findings_are_in_order(
        drawn in prop::collection::vec(
            ("[ab0-9]{0,2}", "[a-z ]{0,12}", prop::collection::vec("[ab0-9]{1,2}", 0..3), prop::option::of("[ab0-9]{1,2}"),
             prop::collection::vec("(rust|review|go|x{0,70})", 0..3), any::<bool>()),
            0..10),
        groups in prop::collection::vec((prop::collection::btree_set("(rust|review|go)", 0..3), 0..3i64), 0..4),
        left in any::<i64>(),
    ) {
        let tasks: Vec<TaskSpec> = drawn
            .into_iter()
            .map(|(r#ref, title, needs, parent, capabilities, done)| TaskSpec {
                r#ref, title, needs, parent, capabilities, done, ..TaskSpec::default()
            })
            .collect();
        let agents: Vec<AgentGroup> = groups
            .into_iter()
            .map(|(capabilities, agents)| AgentGroup { capabilities, agents, online: agents, slots: agents })
            .collect();
        let names = agents.iter().flat_map(|group| group.capabilities.iter().cloned());
        let ground = Ground {
            capabilities: names.map(|name| (name, Able::default())).collect(),
            agents,
            budget_left: BTreeMap::from([("attempts".to_owned(), left)]),
            ..Ground::default()
        };
        let findings = validate(&tasks, &ground);
        prop_assert!(findings.is_sorted_by_key(|finding| finding.severity));
        for finding in &findings {
            prop_assert_eq!(finding.severity, finding.code.severity());
            prop_assert_eq!(finding.is_error(), finding.severity == Severity::Error);
        }
        prop_assert_eq!(findings, validate(&tasks, &ground));
    }
}
