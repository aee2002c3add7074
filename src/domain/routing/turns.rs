//! Turns of goals: stride scheduling.
//!
//! Each goal has a pass, its virtual time. Its next task has the pass as its turn, the one after it the pass and one
//! stride, and so on; tasks go out in the order of their turns. Each claimed task adds a [`stride`] to the
//! pass of its goal, so over any stretch of time goals that always have ready tasks get tasks in the ratio of their
//! shares, with less than one task of each too much or too little.
//!
//! - A goal that a claim sees for the first time joins at the mean pass of the others, each with the weight of its
//!   share: it gets its share at once, and nothing for the time before. Not at the least of them: that may belong to a
//!   goal whose tasks nobody can claim, which stands still while the others go on.
//! - A goal whose last ready task was claimed is drained. When it has ready tasks again it joins in the same way, but
//!   not before its own pass: it neither saves up nor loses anything.
//! - A search for many tasks takes them in runs: a few of one goal, then a few of the next, and the passes move as
//!   far as in any other order. So a batch of a hundred claims does not touch a hundred goals. A search for up to
//!   [`GOALS_IN_RUNS`] tasks, as a few agents make it, has runs of one.
//! - No goal lags behind the goal that is furthest by more than its own stride and [`MOST_RUN`] of the longest stride:
//!   turns in order never do more, and what else kept a goal from its turn is not made up for.
//!
//! The search of claims applies the same rules in SQL (`store::attempts::claim::lock_ready`); these are its oracle.

/// The stride of a goal with weight 1 and the default priority.
pub const UNIT: i64 = 1_024_000;
/// Goals that a search takes its tasks from, if it wants many and they have enough.
pub const GOALS_IN_RUNS: i64 = 8;
/// Most tasks in a run.
pub const MOST_RUN: i64 = 16;
/// The greatest pass. A workspace does not get there within centuries.
pub const MOST_PASS: i64 = 1 << 60;
/// Least and greatest weight of a goal.
pub const WEIGHT: std::ops::RangeInclusive<i32> = 1..=1000;
/// Weight of a goal that is given none.
pub const DEFAULT_WEIGHT: i32 = 1;

/// What one claim adds to the pass of a goal: the smaller, the greater its share. Each point of priority
/// doubles the share.
#[must_use]
pub fn stride(weight: i32, priority: i16) -> i64 {
    let doubled = u32::from(priority.unsigned_abs()).min(9);
    // 2^5 at priority 0, 1 at 5, and 2^-4 at 9.
    ((UNIT << 5) >> doubled) / i64::from(weight.max(1))
}

/// A goal with ready tasks, as a claim finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its pass; `None`: no claim has seen it yet.
    pub pass: Option<i64>,
    /// Whether the last claim left it without ready tasks.
    pub drained: bool,
    /// Its stride.
    pub stride: i64,
}

impl Standing {
    /// Its pass, if it has competed all the time.
    fn competing(&self) -> Option<i64> {
        self.pass.filter(|_| !self.drained)
    }
}

/// The turns of the first ready task of each goal, in the order of `goals`.
#[must_use]
pub fn starts(goals: &[Standing]) -> Vec<i64> {
    let competing = || goals.iter().filter_map(|goal| Some((goal.stride, goal.competing()?)));
    let most = competing().map(|(_, pass)| pass).max();
    let longest = competing().map(|(stride, _)| stride).max();
    let (Some(most), Some(longest)) = (most, longest) else {
        // Nobody has waited, so nobody comes before another.
        let most = goals.iter().filter_map(|goal| goal.pass).max().unwrap_or(0);
        return vec![most; goals.len()];
    };
    let least = most - 2 * longest;
    let (mut behind, mut shares) = (0.0, 0.0);
    for (stride, pass) in competing() {
        // Nearer than it may lag: one that stands still must not draw newcomers back.
        behind += (pass.max(most - (longest + stride)) - least) as f64 * share(stride);
        shares += share(stride);
    }
    let joint = least + (behind / shares).floor() as i64;
    let start = |goal: &Standing| match goal.competing() {
        Some(pass) => pass.max(most - (MOST_RUN * longest + goal.stride)),
        None => goal.pass.unwrap_or(joint).max(joint),
    };
    goals.iter().map(start).collect()
}

/// Number of tasks that a search for `wanted` takes of a goal before it goes to the next.
#[must_use]
pub fn run(wanted: i64) -> i64 {
    wanted.saturating_add(GOALS_IN_RUNS - 1).div_euclid(GOALS_IN_RUNS).clamp(1, MOST_RUN)
}

/// The share of a goal, relative to one with weight 1 and the default priority.
fn share(stride: i64) -> f64 {
    UNIT as f64 / stride as f64
}

/// The pass of a goal after `tasks` of its tasks were claimed. `stored`: the pass as it is now, which other
/// claims may have moved since the search; `start`: where the search began.
#[must_use]
pub fn advance(stored: Option<i64>, start: i64, stride: i64, tasks: u32) -> i64 {
    let from = stored.map_or(start, |pass| pass.max(start));
    from.saturating_add(stride.saturating_mul(i64::from(tasks))).min(MOST_PASS)
}

/// The most tasks of a goal that the search looks at to find `wanted` in turn, if every goal has enough. `lead`: how far
/// its start is before the mean start of all goals by their shares; negative: behind it.
///
/// Up to the turn at which all shares together make `wanted` tasks, there are at least so many: what a goal that starts
/// later does not give, the others give in its place.
#[must_use]
pub fn look_at(wanted: i64, run: i64, lead: f64, stride: i64, all_shares: f64) -> i64 {
    let until = wanted as f64 * (UNIT as f64 / all_shares) + lead;
    let tasks = (until / stride as f64).floor().max(0.0) as i64;
    wanted.min(tasks + 1 + run)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Goals in memory, with a number of ready tasks each.
    #[derive(Debug, Clone)]
    struct Fleet {
        goals: Vec<(Standing, u32)>,
    }

    impl Fleet {
        fn of(weights: &[(i32, u32)]) -> Self {
            let goals: Vec<_> =
                weights.iter().map(|(weight, tasks)| (*weight, 5, *tasks)).collect();
            Self::with(&goals)
        }

        /// By weight, priority and number of ready tasks.
        fn with(goals: &[(i32, i16, u32)]) -> Self {
            let goal = |(weight, priority, tasks): &(i32, i16, u32)| {
                (Standing { pass: None, drained: true, stride: stride(*weight, *priority) }, *tasks)
            };
            Self { goals: goals.iter().map(goal).collect() }
        }

        /// The goals of the next `count` tasks, of one claim.
        fn claim(&mut self, count: usize) -> Vec<usize> {
            let ready: Vec<usize> =
                (0..self.goals.len()).filter(|goal| self.goals[*goal].1 > 0).collect();
            let seen: Vec<Standing> = ready.iter().map(|goal| self.goals[*goal].0).collect();
            let starts = starts(&seen);
            let mut turns: Vec<(i64, usize)> = Vec::new();
            let run = run(count as i64);
            for (goal, start) in ready.iter().zip(&starts) {
                let (standing, tasks) = self.goals[*goal];
                let places = (0..i64::from(tasks)).take(count);
                let turn = |place: i64| start + place / run * run * standing.stride;
                turns.extend(places.map(|place| (turn(place), *goal)));
            }
            turns.sort_unstable();
            let taken: Vec<usize> = turns.into_iter().take(count).map(|(_, goal)| goal).collect();
            for (goal, start) in ready.iter().zip(starts) {
                let number = taken.iter().filter(|one| *one == goal).count() as u32;
                let (standing, tasks) = &mut self.goals[*goal];
                *tasks -= number;
                let pass = standing.pass;
                *standing = Standing {
                    pass: Some(advance(pass, start, standing.stride, number)),
                    drained: *tasks == 0,
                    ..*standing
                };
            }
            taken
        }
    }

    fn count(claimed: &[usize], goal: usize) -> usize {
        claimed.iter().filter(|one| **one == goal).count()
    }

    #[test]
    fn a_point_of_priority_doubles_the_share() {
        assert_eq!(stride(1, 5), UNIT);
        assert_eq!(stride(1, 6) * 2, UNIT);
        assert_eq!(stride(1, 0), UNIT * 32);
        assert_eq!(stride(2, 5) * 2, UNIT);
        assert_eq!(stride(1000, 9), UNIT / 16_000);
        assert!(stride(1000, 9) > 0);
    }

    #[test]
    fn three_to_one_in_every_window() {
        let mut fleet = Fleet::of(&[(3, 3_000), (1, 1_000)]);
        let claimed: Vec<usize> = (0..4_000).flat_map(|_| fleet.claim(1)).collect();
        for window in claimed.windows(400) {
            assert!((299..=301).contains(&count(window, 0)), "{}", count(window, 0));
        }
    }

    #[test]
    fn a_late_goal_gets_its_share_at_once_and_no_more() {
        let mut fleet = Fleet::of(&[(1, 5_000), (1, 0)]);
        for _ in 0..1_000 {
            fleet.claim(1);
        }
        fleet.goals[1].1 = 1_000;
        let claimed: Vec<usize> = (0..1_000).flat_map(|_| fleet.claim(1)).collect();
        for (end, _) in claimed.iter().enumerate().skip(1) {
            let late = count(&claimed[..end], 1) as i64;
            assert!((late * 2 - end as i64).abs() <= 2, "{late} of {end}");
        }
    }

    #[test]
    fn a_drained_goal_saves_nothing_up() {
        let mut fleet = Fleet::of(&[(1, 5_000), (1, 10)]);
        for _ in 0..500 {
            fleet.claim(1);
        }
        fleet.goals[1].1 = 400;
        let claimed: Vec<usize> = (0..100).flat_map(|_| fleet.claim(1)).collect();
        assert!((49..=51).contains(&count(&claimed, 1)), "{}", count(&claimed, 1));
    }

    #[test]
    fn a_goal_that_was_kept_from_its_turn_catches_up_a_little_only() {
        let behind = Standing { pass: Some(0), drained: false, stride: UNIT };
        let ahead = Standing { pass: Some(UNIT * 1_000), drained: false, stride: UNIT };
        assert_eq!(starts(&[behind, ahead]), [UNIT * 983, UNIT * 1_000]);
    }

    #[test]
    fn a_goal_that_stands_still_gives_newcomers_nothing() {
        let new = Standing { pass: None, drained: true, stride: stride(100, 5) };
        let stuck = Standing { pass: Some(0), drained: false, stride: UNIT };
        let at_work = Standing { pass: Some(UNIT * 1_000), drained: false, stride: UNIT };
        let starts = starts(&[new, stuck, at_work, at_work]);
        assert_eq!(starts[1..], [UNIT * 983, UNIT * 1_000, UNIT * 1_000]);
        assert!(starts[0] > UNIT * 999, "{}", starts[0]);
    }

    #[test]
    fn priorities_far_apart_keep_their_ratio() {
        for (priorities, ratio) in [([0, 5], 32.0), ([0, 9], 512.0), ([5, 9], 16.0)] {
            let goals = priorities.map(|priority| (1, priority, 100_000));
            let mut fleet = Fleet::with(&goals);
            let claimed: Vec<usize> = (0..10_000).flat_map(|_| fleet.claim(1)).collect();
            let (low, high) = (count(&claimed, 0) as f64, count(&claimed, 1) as f64);
            assert!((high / low / ratio - 1.0).abs() < 0.06, "{priorities:?}: {high} to {low}");
        }
    }

    #[test]
    fn goals_of_low_priority_together_do_not_starve_one_of_high() {
        let mut fleet = Fleet::with(&[(1, 0, 9_000), (1, 0, 9_000), (1, 5, 9_000)]);
        let claimed: Vec<usize> = (0..3_400).flat_map(|_| fleet.claim(1)).collect();
        assert!((3_190..=3_210).contains(&count(&claimed, 2)), "{}", count(&claimed, 2));
    }

    #[test]
    fn passes_end_before_they_overflow() {
        assert_eq!(advance(Some(MOST_PASS - 1), 0, UNIT, u32::MAX), MOST_PASS);
        let goal = Standing { pass: Some(MOST_PASS), drained: false, stride: stride(1, 0) };
        assert_eq!(starts(&[goal]), [MOST_PASS]);
    }

    proptest! {
        /// Whatever the weights and sizes of claims, no goal with ready tasks is more than one task and one claim away
        /// from its share.
        #[test]
        fn shares_hold(
            goals in prop::collection::vec((1i32..20, 0i16..10), 2..8),
            sizes in prop::collection::vec(1usize..5, 50..200),
        ) {
            let rich: Vec<_> = goals.iter().map(|(weight, priority)| (*weight, *priority, 10_000)).collect();
            let mut fleet = Fleet::with(&rich);
            let claimed: Vec<usize> = sizes.iter().flat_map(|size| fleet.claim(*size)).collect();
            let shares: Vec<f64> =
                goals.iter().map(|(weight, priority)| share(stride(*weight, *priority))).collect();
            let all: f64 = shares.iter().sum();
            for (goal, share) in shares.iter().enumerate() {
                let fair = claimed.len() as f64 * share / all;
                let got = count(&claimed, goal) as f64;
                // One task of its own, and one for each of the others that went first.
                prop_assert!((got - fair).abs() <= 1.0 + goals.len() as f64, "{got} for {fair}");
            }
        }

        /// Large batches take runs, and the shares hold over several of them.
        #[test]
        fn shares_hold_in_runs(
            weights in prop::collection::vec(1i32..20, 2..12),
            sizes in prop::collection::vec(1usize..150, 10..20),
        ) {
            let rich: Vec<_> = weights.iter().map(|weight| (*weight, 3_000)).collect();
            let mut fleet = Fleet::of(&rich);
            let claimed: Vec<usize> = sizes.iter().flat_map(|size| fleet.claim(*size)).collect();
            let all: i32 = weights.iter().sum();
            for (goal, weight) in weights.iter().enumerate() {
                let fair = claimed.len() as f64 * f64::from(*weight) / f64::from(all);
                let got = count(&claimed, goal) as f64;
                let runs = MOST_RUN as f64 * (1.0 + f64::from(*weight));
                prop_assert!((got - fair).abs() <= runs + weights.len() as f64, "{got} for {fair}");
            }
        }

        /// Nobody starts behind the least pass of those that compete, nor far behind the greatest.
        #[test]
        fn starts_are_bounded(
            goals in prop::collection::vec((prop::option::of(0i64..1 << 50), any::<bool>(), 1i32..1000, 0i16..10), 1..20),
        ) {
            let goals: Vec<Standing> = goals.into_iter().map(|(pass, drained, weight, priority)| {
                Standing { pass, drained, stride: stride(weight, priority) }
            }).collect();
            let starts = starts(&goals);
            let competing = || goals.iter().filter(|goal| goal.competing().is_some());
            let most = competing().filter_map(Standing::competing).max().unwrap_or_default();
            let longest = competing().map(|goal| goal.stride).max().unwrap_or_default();
            for (goal, start) in goals.iter().zip(&starts) {
                prop_assert!(*start >= goal.pass.unwrap_or(0));
                prop_assert!(most - start <= MOST_RUN * longest + goal.stride.max(longest));
            }
            if let Some(least) = goals.iter().filter_map(Standing::competing).min() {
                prop_assert!(starts.iter().all(|start| *start >= least));
            }
        }

        /// Two searches of one state that claim at once move the pass as one after the other would.
        #[test]
        fn concurrent_claims_add_up(start in 0i64..1 << 40, one in 0u32..10, other in 0u32..10) {
            let both = advance(Some(advance(Some(start), start, UNIT, one)), start, UNIT, other);
            prop_assert_eq!(both, start + UNIT * i64::from(one + other));
        }

        /// What the search looks at includes the first `wanted` tasks in turn, if all goals are rich.
        #[test]
        fn the_search_looks_at_enough(
            goals in prop::collection::vec((prop::option::of(0i64..8 * UNIT), 1i32..50), 1..30),
            wanted in 1i64..100,
        ) {
            let goals: Vec<Standing> = goals.into_iter()
                .map(|(pass, weight)| Standing { pass, drained: pass.is_none(), stride: stride(weight, 5) })
                .collect();
            let starts = starts(&goals);
            let shares: f64 = goals.iter().map(|goal| share(goal.stride)).sum();
            let parts = goals.iter().zip(&starts).map(|(goal, start)| *start as f64 * share(goal.stride));
            let mean = parts.sum::<f64>() / shares;
            let mut seen = 0;
            let mut turns: Vec<(i64, bool)> = Vec::new();
            for (goal, start) in goals.iter().zip(&starts) {
                let looked = look_at(wanted, run(wanted), mean - *start as f64, goal.stride, shares);
                seen += looked;
                let turn = |place: i64| start + place / run(wanted) * run(wanted) * goal.stride;
                turns.extend((0..wanted).map(|place| (turn(place), place < looked)));
            }
            turns.sort_unstable_by_key(|(turn, _)| *turn);
            prop_assert!(seen >= wanted);
            let beyond = turns.iter().take(wanted as usize).filter(|(_, looked)| !looked).count();
            prop_assert_eq!(beyond, 0);
        }
    }
}
