//! The lock order in code.

use std::collections::HashMap;

use crate::{
    app::{Result, Unit},
    domain::{
        ids::{ApprovalId, AttemptId, GoalId, TaskId},
        refusal::{Code, Refusal},
        states::ApprovalState,
        task::{AttemptFacts, TaskFacts},
    },
    store::{self, approvals::ApprovalFacts, goals::GoalFacts},
};

pub(in crate::app) async fn lock_goal(unit: &mut Unit, goal: GoalId) -> Result<GoalFacts> {
    let workspace = unit.workspace();
    let found = store::goals::lock(unit.conn(), workspace, &[goal]).await?;
    unit.know(&found);
    found.into_iter().next().ok_or_else(|| Refusal::not_found("goal").into())
}

/// Locks an approval that waits.
///
/// # Errors
/// `already_decided`.
pub(in crate::app) async fn lock_pending(
    unit: &mut Unit,
    approval: ApprovalId,
) -> Result<ApprovalFacts> {
    let workspace = unit.workspace();
    let facts = store::approvals::lock(unit.conn(), workspace, approval).await?;
    if facts.state == ApprovalState::Pending {
        return Ok(facts);
    }
    let detail = "somebody decided this before, or what it was about has ended; read it again";
    Err(Refusal::new(Code::AlreadyDecided, detail).into())
}

pub(in crate::app) async fn lock_task(
    unit: &mut Unit,
    task: Option<TaskId>,
) -> Result<Option<TaskFacts>> {
    let Some(task) = task else { return Ok(None) };
    let workspace = unit.workspace();
    let locked = store::tasks::lock(unit.conn(), workspace, &[task]).await?;
    Ok(locked.into_iter().next())
}

/// Locks attempts and gives them by id.
///
/// # Errors
/// When the database fails.
pub(in crate::app) async fn locked(
    unit: &mut Unit,
    ids: &[AttemptId],
) -> Result<HashMap<AttemptId, AttemptFacts>> {
    let workspace = unit.workspace();
    let facts = store::attempts::lock(unit.conn(), workspace, ids).await?;
    Ok(facts.into_iter().map(|attempt| (attempt.attempt_id, attempt)).collect())
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
