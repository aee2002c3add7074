//! Which values of a task may be edited, and what an edit does to its state.
//!
//! An edit must not change the work below somebody who does it. While an attempt holds the task, or its
//! result is under review, only what the claim does not hand over may change: its place in the queue, its
//! labels, and the settings of its next attempt. A container that is open has begun too: its children may
//! run, so it can wait for nothing more. A failed task may come back, and is mended before it does.

use chrono::{DateTime, Utc};

use super::TaskFacts;
use crate::domain::{
    criterion::COMMAND,
    refusal::{Code, FieldError, Refusal},
    states::TaskState,
    words::{Words as _, words},
};

words! {
    /// A value of a task that an operator can edit.
    pub enum TaskField {
        /// The task in one line.
        Title => "title",
        /// Instructions.
        Description => "description",
        /// Any JSON for the agent.
        Input => "input",
        /// What an agent must be able to do.
        Capabilities => "capabilities",
        /// The tasks that must be done before.
        Needs => "needs",
        /// Expected spend of one attempt.
        Estimate => "estimate",
        /// Conditions of success.
        Criteria => "criteria",
        /// Labels.
        Labels => "labels",
        /// Place among the ready tasks.
        Priority => "priority",
        /// Earliest time of an offer.
        NotBefore => "not_before",
        /// Attempts after which a failure is final.
        MaxAttempts => "max_attempts",
        /// Rejected results after which a person chooses.
        MaxRework => "max_rework",
        /// Longest silence of an attempt.
        Lease => "lease_seconds",
        /// Hard limit of one attempt.
        AttemptTimeout => "attempt_timeout_seconds",
        /// Longest time until the first claim.
        StartWithin => "start_within_seconds",
        /// Longest time of all attempts.
        FinishWithin => "finish_within_seconds",
    }
}

/// How far a task is, as far as it matters to an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Waits for tasks or a time.
    Waits,
    /// Can be claimed.
    Offered,
    /// Parked until a person approves its start.
    AsksToStart,
    /// Parked for a budget.
    Short,
    /// Parked by an attempt: for an answer, or for subtasks.
    Rests,
    /// An attempt holds it.
    Held,
    /// Its result is under review.
    Reviewed,
    /// A container that waits.
    Closed,
    /// A container whose children are worked on.
    Open,
    /// It is failed; a retry brings it back.
    Failed,
    /// It is `done` or `cancelled`.
    Ended(TaskState),
}

/// How far a task is. `short`: whether it is parked for a limit.
#[must_use]
pub fn standing(task: &TaskFacts, short: bool) -> Standing {
    standing_of(task.state, task.container, task.approve_start, short)
}

/// How far a task in this state is. `asks`: whether its start needs an approval. `short`: whether it is parked
/// for a limit.
#[must_use]
pub const fn standing_of(state: TaskState, container: bool, asks: bool, short: bool) -> Standing {
    match (state, container) {
        (TaskState::Waiting, false) => Standing::Waits,
        (TaskState::Waiting, true) => Standing::Closed,
        (TaskState::Ready, _) => Standing::Offered,
        (TaskState::Running, true) => Standing::Open,
        (TaskState::Running, false) => Standing::Held,
        (TaskState::Parked, _) if asks => Standing::AsksToStart,
        (TaskState::Parked, _) if short => Standing::Short,
        (TaskState::Parked, _) => Standing::Rests,
        (TaskState::Reviewing, _) => Standing::Reviewed,
        (TaskState::Failed, _) => Standing::Failed,
        (state @ (TaskState::Done | TaskState::Cancelled), _) => Standing::Ended(state),
    }
}

impl Standing {
    /// Whether a value may be edited now.
    #[must_use]
    pub fn may_change(self, field: TaskField) -> bool {
        use TaskField::{
            AttemptTimeout, Capabilities, Criteria, Description, Estimate, FinishWithin, Input,
            Labels, Lease, MaxAttempts, MaxRework, Needs, NotBefore, Priority, StartWithin, Title,
        };
        match self {
            Self::Waits | Self::Offered | Self::AsksToStart | Self::Short | Self::Closed => true,
            Self::Rests => match field {
                Needs | NotBefore => false,
                Title | Description | Input | Capabilities | Estimate | Criteria | Labels
                | Priority | MaxAttempts | MaxRework | Lease | AttemptTimeout | StartWithin
                | FinishWithin => true,
            },
            Self::Held | Self::Reviewed => match field {
                Labels | Priority | MaxAttempts | Lease | AttemptTimeout => true,
                MaxRework => self == Self::Held,
                Title | Description | Input | Capabilities | Needs | Estimate | Criteria
                | NotBefore | StartWithin | FinishWithin => false,
            },
            Self::Open => match field {
                Needs | NotBefore => false,
                Title | Description | Input | Capabilities | Estimate | Criteria | Labels
                | Priority | MaxAttempts | MaxRework | Lease | AttemptTimeout | StartWithin
                | FinishWithin => true,
            },
            // The retry says how often it is tried.
            Self::Failed => match field {
                MaxAttempts => false,
                Title | Description | Input | Capabilities | Needs | Estimate | Criteria
                | Labels | Priority | NotBefore | MaxRework | Lease | AttemptTimeout
                | StartWithin | FinishWithin => true,
            },
            Self::Ended(_) => false,
        }
    }

    const fn in_words(self) -> &'static str {
        match self {
            Self::Waits | Self::Closed => "it waits",
            Self::Offered => "it is ready",
            Self::AsksToStart => "it waits for the approval of its start",
            Self::Short => "it waits for a budget",
            Self::Rests => "it has begun, and is parked for an answer or its subtasks",
            Self::Held => "it is running, and its attempt works with what the claim said",
            Self::Reviewed => "its result is under review",
            Self::Open => "it is open, and its children may have begun",
            Self::Failed => "it has failed, and its retry says how often it is tried again",
            Self::Ended(_) => "it has ended",
        }
    }
}

/// Refuses the edit of values that must not change now.
///
/// # Errors
/// `task_ended`; `wrong_state`, with every such value and those that may change.
pub fn check(standing: Standing, fields: &[TaskField]) -> Result<(), Refusal> {
    if let Standing::Ended(state) = standing {
        let back = if state == TaskState::Done {
            "`POST /v1/tasks/{task_id}/reopen` brings it back, or "
        } else {
            ""
        };
        let detail = format!("the task is {state} and is not edited; {back}add a task to its goal");
        return Err(Refusal::new(Code::TaskEnded, detail));
    }
    let fixed = fields.iter().filter(|field| !standing.may_change(**field));
    let why = standing.in_words();
    let errors: Vec<FieldError> = fixed
        .map(|field| FieldError::new(format!("/{field}"), format!("cannot change now: {why}")))
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    let named = |fields: &mut dyn Iterator<Item = TaskField>| {
        fields.map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
    };
    let mut fixed = fields.iter().copied().filter(|field| !standing.may_change(*field));
    let mut free = TaskField::ALL.iter().copied().filter(|field| standing.may_change(*field));
    let detail = format!(
        "{why}: {} cannot change now; what may change is {}",
        named(&mut fixed),
        named(&mut free)
    );
    Err(Refusal::at(Code::WrongState, detail, errors))
}

/// Refuses new text for a task that has begun after a person approved its start. `approved`: whether
/// something changes that they approved. A task that nobody has begun is asked about again instead, and a
/// failed one when it comes back.
///
/// # Errors
/// `wrong_state`.
pub fn check_approved(standing: Standing, approved: bool) -> Result<(), Refusal> {
    let begun = match standing {
        Standing::Rests => true,
        Standing::Waits
        | Standing::Offered
        | Standing::AsksToStart
        | Standing::Short
        | Standing::Held
        | Standing::Reviewed
        | Standing::Closed
        | Standing::Open
        | Standing::Failed
        | Standing::Ended(_) => false,
    };
    if !(begun && approved) {
        return Ok(());
    }
    let detail = "a person approved the start of the task with the text that it has, and it has begun: edit it \
                  when it is offered again, and they are asked again";
    Err(Refusal::new(Code::WrongState, detail))
}

/// Refuses edits of a check that would make its evidence worth less than its tier. `unable`: whether its agent would no
/// longer have to be one that runs programs.
///
/// # Errors
/// `wrong_state`, with every such value.
pub fn check_check(fields: &[TaskField], unable: bool) -> Result<(), Refusal> {
    let detail = "the task checks the result of another, whose criteria say what is checked: reject that result, or \
                  edit that task before its next attempt";
    let criteria = fields
        .contains(&TaskField::Criteria)
        .then(|| FieldError::new(format!("/{}", TaskField::Criteria), detail));
    let kept = format!("must keep `{COMMAND}`: the agent runs programs");
    let capabilities =
        unable.then(|| FieldError::new(format!("/{}", TaskField::Capabilities), kept));
    let errors: Vec<FieldError> = criteria.into_iter().chain(capabilities).collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Refusal::at(Code::WrongState, "a check stays what it is made for", errors))
}

/// Whether an edit changes the work, that is anything that must not change below an attempt. Then a result of
/// an earlier attempt is one of other work.
#[must_use]
pub fn changes_work(fields: &[TaskField]) -> bool {
    fields.iter().any(|field| !Standing::Held.may_change(*field))
}

/// What an edit does to the state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Stay,
    /// It waits again: for a need or a time.
    Wait,
    /// Nothing is unmet: it is freed as after its last need.
    Free,
    /// A person is asked again about its start: what they were shown has changed.
    AskAgain,
    /// It is offered again: what it needs of a budget has changed.
    Offer,
    /// It is parked, and a person is asked about its start: they approved another text.
    AskFirst,
}

/// A task after its edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditedTask {
    /// How far it was before.
    pub standing: Standing,
    /// Unmet needs, plus one while its container is closed.
    pub needs_unmet: i32,
    /// Earliest time of an offer.
    pub ready_from: DateTime<Utc>,
    /// Whether something changed that the approval of its start shows.
    pub shown: bool,
    /// Whether something changed that a person has approved already.
    pub approved: bool,
    /// Whether something changed that decides what it reserves.
    pub priced: bool,
}

/// What an edit does to the state of a task.
#[must_use]
pub fn effect(task: EditedTask, now: DateTime<Utc>) -> Effect {
    let EditedTask { standing, needs_unmet, ready_from, shown, approved, priced } = task;
    let held_back = needs_unmet > 0 || ready_from > now;
    match standing {
        Standing::Waits | Standing::Closed if held_back => Effect::Stay,
        Standing::Waits | Standing::Closed => Effect::Free,
        Standing::Offered | Standing::AsksToStart | Standing::Short if held_back => Effect::Wait,
        Standing::Offered | Standing::Short if approved => Effect::AskFirst,
        Standing::Offered => Effect::Stay,
        Standing::AsksToStart if shown => Effect::AskAgain,
        Standing::Short if priced => Effect::Offer,
        Standing::AsksToStart | Standing::Short => Effect::Stay,
        Standing::Rests
        | Standing::Held
        | Standing::Reviewed
        | Standing::Open
        | Standing::Failed
        | Standing::Ended(_) => Effect::Stay,
    }
}

/// A deadline after its length changed. `by`: the deadline before, if it runs; it moves by the
/// difference. `runs`: whether it runs from now on.
#[must_use]
pub fn moved_deadline(
    by: Option<DateTime<Utc>>,
    before_ms: Option<i64>,
    after_ms: Option<i64>,
    runs: bool,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let after = after_ms?;
    let millis = chrono::TimeDelta::milliseconds;
    match by {
        Some(by) => Some(by + millis(after - before_ms.unwrap_or(after))),
        None => runs.then(|| now + millis(after)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Standing; 11] = [
        Standing::Waits,
        Standing::Offered,
        Standing::AsksToStart,
        Standing::Short,
        Standing::Rests,
        Standing::Held,
        Standing::Reviewed,
        Standing::Closed,
        Standing::Open,
        Standing::Failed,
        Standing::Ended(TaskState::Done),
    ];

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn what_is_worked_on_keeps_what_the_claim_said() {
        for standing in [Standing::Held, Standing::Reviewed] {
            let refused = check(standing, &[TaskField::Title, TaskField::Priority]).unwrap_err();
            assert_eq!(refused.code, Code::WrongState);
            assert_eq!(refused.errors.len(), 1);
            assert_eq!(refused.errors[0].pointer, "/title");
            assert!(refused.detail.contains("`priority`"), "{}", refused.detail);
            assert_eq!(check(standing, &[TaskField::Labels, TaskField::MaxAttempts]), Ok(()));
        }
        for (state, reopens) in [(TaskState::Done, true), (TaskState::Cancelled, false)] {
            let ended = check(Standing::Ended(state), &[]).unwrap_err();
            assert_eq!(ended.code, Code::TaskEnded);
            assert_eq!(ended.detail.contains("/reopen"), reopens, "{}", ended.detail);
        }
        assert_eq!(check(Standing::Failed, &[TaskField::Title, TaskField::Needs]), Ok(()));
        let refused = check(Standing::Failed, &[TaskField::MaxAttempts]).unwrap_err();
        assert_eq!((refused.code, refused.errors.len()), (Code::WrongState, 1));
    }

    #[test]
    fn only_the_queue_and_the_next_attempt_are_no_work() {
        for field in TaskField::ALL.iter().copied() {
            let fixed = check(Standing::Held, &[field]).is_err();
            assert_eq!(changes_work(&[TaskField::Labels, field]), fixed, "{field}");
        }
        assert!(changes_work(&[TaskField::Needs]) && !changes_work(&[TaskField::Priority]));
    }

    proptest! {
        /// After an edit nothing is offered with unmet needs or before its time, nothing waits for
        /// nothing, and what has begun or ended stays where it is.
        #[test]
        fn an_edit_leaves_a_task_where_its_needs_and_time_say(
            standing in prop::sample::select(ALL.to_vec()),
            needs_unmet in 0i32..3,
            later in -5i64..5,
            shown in any::<bool>(),
            approved in any::<bool>(),
            priced in any::<bool>(),
        ) {
            let ready_from = at(later);
            let task = EditedTask { standing, needs_unmet, ready_from, shown, approved, priced };
            let may = |field| standing.may_change(field);
            let free = needs_unmet == 0 && later <= 0;
            match effect(task, at(0)) {
                Effect::Wait => prop_assert!(!free && may(TaskField::Needs) && may(TaskField::NotBefore)),
                Effect::Free => prop_assert!(free && may(TaskField::Needs)),
                Effect::AskAgain => prop_assert!(free && shown && standing == Standing::AsksToStart),
                Effect::Offer => prop_assert!(free && priced && standing == Standing::Short),
                Effect::AskFirst => {
                    let offered = [Standing::Offered, Standing::Short].contains(&standing);
                    prop_assert!(free && approved && offered);
                }
                Effect::Stay => {
                    let waits = [Standing::Waits, Standing::Closed].contains(&standing);
                    prop_assert_eq!(waits && free, false);
                    let offered = [Standing::Offered, Standing::AsksToStart, Standing::Short];
                    prop_assert!(free || !offered.contains(&standing));
                    prop_assert!(!approved || ![Standing::Offered, Standing::Short].contains(&standing));
                }
            }
        }

        /// Every value is either changed or named in the refusal, and never both.
        #[test]
        fn a_refusal_names_exactly_what_cannot_change(
            standing in prop::sample::select(ALL.to_vec()),
            fields in prop::sample::subsequence(TaskField::ALL.to_vec(), 0..TaskField::ALL.len()),
        ) {
            let fixed = fields.iter().filter(|field| !standing.may_change(**field)).count();
            match check(standing, &fields) {
                Ok(()) => prop_assert_eq!(fixed, 0),
                Err(refusal) if refusal.code == Code::TaskEnded => {
                    prop_assert!(matches!(standing, Standing::Ended(_)));
                }
                Err(refusal) => prop_assert_eq!(refusal.errors.len(), fixed),
            }
        }

        #[test]
        fn a_deadline_moves_by_what_its_length_changed(
            before in 1i64..100_000, after in 1i64..100_000, by in 0i64..1000,
        ) {
            let moved = moved_deadline(Some(at(by)), Some(before), Some(after), true, at(0)).unwrap();
            prop_assert_eq!((moved - at(by)).num_milliseconds(), after - before);
            prop_assert_eq!(moved_deadline(Some(at(by)), Some(before), None, true, at(0)), None);
            prop_assert_eq!(moved_deadline(None, None, Some(after), false, at(0)), None);
        }
    }
}
