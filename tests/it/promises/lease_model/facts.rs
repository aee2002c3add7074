//! The rows of the model as the domain's rules see them.

use super::state::{Attempt, State, Task};
use chrono::{DateTime, TimeDelta, Utc};
use muster::domain::{
    ids::{AgentId, AttemptId, GoalId, TaskId},
    task::{AttemptFacts, TaskFacts, holder::Holder},
};
use uuid::Uuid;

/// How often a task is tried.
pub const MAX_ATTEMPTS: i32 = 2;
const LEASE: TimeDelta = TimeDelta::seconds(60);

/// The one agent.
pub const AGENT: AgentId = AgentId(Uuid::from_u128(1));
pub const HOLDER: Holder = Holder::Agent(AGENT);

pub fn attempt_id(index: usize) -> AttemptId {
    AttemptId(Uuid::from_u128(100 + index as u128))
}

fn task_id(index: u8) -> TaskId {
    TaskId(Uuid::from_u128(10 + u128::from(index)))
}

const GOAL: GoalId = GoalId(Uuid::from_u128(2));

/// What is stored of the lease of an attempt.
pub fn lease(index: usize) -> [u8; 32] {
    [u8::try_from(index).unwrap_or(u8::MAX); 32]
}

/// The moment at which an attempt is judged: after its lease or before the end of it.
pub fn now(attempt: &Attempt) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
        + if attempt.lapsed { LEASE + TimeDelta::seconds(1) } else { TimeDelta::zero() }
}

/// The newest attempt of a task.
pub fn newest(state: &State, task: u8) -> Option<usize> {
    state.attempts.iter().rposition(|attempt| attempt.task == task)
}

pub fn of_task(index: u8, task: &Task) -> TaskFacts {
    TaskFacts {
        weight: 1,
        criteria_version: 1,
        checks: None,
        task_id: task_id(index),
        goal_id: GOAL,
        parent_id: None,
        container: false,
        state: task.state,
        priority: 5,
        ready_from: DateTime::UNIX_EPOCH,
        children_open: 0,
        children_failed: 0,
        attempts_used: task.used,
        max_attempts: MAX_ATTEMPTS,
        lost_in_row: task.lost,
        released_in_row: 0,
        approve_start: false,
        approve_result: false,
        current_attempt: task.current.map(attempt_id),
        cancelling: false,
        max_rework: 3,
        reworks: 0,
    }
}

pub fn of_attempt(index: usize, attempt: &Attempt) -> AttemptFacts {
    AttemptFacts {
        attempt_id: attempt_id(index),
        task_id: task_id(attempt.task),
        goal_id: GOAL,
        holder: HOLDER,
        number: i32::try_from(index).unwrap_or(i32::MAX) + 1,
        state: attempt.state,
        lease_sha256: lease(index).to_vec(),
        lease_ms: LEASE.num_milliseconds(),
        lease_expires_at: DateTime::UNIX_EPOCH + LEASE,
        hard_deadline: DateTime::UNIX_EPOCH + TimeDelta::hours(4),
        withdrawn: false,
    }
}
