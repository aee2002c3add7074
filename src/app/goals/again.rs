//! Goals that are active again, because work of them comes back or is added.
//!
//! What evidence showed about the criteria of the goal is shown again after that work: its checks were of
//! another state of it. What a person decided stays. A task that was made for the verification itself is no such
//! work: the goal stays verifying, and the task's result decides.

use serde_json::json;

use crate::{
    app::{
        Result, Unit,
        budgets::allocations,
        tasks::{
            cascade,
            returns::{Because, bring_back},
            verification,
        },
    },
    domain::{
        ids::{GoalId, TaskId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        states::GoalState,
        task::returns::Returns,
    },
    store::{self, goals::GoalFacts, tasks::returns::Grant},
};

/// Brings tasks back. A goal that has completed or failed is active again, and reserves its allocated
/// budget again; a verifying one is active again unless only tasks of its verification come back. The
/// caller holds the locks of the goal and of all its tasks.
///
/// # Errors
/// `wrong_state` for an ended goal of an archived project; `workspace_full`; `budget_exhausted` if its
/// budget is allocated and there is too little room above it.
pub(super) async fn bring_back_in(
    unit: &mut Unit,
    goal: &GoalFacts,
    returns: &Returns,
    grant: Grant,
    because: Because<'_>,
) -> Result<()> {
    let id = goal.goal_id;
    let ended = match goal.state {
        GoalState::Completed | GoalState::Failed => true,
        GoalState::Planning
        | GoalState::Proposed
        | GoalState::Active
        | GoalState::Verifying
        | GoalState::Cancelled => false,
    };
    if ended {
        refuse_archived(unit, goal).await?;
    }
    let tasks: Vec<TaskId> = returns.tasks.iter().map(|task| task.task_id).collect();
    let of_plan = store::goals::criteria::are_of_plan(unit.tx(), &tasks).await?;
    if ended || (of_plan && goal.state == GoalState::Verifying) {
        reactivate(unit, goal).await?;
    }
    bring_back(unit, id, returns, grant, because).await?;
    if of_plan {
        check_anew(unit, id).await?;
    } else {
        let opened = store::goals::criteria::reopen(unit.tx(), id).await?;
        verification::tell_opened(unit, id, &opened);
    }
    if ended {
        allocations::reopen(unit, id).await?;
    }
    Ok(())
}

/// Refuses a goal of an archived project: it would be open in a project that lists leave out. The unit shares
/// the workspace, so the project is not archived meanwhile.
pub(super) async fn refuse_archived(unit: &mut Unit, goal: &GoalFacts) -> Result<()> {
    let Some(project) = goal.project_id else { return Ok(()) };
    if !store::projects::is_archived(unit.tx(), project).await? {
        return Ok(());
    }
    let detail = format!(
        "the project of the goal is archived and has no open goals; POST \
         /v1/projects/{project}/unarchive brings it back"
    );
    Err(Refusal::new(Code::WrongState, detail).into())
}

/// Makes a goal active that has ended or is verifying. Open tasks must follow in the same unit.
pub(super) async fn reactivate(unit: &mut Unit, goal: &GoalFacts) -> Result<()> {
    store::goals::reactivate(unit.tx(), goal.goal_id).await?;
    let data = json!({"from": goal.state});
    unit.record(NewRow::new(Kind::GoalActive).goal(goal.goal_id).data(data));
    Ok(())
}

/// Cancels open checks of a goal that is worked on again, and has its criteria checked after that work.
pub(super) async fn check_anew(unit: &mut Unit, goal: GoalId) -> Result<()> {
    let opened = store::goals::criteria::start_over(unit.tx(), goal).await?;
    verification::tell_opened(unit, goal, &opened);
    let checks = store::goals::criteria::open_checks(unit.tx(), goal).await?;
    cascade::apply_cancel(unit, &checks, "the goal is worked on again").await
}
