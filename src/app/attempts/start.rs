//! Starting an attempt, by a claim or a takeover.

use std::time::Duration;

use serde_json::json;

use crate::{
    app::{Unit, access::lease},
    domain::{
        ids::{AttemptId, TaskId},
        journal::{Kind, NewRow},
        settings,
        task::{holder::Holder, lease::LeaseTerms},
    },
    store::attempts::{NewAttempt, claim::ReadyTask},
};

/// Journal row of an attempt's start.
pub(in crate::app) fn begun(attempt: &NewAttempt) -> NewRow {
    NewRow::new(Kind::TaskRunning)
        .goal(attempt.goal_id)
        .task(attempt.task_id)
        .attempt(attempt.attempt_id)
        .agent(attempt.holder.agent())
        .data(json!({"attempt": attempt.number}))
}

/// A new attempt of a ready task, with its lease token. The task's lease is that of `task`.
pub(in crate::app) fn new_attempt(
    unit: &Unit,
    holder: Holder,
    terms: LeaseTerms,
    task: &ReadyTask,
) -> Started {
    let now = unit.now();
    let millis = |duration: Duration| duration.as_millis() as i64;
    let of_task = task.lease_ms.map(|ms| Duration::from_millis(ms.unsigned_abs()));
    let lease_ms = millis(LeaseTerms { of_task, ..terms }.duration());
    let timeout = task.attempt_timeout_ms.unwrap_or(millis(settings::ATTEMPT_TIMEOUT));
    let hard = now + chrono::TimeDelta::milliseconds(timeout);
    let hard_deadline = task.finish_by.map_or(hard, |finish_by| finish_by.min(hard));
    let lease_end = now + chrono::TimeDelta::milliseconds(lease_ms);
    let (token, lease_sha256) = lease::new(unit.workspace(), unit.entropy());
    let attempt = NewAttempt {
        attempt_id: unit.id(),
        task_id: task.task_id,
        goal_id: task.goal_id,
        holder,
        number: task.attempts_started + 1,
        lease_sha256,
        lease_ms,
        lease_expires_at: lease_end.min(hard_deadline),
        hard_deadline,
    };
    Started { token, attempt }
}

/// A new attempt and its lease token.
#[derive(Debug, Clone)]
pub(in crate::app) struct Started {
    pub token: String,
    pub attempt: NewAttempt,
}

impl Started {
    /// The attempt and its task.
    pub(in crate::app) fn pair(&self) -> (AttemptId, TaskId) {
        (self.attempt.attempt_id, self.attempt.task_id)
    }
}
