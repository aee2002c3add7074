//! Locking in the common lock order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    app::{Result, Unit},
    domain::{
        ids::{ApprovalId, AttemptId, GoalId, TaskId},
        refusal::{Code, Refusal},
        states::ApprovalState,
        task::{AttemptFacts, TaskFacts},
    },
    store::{self, approvals::ApprovalFacts, attempts::Place, goals::GoalFacts},
};

pub(in crate::app) async fn lock_goal(unit: &mut Unit, goal: GoalId) -> Result<GoalFacts> {
    let found = store::goals::lock(unit.tx(), &[goal]).await?;
    unit.know(&found);
    found.into_iter().next().ok_or_else(|| Refusal::not_found("goal").into())
}

/// Locks the goal of a task.
///
/// # Errors
/// `not_found`.
pub(in crate::app) async fn lock_goal_of(unit: &mut Unit, task: TaskId) -> Result<GoalFacts> {
    let goal = store::tasks::goal_of(unit.tx(), task).await?;
    lock_goal(unit, goal.ok_or_else(|| Refusal::not_found("task"))?).await
}

/// Locks a pending approval.
///
/// # Errors
/// `already_decided`.
pub(in crate::app) async fn lock_pending(
    unit: &mut Unit,
    approval: ApprovalId,
) -> Result<ApprovalFacts> {
    let facts = store::approvals::lock(unit.tx(), approval).await?;
    pending(&facts)?;
    Ok(facts)
}

/// Refuses an approval that was decided or has ended.
///
/// # Errors
/// `already_decided`.
pub(in crate::app) fn pending(facts: &ApprovalFacts) -> std::result::Result<(), Refusal> {
    if facts.state == ApprovalState::Pending {
        return Ok(());
    }
    let detail = "somebody decided this before, or what it was about has ended; read it again";
    Err(Refusal::new(Code::AlreadyDecided, detail))
}

pub(in crate::app) async fn lock_task(
    unit: &mut Unit,
    task: Option<TaskId>,
) -> Result<Option<TaskFacts>> {
    let Some(task) = task else { return Ok(None) };
    let locked = store::tasks::lock(unit.tx(), &[task]).await?;
    Ok(locked.into_iter().next())
}

/// Locks attempts; returns them by id.
pub(in crate::app) async fn locked(
    unit: &mut Unit,
    ids: &[AttemptId],
) -> Result<HashMap<AttemptId, AttemptFacts>> {
    let facts = store::attempts::lock(unit.tx(), ids).await?;
    Ok(facts.into_iter().map(|attempt| (attempt.attempt_id, attempt)).collect())
}

/// Attempts with their tasks and goals, locked.
#[derive(Debug)]
pub(in crate::app) struct Locked {
    pub goals: HashMap<GoalId, GoalFacts>,
    /// In id order.
    pub tasks: BTreeMap<TaskId, TaskFacts>,
    pub attempts: HashMap<AttemptId, AttemptFacts>,
}

/// Locks attempts with everything above them: goals, tasks, attempts, each in id order.
pub(in crate::app) async fn of_attempts(unit: &mut Unit, places: &[Place]) -> Result<Locked> {
    let goals: BTreeSet<GoalId> = places.iter().map(|place| place.goal_id).collect();
    let tasks: BTreeSet<TaskId> = places.iter().map(|place| place.task_id).collect();
    let ids: Vec<AttemptId> = places.iter().map(|place| place.attempt_id).collect();
    let goals = store::goals::lock(unit.tx(), &Vec::from_iter(goals)).await?;
    unit.know(&goals);
    let tasks = store::tasks::lock(unit.tx(), &Vec::from_iter(tasks)).await?;
    Ok(Locked {
        goals: goals.into_iter().map(|goal| (goal.goal_id, goal)).collect(),
        tasks: tasks.into_iter().map(|task| (task.task_id, task)).collect(),
        attempts: locked(unit, &ids).await?,
    })
}

/// An attempt among those that were locked.
///
/// # Errors
/// `not_found`.
pub(in crate::app) fn find(
    attempts: &HashMap<AttemptId, AttemptFacts>,
    id: AttemptId,
) -> std::result::Result<&AttemptFacts, Refusal> {
    attempts.get(&id).ok_or_else(|| Refusal::not_found("attempt"))
}
