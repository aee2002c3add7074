//! Journal rows of tasks that change state.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::change::Change;
use crate::domain::{
    journal::{Kind, NewRow},
    price::PriceWait,
    states::{FailureClass, TaskState},
};

/// Journal row of a change; it also names the attempt that caused it. `prices`: what the task waits for
/// instead of being offered.
pub(in crate::app) fn event(
    change: &Change,
    state: TaskState,
    failure: Option<FailureClass>,
    at: DateTime<Utc>,
    prices: &[PriceWait],
) -> NewRow {
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
    if !prices.is_empty() {
        data.insert("reason".into(), json!("waits for the price of a model"));
        data.insert("prices".into(), json!(prices));
    } else if let Some(reason) = &change.reason {
        data.insert("reason".into(), json!(reason.chars().take(300).collect::<String>()));
    }
    NewRow::new(Kind::of_task(state))
        .goal(change.task.goal_id)
        .task(change.task.task_id)
        .attempt(change.attempt.map(|(attempt, _)| attempt))
        .agent(change.agent)
        .by(change.actor.clone())
        .data(data.into())
}
