//! What is told of tasks and attempts that move: in events, and in the audit.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::change::Change;
use crate::domain::{
    audit::Mutation,
    event::{NewEvent, task_event},
    ids::AttemptId,
    states::{AttemptState, FailureClass, TaskState},
    task::TaskFacts,
};

/// What became of the attempt. Until then it ran, or its result was being looked at.
pub(in crate::app) fn of_attempt(
    change: &Change,
    attempt: AttemptId,
    state: AttemptState,
) -> Mutation {
    let live = match change.task.state {
        TaskState::Reviewing => AttemptState::Submitted,
        TaskState::Waiting
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Parked
        | TaskState::Done
        | TaskState::Failed
        | TaskState::Cancelled => AttemptState::Running,
    };
    let facts = |state: AttemptState| {
        json!({"attempt_id": attempt, "task_id": change.task.task_id, "agent_id": change.agent,
               "state": state})
    };
    let mutation = Mutation::new(format!("attempt.{state}"), "attempt", attempt)
        .goal(change.task.goal_id)
        .before(&facts(live))
        .after(&facts(state));
    match &change.actor {
        Some(actor) => mutation.by(actor.clone()),
        None => mutation,
    }
}

/// The event of a task that moves.
pub(in crate::app) fn told(
    change: &Change,
    state: TaskState,
    failure: Option<FailureClass>,
    at: DateTime<Utc>,
) -> NewEvent {
    let mut data = serde_json::Map::new();
    if let Some((_, attempt)) = change.attempt {
        data.insert("attempt_state".into(), json!(attempt));
    }
    if let Some(class) = failure {
        data.insert("failure_class".into(), json!(class));
    }
    if state == TaskState::Waiting {
        data.insert("ready_from".into(), json!(at));
    }
    if let Some(reason) = &change.reason {
        data.insert("reason".into(), json!(reason.chars().take(300).collect::<String>()));
    }
    let event = NewEvent::new(task_event(state))
        .goal(change.task.goal_id)
        .task(change.task.task_id)
        .attempt(change.attempt.map(|(attempt, _)| attempt))
        .by(change.actor.clone())
        .before(&change.task)
        .after(&after(change, state, at))
        .data(data.into());
    match change.agent {
        Some(agent) => event.agent(agent),
        None => event,
    }
}

/// The task as it is from now on.
fn after(change: &Change, state: TaskState, ready_from: DateTime<Utc>) -> TaskFacts {
    let (attempts_used, lost_in_row) = (change.attempts_used, change.lost_in_row);
    TaskFacts { state, ready_from, attempts_used, lost_in_row, ..change.task.clone() }
}
