//! The weight of tasks, and the percentage of a goal.
//!
//! Rules:
//! - Tasks that an agent works on weigh; containers do not, nor do the tasks that verify the goal. A task
//!   with subtasks weighs, and so do its subtasks.
//! - A goal has one unit of weight, because milliseconds and dollars do not add up: that in which most tasks
//!   of its plan have an estimate (of several `wall_ms`, then `usd_micros`, then the first by name). A task
//!   weighs its estimate in that unit, at least 1. A task without one weighs the mean of those with one, so
//!   an unknown task counts as an average one. Without any estimate each task weighs 1.
//! - The unit is chosen once, with the first tasks that have an estimate. The mean is kept with it: were it
//!   computed anew, a cancelled task would change the weights of the others, and the percentage could fall.
//! - Done tasks count as done, cancelled ones leave the total, failed ones stay in it. So the percentage falls
//!   only when work is added, estimated anew or brought back.
//! - It is rounded down to a tenth, and 100 exactly when the goal is completed: a completed goal may have
//!   subtasks that failed, and a goal whose tasks are done may have criteria of its own to meet.

use std::collections::BTreeMap;

use crate::domain::{
    budget::ask::Estimates,
    spend::{MONEY, WALL_MS},
    states::GoalState,
};

/// The most that one task weighs. The sum over a goal stays far below the largest number.
pub const WEIGHT_MAX: i64 = 1_000_000_000_000;

/// How the tasks of a goal weigh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighing {
    /// The unit of estimates that counts; `None`: no task has had an estimate.
    pub unit: Option<String>,
    /// Weight of a task without an estimate in the unit, at least 1.
    pub each: i64,
}

impl Default for Weighing {
    fn default() -> Self {
        Self { unit: None, each: 1 }
    }
}

impl Weighing {
    /// Chooses the unit and the mean from the estimates of tasks; the default if there are none.
    #[must_use]
    pub fn of<'a>(tasks: impl Iterator<Item = &'a Estimates> + Clone) -> Self {
        let mut found: BTreeMap<&str, i64> = BTreeMap::new();
        for unit in tasks.clone().flat_map(BTreeMap::keys) {
            *found.entry(unit).or_default() += 1;
        }
        // The last of equal ones wins, so the order is from the least liked.
        let liked = |unit: &str| match unit {
            WALL_MS => 2,
            MONEY => 1,
            _ => 0,
        };
        let best = found.iter().rev().max_by_key(|(unit, tasks)| (**tasks, liked(unit)));
        let Some((unit, _)) = best else { return Self::default() };
        let weights = tasks.filter_map(|estimates| estimated(estimates, unit));
        let (sum, count) =
            weights.fold((0_i128, 0_i128), |(sum, count), w| (sum + i128::from(w), count + 1));
        // The mean of numbers in range is in range.
        let mean = i64::try_from(sum / count.max(1)).unwrap_or(WEIGHT_MAX);
        Self { unit: Some((*unit).to_owned()), each: mean.clamp(1, WEIGHT_MAX) }
    }

    /// The weight of a task.
    #[must_use]
    pub fn weight(&self, estimates: &Estimates) -> i64 {
        let own = self.unit.as_deref().and_then(|unit| estimated(estimates, unit));
        own.unwrap_or(self.each)
    }
}

fn estimated(estimates: &Estimates, unit: &str) -> Option<i64> {
    let estimate = estimates.get(unit)?;
    Some(estimate.range().want.clamp(1, WEIGHT_MAX))
}

/// Sums of the weights of a goal's tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weights {
    /// Of all tasks.
    pub total: i64,
    /// Of done ones.
    pub done: i64,
    /// Of cancelled ones.
    pub cancelled: i64,
}

/// The percentage of a goal in tenths of a percent, 0 to 1,000.
#[must_use]
pub fn tenths(state: GoalState, weights: Weights) -> u16 {
    match state {
        GoalState::Completed => return 1_000,
        GoalState::Planning
        | GoalState::Proposed
        | GoalState::Active
        | GoalState::Verifying
        | GoalState::Failed
        | GoalState::Cancelled => {}
    }
    let of = i128::from(weights.total) - i128::from(weights.cancelled);
    if of <= 0 {
        return 0;
    }
    let tenths = i128::from(weights.done) * 1_000 / of;
    u16::try_from(tenths.clamp(0, 999)).unwrap_or(999)
}

/// The percentage of a goal as a number with one decimal.
#[must_use]
pub fn percent(state: GoalState, weights: Weights) -> f64 {
    f64::from(tenths(state, weights)) / 10.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::budget::{Range, ask::Estimate};

    fn task(estimates: &[(&str, i64)]) -> Estimates {
        let each = estimates.iter();
        each.map(|(unit, amount)| ((*unit).to_owned(), Estimate::Exact(*amount))).collect()
    }

    #[test]
    fn the_unit_of_most_tasks_counts() {
        for (tasks, unit, each) in [
            (vec![task(&[]), task(&[])], None, 1),
            (vec![task(&[("calls", 4)]), task(&[]), task(&[("calls", 8)])], Some("calls"), 6),
            (vec![task(&[("calls", 4), (MONEY, 3), (WALL_MS, 9)])], Some(WALL_MS), 9),
            (vec![task(&[("calls", 4), (MONEY, 3)])], Some(MONEY), 3),
            (vec![task(&[("b", 4), ("a", 3)])], Some("a"), 3),
            (vec![task(&[(WALL_MS, 9)]), task(&[("b", 2)]), task(&[("b", 2)])], Some("b"), 2),
            (vec![task(&[(WALL_MS, 0)])], Some(WALL_MS), 1),
        ] {
            let want = Weighing { unit: unit.map(str::to_owned), each };
            assert_eq!(Weighing::of(tasks.iter()), want);
        }
    }

    #[test]
    fn a_task_weighs_its_estimate_or_the_mean() {
        let weighing = Weighing { unit: Some("calls".into()), each: 6 };
        let range = Estimate::Range(Range { want: 40, min: 2 });
        for (task, want) in [
            (task(&[("calls", 4)]), 4),
            (task(&[("calls", 0)]), 1),
            (task(&[("calls", i64::MAX)]), WEIGHT_MAX),
            (task(&[(WALL_MS, 9)]), 6),
            (task(&[]), 6),
            (Estimates::from([("calls".to_owned(), range)]), 40),
        ] {
            assert_eq!(weighing.weight(&task), want, "{task:?}");
        }
    }

    #[test]
    fn it_is_a_hundred_exactly_when_the_goal_is_completed() {
        let all = Weights { total: 8, done: 5, cancelled: 3 };
        for (state, weights, want) in [
            (GoalState::Proposed, Weights::default(), 0),
            (GoalState::Active, Weights { total: 3, done: 1, cancelled: 0 }, 333),
            (GoalState::Active, Weights { total: 3, done: 1, cancelled: 1 }, 500),
            (GoalState::Verifying, all, 999),
            (GoalState::Failed, Weights { total: 4, done: 3, cancelled: 0 }, 750),
            (GoalState::Cancelled, Weights { total: 4, done: 0, cancelled: 4 }, 0),
            (GoalState::Completed, Weights { total: 4, done: 3, cancelled: 0 }, 1_000),
            (GoalState::Completed, Weights::default(), 1_000),
        ] {
            assert_eq!(tenths(state, weights), want, "{state} {weights:?}");
        }
        assert!(
            (percent(GoalState::Active, Weights { total: 3, done: 1, cancelled: 0 }) - 33.3).abs()
                < 1e-9
        );
    }

    proptest! {
        /// Ends of tasks never lower it; and nothing overflows.
        #[test]
        fn it_rises_with_every_end(weights in prop::collection::vec(1..=WEIGHT_MAX, 1..60), ends in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..80)) {
            let total = weights.iter().sum();
            let mut open: Vec<i64> = weights;
            let mut sums = Weights { total, done: 0, cancelled: 0 };
            let mut last = tenths(GoalState::Active, sums);
            for (which, done) in ends {
                if open.is_empty() {
                    break;
                }
                let weight = open.swap_remove(which.index(open.len()));
                if done { sums.done += weight } else { sums.cancelled += weight }
                let now = tenths(GoalState::Active, sums);
                prop_assert!(now >= last || sums.total == sums.cancelled);
                last = now;
            }
        }
    }
}
