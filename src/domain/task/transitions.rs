//! The possible state transitions of a task, as one table.
//!
//! The rules of [`super`] decide single moves under locks. This table lists every possible
//! successor of a state, so that `verify` can judge a recorded history. A history that has ended goes
//! on only with a return ([`returns`]), after which the task is `waiting`.

use std::collections::BTreeSet;

use crate::domain::{states::TaskState, words::Words as _};

/// Possible first states.
#[must_use]
pub const fn begins(container: bool) -> &'static [TaskState] {
    use TaskState::{Done, Parked, Ready, Running, Waiting};
    // Done: its box is ticked in the plan.
    if container { &[Waiting, Running, Done] } else { &[Waiting, Ready, Parked, Done] }
}

/// Possible successors of a state, for a container or any other task.
#[must_use]
pub const fn follows(state: TaskState, container: bool) -> &'static [TaskState] {
    use TaskState::{Cancelled, Done, Failed, Parked, Ready, Reviewing, Running, Waiting};
    match (state, container) {
        (Waiting, true) => &[Running, Failed, Cancelled],
        // Waiting: what it needs was reopened before a task inside it was begun.
        (Running, true) => &[Waiting, Done, Failed, Cancelled],
        (Ready | Parked | Reviewing, true) => &[],
        // Reviewing and done: a late result, before another attempt.
        (Waiting, false) => &[Ready, Parked, Reviewing, Done, Failed, Cancelled],
        // Waiting, here and below: what it needs was reopened, or an edit gave it a need or a start time.
        (Ready, false) => &[Waiting, Running, Parked, Reviewing, Done, Failed, Cancelled],
        (Running, false) => &[Waiting, Ready, Parked, Reviewing, Done, Failed, Cancelled],
        (Parked, false) => &[Waiting, Ready, Reviewing, Done, Cancelled],
        // Parked: rejected, and split into subtasks.
        // Failed: a planning task whose last plan had errors.
        (Reviewing, false) => &[Ready, Parked, Done, Failed, Cancelled],
        (Done | Failed | Cancelled, _) => &[],
    }
}

/// The returns from the end of a task or container: what its journal says of them.
#[must_use]
pub const fn returns(state: TaskState, container: bool) -> &'static [&'static str] {
    use TaskState::{Cancelled, Done, Failed, Parked, Ready, Reviewing, Running, Waiting};
    match (state, container) {
        (Done, false) => &["reopened"],
        (Failed, false) => &["retried"],
        (Cancelled, _) | (Done | Failed, true) => &["restored"],
        (Waiting | Ready | Running | Parked | Reviewing, _) => &[],
    }
}

/// Every possible transition as text: `task created ready`, `container waiting running`, `task failed
/// retried`, ...
#[must_use]
pub fn all() -> Vec<String> {
    let mut all = Vec::new();
    for container in [false, true] {
        let kind = if container { "container" } else { "task" };
        let mut add = |from: &str, to: &[TaskState]| {
            all.extend(to.iter().map(|to| format!("{kind} {from} {to}")));
        };
        add("created", begins(container));
        for state in TaskState::ALL {
            add(state.as_str(), follows(*state, container));
        }
        for state in TaskState::ALL {
            for back in returns(*state, container) {
                all.push(format!("{kind} {state} {back}"));
                all.push(format!("{kind} {back} waiting"));
            }
        }
    }
    // A task that is divided is a container from then on.
    for step in ["parked split", "ready split", "split running"] {
        all.push(format!("container {step}"));
    }
    all
}

/// The kinds of the journal's rows that tell of a transition: `task.created`, `task.ready`, `task.retried`, ... Every
/// other row about a task, such as `task.updated`, leaves its state as it is.
#[must_use]
pub fn kinds() -> Vec<String> {
    let all = all();
    let words: BTreeSet<&str> = all.iter().flat_map(|step| step.split(' ').skip(1)).collect();
    words.into_iter().map(|word| format!("task.{word}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::journal::Kind;

    #[test]
    fn rows_tell_of_every_state_and_every_return_and_of_no_edit() {
        let kinds = kinds();
        assert!(kinds.iter().all(|kind| kind.parse::<Kind>().is_ok()), "{kinds:?}");
        let others = ["created", "split", "retried", "reopened", "restored"];
        let told = TaskState::ALL.iter().map(|state| state.as_str()).chain(others);
        let mut told: Vec<String> = told.map(|word| format!("task.{word}")).collect();
        told.sort();
        assert_eq!(kinds, told);
    }

    #[test]
    fn what_has_ended_is_followed_by_nothing_and_all_else_can_end() {
        for container in [false, true] {
            let mut seen = begins(container).to_vec();
            let mut next = 0;
            while let Some(state) = seen.get(next).copied() {
                let after = follows(state, container);
                assert_eq!(state.is_terminal(), after.is_empty(), "{state}");
                assert_eq!(state.is_terminal(), !returns(state, container).is_empty(), "{state}");
                seen.extend(
                    after.iter().filter(|s| !seen.contains(s)).copied().collect::<Vec<_>>(),
                );
                next += 1;
            }
            assert_eq!(seen.len(), if container { 5 } else { TaskState::ALL.len() });
        }
    }
}
