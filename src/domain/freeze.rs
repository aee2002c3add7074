//! Freezes: stops that operators put on a scope, and what an agent may still do under one.
//!
//! A freeze is in force from when it is set until it is lifted. Freezes overlap: the strongest one
//! over an attempt counts, and lifting one leaves the others in force.
//!
//! The effect of each mode is defined here only:
//!
//! | | `drain` | `pause` | `stop` |
//! |---|---|---|---|
//! | claim | returns no task | returns no task | returns no task |
//! | running attempt | continues | gets the directive `pause` | ends: [`stopped`] |
//! | add subtasks, authorize a cost | yes | no | no |
//! | complete, fail, release, ask | yes | yes | no |
//! | report spend | yes | yes | yes, as late spend |

use chrono::{DateTime, Utc};

use super::{
    refusal::{Code, Refusal},
    states::{AttemptState, Directive},
    task::{Ending, Next, TaskFacts},
    words::words,
};

words! {
    /// The scope of a freeze: the tasks and agents it covers.
    pub enum FreezeScope {
        /// All tasks of the workspace.
        Workspace => "workspace",
        /// All tasks of the project's goals.
        Project => "project",
        /// All tasks of the goal.
        Goal => "goal",
        /// The task and all its descendants.
        Task => "task",
        /// All attempts and claims of the agent.
        Agent => "agent",
        /// All tasks that require the capability.
        Capability => "capability",
    }
}

words! {
    /// The strength of a freeze, from weakest to strongest. `drain`: no new claims, running attempts
    /// continue. `pause`: running attempts also get the directive `pause`. `stop`: running attempts
    /// end at once.
    // The words sort alphabetically by strength: the database takes the maximum.
    pub enum FreezeMode {
        /// No new claims. Running attempts continue and may complete.
        Drain => "drain",
        /// No new claims. Running attempts get the directive `pause`: save a checkpoint and release.
        Pause => "pause",
        /// No new claims. Running attempts end at once; their leases are void.
        Stop => "stop",
    }
}

impl FreezeMode {
    /// The directive for attempts under it.
    #[must_use]
    pub const fn directive(self) -> Directive {
        match self {
            Self::Drain => Directive::Continue,
            Self::Pause => Directive::Pause,
            Self::Stop => Directive::Stop,
        }
    }

    /// Whether setting it ends running attempts.
    #[must_use]
    pub const fn ends_attempts(self) -> bool {
        match self {
            Self::Drain | Self::Pause => false,
            Self::Stop => true,
        }
    }
}

/// A kind of request on an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Starts more work: subtasks, an authorized cost.
    Begin,
    /// Ends the attempt: complete, fail, release, ask.
    Rest,
}

/// Refuses a request that the strongest freeze forbids; `None`: no freeze.
///
/// # Errors
/// `frozen`.
pub fn admit(mode: Option<FreezeMode>, act: Act) -> Result<(), Refusal> {
    let detail = match (mode, act) {
        (None | Some(FreezeMode::Drain), Act::Begin | Act::Rest)
        | (Some(FreezeMode::Pause), Act::Rest) => return Ok(()),
        (Some(FreezeMode::Pause), Act::Begin) => {
            "an operator paused this work: start nothing new, save a checkpoint and release the \
             attempt"
        }
        (Some(FreezeMode::Stop), Act::Begin | Act::Rest) => {
            "an operator stopped this work: no result is accepted until the freeze is lifted"
        }
    };
    Err(Refusal::new(Code::Frozen, detail))
}

/// How a `stop` ends an attempt: it does not count as used, and the task is ready again once the
/// freeze is lifted. The count of lost leases is kept, because a stop proves nothing about the task.
#[must_use]
pub fn stopped(task: &TaskFacts, now: DateTime<Utc>) -> Ending {
    let next = if task.cancelling { Next::Cancelled } else { Next::Retry(now) };
    Ending::unchanged(task, AttemptState::Released, next)
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
