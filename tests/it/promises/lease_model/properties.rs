//! What is promised, as properties of the model's states.

use super::{
    facts::MAX_ATTEMPTS,
    state::{Attempt, Lease, Request, State},
};
use muster::domain::states::{AttemptState, TaskState};
use stateright::Property;

pub const ONE_LIVE: &str = "at most one attempt of a task is live";
pub const LIVE_IS_CURRENT: &str = "the live attempt is the current one of a running task";
pub const ONE_END: &str = "a task is done at most once";
pub const NO_STALE_WRITE: &str = "no write of an older lease is accepted after a newer claim";
pub const ACKNOWLEDGED_STAYS: &str = "what was acknowledged is not undone";
pub const SAME_ANSWER: &str = "the same request gets the same answer";
pub const LEASE_IS_KEPT: &str = "no lease is taken away before its end";
pub const ATTEMPTS_BOUNDED: &str = "no more attempts fail or expire than are allowed";
pub const WITHIN_LIMIT: &str = "an agent runs no more than it may";
pub const SPEND_ONCE: &str = "spend is counted once";
pub const COUNTED_LATE: &str = "spend is counted after the attempt has ended";

pub fn all() -> Vec<Property<Lease>> {
    vec![
        Property::always(ONE_LIVE, |_, state: &State| {
            (0..).zip(&state.tasks).all(|(task, _)| live(state, task).count() <= 1)
        }),
        Property::always(LIVE_IS_CURRENT, live_is_current),
        Property::always(ONE_END, |_, state: &State| {
            state.tasks.iter().all(|task| task.ends <= 1)
                && (0..).zip(&state.tasks).all(|(task, _)| {
                    let of_task = state.attempts.iter().filter(|attempt| attempt.task == task);
                    of_task.filter(|attempt| attempt.state == AttemptState::Accepted).count() <= 1
                })
        }),
        Property::always(NO_STALE_WRITE, |_, state: &State| !state.wrong.stale_write),
        Property::always(ACKNOWLEDGED_STAYS, |_, state: &State| {
            state.attempts.iter().all(|attempt| stays(state, attempt))
        }),
        Property::always(SAME_ANSWER, |_, state: &State| !state.wrong.other_answer),
        Property::always(LEASE_IS_KEPT, |_, state: &State| !state.wrong.early_expiry),
        Property::always(ATTEMPTS_BOUNDED, attempts_bounded),
        Property::always(WITHIN_LIMIT, |model: &Lease, state: &State| {
            let running = |attempt: &&Attempt| attempt.state == AttemptState::Running;
            state.attempts.iter().filter(running).count() <= model.bounds.max_concurrent as usize
        }),
        Property::always(SPEND_ONCE, |_, state: &State| {
            state.attempts.iter().all(|a| a.charged == i64::from(a.entry) + a.reported)
        }),
        Property::sometimes("everything is done", |_, state: &State| {
            state.tasks.iter().all(|task| task.state == TaskState::Done)
        }),
        Property::sometimes("a result that came late is accepted", |_, state: &State| {
            state.late_completion
        }),
        Property::sometimes("the second attempt is accepted", |_, state: &State| {
            state.tasks.iter().any(|task| {
                let second = task.current.is_some_and(|attempt| attempt > 0);
                second && task.state == TaskState::Done
            })
        }),
        Property::sometimes("a task fails because its attempts are used up", |_, state: &State| {
            state.tasks.iter().any(|task| task.state == TaskState::Failed)
        }),
        Property::sometimes(COUNTED_LATE, |_, state: &State| {
            let over = |attempt: &&Attempt| attempt.state != AttemptState::Running;
            state.attempts.iter().filter(over).any(|attempt| attempt.charged > 0)
        }),
    ]
}

fn live(state: &State, task: u8) -> impl Iterator<Item = usize> {
    let rows = state.attempts.iter().enumerate();
    rows.filter(move |(_, attempt)| attempt.task == task && attempt.state == AttemptState::Running)
        .map(|(index, _)| index)
}

fn live_is_current(_: &Lease, state: &State) -> bool {
    (0..).zip(&state.tasks).all(|(task, row)| {
        let running = row.state == TaskState::Running;
        let mut live = live(state, task);
        match live.next() {
            Some(attempt) => running && row.current == Some(attempt) || live.next().is_some(),
            None => !running,
        }
    })
}

/// An acknowledged result stands; an acknowledged failure or release stays what it is.
fn stays(state: &State, attempt: &Attempt) -> bool {
    let Some((request, told)) = attempt.acknowledged else { return true };
    let done = state.tasks[usize::from(attempt.task)].state == TaskState::Done;
    attempt.state == told && (request != Request::Complete || done)
}

fn attempts_bounded(_: &Lease, state: &State) -> bool {
    (0..).zip(&state.tasks).all(|(task, row)| {
        let spoilt = |attempt: &&Attempt| {
            attempt.task == task
                && matches!(attempt.state, AttemptState::Failed | AttemptState::Expired)
        };
        let count = state.attempts.iter().filter(spoilt).count();
        count <= MAX_ATTEMPTS as usize && row.used <= MAX_ATTEMPTS
    })
}
