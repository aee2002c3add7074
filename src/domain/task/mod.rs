//! The state machine of tasks and their attempts.
//!
//! Every way in which an attempt can end is one pure function from what is stored to an
//! [`Ending`], or a refusal. The caller holds the rows' locks, writes the ending, and lets the
//! consequences run (dependents, containers, goals). The rules never look at a clock: `now` and
//! jitter are handed in.
//!
//! The fence: an attempt may write while it is `running` and its lease token matches. The lease's
//! end is not part of the fence. A completion that comes late, but before anybody else was given
//! the task, is accepted; once the task has another attempt, nothing of the old one is.

pub mod claim;
pub mod heartbeat;
pub mod holder;
pub mod story;
pub mod takeover;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use subtle::ConstantTimeEq as _;

use super::{
    ids::{AttemptId, GoalId, TaskId},
    refusal::{Code, Refusal},
    settings,
    states::{AttemptState, FailureClass, TaskState},
};
use holder::Holder;

/// What the rules need to know of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskFacts {
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Its container or the task whose attempt added it.
    pub parent_id: Option<TaskId>,
    /// Whether it is a container.
    pub container: bool,
    /// Its state.
    pub state: TaskState,
    /// 0 to 9.
    pub priority: i16,
    /// Not offered before.
    pub ready_from: DateTime<Utc>,
    /// Children in no terminal state.
    pub children_open: i32,
    /// Children that failed or were cancelled.
    pub children_failed: i32,
    /// Attempts that count.
    pub attempts_used: i32,
    /// When so many were used, a failure is final.
    pub max_attempts: i32,
    /// Leases lost in a row.
    pub lost_in_row: i32,
    /// Whether a person must still approve the start.
    pub approve_start: bool,
    /// Whether a person must approve the result.
    pub approve_result: bool,
    /// The latest attempt.
    pub current_attempt: Option<AttemptId>,
    /// Whether its cancellation was asked for.
    pub cancelling: bool,
    /// When so many results were rejected, a person chooses what becomes of it.
    pub max_rework: i32,
    /// Results rejected so far.
    pub reworks: i32,
}

/// What the rules need to know of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFacts {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Whose it is.
    pub holder: Holder,
    /// Its number among the task's attempts: the epoch.
    pub number: i32,
    /// Its state.
    pub state: AttemptState,
    /// SHA-256 of its lease token.
    pub lease_sha256: Vec<u8>,
    /// How long it may stay silent, in milliseconds.
    pub lease_ms: i64,
    /// When the sweeper may take the task away.
    pub lease_expires_at: DateTime<Utc>,
    /// The hard limit.
    pub hard_deadline: DateTime<Utc>,
}

/// What becomes of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Its result is accepted.
    Done,
    /// Its result waits for a person.
    Review,
    /// It will not be tried again.
    Failed(FailureClass),
    /// It is not wanted any more.
    Cancelled,
    /// It is tried again, not before the instant.
    Retry(DateTime<Utc>),
    /// It waits for a person or for its subtasks.
    Park,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The attempt's state from now on.
    pub attempt: AttemptState,
    /// What becomes of the task.
    pub next: Next,
    /// The task's used attempts from now on.
    pub attempts_used: i32,
    /// Leases lost in a row from now on.
    pub lost_in_row: i32,
}

/// What a task becomes when nothing is left that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freed {
    /// A container opens: its children may be worked on.
    Open,
    /// A person must approve the start first.
    Ask,
    /// Its time has not come.
    Wait,
    /// It may be claimed.
    Ready,
}

impl Freed {
    /// The task's state.
    #[must_use]
    pub const fn state(self) -> TaskState {
        match self {
            Self::Open => TaskState::Running,
            Self::Ask => TaskState::Parked,
            Self::Wait => TaskState::Waiting,
            Self::Ready => TaskState::Ready,
        }
    }
}

/// What a task becomes when nothing is left that it needs.
#[must_use]
pub fn freed(
    container: bool,
    approve_start: bool,
    ready_from: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Freed {
    if ready_from > now {
        return Freed::Wait;
    }
    if container {
        return Freed::Open;
    }
    if approve_start { Freed::Ask } else { Freed::Ready }
}

/// What a container becomes when its last child has ended.
#[must_use]
pub fn container_ending(task: &TaskFacts) -> Next {
    if task.children_failed == 0 {
        return Next::Done;
    }
    if task.cancelling { Next::Cancelled } else { Next::Failed(FailureClass::ChildrenFailed) }
}

/// Whether `holder`, showing the lease token whose hash is `lease_sha256`, may write to the attempt.
///
/// # Errors
/// `not_your_attempt` for another's; `lease_lost` when the token is wrong or the attempt
/// does not run any more.
pub fn fence(
    attempt: &AttemptFacts,
    holder: Holder,
    lease_sha256: &[u8; 32],
) -> Result<(), Refusal> {
    own(attempt, holder, lease_sha256)?;
    match attempt.state {
        AttemptState::Running => Ok(()),
        AttemptState::Parked
        | AttemptState::Submitted
        | AttemptState::Accepted
        | AttemptState::Rejected
        | AttemptState::Failed
        | AttemptState::Expired
        | AttemptState::Released
        | AttemptState::Cancelled => Err(lost(attempt)),
    }
}

/// The part of the fence that outlives the attempt: spend is accepted late, but only its own.
///
/// # Errors
/// As [`fence`], but any state of the attempt will do.
pub fn own(attempt: &AttemptFacts, holder: Holder, lease_sha256: &[u8; 32]) -> Result<(), Refusal> {
    if attempt.holder != holder {
        return Err(Refusal::new(Code::NotYourAttempt, "the attempt belongs to somebody else"));
    }
    if !bool::from(attempt.lease_sha256.ct_eq(lease_sha256.as_slice())) {
        return Err(Refusal::new(
            Code::LeaseLost,
            "the lease is not that of this attempt; use the one that its claim was answered with",
        ));
    }
    Ok(())
}

fn lost(attempt: &AttemptFacts) -> Refusal {
    Refusal::new(
        Code::LeaseLost,
        format!(
            "attempt {} does not hold its task any more: it is {}. Nothing was stored; stop this \
             work and claim again",
            attempt.number, attempt.state
        ),
    )
}

/// A result is handed in.
///
/// # Errors
/// As [`fence`]; but an attempt whose lease was swept may still complete while nobody else was
/// given the task.
pub fn complete(
    task: &TaskFacts,
    attempt: &AttemptFacts,
    holder: Holder,
    lease_sha256: &[u8; 32],
) -> Result<Ending, Refusal> {
    own(attempt, holder, lease_sha256)?;
    if !may_complete(task, attempt) {
        return Err(lost(attempt));
    }
    let used = match attempt.state {
        // The sweeper counted it as lost; the result takes that back.
        AttemptState::Expired => task.attempts_used.saturating_sub(1).max(0),
        AttemptState::Running
        | AttemptState::Parked
        | AttemptState::Submitted
        | AttemptState::Accepted
        | AttemptState::Rejected
        | AttemptState::Failed
        | AttemptState::Released
        | AttemptState::Cancelled => task.attempts_used,
    };
    let (state, next) = if task.approve_result {
        (AttemptState::Submitted, Next::Review)
    } else {
        (AttemptState::Accepted, Next::Done)
    };
    Ok(Ending { attempt: state, next, attempts_used: used, lost_in_row: 0 })
}

fn may_complete(task: &TaskFacts, attempt: &AttemptFacts) -> bool {
    match attempt.state {
        AttemptState::Running => true,
        AttemptState::Expired => {
            let untouched = task.current_attempt == Some(attempt.attempt_id);
            // Parked after an attempt that expired: it waits for a budget, and nobody has it.
            let free = [TaskState::Waiting, TaskState::Ready, TaskState::Parked];
            untouched && free.contains(&task.state)
        }
        AttemptState::Parked
        | AttemptState::Submitted
        | AttemptState::Accepted
        | AttemptState::Rejected
        | AttemptState::Failed
        | AttemptState::Released
        | AttemptState::Cancelled => false,
    }
}

/// What an agent says of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Its class.
    pub class: FailureClass,
    /// Whether it may be tried again; the class decides when the agent does not say.
    pub retryable: Option<bool>,
    /// Not before this long from now.
    pub retry_after: Option<Duration>,
}

/// An attempt gives up.
///
/// # Errors
/// As [`fence`].
pub fn fail(
    task: &TaskFacts,
    attempt: &AttemptFacts,
    failure: Failure,
    jitter: f64,
    now: DateTime<Utc>,
) -> Ending {
    let Failure { class, retryable, retry_after } = failure;
    let used = task.attempts_used + 1;
    let again = retryable.unwrap_or(class.retryable()) && used < task.max_attempts;
    let next = match (task.cancelling, again) {
        (true, _) => Next::Cancelled,
        (false, false) => Next::Failed(class),
        (false, true) => {
            let wait = backoff(used, jitter).max(retry_after.unwrap_or_default());
            Next::Retry(now + wait)
        }
    };
    debug_assert_eq!(task.task_id, attempt.task_id);
    Ending { attempt: AttemptState::Failed, next, attempts_used: used, lost_in_row: 0 }
}

/// An attempt gives the task back unharmed. It does not count, and the task is ready at once.
#[must_use]
pub fn release(task: &TaskFacts, now: DateTime<Utc>) -> Ending {
    let next = if task.cancelling { Next::Cancelled } else { Next::Retry(now) };
    Ending {
        attempt: AttemptState::Released,
        next,
        attempts_used: task.attempts_used,
        lost_in_row: 0,
    }
}

/// The sweeper found an attempt silent for longer than its lease, or past its hard deadline.
/// Nothing when it is neither: a heartbeat came first.
#[must_use]
pub fn expire(
    task: &TaskFacts,
    attempt: &AttemptFacts,
    jitter: f64,
    now: DateTime<Utc>,
) -> Option<Ending> {
    let overdue = attempt.hard_deadline <= now;
    if attempt.state != AttemptState::Running || (attempt.lease_expires_at > now && !overdue) {
        return None;
    }
    let used = task.attempts_used + 1;
    // A hard deadline is no silence: only lost leases make a quarantine.
    let (class, lost_in_row) = if overdue {
        (FailureClass::Timeout, 0)
    } else {
        (FailureClass::Lost, task.lost_in_row + 1)
    };
    let final_ = used >= task.max_attempts || lost_in_row >= settings::LOST_LIMIT;
    let next = match (task.cancelling, final_) {
        (true, _) => Next::Cancelled,
        (false, true) => Next::Failed(class),
        (false, false) => Next::Retry(now + backoff(used, jitter)),
    };
    Some(Ending { attempt: AttemptState::Expired, next, attempts_used: used, lost_in_row })
}

/// An attempt gives way to a question or to subtasks.
#[must_use]
pub fn park(task: &TaskFacts) -> Ending {
    Ending {
        attempt: AttemptState::Parked,
        next: Next::Park,
        attempts_used: task.attempts_used,
        lost_in_row: 0,
    }
}

/// Whether a task is in quarantine: it failed because its agents fell silent too often in a row.
#[must_use]
pub const fn quarantined(failure: Option<FailureClass>, lost_in_row: i32) -> bool {
    matches!(failure, Some(FailureClass::Lost)) && lost_in_row >= settings::LOST_LIMIT
}

/// How long a task rests after its `used`-th counted attempt: exponential from one second to ten
/// minutes, of which at least half always passes. `jitter` is from 0 to 1.
#[must_use]
pub fn backoff(used: i32, jitter: f64) -> Duration {
    let doublings = used.saturating_sub(1).clamp(0, 20) as u32;
    let full = settings::BACKOFF_BASE.saturating_mul(1 << doublings).min(settings::BACKOFF_MAX);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}
