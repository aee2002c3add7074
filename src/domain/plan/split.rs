//! Tasks that are too large for one attempt.
//!
//! An agent that sees this divides its task itself, or fails with the class `too_large`. One such failure may
//! be the agent's, so the task is tried again; after the second the task is. It is then parked instead of
//! failed, because failing it would cancel everything that needs it, and waits for its division. A divided
//! task is a container of its parts: its dependents go on waiting for it, and it is done when the parts are.
//! Its criteria go to the last part, which checks the others.
//!
//! Divisions are nested [`settings::SPLIT_DEPTH`] deep at most. Below that the task fails like any other: work
//! that is divided again and again is not understood, and a person has to see it.

use super::{ApprovalPoints, CriterionSpec, TaskSpec};
use crate::domain::{
    check::{Checks, pointer},
    refusal::{Code, Refusal},
    settings,
    states::{AttemptState, TaskState},
    task::{Ending, Next, TaskFacts},
};

/// What is known of a task that may be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    /// Number of its earlier attempts that failed as too large.
    pub too_large: i64,
    /// Number of divided tasks above it.
    pub depth: i64,
    /// Whether it was made by the service, for the verification of its goal or for planning.
    pub own: bool,
    /// Whether a budget limits it alone.
    pub budgeted: bool,
    /// Number of its subtasks that failed or were cancelled.
    pub failed_children: i64,
}

impl Division {
    /// Why the task cannot be divided; `None` if it can.
    #[must_use]
    pub fn cannot(&self) -> Option<String> {
        if self.own {
            return Some(
                "the service made the task itself, and it stays whole: fail or release it"
                    .to_owned(),
            );
        }
        if self.failed_children > 0 {
            return Some(
                "subtasks of the task failed or were cancelled, so it could never be done as a container of \
                 its parts: add subtasks instead"
                    .to_owned(),
            );
        }
        if self.depth >= settings::SPLIT_DEPTH {
            return Some(format!(
                "the task is inside {} divided tasks already, which is the most: ask a person",
                self.depth
            ));
        }
        None
    }
}

/// The end of an attempt that failed as too large. `ending`: what any other failure of it would be.
///
/// The task is parked for its division after the second such failure, and after the first if that would be
/// final otherwise. A cancellation, and a task that cannot be divided, end as ever.
#[must_use]
pub fn too_large(ending: Ending, division: Division) -> Ending {
    let enough = division.too_large + 1 >= settings::TOO_LARGE_LIMIT;
    let next = match ending.next {
        Next::Retry(_) if enough && division.cannot().is_none() => Next::Park,
        Next::Failed(_) if division.cannot().is_none() => Next::Park,
        next @ (Next::Done
        | Next::Review
        | Next::Failed(_)
        | Next::Cancelled
        | Next::Retry(_)
        | Next::Park) => next,
    };
    Ending { next, ..ending }
}

/// The end of an attempt that divides its task: it does not count.
#[must_use]
pub fn divided(task: &TaskFacts) -> Ending {
    let ending = Ending::unchanged(task, AttemptState::Released, Next::Park);
    Ending { lost_in_row: 0, released_in_row: 0, ..ending }
}

/// Whether a person may divide a task without an attempt. `oversized`: whether it is parked because it is
/// too large.
///
/// # Errors
/// `task_ended`; `wrong_state` for a container, and for a task that is worked on or waits for something else.
pub fn by_person(task: &TaskFacts, oversized: bool) -> Result<(), Refusal> {
    if task.state.is_terminal() || task.cancelling {
        let detail = match task.cancelling {
            true => "the task is being cancelled".to_owned(),
            false => format!("the task is {}", task.state),
        };
        return Err(Refusal::new(Code::TaskEnded, detail));
    }
    let wrong = |detail: &str| Err(Refusal::new(Code::WrongState, detail));
    if task.container {
        return wrong("the task is a container: add tasks to it instead");
    }
    match task.state {
        TaskState::Ready => Ok(()),
        TaskState::Parked if oversized => Ok(()),
        TaskState::Parked => {
            wrong("the task waits for a decision, its subtasks, a budget or a price")
        }
        TaskState::Waiting => wrong("the task waits for others: it is divided once it is ready"),
        TaskState::Running | TaskState::Reviewing => {
            wrong("the task is worked on: reassign it first, or ask its agent to split it")
        }
        TaskState::Done | TaskState::Failed | TaskState::Cancelled => wrong("the task has ended"),
    }
}

/// Checks the parts of a task by themselves: none is done before it is asked for.
///
/// # Errors
/// `invalid`, with every place.
pub fn check_parts(at: &str, parts: &[TaskSpec]) -> Result<(), Refusal> {
    let mut checks = Checks::new();
    checks.ensure(!parts.is_empty(), at, "must have at least one task");
    for (index, part) in parts.iter().enumerate() {
        let at = pointer(&pointer(at, index), "done");
        checks.ensure(!part.done, &at, "a part cannot be done before it is asked for");
    }
    checks.finish()
}

/// What a divided task leaves to its last part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Whole {
    /// Its name in the plan.
    pub reference: String,
    /// Title, one line.
    pub title: String,
    /// Its description.
    pub description: String,
    /// The capabilities that it requires.
    pub capabilities: Vec<String>,
    /// Its criteria.
    pub criteria: Vec<CriterionSpec>,
    /// Whether its result needs an approval.
    pub approve_result: bool,
}

/// The part that checks the others: it needs all of them, and has the criteria and the approval of the
/// result of the whole. `None` if the whole has neither.
#[must_use]
pub fn checking_part(whole: &Whole, parts: &[TaskSpec]) -> Option<TaskSpec> {
    let checked = whole.criteria.iter().any(|criterion| !criterion.satisfied);
    if !checked && !whole.approve_result {
        return None;
    }
    let room = settings::REF_CHARS - "-check".len();
    let reference: String = whole.reference.chars().take(room).collect();
    let title = format!("Check: {}", whole.title);
    let mut description = "The task was divided, and its parts are done. Check that together they are what was \
                           asked for, mend what is missing, and complete this task with evidence for its \
                           criteria.\n"
        .to_owned();
    if description.len() + whole.description.len() < settings::DESCRIPTION_BYTES {
        description.push_str("\nWhat was asked for:\n\n");
        description.push_str(&whole.description);
    }
    let outermost = parts.iter().filter(|part| part.parent.is_none());
    Some(TaskSpec {
        r#ref: format!("{reference}-check"),
        title: title.chars().take(settings::TITLE_CHARS).collect(),
        description,
        needs: outermost.map(|part| part.r#ref.clone()).collect(),
        capabilities: whole.capabilities.clone(),
        criteria: whole.criteria.clone(),
        labels: vec!["check".to_owned()],
        approval: ApprovalPoints { start: false, result: whole.approve_result },
        ..TaskSpec::default()
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        ids::{AgentId, AttemptId},
        states::FailureClass,
        task::{AttemptFacts, Failure, fail, holder::Holder, tests},
        words::Words as _,
    };

    const WHOLE: Division =
        Division { too_large: 0, depth: 0, own: false, budgeted: false, failed_children: 0 };

    fn failed(task: &TaskFacts, retryable: Option<bool>, now: DateTime<Utc>) -> Ending {
        let attempt = AttemptFacts {
            attempt_id: AttemptId(Uuid::nil()),
            task_id: task.task_id,
            goal_id: task.goal_id,
            holder: Holder::Agent(AgentId(Uuid::nil())),
            number: 1,
            state: AttemptState::Running,
            lease_sha256: vec![7; 32],
            lease_ms: 60_000,
            lease_expires_at: now,
            hard_deadline: now,
            withdrawn: false,
        };
        let failure = Failure { class: FailureClass::TooLarge, retryable, retry_after: None };
        fail(task, &attempt, failure, 0.5, now)
    }

    proptest! {
        /// A task that can be divided never fails for its size, and is tried again at most once.
        #[test]
        fn a_task_that_is_too_large_is_divided_instead_of_failed(
            too_large in 0i64..4, used in 0i32..5, most in 1i32..5,
            retryable in prop::option::of(any::<bool>()), cancelling: bool,
            depth in 0i64..6, own: bool, failed_children in 0i64..2,
        ) {
            let now = DateTime::UNIX_EPOCH;
            let task = TaskFacts { attempts_used: used, max_attempts: most, cancelling, ..tests::task(now) };
            let before = failed(&task, retryable, now);
            let division = Division { too_large, depth, own, failed_children, ..WHOLE };
            let ending = super::too_large(before, division);
            prop_assert_eq!(ending.attempts_used, used + 1);
            if division.cannot().is_some() || cancelling {
                prop_assert_eq!(ending, before);
            } else {
                prop_assert!(!matches!(ending.next, Next::Failed(_)));
                let again = matches!(ending.next, Next::Retry(_));
                prop_assert_eq!(again, too_large == 0 && matches!(before.next, Next::Retry(_)));
            }
        }
    }

    #[test]
    fn a_person_divides_what_nobody_works_on() {
        let now = DateTime::UNIX_EPOCH;
        for state in TaskState::ALL.iter().copied() {
            for oversized in [false, true] {
                let task = TaskFacts { state, ..tests::task(now) };
                let may = state == TaskState::Ready || (state == TaskState::Parked && oversized);
                assert_eq!(by_person(&task, oversized).is_ok(), may, "{state} {oversized}");
                let container = TaskFacts { container: true, ..task };
                assert!(by_person(&container, oversized).is_err(), "{state}");
            }
        }
    }

    #[test]
    fn the_last_part_has_what_the_whole_was_checked_by() {
        let part = |name: &str, parent: Option<&str>| TaskSpec {
            r#ref: name.to_owned(),
            parent: parent.map(str::to_owned),
            ..TaskSpec::default()
        };
        let parts = [part("a", None), part("b", None), part("c", Some("b"))];
        let criterion = |satisfied| CriterionSpec {
            text: "it works".into(),
            required: true,
            satisfied,
            ..CriterionSpec::default()
        };
        let whole = Whole {
            reference: "api".into(),
            title: "Write the API".into(),
            criteria: vec![criterion(false), criterion(true)],
            ..Whole::default()
        };
        let check = checking_part(&whole, &parts).expect("it has a criterion");
        assert_eq!((check.r#ref.as_str(), check.needs.len()), ("api-check", 2));
        assert_eq!(check.criteria, whole.criteria);
        let met = Whole { criteria: vec![criterion(true)], ..whole.clone() };
        assert_eq!(checking_part(&met, &parts), None);
        let reviewed = Whole { approve_result: true, ..met };
        assert!(checking_part(&reviewed, &parts).expect("it is reviewed").approval.result);
        let long = Whole { reference: "r".repeat(200), title: "t".repeat(500), ..whole };
        let check = checking_part(&long, &parts).expect("it has a criterion");
        assert_eq!((check.r#ref.len(), check.title.len()), (200, 500));
    }

    #[test]
    fn a_division_does_not_count_as_a_try() {
        let now = DateTime::UNIX_EPOCH;
        let task = TaskFacts { attempts_used: 1, released_in_row: 3, ..tests::task(now) };
        let ending = divided(&task);
        assert_eq!((ending.attempts_used, ending.released_in_row), (1, 0));
        assert_eq!((ending.attempt, ending.next), (AttemptState::Released, Next::Park));
    }
}
