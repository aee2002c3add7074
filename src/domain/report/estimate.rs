//! Estimate at completion: expected total spend of a goal.
//!
//! Spend so far counts as it is. Each open task adds its expected spend minus its spend so far,
//! never less than zero: a task over its estimate adds nothing. The expected spend of a task is its
//! own estimate, else the mean of the done tasks whose titles are most like its own, else the 90th percentile of
//! tasks with the same capabilities, else the mean of the goal's done tasks. A task with none of these adds zero and is counted as `unknown`, so that the
//! reader sees the gap.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::money::clamp;
use crate::domain::{budget::ask::Estimates, spend::Amounts};

/// Role of a task in the estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not ended: more spend is expected.
    Open,
    /// Done: a sample for the mean.
    Done,
    /// Failed, cancelled or a container: no more spend, and no sample.
    Silent,
}

/// One task of the goal and its spend.
#[derive(Debug, Clone)]
pub struct TaskFacts {
    /// Its role in the estimate.
    pub standing: Standing,
    /// The task's own estimates.
    pub estimates: Estimates,
    /// Mean of the done tasks whose titles are most like its own, by unit.
    pub nearest: Amounts,
    /// 90th percentile of tasks with the same capabilities, by unit.
    pub usual: Amounts,
    /// Spend so far, by unit.
    pub used: Amounts,
}

/// Expected total spend of a goal in one unit. Computed when the report is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnitEstimate {
    /// Unit of the amounts, for example `usd_micros`.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// Spend of all tasks of the goal until now, failed ones included.
    #[schema(example = 1_200_000)]
    pub spent: i64,
    /// Expected further spend of the open tasks.
    #[schema(example = 800_000, minimum = 0)]
    pub expected_rest: i64,
    /// Expected total when the goal is done: `spent` plus `expected_rest`.
    #[schema(example = 2_000_000)]
    pub at_completion: i64,
    /// Sources of the expectation, as counts of open tasks.
    pub basis: EstimateBasis,
}

/// Number of open tasks by the source of their expected spend. The counts add up to all open tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EstimateBasis {
    /// Open tasks with an estimate of their own in this unit.
    #[schema(example = 3, minimum = 0)]
    pub from_estimate: i64,
    /// Open tasks expected at the mean of done tasks with similar titles: `nearest` names them.
    #[serde(default)]
    #[schema(required = true, example = 2, minimum = 0)]
    pub from_nearest: i64,
    /// Open tasks expected at the 90th percentile of tasks with the same capabilities.
    #[schema(example = 1, minimum = 0)]
    pub from_usual: i64,
    /// Open tasks expected at the mean of the goal's done tasks.
    #[schema(example = 4, minimum = 0)]
    pub from_mean: i64,
    /// Open tasks without any source; they add 0 to `expected_rest`.
    #[schema(example = 0, minimum = 0)]
    pub unknown: i64,
}

/// Estimate at completion of a goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Number of done tasks.
    pub tasks_done: i64,
    /// Number of tasks that have not ended.
    pub tasks_open: i64,
    /// One entry per unit, by name.
    pub units: Vec<UnitEstimate>,
}

/// The estimate at completion of a goal with this spend and these tasks.
#[must_use]
pub fn at_completion(spent: &Amounts, tasks: &[TaskFacts]) -> Completion {
    let standing = |wanted: Standing| tasks.iter().filter(move |task| task.standing == wanted);
    let done: Vec<&TaskFacts> = standing(Standing::Done).collect();
    let open: Vec<&TaskFacts> = standing(Standing::Open).collect();
    let means = means(&done);
    let mut units: BTreeSet<&str> = spent.keys().chain(means.keys()).map(String::as_str).collect();
    for task in &open {
        let known = task.estimates.keys().chain(task.nearest.keys()).chain(task.usual.keys());
        units.extend(known.map(String::as_str));
    }
    let line = |unit: &str| {
        let spent = spent.get(unit).copied().unwrap_or_default();
        estimate(unit, spent, &open, means.get(unit).copied())
    };
    Completion {
        tasks_done: count(done.len()),
        tasks_open: count(open.len()),
        units: units.into_iter().map(line).collect(),
    }
}

fn count(tasks: usize) -> i64 {
    i64::try_from(tasks).unwrap_or(i64::MAX)
}

/// Mean spend of the done tasks, rounded up so that the estimate is not too low.
fn means(done: &[&TaskFacts]) -> Amounts {
    mean_of(&done.iter().map(|task| &task.used).collect::<Vec<_>>())
}

/// The mean of the spend of some tasks by unit, rounded up.
#[must_use]
pub fn mean_of(used: &[&Amounts]) -> Amounts {
    let mut sums = BTreeMap::<&str, i128>::new();
    for (unit, amount) in used.iter().flat_map(|used| used.iter()) {
        *sums.entry(unit).or_default() += i128::from(*amount);
    }
    let tasks = i128::from(count(used.len()).max(1));
    let mean = |sum: i128| clamp((sum.max(0) + tasks - 1) / tasks);
    sums.into_iter().map(|(unit, sum)| (unit.to_owned(), mean(sum))).collect()
}

fn estimate(unit: &str, spent: i64, open: &[&TaskFacts], mean: Option<i64>) -> UnitEstimate {
    let mut basis = EstimateBasis::default();
    let mut rest = 0_i128;
    for task in open {
        let own = task.estimates.get(unit).map(|estimate| estimate.range().want);
        let (nearest, usual) = (task.nearest.get(unit), task.usual.get(unit));
        let (expected, source) = match (own, nearest, usual, mean) {
            (Some(want), _, _, _) => (want, &mut basis.from_estimate),
            (None, Some(nearest), _, _) => (*nearest, &mut basis.from_nearest),
            (None, None, Some(p90), _) => (*p90, &mut basis.from_usual),
            (None, None, None, Some(mean)) => (mean, &mut basis.from_mean),
            (None, None, None, None) => (0, &mut basis.unknown),
        };
        *source += 1;
        let used = task.used.get(unit).copied().unwrap_or_default();
        rest += (i128::from(expected) - i128::from(used)).max(0);
    }
    let expected_rest = clamp(rest);
    UnitEstimate {
        unit: unit.to_owned(),
        spent,
        expected_rest,
        at_completion: spent.saturating_add(expected_rest),
        basis,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::budget::{Range, ask::Estimate};

    fn amounts(amounts: &[(&str, i64)]) -> Amounts {
        amounts.iter().map(|(unit, amount)| ((*unit).to_owned(), *amount)).collect()
    }

    fn task(standing: Standing, estimates: &[(&str, i64)], used: &[(&str, i64)]) -> TaskFacts {
        let exact = |(unit, amount): &(&str, i64)| ((*unit).to_owned(), Estimate::Exact(*amount));
        TaskFacts {
            standing,
            estimates: estimates.iter().map(exact).collect(),
            nearest: Amounts::new(),
            usual: Amounts::new(),
            used: amounts(used),
        }
    }

    #[test]
    fn each_task_is_expected_by_the_best_that_is_known() {
        let usual =
            TaskFacts { usual: amounts(&[("x", 70)]), ..task(Standing::Open, &[], &[("x", 100)]) };
        let range = TaskFacts {
            estimates: Estimates::from([(
                "x".to_owned(),
                Estimate::Range(Range { want: 50, min: 5 }),
            )]),
            ..usual.clone()
        };
        let tasks = [
            task(Standing::Done, &[("x", 999)], &[("x", 30)]),
            task(Standing::Done, &[], &[("x", 41), ("y", 1)]),
            task(Standing::Silent, &[("x", 999)], &[("x", 7)]),
            task(Standing::Open, &[("x", 20)], &[("x", 5)]),
            task(Standing::Open, &[], &[("x", 6)]),
            TaskFacts { used: amounts(&[("x", 10)]), ..usual },
            TaskFacts { used: amounts(&[("x", 60)]), ..range },
        ];
        let found = at_completion(&amounts(&[("x", 159), ("y", 1)]), &tasks);
        assert_eq!((found.tasks_done, found.tasks_open), (2, 4));
        // 20 - 5, the mean of 30 and 41 rounded up - 6, 70 - 10, and 50 - 60 is nothing.
        let want = UnitEstimate {
            unit: "x".to_owned(),
            spent: 159,
            expected_rest: 15 + 30 + 60,
            at_completion: 159 + 105,
            basis: EstimateBasis {
                from_estimate: 2,
                from_usual: 1,
                from_mean: 1,
                ..EstimateBasis::default()
            },
        };
        assert_eq!(found.units[0], want);
        // Of the two that are done one used a `y`: each of the four may.
        let basis = EstimateBasis { from_mean: 4, ..EstimateBasis::default() };
        assert_eq!((found.units[1].expected_rest, found.units[1].basis), (4, basis));
    }

    #[test]
    fn a_task_costs_what_tasks_like_it_did() {
        let used = [amounts(&[("x", 30)]), amounts(&[("x", 41), ("y", 3)])];
        let nearest = mean_of(&used.iter().collect::<Vec<_>>());
        assert_eq!(nearest, amounts(&[("x", 36), ("y", 2)]));
        let usual = amounts(&[("x", 500)]);
        let like = TaskFacts { nearest, usual, ..task(Standing::Open, &[("y", 9)], &[]) };
        let found = at_completion(&Amounts::new(), &[like]);
        let [x, y] = found.units.as_slice() else { panic!("{found:?}") };
        assert_eq!((x.expected_rest, x.basis.from_nearest), (36, 1));
        assert_eq!(
            (y.expected_rest, y.basis.from_estimate),
            (9, 1),
            "its own estimate comes first"
        );
    }

    #[test]
    fn what_is_not_known_is_counted() {
        let tasks = [task(Standing::Open, &[("x", 3)], &[]), task(Standing::Open, &[], &[])];
        let found = at_completion(&Amounts::new(), &tasks);
        assert_eq!(found.units.len(), 1);
        assert_eq!(found.units[0].at_completion, 3);
        assert_eq!(
            found.units[0].basis,
            EstimateBasis { from_estimate: 1, unknown: 1, ..EstimateBasis::default() }
        );
        assert!(at_completion(&Amounts::new(), &[]).units.is_empty());
    }

    fn any_task() -> impl Strategy<Value = TaskFacts> {
        let standing =
            prop_oneof![Just(Standing::Open), Just(Standing::Done), Just(Standing::Silent)];
        let amounts = || proptest::collection::btree_map("[xyz]", any::<i64>(), 0..3);
        let parts = (standing, amounts(), amounts(), amounts(), amounts());
        parts.prop_map(|(standing, estimates, nearest, usual, used)| TaskFacts {
            standing,
            estimates: estimates.into_iter().map(|(k, v)| (k, Estimate::Exact(v))).collect(),
            nearest,
            usual,
            used,
        })
    }

    proptest! {
        /// Whatever is known, nothing overflows, a goal is never expected to have used less than it
        /// has, and every open task is counted once.
        #[test]
        fn a_goal_never_ends_below_what_it_used(
            spent in proptest::collection::btree_map("[xyz]", any::<i64>(), 0..3),
            tasks in proptest::collection::vec(any_task(), 0..20),
        ) {
            let found = at_completion(&spent, &tasks);
            for unit in &found.units {
                prop_assert!(unit.expected_rest >= 0);
                prop_assert!(unit.at_completion >= unit.spent);
                prop_assert_eq!(unit.spent, spent.get(&unit.unit).copied().unwrap_or_default());
                let EstimateBasis { from_estimate, from_nearest, from_usual, from_mean, unknown } = unit.basis;
                let all = from_estimate + from_nearest + from_usual + from_mean + unknown;
                prop_assert_eq!(all, found.tasks_open);
            }
            prop_assert!(spent.keys().all(|unit| found.units.iter().any(|u| &u.unit == unit)));
        }
    }
}
