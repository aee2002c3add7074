//! The state machine of tasks and their attempts.
//!
//! Each way an attempt can end is one pure function from the stored rows to an [`Ending`] or a
//! refusal. The caller holds the row locks, writes the ending, and runs its consequences
//! (dependents, containers, goals). `now` and jitter are arguments.
//!
//! The fence: an attempt may write while it is `running` and its lease token matches. The end of
//! the lease is not part of the fence. A late completion is accepted until the task has another
//! attempt, or is taken back: what the claim handed over is edited, or the task is reassigned, parked by
//! a rule or brought back from its end. From then on the old attempt changes nothing.

pub mod claim;
pub mod edit;
pub mod find;
pub mod hand_off;
pub mod heartbeat;
pub mod holder;
pub mod independence;
pub mod lease;
pub mod release;
pub mod returns;
pub mod takeover;
#[cfg(test)]
pub(in crate::domain) mod tests;
pub mod transitions;

use std::time::Duration;

use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq as _;

use super::{
    ids::{AttemptId, GoalId, TaskId},
    refusal::{Code, Refusal},
    settings,
    states::{AttemptState, FailureClass, TaskState},
};
use holder::Holder;

/// Columns of a task that the rules read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFacts {
    /// Id of the task.
    pub task_id: TaskId,
    /// Goal of the task.
    pub goal_id: GoalId,
    /// Its container, or the task whose attempt added it.
    pub parent_id: Option<TaskId>,
    /// Whether it only groups other tasks.
    pub container: bool,
    /// Current state.
    pub state: TaskState,
    /// Priority, 0 to 9.
    pub priority: i16,
    /// Earliest time of a claim: start time or end of a backoff.
    pub ready_from: DateTime<Utc>,
    /// Children that have not ended.
    pub children_open: i32,
    /// Children that failed or were cancelled.
    pub children_failed: i32,
    /// Attempts that count towards `max_attempts`.
    pub attempts_used: i32,
    /// Counted attempts after which a failure is final.
    pub max_attempts: i32,
    /// Consecutive lost leases.
    pub lost_in_row: i32,
    /// Consecutive releases without progress and without a reason of the service.
    pub released_in_row: i32,
    /// Whether the start still needs approval.
    pub approve_start: bool,
    /// Whether the result needs approval.
    pub approve_result: bool,
    /// Latest attempt.
    pub current_attempt: Option<AttemptId>,
    /// Whether a cancellation was requested.
    pub cancelling: bool,
    /// Rejected results after which a person chooses how the task goes on.
    pub max_rework: i32,
    /// Rejected results so far.
    pub reworks: i32,
    /// Part of the progress of the goal.
    pub weight: i64,
    /// Version of its criteria.
    pub criteria_version: i32,
    /// Of a check: the attempt whose result it checks.
    pub checks: Option<AttemptId>,
}

/// Columns of an attempt that the rules read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFacts {
    /// Id of the attempt.
    pub attempt_id: AttemptId,
    /// Task of the attempt.
    pub task_id: TaskId,
    /// Goal of the task.
    pub goal_id: GoalId,
    /// Agent or person that works on it.
    pub holder: Holder,
    /// Ordinal within the task, from 1; the epoch of the lease.
    pub number: i32,
    /// Current state.
    pub state: AttemptState,
    /// SHA-256 of its lease token.
    pub lease_sha256: Vec<u8>,
    /// Lease duration, in milliseconds.
    pub lease_ms: i64,
    /// Time from which the sweeper may expire the attempt.
    pub lease_expires_at: DateTime<Utc>,
    /// Latest end of the attempt, whatever its heartbeats.
    pub hard_deadline: DateTime<Utc>,
    /// Whether its task was taken back after it had expired.
    pub withdrawn: bool,
}

/// Effect of an attempt's end on its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The result is accepted.
    Done,
    /// The result waits for approval.
    Review,
    /// Failed for good.
    Failed(FailureClass),
    /// Cancelled as requested.
    Cancelled,
    /// Offered again, not before this time.
    Retry(DateTime<Utc>),
    /// Waits for a person, its subtasks or a price.
    Park,
}

/// The effect on a task that waits for the price of a model: it is parked instead of offered. A result, a
/// final failure and a cancellation stay.
#[must_use]
pub const fn held_back(next: Next, awaits_price: bool) -> Next {
    match next {
        Next::Retry(_) if awaits_price => Next::Park,
        Next::Done
        | Next::Review
        | Next::Failed(_)
        | Next::Cancelled
        | Next::Retry(_)
        | Next::Park => next,
    }
}

/// End of an attempt, with the counters of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Final state of the attempt.
    pub attempt: AttemptState,
    /// Effect on the task.
    pub next: Next,
    /// New value of the task's counted attempts.
    pub attempts_used: i32,
    /// New value of the task's consecutive lost leases.
    pub lost_in_row: i32,
    /// New value of the task's consecutive releases.
    pub released_in_row: i32,
}

impl Ending {
    /// An ending that does not count: the task keeps its counters.
    #[must_use]
    pub const fn unchanged(task: &TaskFacts, attempt: AttemptState, next: Next) -> Self {
        Self {
            attempt,
            next,
            attempts_used: task.attempts_used,
            lost_in_row: task.lost_in_row,
            released_in_row: task.released_in_row,
        }
    }
}

/// Outcome for a task whose needs are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freed {
    /// A container opens: its children can start.
    Open,
    /// The start waits for approval.
    Ask,
    /// `ready_from` lies ahead.
    Wait,
    /// Can be claimed.
    Ready,
}

impl Freed {
    /// Resulting task state.
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

/// Outcome for a task whose needs are met.
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

/// Effect of the last child's end on its container. `failure`: whether a child failed, or was cancelled
/// because another task had failed. A child that was cancelled on request fails nothing: a retry would not
/// bring it back.
#[must_use]
pub fn container_ending(task: &TaskFacts, failure: bool) -> Next {
    if task.children_failed == 0 {
        return Next::Done;
    }
    if task.cancelling || !failure {
        return Next::Cancelled;
    }
    Next::Failed(FailureClass::ChildrenFailed)
}

/// Whether `holder`, with the lease token hashed in `lease_sha256`, may write to the attempt.
///
/// # Errors
/// `not_your_attempt` for another holder; `lease_lost` for a wrong token or an attempt that is not
/// running.
pub fn fence(
    attempt: &AttemptFacts,
    holder: Holder,
    lease_sha256: &[u8; 32],
) -> Result<(), Refusal> {
    own(attempt, holder, lease_sha256)?;
    if attempt.state == AttemptState::Running { Ok(()) } else { Err(lost(attempt)) }
}

/// The part of the fence that outlives the attempt: late spend needs the right holder and token
/// only.
///
/// # Errors
/// `not_your_attempt`, `lease_lost`.
pub fn own(attempt: &AttemptFacts, holder: Holder, lease_sha256: &[u8; 32]) -> Result<(), Refusal> {
    if attempt.holder != holder {
        return Err(Refusal::new(
            Code::NotYourAttempt,
            "the attempt belongs to another agent or person",
        ));
    }
    if !bool::from(attempt.lease_sha256.ct_eq(lease_sha256.as_slice())) {
        return Err(Refusal::new(
            Code::LeaseLost,
            "wrong lease token; use the `lease` from the answer to this attempt's claim",
        ));
    }
    Ok(())
}

/// The refusal of a heartbeat that comes too late: like that of [`fence`], and it says so if a completion
/// is still accepted. `task` and `latest`: state and latest attempt of its task, as last read. `stopped`:
/// whether a freeze over it refuses results.
#[must_use]
pub fn too_late(
    attempt: &AttemptFacts,
    task: TaskState,
    latest: Option<AttemptId>,
    stopped: bool,
) -> Refusal {
    if !may_complete(attempt, task, latest) {
        return lost(attempt);
    }
    let rest = if stopped {
        "An operator stopped this work: no result is accepted until the freeze is lifted, and then only if \
         nobody else is given the task first"
    } else {
        "Nobody else was given the task yet: until then `complete` is still accepted with this lease, and \
         nothing else"
    };
    let number = attempt.number;
    let detail = format!("the lease of attempt {number} ran out, and it cannot be renewed. {rest}");
    Refusal::new(Code::LeaseLost, detail)
}

fn lost(attempt: &AttemptFacts) -> Refusal {
    let AttemptFacts { number, state, .. } = attempt;
    let since = if attempt.withdrawn {
        ", and since then its task was edited, reassigned, parked by a rule or brought back"
    } else {
        ""
    };
    let detail = format!(
        "attempt {number} no longer holds its task: it is {state}{since}. Nothing was stored; stop this work \
         and claim again"
    );
    Refusal::new(Code::LeaseLost, detail)
}

/// An attempt delivers a result.
///
/// # Errors
/// As [`fence`], except that an expired attempt may complete until the task has another attempt or is
/// taken back.
pub fn complete(
    task: &TaskFacts,
    attempt: &AttemptFacts,
    holder: Holder,
    lease_sha256: &[u8; 32],
) -> Result<Ending, Refusal> {
    own(attempt, holder, lease_sha256)?;
    if !may_complete(attempt, task.state, task.current_attempt) {
        return Err(lost(attempt));
    }
    // The sweeper counted an expired attempt as lost; its result takes that back.
    let expired = attempt.state == AttemptState::Expired;
    let used = if expired { (task.attempts_used - 1).max(0) } else { task.attempts_used };
    let (state, next) = if task.approve_result {
        (AttemptState::Submitted, Next::Review)
    } else {
        (AttemptState::Accepted, Next::Done)
    };
    Ok(Ending { attempt: state, next, attempts_used: used, lost_in_row: 0, released_in_row: 0 })
}

/// The end of an attempt whose result is not accepted on completion: others check it first.
#[must_use]
pub const fn submitted(ending: Ending) -> Ending {
    Ending { attempt: AttemptState::Submitted, next: Next::Review, ..ending }
}

/// Whether the attempt may complete its task, which is in state `task` and whose latest attempt is `latest`.
fn may_complete(attempt: &AttemptFacts, task: TaskState, latest: Option<AttemptId>) -> bool {
    match attempt.state {
        AttemptState::Running => true,
        AttemptState::Expired => {
            // Parked after an expired attempt: waits for a budget, without another attempt.
            let free = [TaskState::Waiting, TaskState::Ready, TaskState::Parked];
            !attempt.withdrawn && latest == Some(attempt.attempt_id) && free.contains(&task)
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

/// An agent's failure report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Class of the failure.
    pub class: FailureClass,
    /// Whether a retry makes sense; `None`: the class decides.
    pub retryable: Option<bool>,
    /// Minimum delay before the retry.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// Whether the provider limits the rate of the agent, and the task is tried again. Then neither the task nor
    /// the agent is to blame.
    #[must_use]
    pub fn is_rate_limit(&self) -> bool {
        self.class == FailureClass::RateLimited && self.retryable != Some(false)
    }

    /// How long a rate-limited agent is given no tasks: what it said, within bounds.
    #[must_use]
    pub fn rate_limit(&self) -> Duration {
        let said = self.retry_after.unwrap_or(settings::RATE_LIMIT);
        said.clamp(settings::BACKOFF_BASE, settings::RATE_LIMIT_MAX)
    }
}

/// An attempt reports failure; it counts, unless its provider limits the rate of its agent.
///
/// A rate limit uses up no try, however often it comes. So the task waits at least as long as the agent, and it counts
/// as a release without progress ([`release`]): after two in a row the task waits longer each time, up to ten minutes,
/// and after five a person is told. Counting it as a try after some was rejected: a subscription that is used up for a
/// day must fail no task.
pub fn fail(
    task: &TaskFacts,
    attempt: &AttemptFacts,
    failure: Failure,
    jitter: f64,
    now: DateTime<Utc>,
) -> Ending {
    if failure.is_rate_limit() {
        let released_in_row = task.released_in_row.saturating_add(1);
        let wait = failure.rate_limit().max(release::pause(released_in_row, jitter));
        let next = if task.cancelling { Next::Cancelled } else { Next::Retry(now + wait) };
        let ending = Ending::unchanged(task, AttemptState::Failed, next);
        return Ending { lost_in_row: 0, released_in_row, ..ending };
    }
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
    Ending {
        attempt: AttemptState::Failed,
        next,
        attempts_used: used,
        lost_in_row: 0,
        released_in_row: 0,
    }
}

/// The sweeper's judgement of an attempt past its lease or hard deadline; `None` when a heartbeat
/// came first.
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
    // Only lost leases lead to quarantine; a hard deadline is not silence.
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
    let ending = Ending::unchanged(task, AttemptState::Expired, next);
    Some(Ending { attempts_used: used, lost_in_row, ..ending })
}

/// An attempt gives way to an approval or to subtasks.
#[must_use]
pub fn park(task: &TaskFacts) -> Ending {
    Ending { lost_in_row: 0, ..Ending::unchanged(task, AttemptState::Parked, Next::Park) }
}

/// Whether a task failed because its leases were lost too often in a row.
#[must_use]
pub const fn quarantined(failure: Option<FailureClass>, lost_in_row: i32) -> bool {
    matches!(failure, Some(FailureClass::Lost)) && lost_in_row >= settings::LOST_LIMIT
}

/// Delay after the `used`-th counted attempt: exponential from one second to ten minutes, at least
/// half of it fixed. `jitter` is 0 to 1.
#[must_use]
pub fn backoff(used: i32, jitter: f64) -> Duration {
    let doublings = used.saturating_sub(1).clamp(0, 20) as u32;
    let full = settings::BACKOFF_BASE.saturating_mul(1 << doublings).min(settings::BACKOFF_MAX);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}
