//! The upward rank: the expected time from the start of a task to the end of the longest chain behind it.
//!
//! Of the tasks that can start, the one with the longest chain should: a plan takes at least as long as its longest
//! chain, so that chain must not wait. The own duration of the task is part of it.
//!
//! Only what comes after a task counts, so the rank of a task changes with additions, edits of needs and estimates
//! and with new plans, but not with the progress of the work.

use super::network::{Link, Network};
use crate::domain::{budget::ask::Estimates, spend::WALL_MS};

/// Expected duration of a task of which nothing is known, in milliseconds.
pub const UNKNOWN_MS: i64 = 60_000;
/// The greatest upward rank: 30 days, in milliseconds.
pub const MOST_MS: i64 = 30 * 24 * 3_600_000;

/// The expected duration of a task in milliseconds: its estimate of wall time, else the usual duration of tasks
/// with its capabilities, else a minute.
#[must_use]
pub fn expected(estimate: Option<&Estimates>, usual: Option<i64>) -> i64 {
    let estimated = estimate.and_then(|units| units.get(WALL_MS)).map(|one| one.range().want);
    estimated.or(usual).unwrap_or(UNKNOWN_MS).clamp(0, MOST_MS)
}

/// The upward ranks of the open tasks of a goal, in their order. `duration`: expected duration of each in
/// milliseconds; that of a container does not count.
#[must_use]
pub fn upward(tasks: &[Link], duration: &[i64]) -> Vec<i64> {
    ranks(&Network::joined(tasks), duration, 0)
}

/// The upward ranks in a network. `behind`: the rank of what continues when all of it has ended.
#[must_use]
pub fn ranks(network: &Network, duration: &[i64], behind: i64) -> Vec<i64> {
    let of = |task: usize| duration.get(task).copied().unwrap_or(0).clamp(0, MOST_MS);
    let remaining = network.remaining(of).into_iter();
    remaining.map(|rest| rest.saturating_add(behind.max(0)).min(MOST_MS)).collect()
}

#[cfg(test)]
mod graphs;
#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::budget::ask::Estimate;

    fn task(needs: &[usize]) -> Link {
        Link { parent: None, container: false, needs: needs.to_vec() }
    }

    #[test]
    fn the_longest_chain_counts() {
        // 0 -> 1 -> 3, 0 -> 2 -> 3
        let tasks = [task(&[]), task(&[0]), task(&[0]), task(&[1, 2])];
        assert_eq!(upward(&tasks, &[1, 20, 3, 4]), [25, 24, 7, 4]);
    }

    #[test]
    fn what_needs_a_container_comes_after_all_in_it() {
        let inside = |needs: &[usize]| Link { parent: Some(0), ..task(needs) };
        let container = Link { container: true, ..task(&[]) };
        let tasks = [container, inside(&[]), inside(&[1]), task(&[0])];
        let ranks = upward(&tasks, &[1_000, 5, 7, 11]);
        assert_eq!(ranks[1..], [23, 18, 11]);
    }

    #[test]
    fn a_task_continues_after_its_subtasks() {
        let subtask = Link { parent: Some(0), ..task(&[]) };
        let tasks = [task(&[]), subtask, task(&[0])];
        assert_eq!(upward(&tasks, &[10, 5, 3]), [13, 18, 3]);
    }

    #[test]
    fn ranks_are_bounded() {
        let tasks: Vec<Link> = (0..100).map(|n| task(if n == 0 { &[] } else { &[0] })).collect();
        assert_eq!(upward(&tasks, &[i64::MAX; 100])[0], MOST_MS);
        assert_eq!(upward(&tasks, &[-5; 100])[0], 0);
    }

    #[test]
    fn an_estimate_comes_before_what_is_usual() {
        let estimate = Estimates::from([(WALL_MS.to_owned(), Estimate::Exact(7))]);
        assert_eq!(expected(Some(&estimate), Some(9)), 7);
        assert_eq!(expected(None, Some(9)), 9);
        assert_eq!(expected(Some(&Estimates::new()), None), UNKNOWN_MS);
    }

    proptest! {
        /// Each rank is the own duration and the greatest rank of what needs the task.
        #[test]
        fn each_rank_follows_from_the_next(
            durations in prop::collection::vec(0i64..1_000, 1..40),
            edges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..80),
        ) {
            let mut tasks: Vec<Link> = durations.iter().map(|_| task(&[])).collect();
            for (one, other) in edges {
                let (one, other) = (one.index(tasks.len()), other.index(tasks.len()));
                if one != other {
                    tasks[one.max(other)].needs.push(one.min(other));
                }
            }
            let ranks = upward(&tasks, &durations);
            for (index, rank) in ranks.iter().enumerate() {
                let next = (0..tasks.len()).filter(|next| tasks[*next].needs.contains(&index));
                let most = next.map(|next| ranks[next]).max().unwrap_or(0);
                prop_assert_eq!(*rank, durations[index] + most);
            }
        }
    }
}
