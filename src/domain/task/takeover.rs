//! Taking a task from its holder: reassignment to another agent, takeover by a person.
//!
//! Both end the running attempt and say nothing about the task: no attempt is counted, and
//! consecutive lost leases stay. The states that allow each are decided here.

use chrono::{DateTime, Utc};

use super::{Ending, Next, TaskFacts, claim::Keeping, holder::Holder};
use crate::domain::{
    approval::kind::Subject,
    ids::AgentId,
    refusal::{Code, Refusal},
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

/// Whether a task may go to another agent, and the first effect. A task that waits (for other
/// tasks, a time, a person, subtasks, a budget, a review) goes on waiting; the assignment is kept
/// until then.
///
/// # Errors
/// `task_ended`; `wrong_state` for a container, which has no holder.
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
            Some(kind) if kind.subject() == Subject::Question => Ok(Taking::Withdraw),
            Some(_) => first("an approval about the task is pending; decide first"),
