//! A task's change of state, and the attempt that caused it.

use crate::domain::{
    access::actor::Actor,
    ids::{AgentId, AttemptId},
    states::AttemptState,
    task::{Ending, Next, TaskFacts, holder::Holder},
};

/// A change of a task, decided by the domain under the task's lock.
#[derive(Debug, Clone)]
pub struct Change {
    /// The task before the change.
    pub task: TaskFacts,
    /// Its next step.
    pub next: Next,
    /// Used attempts after the change.
    pub attempts_used: i32,
    /// Leases lost in a row, after the change.
    pub lost_in_row: i32,
    /// Releases in a row, after the change.
    pub released_in_row: i32,
    /// The attempt that caused it, with the attempt's new state.
    pub attempt: Option<(AttemptId, AttemptState)>,
    /// The agent of that attempt; `None` for a person's attempt or without one.
    pub agent: Option<AgentId>,
    /// The actor, if it is not the unit's: a batch has several.
    pub actor: Option<Actor>,
    /// Why the task ends or waits, for people.
    pub reason: Option<String>,
}

impl Change {
    /// The change of a task whose attempt ends.
    #[must_use]
    pub fn by_attempt(
        task: TaskFacts,
        attempt: AttemptId,
        holder: Holder,
        ending: Ending,
        reason: Option<String>,
    ) -> Self {
        let Ending { attempt: state, next, attempts_used, lost_in_row, released_in_row } = ending;
        Self {
            task,
            next,
            attempts_used,
            lost_in_row,
            released_in_row,
            attempt: Some((attempt, state)),
            agent: holder.agent(),
            actor: None,
            reason,
        }
    }

    /// A change without an attempt.
    #[must_use]
    pub fn of_task(task: TaskFacts, next: Next, reason: impl Into<Option<String>>) -> Self {
        let TaskFacts { attempts_used, lost_in_row, released_in_row, .. } = task;
        let reason = reason.into();
        Self {
            task,
            next,
            attempts_used,
            lost_in_row,
            released_in_row,
            attempt: None,
            agent: None,
            actor: None,
            reason,
        }
    }
}
