//! The stories that the events of a task may tell: which state follows which.
//!
//! The rules of [`crate::domain::task`] decide single steps under locks. This is the same seen from outside,
//! as one list of everything that can follow a state, so that a recorded history can be read and
//! judged long afterwards.

use crate::domain::{states::TaskState, words::Words as _};

/// What a task may begin as.
#[must_use]
pub const fn begins(container: bool) -> &'static [TaskState] {
    use TaskState::{Done, Parked, Ready, Running, Waiting};
    // Done: its box was ticked in the plan.
    if container { &[Waiting, Running, Done] } else { &[Waiting, Ready, Parked, Done] }
}

/// What may follow a state of a task that is a container or is not.
#[must_use]
pub const fn follows(state: TaskState, container: bool) -> &'static [TaskState] {
    use TaskState::{Cancelled, Done, Failed, Parked, Ready, Reviewing, Running, Waiting};
    match (state, container) {
        (Waiting, true) => &[Running, Failed, Cancelled],
        (Running, true) => &[Done, Failed, Cancelled],
        (Ready | Parked | Reviewing, true) => &[],
        // Reviewing and done: a result that came late, but before anybody else had the task.
        (Waiting, false) => &[Ready, Parked, Reviewing, Done, Failed, Cancelled],
        (Ready, false) => &[Running, Parked, Reviewing, Done, Failed, Cancelled],
        (Running, false) => &[Waiting, Ready, Parked, Reviewing, Done, Failed, Cancelled],
        (Parked, false) => &[Ready, Reviewing, Done, Cancelled],
        // Parked: rejected, and split into subtasks.
        (Reviewing, false) => &[Ready, Parked, Done, Cancelled],
        (Done | Failed | Cancelled, _) => &[],
    }
}

/// Every step that a story may have: `task created ready`, `container waiting running`, ...
#[must_use]
pub fn steps() -> Vec<String> {
    let mut steps = Vec::new();
    for container in [false, true] {
        let kind = if container { "container" } else { "task" };
        let mut add = |from: &str, to: &[TaskState]| {
            steps.extend(to.iter().map(|to| format!("{kind} {from} {to}")));
        };
        add("created", begins(container));
        for state in TaskState::ALL {
            add(state.as_str(), follows(*state, container));
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_followed_by_nothing_and_all_else_can_end() {
        for container in [false, true] {
            let mut seen = begins(container).to_vec();
            let mut next = 0;
            while let Some(state) = seen.get(next).copied() {
                let after = follows(state, container);
                assert_eq!(state.is_terminal(), after.is_empty(), "{state}");
                seen.extend(
                    after.iter().filter(|s| !seen.contains(s)).copied().collect::<Vec<_>>(),
                );
                next += 1;
            }
            assert_eq!(seen.len(), if container { 5 } else { TaskState::ALL.len() });
        }
    }
}
