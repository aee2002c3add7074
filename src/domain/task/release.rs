//! Releasing a task: an agent gives it back without a result.
//!
//! A release does not count as a try, so nothing else ends a task that agents claim and release for
//! ever. Releases in a row are counted on the task: after two the task waits before it is offered
//! again, each time longer, and after five a person is told. Work on the task ends the row: progress,
//! a new checkpoint, a result or a failure. A release that the service itself asked for counts
//! neither way. A failure because of a rate limit, which does not count as a try either, belongs to the row.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Ending, Next, TaskFacts, backoff};
use crate::domain::{
    settings,
    states::{AgentState, AttemptState, Directive},
};

/// How an attempt was before its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It had reported progress, or left a checkpoint that differs from the one before.
    AfterProgress,
    /// The service asked for it, or a person held it.
    WithReason,
    /// Neither.
    Idly,
}

impl Released {
    /// The kind of a release. `told`: the directive to its agent at that moment. `agent`: the state of
    /// the agent; `None` if a person holds the attempt.
    #[must_use]
    pub fn of(progressed: bool, told: Directive, agent: Option<AgentState>, frozen: bool) -> Self {
        let asked = match told {
            Directive::Continue => false,
            Directive::WrapUp | Directive::Pause | Directive::Stop => true,
        };
        match (progressed, agent) {
            (true, _) => Self::AfterProgress,
            (false, Some(AgentState::Active)) if !asked && !frozen => Self::Idly,
            (false, _) => Self::WithReason,
        }
    }
}

/// An attempt returns its task; it does not count as a try. `jitter` is 0 to 1.
#[must_use]
pub fn release(task: &TaskFacts, released: Released, jitter: f64, now: DateTime<Utc>) -> Ending {
    let (released_in_row, wait) = match released {
        Released::AfterProgress => (0, Duration::ZERO),
        Released::WithReason => (task.released_in_row, Duration::ZERO),
        Released::Idly => {
            let row = task.released_in_row.saturating_add(1);
            (row, pause(row, jitter))
        }
    };
    let next = if task.cancelling { Next::Cancelled } else { Next::Retry(now + wait) };
    let ending = Ending::unchanged(task, AttemptState::Released, next);
    Ending { lost_in_row: 0, released_in_row, ..ending }
}

/// Time before a task is offered again after its `row`-th release in a row.
#[must_use]
pub fn pause(row: i32, jitter: f64) -> Duration {
    match row - settings::FREE_RELEASES {
        free if free <= 0 => Duration::ZERO,
        counted => backoff(counted, jitter),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::words::Words as _;

    proptest! {
        /// The pauses of a row grow, whatever the jitter, up to the longest backoff.
        #[test]
        fn a_pause_is_never_shorter_than_the_one_before(
            row in 1i32..2_000, one in 0.0..=1.0f64, other in 0.0..=1.0f64,
        ) {
            let (before, after) = (pause(row, one), pause(row + 1, other));
            let longest = settings::BACKOFF_MAX;
            prop_assert!(after >= before || after >= longest / 2);
            prop_assert!(after <= longest);
            prop_assert_eq!(before.is_zero(), row <= settings::FREE_RELEASES);
        }

        /// In any hour of claims and idle releases there are few of them, and a row without an idle
        /// release never waits.
        #[test]
        fn an_hour_has_few_idle_releases(
            kinds in prop::collection::vec((0..3usize, 0.0..=1.0f64), 1..2_000),
        ) {
            let start = DateTime::UNIX_EPOCH;
            let mut task = crate::domain::task::tests::task(start);
            let (mut now, mut idle, mut most) = (start, 0, 0);
            for (kind, jitter) in kinds {
                let released =
                    [Released::Idly, Released::Idly, Released::WithReason][kind];
                let ending = release(&task, released, jitter, now);
                prop_assert_eq!(ending.attempts_used, task.attempts_used);
                let Next::Retry(at) = ending.next else { panic!("{:?}", ending.next) };
                match released {
                    Released::Idly => {
                        prop_assert_eq!(ending.released_in_row, task.released_in_row + 1);
                        idle += i32::from(at - start < chrono::TimeDelta::hours(1));
                    }
                    Released::WithReason | Released::AfterProgress => {
                        prop_assert_eq!(at, now);
                        prop_assert_eq!(ending.released_in_row, task.released_in_row);
                    }
                }
                task.released_in_row = ending.released_in_row;
                now = at;
                most = most.max(idle);
            }
            // Two at once, then pauses of at least half of 1, 2, 4 ... 600 seconds.
            prop_assert!(most <= 24, "{most} idle releases in an hour");
        }
    }

    #[test]
    fn progress_ends_the_row_and_a_reason_keeps_it() {
        let now = DateTime::UNIX_EPOCH;
        let task = TaskFacts { released_in_row: 7, ..crate::domain::task::tests::task(now) };
        let after = |released| {
            let ending = release(&task, released, 1.0, now);
            (ending.released_in_row, ending.next)
        };
        assert_eq!(after(Released::AfterProgress), (0, Next::Retry(now)));
        assert_eq!(after(Released::WithReason), (7, Next::Retry(now)));
        assert_eq!(after(Released::Idly), (8, Next::Retry(now + Duration::from_secs(32))));
        let cancelling = TaskFacts { cancelling: true, ..task };
        assert_eq!(release(&cancelling, Released::Idly, 1.0, now).next, Next::Cancelled);
    }

    #[test]
    fn only_a_release_that_nobody_asked_for_is_idle() {
        for told in Directive::ALL {
            for agent in AgentState::ALL.iter().copied().map(Some).chain([None]) {
                for frozen in [false, true] {
                    let idle = *told == Directive::Continue
                        && agent == Some(AgentState::Active)
                        && !frozen;
                    let found = Released::of(false, *told, agent, frozen);
                    assert_eq!(found == Released::Idly, idle, "{told} {agent:?} {frozen}");
                    let progressed = Released::of(true, *told, agent, frozen);
                    assert_eq!(progressed, Released::AfterProgress);
                }
            }
        }
    }
}
