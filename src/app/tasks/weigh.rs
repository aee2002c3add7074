//! The weights of tasks, by which the progress of their goal is measured.
//!
//! The rules are those of [`crate::domain::goal::progress::weight`]. A task that ends moves its weight with
//! the counters of the goal ([`super::cascade`]). The unit of a goal is chosen here, with the first tasks that
//! have an estimate; the tasks from before, such as that of a planning agent, are then weighed by it once. The
//! caller holds the lock of the goal.

use crate::{
    app::{Result, Unit},
    domain::{
        budget::ask::Estimates, goal::progress::weight::Weighing, ids::GoalId, task::TaskFacts,
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

/// Weighs a locked task whose estimate has changed and is stored.
pub(super) async fn again(unit: &mut Unit, task: &TaskFacts, estimate: &Estimates) -> Result<()> {
    if task.weight == 0 {
        // A container, or a task of the verification.
        return Ok(());
    }
    let weight = weighing(unit, task.goal_id, &[estimate]).await?.weight(estimate);
    Ok(store::goals::progress::weigh(unit.tx(), task.goal_id, task.task_id, weight).await?)
}
