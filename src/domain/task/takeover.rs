//! Taking tasks from who has them: for another agent, or for a person.
//!
//! Both end the attempt that runs, and neither says anything about the task: no try is lost, and what
//! was lost in a row before is still lost. Which states allow it is decided here.

use chrono::{DateTime, Utc};

use super::{Ending, Next, TaskFacts, claim::Keeping, holder::Holder};
use crate::domain::{
    ids::AgentId,
    refusal::{Code, Refusal},
    states::{ApprovalKind, AttemptState, TaskState},
};

/// What taking a task does first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// Its attempt ends.
    Revoke,
    /// It is not offered at this moment, and is to be.
    Offer,
    /// What its last attempt asked a person is withdrawn, and it is offered.
    Withdraw,
    /// Nothing: it is offered, or stays as it is.
    Nothing,
}

/// The attempt is ended for somebody else's sake.
#[must_use]
pub fn revoked(task: &TaskFacts, now: DateTime<Utc>) -> Ending {
    Ending {
        attempt: AttemptState::Released,
        next: Next::Retry(now),
        attempts_used: task.attempts_used,
        lost_in_row: task.lost_in_row,
    }
}

/// Whether a task may be given to another agent, and what that does. What waits for something goes
/// on waiting, and who gets it next is remembered until then: other tasks, a time, a person, its
/// subtasks, a budget, or the decision about its result.
///
/// # Errors
/// `task_ended`; `wrong_state` for a container, which nobody works on.
pub fn reassign(task: &TaskFacts) -> Result<Taking, Refusal> {
    admit(task)?;
    match task.state {
        TaskState::Running => Ok(Taking::Revoke),
        TaskState::Waiting | TaskState::Ready | TaskState::Parked | TaskState::Reviewing => {
            Ok(Taking::Nothing)
        }
        TaskState::Done | TaskState::Failed | TaskState::Cancelled => Err(ended(task)),
    }
}

/// For whom a task is kept after it was taken from `from`.
#[must_use]
pub const fn keeping(to: Option<AgentId>, from: Option<Holder>) -> Keeping {
    match (to, from) {
        (Some(agent), _) => Keeping::Only(agent),
        (None, Some(Holder::Agent(agent))) => Keeping::AllBut(agent),
        (None, Some(Holder::Key(_)) | None) => Keeping::Anybody,
    }
}

/// What else is known of a task that a person wants to take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// Tasks that it still needs, plus one while its container is not open.
    pub needs_unmet: i32,
    /// The kind of the question about it that is pending.
    pub pending: Option<ApprovalKind>,
}

/// Whether a person may take a task over, and what that does. A backoff or a start time does not stop
/// a person, nor does the question that its last attempt asked, which the person then need not answer.
///
/// # Errors
/// `task_ended`; `wrong_state` when something else comes first: what it needs, a decision about its
/// start or its result, its subtasks.
pub fn take_over(task: &TaskFacts, waits: Waits) -> Result<Taking, Refusal> {
    admit(task)?;
    let first = |detail: &str| Err(Refusal::new(Code::WrongState, detail));
    match task.state {
        TaskState::Running => Ok(Taking::Revoke),
        TaskState::Ready => Ok(Taking::Nothing),
        TaskState::Waiting if waits.needs_unmet > 0 => {
            first("the task waits for others that it needs; they come first")
        }
        TaskState::Waiting => Ok(Taking::Offer),
        TaskState::Reviewing => first("its result waits for a decision; decide that first"),
        TaskState::Parked => match waits.pending {
            Some(ApprovalKind::Action | ApprovalKind::Input) => Ok(Taking::Withdraw),
            Some(
                ApprovalKind::Start
                | ApprovalKind::Plan
                | ApprovalKind::Result
                | ApprovalKind::Budget,
            ) => first("a person must decide about the task first"),
            None if task.children_open > 0 => {
                first("the task waits for its subtasks; they come first, or cancel them")
            }
            None => Ok(Taking::Offer),
        },
        TaskState::Done | TaskState::Failed | TaskState::Cancelled => Err(ended(task)),
    }
}

fn admit(task: &TaskFacts) -> Result<(), Refusal> {
    if task.state.is_terminal() {
        return Err(ended(task));
    }
    if task.cancelling {
        return Err(Refusal::new(Code::TaskEnded, "the task is being cancelled"));
    }
    if task.container {
        let detail = "nobody works on a container; take what it contains";
        return Err(Refusal::new(Code::WrongState, detail));
    }
    Ok(())
}

fn ended(task: &TaskFacts) -> Refusal {
    Refusal::new(Code::TaskEnded, format!("the task is {}", task.state))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        ids::{GoalId, KeyId, TaskId},
        words::Words as _,
    };

    fn task(state: TaskState, container: bool, cancelling: bool, children_open: i32) -> TaskFacts {
        TaskFacts {
            task_id: TaskId(Uuid::nil()),
            goal_id: GoalId(Uuid::nil()),
            parent_id: None,
            container,
            state,
            priority: 5,
            ready_from: DateTime::UNIX_EPOCH,
            children_open,
            children_failed: 0,
            attempts_used: 2,
            max_attempts: 3,
            lost_in_row: 1,
            approve_start: false,
            approve_result: false,
            current_attempt: None,
            cancelling,
            max_rework: 3,
            reworks: 0,
        }
    }

    proptest! {
        /// What has ended or ends, and what nobody works on, is nobody's to take; an attempt is
        /// revoked exactly where one runs; and what a person may take, an operator may give away.
        #[test]
        fn only_what_is_open_is_taken_and_only_what_runs_is_revoked(
            state in prop::sample::select(TaskState::ALL),
            container: bool,
            cancelling: bool,
            children_open in 0i32..2,
            needs_unmet in 0i32..2,
            pending in prop::option::of(prop::sample::select(ApprovalKind::ALL)),
        ) {
            let task = task(state, container, cancelling, children_open);
            let given = reassign(&task);
            let taken = take_over(&task, Waits { needs_unmet, pending });
            let closed = state.is_terminal() || cancelling || container;
            prop_assert_eq!(given.is_err(), closed);
            prop_assert!(taken.is_err() || given.is_ok());
            let runs = !closed && state == TaskState::Running;
            prop_assert_eq!(given == Ok(Taking::Revoke), runs);
            prop_assert_eq!(taken == Ok(Taking::Revoke), runs);
            if state == TaskState::Waiting && needs_unmet > 0 {
                prop_assert!(taken.is_err(), "it is not the turn of what needs others");
            }
        }

        /// Whoever had it is not given it again, unless named; nobody is both named and passed over.
        #[test]
        fn what_was_taken_from_an_agent_goes_to_another(
            to in prop::option::of(0u128..3), from in prop::option::of((any::<bool>(), 0u128..3)),
        ) {
            let agent = |n| AgentId(Uuid::from_u128(n));
            let holder = from.map(|(person, n)| {
                if person { Holder::Key(KeyId(Uuid::from_u128(n))) } else { Holder::Agent(agent(n)) }
            });
            let kept = keeping(to.map(agent), holder);
            prop_assert_eq!(kept, Keeping::of(kept.assigned(), kept.barred()));
            for n in 0..3 {
                let wanted = match (to, from) {
                    (Some(named), _) => n == named,
                    (None, Some((false, had))) => n != had,
                    (None, Some((true, _)) | None) => true,
                };
                prop_assert_eq!(kept.admits(agent(n)), wanted);
            }
        }
    }

    #[test]
    fn taking_costs_no_try() {
        let task = task(TaskState::Running, false, false, 0);
        let ending = revoked(&task, DateTime::UNIX_EPOCH);
        assert_eq!((ending.attempts_used, ending.lost_in_row), (2, 1));
        assert_eq!(ending.attempt, AttemptState::Released);
    }
}
