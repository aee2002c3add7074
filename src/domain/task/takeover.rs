//! Taking a task from its holder: reassignment to another agent, takeover by a person.
//!
//! Both end the running attempt and say nothing about the task: no attempt is counted, and
//! consecutive lost leases stay. The states that allow each are decided here.

use chrono::{DateTime, Utc};

use super::{Ending, Next, TaskFacts, claim::Keeping, holder::Holder};
use crate::domain::{
    ids::AgentId,
    refusal::{Code, Refusal},
    settings,
    states::{ApprovalKind, AttemptState, TaskState},
};

/// First effect of taking a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// The running attempt ends.
    Revoke,
    /// The task is made ready now.
    Offer,
    /// The pending approval of its last attempt is withdrawn, and the task is made ready.
    Withdraw,
    /// None: the task is ready, or stays as it is.
    Nothing,
}

/// The running attempt ends without counting.
#[must_use]
pub fn revoked(task: &TaskFacts, now: DateTime<Utc>) -> Ending {
    Ending::unchanged(task, AttemptState::Released, Next::Retry(now))
}

/// Whether a task may go to another agent, and the first effect. A task that was released again and
/// again is offered at once: an agent is what it waited for. A task that waits otherwise (for other
/// tasks, a time, a person, subtasks, a budget, a review) goes on waiting; the assignment is kept
/// until then. One that waits for its division is offered whole: another agent may be able to do it.
/// `oversized`: whether it does.
///
/// # Errors
/// `task_ended`; `wrong_state` for a container, which has no holder.
pub fn reassign(task: &TaskFacts, oversized: bool) -> Result<Taking, Refusal> {
    admit(task)?;
    match task.state {
        TaskState::Running => Ok(Taking::Revoke),
        TaskState::Waiting | TaskState::Ready if task.released_in_row > settings::FREE_RELEASES => {
            Ok(Taking::Offer)
        }
        TaskState::Parked if oversized => Ok(Taking::Offer),
        TaskState::Waiting | TaskState::Ready | TaskState::Parked | TaskState::Reviewing => {
            Ok(Taking::Nothing)
        }
        TaskState::Done | TaskState::Failed | TaskState::Cancelled => Err(ended(task)),
    }
}

/// Assignment of a task taken from `from`.
#[must_use]
pub const fn keeping(to: Option<AgentId>, from: Option<Holder>) -> Keeping {
    match (to, from) {
        (Some(agent), _) => Keeping::Only(agent),
        (None, Some(Holder::Agent(agent))) => Keeping::AllBut(agent),
        (None, Some(Holder::Key(_)) | None) => Keeping::Anybody,
    }
}

/// What a task waits for when a person wants to take it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// Unmet needs, plus one while its container is not open.
    pub needs_unmet: i32,
    /// Kind of its pending approval.
    pub pending: Option<ApprovalKind>,
}

/// Whether a person may take a task over, and the first effect. Neither a backoff nor a start time
/// prevents it, nor an approval that its last attempt asked for: that is withdrawn.
///
/// # Errors
/// `task_ended`; `wrong_state` while the task waits for its needs, for a decision about its start
/// or result, or for its subtasks.
pub fn take_over(task: &TaskFacts, waits: Waits) -> Result<Taking, Refusal> {
    admit(task)?;
    let first = |detail: &str| Err(Refusal::new(Code::WrongState, detail));
    match task.state {
        TaskState::Running => Ok(Taking::Revoke),
        TaskState::Ready => Ok(Taking::Nothing),
        TaskState::Waiting if waits.needs_unmet > 0 => {
            first("the task waits for other tasks that it needs")
        }
        TaskState::Waiting => Ok(Taking::Offer),
        TaskState::Reviewing => first("the result of the task waits for a decision; decide first"),
        TaskState::Parked => match waits.pending {
            Some(kind) if kind.is_question() => Ok(Taking::Withdraw),
            Some(_) => first("an approval about the task is pending; decide first"),
            None if task.children_open > 0 => {
                first("the task waits for its subtasks; wait for them or cancel them")
            }
            None => Ok(Taking::Offer),
        },
        TaskState::Done | TaskState::Failed | TaskState::Cancelled => Err(ended(task)),
    }
}

/// Whether an operator may close a task with the result of an earlier one, and the first effect. Nobody must work on it.
/// Neither a backoff nor a start time prevents it, nor a pending approval of anything but its result or plan: that is
/// withdrawn.
///
/// # Errors
/// `task_ended`; `wrong_state` while an attempt runs, and while the task waits for its needs, for a decision about its
/// result, or for its subtasks.
pub fn take_answer(task: &TaskFacts, waits: Waits) -> Result<Taking, Refusal> {
    admit(task)?;
    let first = |detail: &str| Err(Refusal::new(Code::WrongState, detail));
    match task.state {
        TaskState::Running => first(
            "an attempt is running: its holder can accept the answer, or take the task over and complete it",
        ),
        TaskState::Ready => Ok(Taking::Nothing),
        TaskState::Waiting if waits.needs_unmet > 0 => {
            first("the task waits for other tasks that it needs")
        }
        TaskState::Waiting => Ok(Taking::Offer),
        TaskState::Reviewing => first("the result of the task waits for a decision; decide first"),
        TaskState::Parked if task.children_open > 0 => {
            first("the task waits for its subtasks; wait for them or cancel them")
        }
        TaskState::Parked => Ok(match waits.pending {
            Some(_) => Taking::Withdraw,
            None => Taking::Offer,
        }),
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
        let detail = "a container has no attempts of its own; take a task inside it";
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
            released_in_row: 0,
            approve_start: false,
            approve_result: false,
            current_attempt: None,
            cancelling,
            max_rework: 3,
            reworks: 0,
            weight: 1,
            criteria_version: 1,
            checks: None,
        }
    }

    proptest! {
        /// Ended or cancelling tasks and containers cannot be taken; an attempt is revoked exactly
        /// where one runs; a task that a person may take, an operator may reassign.
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
            let given = reassign(&task, false);
            let taken = take_over(&task, Waits { needs_unmet, pending });
            let closed = state.is_terminal() || cancelling || container;
            prop_assert_eq!(given.is_err(), closed);
            prop_assert!(taken.is_err() || given.is_ok());
            let runs = !closed && state == TaskState::Running;
            prop_assert_eq!(given == Ok(Taking::Revoke), runs);
            prop_assert_eq!(taken == Ok(Taking::Revoke), runs);
            let answered = take_answer(&task, Waits { needs_unmet, pending });
            prop_assert!(answered.is_err() || given.is_ok());
            prop_assert!(answered.is_err() || state != TaskState::Running, "somebody works on it");
            if state == TaskState::Waiting && needs_unmet > 0 {
                prop_assert!(taken.is_err(), "it is not the turn of what needs others");
            }
        }

        /// The previous holder does not get the task again unless named.
        #[test]
        fn what_was_taken_from_an_agent_goes_to_another(
            to in prop::option::of(0u128..3), from in prop::option::of((any::<bool>(), 0u128..3)),
        ) {
            let agent = |n| AgentId(Uuid::from_u128(n));
            let holder = from.map(|(person, n)| {
                if person { Holder::Key(KeyId(Uuid::from_u128(n))) } else { Holder::Agent(agent(n)) }
            });
            let kept = keeping(to.map(agent), holder);
            prop_assert_eq!(&kept, &Keeping::of(kept.assigned(), kept.barred()));
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
