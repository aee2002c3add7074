//! Tasks that are too large: the planners of their goal are asked for their parts.
//!
//! A goal that was planned by `llm` or `agent`, or could have been, has its too large tasks divided by these, in the
//! order of its chain. The task waits, parked, and all else goes on. When none of them makes parts that can be used, a
//! person divides it, as for any other goal.

use serde_json::json;

use crate::{
    app::{
        Result, Unit,
        goals::split::{self, Parts},
    },
    domain::{
        ids::{GoalId, TaskId},
        journal::{Kind, NewRow},
        plan::{TaskSpec, new_goal::PlannerChoice},
        planning::{PlannerInput, RunState, Said, Target},
        refusal::Refusal,
        settings,
    },
    store::{self, goals::GoalFacts, planning::NewRun},
};

/// Has the planners of a goal asked for the parts of a task that waits for its division. The caller holds the locks of
/// both.
pub(in crate::app) async fn begin(unit: &mut Unit, goal: GoalId, task: TaskId) -> Result<()> {
    let planners = store::planning::callable(unit.tx(), goal).await?;
    if planners.is_empty() {
        return Ok(());
    }
    let runs = store::planning::count(unit.tx(), goal).await?;
    if runs.unsigned_abs() as usize + planners.len() > settings::PLANNING_RUNS {
        return Ok(());
    }
    let run = |(place, planner): (usize, &PlannerChoice)| NewRun {
        run_id: unit.id(),
        planner: *planner,
        state: if place == 0 { RunState::Waiting } else { RunState::Queued },
        input: json!(PlannerInput::default()),
        said: json!(Said::default()),
        plan_id: None,
    };
    let runs: Vec<NewRun> = planners.iter().enumerate().map(run).collect();
    store::planning::insert(unit.tx(), goal, Target::Parts, Some(task), &runs).await?;
    let data = json!({"planners": planners, "target": Target::Parts});
    unit.record(NewRow::new(Kind::GoalPlanning).goal(goal).task(Some(task)).data(data));
    Ok(())
}

/// Divides a task into the parts that a planner made. The caller holds the lock of the goal.
///
/// # Errors
/// `wrong_state` if it cannot be divided any more; `invalid` and `plan_invalid`, with every place.
pub(super) async fn divide(
    unit: &mut Unit,
    goal: &GoalFacts,
    task: TaskId,
    tasks: &[TaskSpec],
) -> Result<()> {
    let facts = store::tasks::lock(unit.tx(), &[task]).await?.pop();
    let facts = facts.ok_or_else(|| Refusal::not_found("task"))?;
    let parts =
        Parts { tasks, at: "/tasks", reason: "it was too large, and a planner made its parts" };
    split::divide(unit, goal, &facts, parts).await.map(drop)
}
