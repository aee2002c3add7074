//! The weights of tasks, by which the progress of their goal is measured.
//!
//! The rules are those of [`crate::domain::goal::progress::weight`]. A task that ends moves its weight with
//! the counters of the goal ([`super::cascade`]). The unit of a goal is chosen here, with the first tasks that
//! have an estimate; the tasks from before, such as that of a planning agent, are then weighed by it once. The
//! caller holds the lock of the goal.

use crate::{
    app::{Result, Unit},
    domain::{
        budget::ask::Estimates,
        goal::progress::weight::Weighing,
        ids::{GoalId, TaskId},
        task::TaskFacts,
    },
    store,
};

/// How tasks with these estimates weigh in their goal. Chooses it if the goal has no unit yet.
pub(super) async fn weighing(
    unit: &mut Unit,
    goal: GoalId,
    estimates: &[&Estimates],
) -> Result<Weighing> {
    let kept = store::goals::progress::weighing(unit.tx(), goal).await?;
    if kept.unit.is_some() {
        return Ok(kept);
    }
    let chosen = Weighing::of(estimates.iter().copied());
    if chosen.unit.is_some() {
        store::goals::progress::weigh_by(unit.tx(), goal, &chosen).await?;
    }
    Ok(chosen)
}

/// Weighs locked tasks of one goal whose estimates have changed and are stored.
pub(super) async fn again(unit: &mut Unit, edited: &[(&TaskFacts, &Estimates)]) -> Result<()> {
    // Containers and tasks of the verification weigh nothing.
    let weighed: Vec<&(&TaskFacts, &Estimates)> =
        edited.iter().filter(|(task, _)| task.weight > 0).collect();
    let Some((task, _)) = weighed.first() else { return Ok(()) };
    let goal = task.goal_id;
    let estimates: Vec<&Estimates> = weighed.iter().map(|(_, estimate)| *estimate).collect();
    let weighing = weighing(unit, goal, &estimates).await?;
    let weights: Vec<(TaskId, i64)> =
        weighed.iter().map(|(task, estimate)| (task.task_id, weighing.weight(estimate))).collect();
    Ok(store::goals::progress::weigh(unit.tx(), goal, &weights).await?)
}
