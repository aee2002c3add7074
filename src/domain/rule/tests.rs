//! Conditions hold from their threshold on and not before, and what is worse measures more.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Action, Condition, Facts, Failure, RuleSpec, Scope, Share, Subject, Then, When,
    path::{Rest, critical_path},
};
use crate::domain::{
    budget::ask::Estimate, check::Checks, freeze::FreezeMode, ids::TaskId, loops::Pattern,
    states::FailureClass, words::Words as _,
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_366_400, 0).unwrap()
}

fn holds(when: &When, facts: &Facts) -> bool {
    when.judge(facts, now()).is_some()
}

/// Of a number that counts: the condition with a threshold, facts that have so much of it, and by how much
/// these must be above the threshold.
type Counted = (fn(i64) -> When, fn(i64) -> Facts, i64);

fn counted() -> Vec<Counted> {
    vec![
        (|count| When::Failures { count }, |failures| Facts { failures, ..Facts::default() }, 0),
        (|count| When::ReworkOver { count }, |rework| Facts { rework, ..Facts::default() }, 1),
        (
            |count| When::SubtasksOver { count },
            |subtasks| Facts { subtasks, ..Facts::default() },
            1,
        ),
        (|seconds| When::NoProgress { seconds }, silent, 0),
        (|below_seconds| When::DeadlineSlack { below_seconds: -below_seconds }, late, 1),
        (|percent| When::BudgetUsed { of: Subject::Goal, percent, unit: None }, used, 0),
        (|percent| When::CostOverEstimate { percent, unit: None }, costs, 1),
    ]
}

fn silent(seconds: i64) -> Facts {
    Facts { progressed_at: Some(now() - TimeDelta::seconds(seconds)), ..Facts::default() }
}

fn late(seconds: i64) -> Facts {
    let due = Some(now() + TimeDelta::seconds(100));
    Facts { due, critical_path_ms: (100 + seconds) * 1_000, ..Facts::default() }
}

fn used(percent: i64) -> Facts {
    let share =
        |unit: &str, limit, used| Share { unit: unit.to_owned(), limit, used, starts_at: now() };
    let shares = vec![share("x", 1_000, 0), share("y", 200, percent * 2)];
    Facts { shares, ..Facts::default() }
}

fn costs(percent: i64) -> Facts {
    Facts {
        used: [("x".to_owned(), percent * 7), ("z".to_owned(), 1_000_000)].into(),
        estimates: [("x".to_owned(), Estimate::Exact(700)), ("y".to_owned(), Estimate::Exact(0))]
            .into(),
        ..Facts::default()
    }
}

#[test]
fn a_path_of_any_length_after_its_deadline_is_late() {
    let due = Some(now() - TimeDelta::seconds(1));
    let facts = Facts { due, critical_path_ms: i64::MAX, ..Facts::default() };
    assert!(When::DeadlineSlack { below_seconds: 0 }.judge(&facts, now()).is_some());
}

proptest! {
    /// At the threshold, one below, one above, and anywhere: exactly from the threshold on, and what is
    /// worse never measures less.
    #[test]
    fn a_condition_holds_from_its_threshold_on(threshold in 1_i64..100, is in 0_i64..200, more in 0_i64..50) {
        for (when, facts, over) in counted() {
            let when = when(threshold);
            for is in [is, threshold - 1, threshold, threshold + 1] {
                let found = when.judge(&facts(is), now());
                prop_assert_eq!(found.is_some(), is >= threshold + over, "{:?} {}", when, is);
                let Some(found) = found else { continue };
                let worse = when.judge(&facts(is + more), now()).unwrap();
                // Less and less progress is the same silence.
                let same = when.condition() == Condition::NoProgress;
                prop_assert!(same || worse.measure >= found.measure, "{:?}", when);
                prop_assert!(same || more == 0 || worse.measure > found.measure, "{:?}", when);
            }
        }
    }

    /// Whatever is known, nothing overflows.
    #[test]
    fn no_facts_are_too_large(a in any::<i64>(), b in any::<i64>(), percent in 1_i64..100_000) {
        let facts = Facts {
            shares: vec![Share { unit: "x".into(), limit: a, used: b, starts_at: now() }],
            used: [("x".to_owned(), a)].into(),
            estimates: [("x".to_owned(), Estimate::Exact(b))].into(),
            due: Some(now()),
            critical_path_ms: a,
            failures: a, rework: b, subtasks: a,
            ..Facts::default()
        };
        for (when, _, _) in counted() {
            let _ = when(percent).judge(&facts, now());
        }
    }

    /// What is longer, or needs more, never makes the whole shorter; nothing is shorter than its longest
    /// task, or longer than everything one after the other.
    #[test]
    fn the_critical_path_is_within_bounds(tasks in any_tasks(), at in any::<prop::sample::Index>(), more in 0_i64..100) {
        let path = critical_path(&tasks);
        prop_assert_eq!(path, naive(&tasks));
        let times = || tasks.iter().filter(|rest| !rest.container).map(|rest| rest.rest_ms);
        prop_assert!(path <= times().sum::<i64>());
        prop_assert!(path >= times().max().unwrap_or_default());
        if !tasks.is_empty() {
            let mut longer = tasks.clone();
            at.get_mut(&mut longer).rest_ms += more;
            prop_assert!(critical_path(&longer) >= path);
            prop_assert!(critical_path(&longer) <= path + more);
        }
    }
}

fn id(n: usize) -> TaskId {
    TaskId(Uuid::from_u128(n as u128))
}

/// Tasks that need earlier ones, in containers that come before them.
fn any_tasks() -> impl Strategy<Value = Vec<Rest>> {
    let one = (0_i64..100, prop::collection::vec(0_usize..14, 0..3), 0_usize..14, any::<bool>());
    prop::collection::vec(one, 0..14).prop_map(|tasks| {
        let parents: Vec<Option<usize>> = tasks
            .iter()
            .enumerate()
            .map(|(at, (_, _, parent, _))| {
                Some(*parent).filter(|parent| *parent < at && tasks[*parent].3)
            })
            .collect();
        let rest =
            |(at, (rest_ms, needs, _, container)): (usize, &(i64, Vec<usize>, usize, bool))| Rest {
                task: id(at),
                parent: parents[at].map(id),
                container: *container,
                rest_ms: *rest_ms,
                // A container ends after its children, which come later: needing one could be a cycle.
                needs: needs
                    .iter()
                    .filter(|need| **need < at && !tasks[**need].3)
                    .map(|need| id(*need))
                    .collect(),
            };
        tasks.iter().enumerate().map(rest).collect()
    })
}

/// Spelt out: when a task begins and ends, without regard to how often that is asked.
fn naive(tasks: &[Rest]) -> i64 {
    fn of(tasks: &[Rest], task: TaskId) -> Option<&Rest> {
        tasks.iter().find(|rest| rest.task == task)
    }
    fn begin(tasks: &[Rest], rest: &Rest) -> i64 {
        let needs =
            rest.needs.iter().filter_map(|need| of(tasks, *need)).map(|need| end(tasks, need));
        let parent = rest.parent.and_then(|parent| of(tasks, parent)).map(|up| begin(tasks, up));
        needs.chain(parent).max().unwrap_or_default()
    }
    fn end(tasks: &[Rest], rest: &Rest) -> i64 {
        let children = tasks.iter().filter(|child| child.parent == Some(rest.task));
        let own = begin(tasks, rest) + if rest.container { 0 } else { rest.rest_ms };
        children.map(|child| end(tasks, child)).fold(own, i64::max)
    }
    tasks.iter().map(|rest| end(tasks, rest)).max().unwrap_or_default()
}

#[test]
fn a_task_that_waits_for_its_subtasks_goes_on_after_them() {
    let rest = |n, parent: Option<usize>, rest_ms, needs: &[usize]| Rest {
        task: id(n),
        parent: parent.map(id),
        container: false,
        rest_ms,
        needs: needs.iter().copied().map(id).collect(),
    };
    let tasks = [
        rest(0, None, 5, &[]),
        rest(1, Some(0), 10, &[]),
        rest(2, Some(0), 3, &[1]),
        rest(3, None, 1, &[0]),
    ];
    assert_eq!(critical_path(&tasks), 10 + 3 + 5 + 1);
    // A container that is needed ends with its last child, and its children begin after what it needs.
    let container = Rest { container: true, ..rest(1, None, 99, &[0]) };
    let tasks =
        [rest(0, None, 5, &[]), container, rest(2, Some(1), 10, &[]), rest(3, None, 1, &[1])];
    assert_eq!(critical_path(&tasks), 5 + 10 + 1);
    let cycle = [rest(0, None, 5, &[1]), rest(1, None, 5, &[0]), rest(2, None, 2, &[])];
    assert_eq!(critical_path(&cycle), 2);
    assert_eq!(critical_path(&[]), 0);
}

#[test]
fn failures_are_the_same_but_for_what_means_nothing() {
    let failure = |class, message: &str| Failure { class, message: message.to_owned() };
    let transient = |message: &str| failure(FailureClass::Transient, message);
    let twice = |last_failures: Vec<Failure>| {
        holds(&When::SameFailure {}, &Facts { last_failures, failures: 2, ..Facts::default() })
    };
    assert!(twice(vec![
        transient("timeout after 31 s, request_id=ab1"),
        transient("Timeout after 7 s, request_id=ff2")
    ]));
    assert!(!twice(vec![transient("cannot find crate `x`"), transient("cannot find crate `y`")]));
    assert!(!twice(vec![transient("x"), failure(FailureClass::Resources, "x")]));
    assert!(!twice(vec![transient("x")]));
    assert!(!twice(vec![transient("x"), transient("y"), transient("x")]));
}

#[test]
fn only_the_capabilities_and_patterns_that_are_named_count() {
    let risky = When::RiskyCapability { capabilities: vec!["deploy".into(), "pay".into()] };
    let requires = |of: &[&str]| Facts {
        capabilities: of.iter().map(|one| (*one).to_owned()).collect(),
        ..Facts::default()
    };
    assert!(holds(&risky, &requires(&["rust", "pay"])));
    assert!(!holds(&risky, &requires(&["rust", "deploy:staging"])));
    let looping = |patterns: &[Pattern]| When::Looping { patterns: patterns.to_vec() };
    let facts = Facts { loops: vec![Pattern::SameError], loops_found: 1, ..Facts::default() };
    assert!(holds(&looping(&[]), &facts));
    assert!(holds(&looping(&[Pattern::Rotating, Pattern::SameError]), &facts));
    assert!(!holds(&looping(&[Pattern::SameStep]), &facts));
    assert!(!holds(&looping(&[]), &Facts::default()));
}

#[test]
fn only_the_unit_that_is_named_counts() {
    let of = Subject::Goal;
    let unit = |unit: &str| Some(unit.to_owned());
    assert!(holds(&When::BudgetUsed { of, percent: 50, unit: unit("y") }, &used(60)));
    assert!(!holds(&When::BudgetUsed { of, percent: 50, unit: unit("x") }, &used(60)));
    assert!(!holds(&When::CostOverEstimate { percent: 100, unit: unit("y") }, &costs(300)));
    assert!(holds(&When::CostOverEstimate { percent: 100, unit: unit("x") }, &costs(300)));
    // A later period is news, though less of it is used.
    let mut later = used(60);
    later.shares[1].starts_at += TimeDelta::days(1);
    let any = When::BudgetUsed { of, percent: 50, unit: None };
    let [before, after] = [used(999), later].map(|facts| any.judge(&facts, now()).unwrap().measure);
    assert!(after > before);
}

#[test]
fn a_rule_is_checked_in_all_its_parts() {
    let places = |when: When, then: Then, scope: Scope, cooldown_seconds: i64| {
        let mut checks = Checks::new();
        RuleSpec { when, scope, then, cooldown_seconds }.check(&mut checks, "");
        let errors = checks.finish().map_err(|refusal| refusal.errors).err().unwrap_or_default();
        errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
    };
    let slack = || When::DeadlineSlack { below_seconds: 0 };
    let freeze = |on| Then::Freeze { mode: FreezeMode::Drain, on };
    let rust = || Scope { project_id: None, capabilities: vec!["rust".into()] };
    assert!(places(slack(), freeze(Subject::Goal), Scope::default(), 0).is_empty());
    assert_eq!(places(slack(), freeze(Subject::Task), Scope::default(), 0), ["/then/freeze/on"]);
    assert_eq!(
        places(slack(), Then::Park {}, rust(), -1),
        ["/then/park", "/scope/capabilities", "/cooldown_seconds"]
    );
    let nudge = Then::Nudge { text: " ".into() };
    assert_eq!(
        places(When::Failures { count: 0 }, nudge, rust(), 0),
        ["/when/failures/count", "/then/nudge/text"]
    );
    let ask = Then::Ask { title: Some("a\nb".into()), body: String::new(), risk: None };
    let risky = When::RiskyCapability { capabilities: vec![] };
    assert_eq!(
        places(risky, ask, rust(), 0),
        ["/when/risky_capability/capabilities", "/then/ask/title"]
    );
}

/// The names of the parts are those that the database lists.
#[test]
fn every_condition_and_action_is_written_as_its_name() {
    let mut conditions: Vec<Condition> =
        counted().iter().map(|(when, ..)| when(1).condition()).collect();
    let others = [
        When::SameFailure {},
        When::RiskyCapability { capabilities: vec![] },
        When::Looping { patterns: vec![] },
    ];
    for when in &others {
        let json = serde_json::to_value(when).unwrap();
        assert!(json.get(when.condition().as_str()).is_some(), "{json}");
        conditions.push(when.condition());
    }
    for (when, ..) in counted() {
        let json = serde_json::to_value(when(1)).unwrap();
        assert!(json.get(when(1).condition().as_str()).is_some(), "{json}");
    }
    conditions.sort();
    assert_eq!(conditions, Condition::ALL);
    let actions = [
        Then::Nudge { text: "t".into() },
        Then::Ask { title: None, body: String::new(), risk: None },
        Then::Park {},
        Then::Freeze { mode: FreezeMode::Stop, on: Subject::Goal },
        Then::Reassign {},
    ];
    for then in &actions {
        let json = serde_json::to_value(then).unwrap();
        assert!(json.get(then.action().as_str()).is_some(), "{json}");
    }
    assert_eq!(actions.map(|then| then.action()).as_slice(), Action::ALL);
}
