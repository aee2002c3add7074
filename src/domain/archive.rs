//! Archiving: what may be put away.
//!
//! What is archived is left out of lists and stays readable by its id. Only what is at rest is put away: a
//! list that leaves out open work would hide it from the people who wait for it.

use super::{
    refusal::{Code, Refusal},
    states::GoalState,
};

fn not_now(detail: String) -> Refusal {
    Refusal::new(Code::WrongState, detail)
}

/// Refuses a goal that has not ended.
///
/// # Errors
/// `wrong_state`.
pub fn goal(state: GoalState) -> Result<(), Refusal> {
    if state.is_terminal() {
        return Ok(());
    }
    Err(not_now(format!(
        "the goal is {state}; only a goal that has ended is archived: cancel it first"
    )))
}

/// Refuses a project with open goals.
///
/// # Errors
/// `wrong_state`.
pub fn project(open_goals: i64) -> Result<(), Refusal> {
    if open_goals == 0 {
        return Ok(());
    }
    let goals = counted(open_goals, "goal that has", "goals that have");
    Err(not_now(format!("the project has {goals} not ended: wait for them, or cancel them first")))
}

/// Refuses an agent with running attempts.
///
/// # Errors
/// `wrong_state`.
pub fn agent(running_attempts: i64) -> Result<(), Refusal> {
    if running_attempts == 0 {
        return Ok(());
    }
    let attempts = counted(running_attempts, "attempt", "attempts");
    Err(not_now(format!(
        "the agent is running {attempts}: set it to `draining` and wait, or reassign the tasks first"
    )))
}

/// Refuses a budget whose limits bound open work. `open`: the number of goals, tasks or attempts below its
/// node that have not ended.
///
/// # Errors
/// `wrong_state`.
pub fn budget(limits: usize, open: i64) -> Result<(), Refusal> {
    if limits == 0 || open == 0 {
        return Ok(());
    }
    let work = counted(open, "goal, task or attempt", "goals, tasks or attempts");
    Err(not_now(format!(
        "the budget bounds {work} not ended: wait for the end, or remove its limits first"
    )))
}

fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::words::Words as _;

    #[test]
    fn exactly_goals_that_have_ended_are_archived() {
        for state in GoalState::ALL {
            assert_eq!(goal(*state).is_ok(), state.is_terminal(), "{state}");
        }
    }

    proptest! {
        #[test]
        fn what_has_open_work_is_not_archived(open in 0i64..9, limits in 0usize..3) {
            prop_assert_eq!(project(open).is_ok(), open == 0);
            prop_assert_eq!(agent(open).is_ok(), open == 0);
            prop_assert_eq!(budget(limits, open).is_ok(), open == 0 || limits == 0);
        }
    }
}
