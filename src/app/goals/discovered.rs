//! Work that agents discover: asked about, taken, or declined.
//!
//! A report becomes a plan of the goal with the task and the attempt that discovered it. If the policy takes it, the
//! plan is applied at once; otherwise it waits for an approval of the kind `plan`, with the policies, stages, links
//! and edits that any plan has. The rules are those of [`crate::domain::plan::discovered`].
//!
//! Decisions:
//! - A task with the title of an open or proposed task of the goal is a duplicate, and is answered with that one.
//!   Titles are compared without case and space: agents word the same finding alike, and a person sees the rest.
//! - The approval outlives the end of the goal, because most is discovered in the last tasks. Approving it makes a
//!   completed goal active again; a failed one is retried first. Only with `required` does the goal wait for the
//!   decision before it completes. Cancelling the goal withdraws the approval.
//! - Rejecting it changes nothing but that. The goal goes on.
//! - Approved work is checked against the goal as it is then. What no longer fits is approved with an edit.
//! - The tasks have at least the risk floor of the task that discovered them, and the defaults of the goal.

use serde_json::{Value, json};

use super::{
    additions::{self, AddedTasks, Addition, Checked},
    finish_if_over, refuse_ended,
};
use crate::{
    app::{Result, Unit, approvals::ask, gates::few_new_keys, tasks::dedup},
    domain::{
        ids::{ApprovalId, AttemptId, PlanId},
        journal::{Kind, NewRow},
        plan::{
            TaskSpec,
            discovered::{Concern, Known, Standing, admit, concerns, rename},
        },
        refusal::Refusal,
        settings,
        states::{ApprovalKind, GoalState, PlanState, Planner},
        task::TaskFacts,
    },
    store::{
        self,
        approvals::NewApproval,
        goals::{GoalFacts, discovered::Discovered},
    },
};

/// A report of discovered work. The rows of the goal and the task are locked, and the goal is worked on.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Report<'a> {
    pub goal: &'a GoalFacts,
    pub task: &'a TaskFacts,
    pub attempt: AttemptId,
    pub tasks: &'a [TaskSpec],
    pub reason: &'a str,
    pub required: bool,
}

/// What became of a report.
#[derive(Debug, Default)]
pub(in crate::app) struct Reported {
    /// The plan of the new tasks; `None` if all are known.
    pub plan: Option<PlanId>,
    /// The approval that a person is asked for; `None` if the tasks were created.
    pub approval: Option<ApprovalId>,
    /// The created tasks.
    pub added: Option<AddedTasks>,
    /// The tasks of the report that are known, by their index.
    pub known: Vec<Known>,
}

/// Takes a report, or asks a person about it.
///
/// # Errors
/// `plan_invalid`, with every place; `wrong_state` if the goal takes none or a limit is reached;
/// `workspace_full`.
pub(in crate::app) async fn report(unit: &mut Unit, report: Report<'_>) -> Result<Reported> {
    let Report { goal, task, attempt, tasks, reason, required } = report;
    let standing =
        store::goals::discovered::standing(unit.tx(), goal.goal_id, task.task_id, attempt).await?;
    admit(&standing, 0)?;
    let titles: Vec<String> = tasks.iter().map(|task| task.title.clone()).collect();
    let known = store::goals::discovered::known(unit.tx(), goal.goal_id, &titles).await?;
    let known = with_keys(unit, goal, tasks, known).await?;
    let fresh = without(tasks, &known)?;
    if fresh.is_empty() {
        return Ok(Reported { known, ..Reported::default() });
    }
    admit(&standing, fresh.len())?;
    let checked = additions::check(unit, goal, &fresh, "/tasks").await?;
    few_new_keys(unit, goal.goal_id, &checked.tasks, "/tasks").await?;
    let (id, project) = (Some(goal.goal_id), goal.project_id);
    let left = store::goals::ground::budget_left(unit.tx(), id, project, true).await?;
    let concerns = concerns(&standing, &checked.tasks, &left);
    let origin = Discovered { from: task.task_id, by: attempt, required };
    let (plan, approval, added) = if concerns.is_empty() {
        let (plan, added) = take_at_once(unit, goal, origin, &checked).await?;
        (plan, None, Some(added))
    } else {
        let asking =
            Asking { goal, task, origin, standing: &standing, reason, concerns: &concerns };
        let (plan, approval) = propose(unit, asking, &checked).await?;
        (plan, Some(approval), None)
    };
    Ok(Reported { plan: Some(plan), approval, added, known })
}

/// The known tasks, with those that hold a key of the report. A key says more than a title.
async fn with_keys(
    unit: &mut Unit,
    goal: &GoalFacts,
    tasks: &[TaskSpec],
    mut known: Vec<Known>,
) -> Result<Vec<Known>> {
    let held = dedup::held(unit, goal.goal_id, tasks, "/tasks").await?;
    let held: Vec<Known> = held.iter().map(additions::known).collect();
    known.retain(|known| held.iter().all(|held| held.index != known.index));
    known.extend(held);
    known.sort_by_key(|known| known.index);
    Ok(known)
}

/// The tasks of a report that are not known, naming those that are by their refs.
fn without(tasks: &[TaskSpec], known: &[Known]) -> Result<Vec<TaskSpec>> {
    let index = |known: &Known| usize::try_from(known.index).unwrap_or_default();
    let named: Vec<(String, Known)> = known
        .iter()
        .filter_map(|found| Some((tasks.get(index(found))?.r#ref.clone(), found.clone())))
        .collect();
    let mut fresh: Vec<(usize, TaskSpec)> = tasks.iter().cloned().enumerate().collect();
    fresh.retain(|(at, _)| known.iter().all(|found| index(found) != *at));
    rename(&mut fresh, &named)?;
    Ok(fresh.into_iter().map(|(_, task)| task).collect())
}

async fn store_plan(
    unit: &mut Unit,
    goal: &GoalFacts,
    origin: Discovered,
    state: PlanState,
    document: &Value,
) -> Result<PlanId> {
    let plan: PlanId = unit.id();
    let (planner, notes) = (Planner::Agent, json!([]));
    store::goals::insert_plan(unit.tx(), goal.goal_id, plan, planner, state, document, &notes)
        .await?;
    store::goals::discovered::set_origin(unit.tx(), plan, origin).await?;
    Ok(plan)
}

/// Creates the tasks without a person.
async fn take_at_once(
    unit: &mut Unit,
    goal: &GoalFacts,
    origin: Discovered,
    checked: &Checked,
) -> Result<(PlanId, AddedTasks)> {
    let document = json!(checked.tasks);
    let plan = store_plan(unit, goal, origin, PlanState::Applied, &document).await?;
    let added = create(unit, goal, plan, origin, &checked.tasks, "/tasks").await?;
    Ok((plan, added))
}

/// What a person is asked about.
#[derive(Clone, Copy)]
struct Asking<'a> {
    goal: &'a GoalFacts,
    task: &'a TaskFacts,
    origin: Discovered,
    standing: &'a Standing,
    reason: &'a str,
    concerns: &'a [Concern],
}

async fn propose(
    unit: &mut Unit,
    asking: Asking<'_>,
    checked: &Checked,
) -> Result<(PlanId, ApprovalId)> {
    let Asking { goal, task, origin, standing, reason, concerns } = asking;
    let document = json!(checked.tasks);
    let plan = store_plan(unit, goal, origin, PlanState::Proposed, &document).await?;
    let row = NewRow::new(Kind::PlanProposed).goal(goal.goal_id).task(task.task_id);
    let data = json!({"plan_id": plan, "tasks": checked.tasks.len(),
                      "discovered_from": task.task_id, "required": origin.required});
    unit.record(row.attempt(origin.by).after(&checked.tasks).data(data));
    let approval: ApprovalId = unit.id();
    // The same people are excluded as from a decision about its result.
    let work = NewApproval {
        task_id: Some(task.task_id),
        ..NewApproval::new(unit.id(), ApprovalKind::Result, goal.goal_id)
    };
    let excluded = store::approvals::excluded::excluded(unit.tx(), &[work]).await?;
    let question = NewApproval {
        plan_id: Some(plan),
        attempt_id: Some(origin.by),
        title: title(checked.tasks.len(), &standing.goal_title),
        body: body(standing, reason, concerns, origin.required),
        payload: Some(document),
        asked_by: unit.actor(),
        excluded: excluded.into_values().flatten().collect(),
        ..NewApproval::new(approval, ApprovalKind::Plan, goal.goal_id)
    };
    ask::ask(unit, vec![question]).await?;
    Ok((plan, approval))
}

fn title(count: usize, goal: &str) -> String {
    let tasks = if count == 1 {
        "1 discovered task".to_owned()
    } else {
        format!("{count} discovered tasks")
    };
    let title = format!("Add {tasks} to \"{goal}\"?");
    title.chars().take(settings::TITLE_CHARS).collect()
}

/// What a person reads before the decision, as Markdown.
fn body(standing: &Standing, reason: &str, concerns: &[Concern], required: bool) -> String {
    let mut text = format!("Discovered while working on \"{}\".\n", standing.task_title);
    if !reason.trim().is_empty() {
        text.push_str(&format!("\n{reason}\n"));
    }
    text.push_str("\n**Why you are asked**\n\n");
    for concern in concerns {
        text.push_str(&format!("- {concern}\n"));
    }
    text.push_str(match required {
        true => "\nThe goal does not complete before the decision. ",
        false => "\nThe goal goes on meanwhile, and may complete without it. ",
    });
    text.push_str("Rejecting it adds nothing and stops nothing.\n");
    text
}

/// The task and the attempt that discovered a plan; `None` for a plan of the goal itself.
pub(in crate::app) async fn origin(unit: &mut Unit, plan: PlanId) -> Result<Option<Discovered>> {
    Ok(store::goals::discovered::origin(unit.tx(), plan).await?)
}

/// Creates the tasks of an approved plan. A completed goal is active again.
///
/// # Errors
/// `goal_ended` for a failed or cancelled goal; `plan_invalid` if it no longer fits the goal;
/// `workspace_full`, `budget_exhausted`, and `wrong_state` for a goal of an archived project.
pub(in crate::app) async fn take(
    unit: &mut Unit,
    goal: &GoalFacts,
    plan: PlanId,
    origin: Discovered,
) -> Result<()> {
    match goal.state {
        GoalState::Active | GoalState::Verifying | GoalState::Completed => {}
        GoalState::Planning | GoalState::Proposed | GoalState::Failed | GoalState::Cancelled => {
            refuse_ended(goal)?;
        }
    }
    let tasks = store::goals::plan_document(unit.tx(), plan).await?;
    // Before the tasks: the goal no longer waits for the decision.
    store::goals::set_plan_state(unit.tx(), plan, PlanState::Applied).await?;
    create(unit, goal, plan, origin, &tasks, "/payload").await?;
    if goal.state == GoalState::Active {
        finish_if_over(unit, goal.goal_id).await?;
    }
    Ok(())
}

/// Declines a plan. A goal that waited for the decision completes.
pub(in crate::app) async fn decline(unit: &mut Unit, goal: &GoalFacts, plan: PlanId) -> Result<()> {
    store::goals::set_plan_state(unit.tx(), plan, PlanState::Rejected).await?;
    unit.record(NewRow::new(Kind::PlanRejected).goal(goal.goal_id).data(json!({"plan_id": plan})));
    if goal.state.is_worked_on() {
        finish_if_over(unit, goal.goal_id).await?;
    }
    Ok(())
}

/// Reads an edited plan of discovered work; returns it in stored form.
///
/// # Errors
/// `invalid` if it is no list of tasks; `plan_invalid`.
pub(in crate::app) async fn read(
    unit: &mut Unit,
    goal: &GoalFacts,
    document: &Value,
    at: &str,
) -> Result<Vec<TaskSpec>> {
    let tasks: Vec<TaskSpec> = serde_json::from_value(document.clone())
        .map_err(|error| Refusal::invalid_at(at, format!("is no list of tasks: {error}")))?;
    Ok(additions::check(unit, goal, &tasks, at).await?.tasks)
}

async fn create(
    unit: &mut Unit,
    goal: &GoalFacts,
    plan: PlanId,
    origin: Discovered,
    tasks: &[TaskSpec],
    at: &str,
) -> Result<AddedTasks> {
    let row = NewRow::new(Kind::PlanApplied).goal(goal.goal_id).task(origin.from);
    let data = json!({"plan_id": plan, "tasks": tasks.len(), "discovered_from": origin.from});
    unit.record(row.attempt(origin.by).data(data));
    let risk = store::tasks::least_risk(unit.tx(), origin.from).await?;
    let addition = Addition { tasks, at, risk, discovered_from: Some(origin.from) };
    additions::add(unit, goal, addition).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_title_of_the_goal_fits_into_the_question() {
        assert_eq!(title(1, "g"), "Add 1 discovered task to \"g\"?");
        assert_eq!(title(7, &"é".repeat(500)).chars().count(), settings::TITLE_CHARS);
    }
}
