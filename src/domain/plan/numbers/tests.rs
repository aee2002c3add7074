//! The numbers of small plans by hand, and of random plans within their bounds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::{
    budget::{Range, ask::Estimate},
    plan::ground::AgentGroup,
};

fn task(name: &str, needs: &[&str], ms: i64) -> TaskSpec {
    TaskSpec {
        r#ref: name.to_owned(),
        title: name.to_owned(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        estimate: BTreeMap::from([(WALL_MS.to_owned(), Estimate::Exact(ms))]),
        ..TaskSpec::default()
    }
}

fn with(capabilities: &[&str], task: TaskSpec) -> TaskSpec {
    TaskSpec { capabilities: capabilities.iter().map(|one| (*one).to_owned()).collect(), ..task }
}

fn group(capabilities: &[&str], agents: i64, slots: i64) -> AgentGroup {
    let capabilities: BTreeSet<String> = capabilities.iter().map(|one| (*one).to_owned()).collect();
    AgentGroup { capabilities, agents, online: agents.min(slots), slots }
}

fn quantiles(p10: i64, p50: i64, p90: i64) -> Quantiles {
    Quantiles { p10, p50, p90, tasks: 9 }
}

fn used(units: &[(&str, Quantiles)]) -> BTreeMap<String, Quantiles> {
    units.iter().map(|(unit, known)| ((*unit).to_owned(), *known)).collect()
}

#[test]
fn a_small_plan_by_hand() {
    let tasks = [
        task("schema", &[], 1_000),
        task("docs", &[], 4_000),
        task("api", &["schema"], 2_000),
        task("tests", &["schema"], 2_500),
        task("ship", &["api", "tests", "docs"], 500),
    ];
    let ground = Ground { agents: vec![group(&[], 2, 2)], ..Ground::default() };
    let found = numbers(&tasks, &ground);
    assert_eq!((found.tasks, found.work_ms, found.widest), (5, 10_000, 2));
    assert_eq!(
        found.critical_path,
        CriticalPath { ms: 4_500, least_ms: 4_500, refs: vec!["docs".into(), "ship".into()] }
    );
    let waves: Vec<(i64, String)> =
        found.waves.iter().map(|wave| (wave.width, wave.refs.join(" "))).collect();
    assert_eq!(waves, [(2, "schema docs".into()), (2, "api tests".into()), (1, "ship".into())]);
    // One agent: docs, and at 4.0 api; the other: schema, tests until 3.5, api from then until 5.5; ship.
    assert_eq!(
        found.expected,
        Expected { ms: Some(6_000), slots: 2, shortest_ms: 4_500, more_agents: 1 }
    );
    assert_eq!(found.durations, DurationBasis { estimate: 5, measured: 0, default: 0 });
    assert_eq!((found.cost.len(), found.cost[0].p50, found.cost[0].from_estimate), (1, 10_000, 5));
    assert!(found.missing.is_empty());
}

#[test]
fn durations_come_from_the_best_that_is_known() {
    let plain = |name: &str| TaskSpec { estimate: BTreeMap::new(), ..task(name, &[], 0) };
    let ground = Ground {
        measured: BTreeMap::from([(
            "docs,rust".to_owned(),
            used(&[(WALL_MS, quantiles(1, 70, 90))]),
        )]),
        overall: used(&[(WALL_MS, quantiles(1, 50, 90))]),
        ..Ground::default()
    };
    let known = with(&["rust", "docs"], plain("a"));
    assert_eq!(duration(&known, &ground), (70, 70, DurationSource::Measured));
    assert_eq!(duration(&with(&["rust"], plain("a")), &ground), (50, 50, DurationSource::Measured));
    assert_eq!(
        duration(&known, &Ground::default()),
        (DEFAULT_MS, DEFAULT_MS, DurationSource::Default)
    );
    let range = Estimate::Range(Range { want: 9, min: 4 });
    let own = TaskSpec { estimate: BTreeMap::from([(WALL_MS.to_owned(), range)]), ..known };
    assert_eq!(duration(&own, &ground), (9, 4, DurationSource::Estimate));
    let found = numbers(&[own], &ground);
    assert_eq!((found.critical_path.ms, found.critical_path.least_ms), (9, 4));
}

#[test]
fn cost_is_of_estimates_and_of_what_was_measured() {
    let money = |amount: i64| BTreeMap::from([("usd_micros".to_owned(), Estimate::Exact(amount))]);
    let plain = |estimate| TaskSpec { estimate, ..with(&["rust"], task("a", &[], 0)) };
    let tasks = [
        plain(money(100)),
        TaskSpec { r#ref: "b".into(), ..plain(BTreeMap::new()) },
        TaskSpec { r#ref: "c".into(), capabilities: vec![], ..plain(BTreeMap::new()) },
    ];
    let measured = used(&[("usd_micros", quantiles(10, 20, 90)), ("calls", quantiles(1, 2, 3))]);
    let ground =
        Ground { measured: BTreeMap::from([("rust".to_owned(), measured)]), ..Ground::default() };
    let found = numbers(&tasks, &ground).cost;
    let line = |band: &CostBand| {
        (
            band.unit.clone(),
            band.p10,
            band.p50,
            band.p90,
            band.from_estimate,
            band.from_measured,
            band.unknown,
        )
    };
    let lines: Vec<_> = found.iter().map(line).collect();
    // The calls of two tasks are drawn: both the median is rare for the tenth percentile of the sum.
    assert_eq!(lines[1], ("usd_micros".into(), 110, 120, 190, 1, 1, 1));
    assert_eq!((lines[0].0.as_str(), lines[0].2, lines[0].5, lines[0].6), ("calls", 4, 2, 1));
}

#[test]
fn agents_that_are_missing_are_named() {
    let tasks = [
        with(&["rust"], task("a", &[], 10)),
        with(&["go"], task("b", &[], 10)),
        task("c", &[], 10),
    ];
    let ground =
        Ground { agents: vec![group(&["rust"], 1, 1), group(&["go"], 2, 0)], ..Ground::default() };
    let found = numbers(&tasks, &ground);
    assert_eq!(found.expected.ms, None);
    assert_eq!(
        found.missing,
        [MissingAgents { capabilities: vec!["go".into()], tasks: 1, offline: 2 }]
    );
    assert_eq!((found.expected.slots, found.expected.more_agents), (1, 2));
    let nobody = numbers(&tasks[2..], &Ground::default());
    assert_eq!(nobody.missing, [MissingAgents { capabilities: vec![], tasks: 1, offline: 0 }]);
    assert_eq!((nobody.expected.ms, nobody.expected.more_agents), (None, 1));
    assert_eq!(numbers(&[], &ground).expected, Expected { ms: Some(0), ..Expected::default() });
}

#[test]
fn the_special_agent_is_kept_for_special_work() {
    // Both could take `a`; if the one for all took it, `b` would wait.
    let tasks = [with(&["rust"], task("a", &[], 10)), with(&["go"], task("b", &[], 10))];
    let ground = Ground {
        agents: vec![group(&["go", "rust"], 1, 1), group(&["rust"], 1, 1)],
        ..Ground::default()
    };
    assert_eq!(numbers(&tasks, &ground).expected.ms, Some(10));
}

#[test]
fn a_start_time_delays_the_end_and_not_the_path() {
    let now = Ground::default().now;
    let later = TaskSpec {
        not_before: Some(now + chrono::TimeDelta::milliseconds(100)),
        ..task("a", &[], 10)
    };
    let ground = Ground { agents: vec![group(&[], 1, 1)], ..Ground::default() };
    let found = numbers(&[later, task("b", &[], 30)], &ground);
    assert_eq!(found.critical_path.ms, 30);
    assert_eq!(
        found.expected,
        Expected { ms: Some(110), slots: 1, shortest_ms: 110, more_agents: 0 }
    );
}

/// Bounded work: the largest plan, with many kinds of tasks and agents.
#[test]
fn the_largest_plan_has_numbers() {
    let tasks: Vec<TaskSpec> = (0..5_000_usize)
        .map(|number| {
            let needs: Vec<String> =
                (1..=10.min(number / 7)).map(|back| (number - 7 * back).to_string()).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            with(
                &[&format!("c{}", number % 300)],
                task(&number.to_string(), &needs, 1 + number as i64 % 17),
            )
        })
        .collect();
    let agents: Vec<AgentGroup> = (0..400)
        .map(|number: usize| {
            group(&[&format!("c{}", number % 300), &format!("c{}", number * 7 % 300)], 2, 3)
        })
        .collect();
    let found = numbers(&tasks, &Ground { agents, ..Ground::default() });
    assert_eq!(found.tasks, 5_000);
    assert!(found.expected.ms >= Some(found.critical_path.ms));
}

proptest! {
    /// With equal agents the expected duration is at least the longest path and an equal share of the work,
    /// and at most what list scheduling guarantees; with the named number of agents it is the shortest.
    #[test]
    fn the_expected_duration_is_between_its_bounds(
        drawn in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..50i64), 1..14),
        slots in 1..5i64,
    ) {
        let tasks: Vec<TaskSpec> = drawn
            .iter()
            .enumerate()
            .map(|(number, (needs, ms))| {
                let needs: Vec<String> =
                    needs.iter().filter(|_| number > 0).map(|need| need.index(number).to_string()).collect();
                task(&number.to_string(), &needs.iter().map(String::as_str).collect::<Vec<_>>(), *ms)
            })
            .collect();
        let ground = |slots: i64| Ground { agents: vec![group(&["x"], slots, slots)], ..Ground::default() };
        let found = numbers(&tasks, &ground(slots));
        let (work, path, took) = (found.work_ms, found.critical_path.ms, found.expected.ms.unwrap());
        prop_assert!(took >= path && took * slots >= work);
        prop_assert!(took * slots <= work + path * (slots - 1));
        prop_assert_eq!(found.expected.shortest_ms, path);
        let enough = numbers(&tasks, &ground(slots + found.expected.more_agents));
        prop_assert_eq!(enough.expected.ms, Some(path));
        prop_assert_eq!(numbers(&tasks, &ground(1)).expected.ms, Some(work));
    }

    /// Whatever the plan and the ground are, there are numbers and nothing overflows.
    #[test]
    fn any_plan_has_numbers(
        drawn in prop::collection::vec(
            ((prop::collection::vec(0usize..9, 0..3), prop::option::weighted(0.3, 0usize..9), any::<bool>()),
             (prop::option::of(any::<i64>()), prop::collection::vec("[abc]", 0..3), prop::option::of(any::<i32>()))),
            0..9),
        agents in prop::collection::vec((prop::collection::btree_set("[abc]", 0..3), any::<i64>(), any::<i64>()), 0..4),
        known in any::<(i64, i64, i64)>(),
    ) {
        let now = Ground::default().now;
        let tasks: Vec<TaskSpec> = drawn
            .iter()
            .enumerate()
            .map(|(number, ((needs, parent, done), (ms, capabilities, from)))| TaskSpec {
                r#ref: number.to_string(),
                needs: needs.iter().map(ToString::to_string).collect(),
                parent: parent.map(|parent| parent.to_string()),
                done: *done,
                capabilities: capabilities.clone(),
                estimate: ms.iter().map(|ms| (WALL_MS.to_owned(), Estimate::Exact(*ms))).collect(),
                not_before: from.map(|from| now + chrono::TimeDelta::seconds(from.into())),
                ..TaskSpec::default()
            })
            .collect();
        let agents = agents.into_iter().map(|(capabilities, agents, slots)| AgentGroup { capabilities, agents, online: agents, slots });
        let all = used(&[(WALL_MS, quantiles(known.0, known.1, known.2)), ("x", quantiles(known.0, known.1, known.2))]);
        let ground = Ground {
            agents: agents.collect(),
            measured: BTreeMap::from([("a".to_owned(), all.clone()), (String::new(), all.clone())]),
            overall: all,
            ..Ground::default()
        };
        let found = numbers(&tasks, &ground);
        prop_assert!(found.critical_path.ms >= found.critical_path.least_ms);
        prop_assert!(found.expected.shortest_ms >= found.critical_path.ms);
        let text = serde_json::to_string(&found).unwrap();
        prop_assert_eq!(serde_json::from_str::<PlanNumbers>(&text).unwrap(), found);
        let _ = super::super::validate::validate(&tasks, &ground);
    }
}

/// Twelve agents, each without another one of twelve capabilities, and every set of these: no two agents have the same
/// tasks. The number of useful agents is enough, also if the work for finding a smaller one is used up.
#[test]
fn all_sets_of_capabilities_are_scheduled_in_bounded_work() {
    let names: Vec<String> = (0..12).map(|n| format!("c{n}")).collect();
    let tasks: Vec<TaskSpec> = (0..4_096_usize)
        .map(|set| {
            let has = |n: &usize| set >> n & 1 == 1;
            let capabilities: Vec<&str> = (0..12).filter(has).map(|n| names[n].as_str()).collect();
            with(&capabilities, task(&format!("t{set}"), &[], 1_000 + set as i64))
        })
        .collect();
    let agent = |lacks: usize| {
        let others = names.iter().enumerate().filter(|(n, _)| *n != lacks);
        group(&others.map(|(_, name)| name.as_str()).collect::<Vec<_>>(), 1, 1)
    };
    let mut ground = Ground { agents: (0..12).map(agent).collect(), ..Ground::default() };
    let found = numbers(&tasks, &ground);
    // Nobody has all twelve.
    assert_eq!((found.expected.ms, found.missing.len()), (None, 1));
    let more = found.expected.more_agents;
    ground.agents.push(group(&names.iter().map(String::as_str).collect::<Vec<_>>(), more, more));
    let found = numbers(&tasks, &ground);
    assert_eq!(found.expected.ms, Some(found.expected.shortest_ms));
}
