//! One task that moves to another state, and the attempt that moves it.

use crate::domain::{
    access::actor::Actor,
    ids::{AgentId, AttemptId},
    states::AttemptState,
    task::{Ending, Next, TaskFacts, holder::Holder},
};

/// A task's next step, decided by the domain under the task's lock.
#[derive(Debug, Clone)]
pub struct Change {
    /// The task as it was.
    pub task: TaskFacts,
    /// What becomes of it.
    pub next: Next,
    /// Its used attempts from now on.
    pub attempts_used: i32,
    /// Its leases lost in a row from now on.
    pub lost_in_row: i32,
    /// The attempt that led to it, with its state from now on.
    pub attempt: Option<(AttemptId, AttemptState)>,
    /// The agent of that attempt; none: a person's, or no attempt at all.
    pub agent: Option<AgentId>,
    /// Who did it, when it is not the unit's actor: a batch has many.
    pub actor: Option<Actor>,
    /// Why it ended or waits, for people.
    pub reason: Option<String>,
}

impl Change {
    /// What an ending attempt does to its task.
    #[must_use]
    pub fn by_attempt(
        task: TaskFacts,
        attempt: AttemptId,
        holder: Holder,
        ending: Ending,
        reason: Option<String>,
    ) -> Self {
        let Ending { attempt: state, next, attempts_used, lost_in_row } = ending;
        Self {
            task,
            next,
            attempts_used,
            lost_in_row,
            attempt: Some((attempt, state)),
            agent: holder.agent(),
            actor: None,
            reason,
        }
    }

    /// A change that no attempt made.
    #[must_use]
    pub fn of_task(task: TaskFacts, next: Next, reason: impl Into<Option<String>>) -> Self {
        let (attempts_used, lost_in_row) = (task.attempts_used, task.lost_in_row);
        let reason = reason.into();
        Self {
            task,
            next,
            attempts_used,
            lost_in_row,
            attempt: None,
            agent: None,
            actor: None,
            reason,
        }
    }
}
