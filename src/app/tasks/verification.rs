//! Verification of goals by criteria of their own: the tasks that check and rework, and the end.
//!
//! A goal whose tasks are done is `verifying` while a required criterion of its own is not satisfied.
//! One task checks all open criteria; its evidence decides them. Each rejected criterion gets a rework
//! task, and is checked again when the reworks are done. The rules are those of
//! [`domain::goal::criteria`](crate::domain::goal::criteria); everything here is written in the transaction
//! that ends the task before, or has the decision of a person. The caller holds the lock of the goal.
//!
//! Decisions:
//! - These tasks get the goal's priority and `task_defaults`, and no budget of their own: the goal's
//!   applies. More criteria than a task may have are checked by several tasks.
//! - They do not decide the goal. If one fails or is cancelled, the goal stays `verifying`, and people see
//!   it in the attention list. A retry has it done again.
//! - When work of the plan comes back or is added, the goal is active again: open checks are cancelled, and what
//!   evidence decided is checked anew after that work. A task of the verification itself that comes back leaves
//!   the goal `verifying`.
//! - An agent that checks mends nothing: it reports, so what is spent on reworks stays bounded.

use std::fmt::Write as _;

use serde_json::json;

use super::create::{InsertPoint, create_own};
use crate::{
    app::{Result, Unit, approvals::proposed},
    domain::{
        goal::{
            TaskCounts,
            criteria::{self, CriterionFacts, CriterionState, Finding, Next},
        },
        ids::{GoalId, TaskId},
        journal::{Kind, NewRow},
        plan::{CriterionSpec, TaskSpec, new_goal::with_defaults},
        settings,
        states::GoalState,
    },
    store::{
        self,
        goals::criteria::{CheckedCriterion, NewVerdict, VerifiedGoal},
    },
};

/// Begins the verification of an active goal whose tasks are done. Returns `false` if it needs none.
pub(super) async fn begin(unit: &mut Unit, goal: GoalId, counts: TaskCounts) -> Result<bool> {
    let found = store::goals::criteria::checked(unit.tx(), goal).await?;
    let facts: Vec<CriterionFacts> = found.iter().map(CheckedCriterion::facts).collect();
    if criteria::is_verified(&facts) {
        return Ok(false);
    }
    store::goals::set_state(unit.tx(), goal, GoalState::Verifying, None).await?;
    let open = facts.iter().filter(|criterion| criterion.state == CriterionState::Open);
    let open: Vec<i16> = open.map(|criterion| criterion.number).collect();
    let data = json!({"tasks": counts, "criteria": open});
    unit.record(NewRow::new(Kind::GoalVerifying).goal(goal).data(data));
    step(unit, goal, counts, found).await?;
    Ok(true)
}

/// Continues the verification of a goal, after one of its tasks ended.
pub(super) async fn advance(unit: &mut Unit, goal: GoalId, counts: TaskCounts) -> Result<()> {
    let found = store::goals::criteria::checked(unit.tx(), goal).await?;
    step(unit, goal, counts, found).await
}

async fn step(
    unit: &mut Unit,
    goal: GoalId,
    counts: TaskCounts,
    mut found: Vec<CheckedCriterion>,
) -> Result<()> {
    let about = store::goals::criteria::verified_goal(unit.tx(), goal).await?;
    let facts: Vec<CriterionFacts> = found.iter().map(CheckedCriterion::facts).collect();
    let step = criteria::step(&facts, counts.open > 0, about.max_rework);
    let mut verdicts = Vec::new();
    for (number, state) in step.verdicts {
        let Some(criterion) = found.iter_mut().find(|one| one.number == number) else { continue };
        let verdict = verdict(criterion, state);
        criterion.note.clone_from(&verdict.note);
        tell(unit, goal, criterion.task_id, &verdict);
        verdicts.push(verdict);
    }
    store::goals::criteria::decide(unit.tx(), goal, &verdicts).await?;
    let rejected: Vec<&CheckedCriterion> =
        found.iter().filter(|criterion| step.rework.contains(&criterion.number)).collect();
    rework(unit, &about, &rejected).await?;
    match step.next {
        Next::Wait | Next::Stay => Ok(()),
        Next::Complete => complete(unit, goal, counts).await,
        Next::Verify(numbers) => {
            let checked: Vec<&CheckedCriterion> =
                found.iter().filter(|criterion| numbers.contains(&criterion.number)).collect();
            check(unit, &about, &checked).await
        }
    }
}

async fn complete(unit: &mut Unit, goal: GoalId, counts: TaskCounts) -> Result<()> {
    if store::goals::discovered::holds_up(unit.tx(), goal).await? {
        return Ok(());
    }
    store::goals::set_state(unit.tx(), goal, GoalState::Completed, None).await?;
    let data = json!({"tasks": counts, "reason": null});
    unit.record(NewRow::new(Kind::GoalCompleted).goal(goal).data(data));
    proposed::supersede(unit, goal, "the goal has ended").await
}

/// The decision that follows from the finding of a check.
fn verdict(criterion: &CheckedCriterion, state: CriterionState) -> NewVerdict {
    let waived = criterion.facts().last.is_some_and(|last| last.finding == Finding::Waived);
    let (note, decided_by, decided_by_person) = if waived {
        (criterion.waived.clone(), criterion.waived_by, criterion.waived_by_person.clone())
    } else {
        (criterion.unmet.as_deref().map(finding), None, None)
    };
    let attempt_id = criterion.attempt_id;
    NewVerdict { number: criterion.number, state, note, attempt_id, decided_by, decided_by_person }
}

/// A finding of many pieces of evidence, no longer than a message.
fn finding(text: &str) -> String {
    let mut end = text.len().min(settings::MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Records a decision. `task`: the check with the evidence; `None` for a person's.
pub(in crate::app) fn tell(
    unit: &mut Unit,
    goal: GoalId,
    task: Option<TaskId>,
    verdict: &NewVerdict,
) {
    let kind = match verdict.state {
        CriterionState::Satisfied => Kind::GoalCriterionSatisfied,
        CriterionState::Open | CriterionState::Rejected => Kind::GoalCriterionRejected,
    };
    let note: Option<String> =
        verdict.note.as_ref().map(|note| note.chars().take(SHOWN_IN_EVENTS).collect());
    let after = json!({"goal_id": goal, "criterion": verdict.number, "state": verdict.state,
                       "note": verdict.note});
    let row = NewRow::new(kind).goal(goal).task(task).attempt(verdict.attempt_id).after(&after);
    unit.record(row.data(json!({"criterion": verdict.number, "note": note})));
}

/// Records that criteria which were decided are open again.
pub(in crate::app) fn tell_opened(unit: &mut Unit, goal: GoalId, numbers: &[i16]) {
    if !numbers.is_empty() {
        let row = NewRow::new(Kind::GoalCriterionOpened).goal(goal);
        unit.record(row.data(json!({"criteria": numbers})));
    }
}

/// Characters of a note in an event.
const SHOWN_IN_EVENTS: usize = 300;

/// Makes a task that mends each of these rejected criteria.
pub(in crate::app) async fn rework(
    unit: &mut Unit,
    goal: &VerifiedGoal,
    criteria: &[&CheckedCriterion],
) -> Result<()> {
    if criteria.is_empty() {
        return Ok(());
    }
    let spec = |criterion: &&CheckedCriterion| TaskSpec {
        r#ref: format!("rework-{}-{}", criterion.number, criterion.reworks + 1),
        title: line("Rework: ", &criterion.text),
        description: mending(criterion),
        labels: vec!["rework".to_owned()],
        criteria: vec![CriterionSpec {
            text: criterion.text.clone(),
            required: true,
            satisfied: false,
            ..CriterionSpec::default()
        }],
        ..TaskSpec::default()
    };
    let ids = make(unit, goal, criteria.iter().map(spec).collect()).await?;
    let numbers = criteria.iter().map(|criterion| criterion.number);
    let reworks: Vec<(i16, TaskId)> = numbers.zip(ids).collect();
    Ok(store::goals::criteria::rework(unit.tx(), goal.goal_id, &reworks).await?)
}

/// Makes the task that checks these criteria.
async fn check(unit: &mut Unit, goal: &VerifiedGoal, criteria: &[&CheckedCriterion]) -> Result<()> {
    let spec = |(criteria, number): (&[&CheckedCriterion], i64)| TaskSpec {
        r#ref: format!("verify-{number}"),
        title: line("Verify: ", &goal.title),
        description: checking(goal.goal_id, criteria),
        labels: vec!["verify".to_owned()],
        criteria: criteria
            .iter()
            .map(|criterion| CriterionSpec {
                text: criterion.text.clone(),
                required: criterion.required,
                satisfied: false,
                ..CriterionSpec::default()
            })
            .collect(),
        ..TaskSpec::default()
    };
    let parts = criteria.chunks(settings::TASK_CRITERIA);
    let specs = parts.clone().zip(goal.checks + 1..).map(spec).collect();
    let ids = make(unit, goal, specs).await?;
    let of_part = |(criteria, task): (&[&CheckedCriterion], TaskId)| {
        let numbered = criteria.iter().zip(1i16..);
        numbered.map(|(criterion, number)| (criterion.number, task, number)).collect::<Vec<_>>()
    };
    let checks: Vec<(i16, TaskId, i16)> = parts.zip(ids).flat_map(of_part).collect();
    let opened = store::goals::criteria::check(unit.tx(), goal.goal_id, &checks).await?;
    tell_opened(unit, goal.goal_id, &opened);
    Ok(())
}

/// Creates tasks behind those of the goal, by its defaults. A ref that the plan uses gets an id behind it.
async fn make(
    unit: &mut Unit,
    goal: &VerifiedGoal,
    mut specs: Vec<TaskSpec>,
) -> Result<Vec<TaskId>> {
    let refs: Vec<String> = specs.iter().map(|spec| spec.r#ref.clone()).collect();
    let room = store::tasks::room(unit.tx(), goal.goal_id, &refs).await?;
    for spec in &mut specs {
        if room.taken.contains(&spec.r#ref) {
            spec.r#ref = format!("{}-{}", spec.r#ref, unit.id::<TaskId>());
        }
    }
    with_defaults(&mut specs, &goal.task_defaults.0);
    let at = InsertPoint {
        goal: goal.goal_id,
        priority: goal.priority,
        position: room.next_position,
        parent: None,
        risk: None,
    };
    let made = create_own(unit, at, &specs).await?;
    Ok(made.into_iter().map(|made| made.task_id).collect())
}

/// A title of one line.
fn line(begin: &str, text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{begin}{text}").chars().take(settings::TITLE_CHARS).collect()
}

fn mending(criterion: &CheckedCriterion) -> String {
    let mut text =
        "This criterion of the goal is not met. Mend what is missing, and complete the task with \
                    evidence. Afterwards it is checked again.\n"
            .to_owned();
    if let Some(note) = &criterion.note {
        let _ = write!(text, "\nThe finding:\n\n{note}\n");
    }
    text
}

/// Characters of an earlier finding in the description of a check.
const SHOWN_IN_CHECKS: usize = 200;

fn checking(goal: GoalId, criteria: &[&CheckedCriterion]) -> String {
    let mut text = format!(
        "The tasks of the goal are done. Check each criterion of this task, and complete it with evidence for \
         each. If a criterion is not met, its evidence has `\"met\": false` and says what is missing: another \
         task reworks it. Mend nothing yourself.\n\n\
         The goal is at `GET /v1/goals/{goal}`, its tasks are at `GET /v1/tasks?goal_id={goal}`.\n"
    );
    for (criterion, number) in criteria.iter().zip(1..) {
        let Some(note) = &criterion.note else { continue };
        let note = note.split_whitespace().collect::<Vec<_>>().join(" ");
        let note: String = note.chars().take(SHOWN_IN_CHECKS).collect();
        let _ = write!(text, "\n- Criterion {number} was not met before: {note}");
    }
    text
}
