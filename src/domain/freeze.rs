//! Freezes: stops that operators put on a scope, and what an agent may still do under one.
//!
//! A freeze is state: it is in force from the moment it was set until it is lifted, whoever heard of
//! it. Freezes overlap, and of several over the same attempt the strongest counts; lifting one leaves
//! the others as they are.
//!
//! What each mode means is decided here and nowhere else:
//!
//! | | `drain` | `pause` | `stop` |
//! |---|---|---|---|
//! | a claim | gives nothing | gives nothing | gives nothing |
//! | a running attempt | goes on | is told to pause | is ended: [`stopped`] |
//! | beginning something: subtasks, a cost | yes | no | no |
//! | coming to rest: complete, fail, release, ask | yes | yes | no |
//! | reporting what was used | yes | yes | yes, as late |

use chrono::{DateTime, Utc};

use super::{
    refusal::{Code, Refusal},
    states::{AttemptState, Directive},
    task::{Ending, Next, TaskFacts},
    words::words,
};

words! {
    /// What is frozen.
    pub enum FreezeScope {
        /// Everything.
        Workspace => "workspace",
        /// The tasks of all its goals.
        Project => "project",
        /// All its tasks.
        Goal => "goal",
        /// The task, and all tasks below it.
        Task => "task",
        /// Whatever the agent works on, or would.
        Agent => "agent",
        /// Every task that requires it.
        Capability => "capability",
    }
}

words! {
    /// How much a freeze stops, from the weakest to the strongest. The words are in the order of the
    /// alphabet too, which is how the database finds the strongest.
    pub enum FreezeMode {
        /// No new claims. What runs goes on and may be completed.
        Drain => "drain",
        /// No new claims. Agents at work are told to `pause`: to save a checkpoint and release.
        Pause => "pause",
        /// No new claims. What runs is ended at once, and its leases are worth nothing.
        Stop => "stop",
    }
}

impl FreezeMode {
    /// What agents at work under it are told.
    #[must_use]
    pub const fn directive(self) -> Directive {
        match self {
            Self::Drain => Directive::Continue,
            Self::Pause => Directive::Pause,
            Self::Stop => Directive::Stop,
        }
    }

    /// Whether running attempts end when it is set.
    #[must_use]
    pub const fn ends_attempts(self) -> bool {
        match self {
            Self::Drain | Self::Pause => false,
            Self::Stop => true,
        }
    }
}

/// What an agent wants to do to an attempt that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Something new: subtasks, or a cost.
    Begin,
    /// Bringing it to rest: with a result, a failure, a question, or by giving it back.
    Rest,
}

/// Whether an attempt under a freeze of this mode may do this; none: nothing is frozen.
///
/// # Errors
/// `frozen`.
pub fn admit(mode: Option<FreezeMode>, act: Act) -> Result<(), Refusal> {
    let detail = match (mode, act) {
        (None | Some(FreezeMode::Drain), Act::Begin | Act::Rest)
        | (Some(FreezeMode::Pause), Act::Rest) => return Ok(()),
        (Some(FreezeMode::Pause), Act::Begin) => {
            "an operator has paused this work: nothing new is begun. Save a checkpoint and release \
             the attempt"
        }
        (Some(FreezeMode::Stop), Act::Begin | Act::Rest) => {
            "an operator has stopped this work: nothing of it is accepted until that is lifted"
        }
    };
    Err(Refusal::new(Code::Frozen, detail))
}

/// An attempt is ended by a freeze. It does not count, and its task may be claimed again as soon as
/// nothing freezes it. Leases lost before are still lost: a stop says nothing about the task.
#[must_use]
pub fn stopped(task: &TaskFacts, now: DateTime<Utc>) -> Ending {
    let next = if task.cancelling { Next::Cancelled } else { Next::Retry(now) };
    Ending {
        attempt: AttemptState::Released,
        next,
        attempts_used: task.attempts_used,
        lost_in_row: task.lost_in_row,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::words::Words as _;

    #[test]
    fn the_strongest_mode_is_the_last_by_rank_and_by_alphabet() {
        assert!(FreezeMode::ALL.is_sorted());
        assert!(FreezeMode::ALL.iter().map(|mode| mode.as_str()).is_sorted());
        assert!(FreezeMode::ALL.iter().map(|mode| mode.directive()).is_sorted());
    }

    #[test]
    fn a_stronger_freeze_never_admits_what_a_weaker_one_refuses() {
        let modes = FreezeMode::ALL.iter().copied().map(Some);
        let modes: Vec<Option<FreezeMode>> = std::iter::once(None).chain(modes).collect();
        for act in [Act::Begin, Act::Rest] {
            let refuses: Vec<bool> = modes.iter().map(|mode| admit(*mode, act).is_err()).collect();
            assert!(refuses.is_sorted(), "{act:?}: {refuses:?}");
            assert_eq!(refuses.last(), Some(&true));
        }
    }
}
