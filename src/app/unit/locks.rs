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
    let found = store::goals::lock(unit.tx(), &[goal]).await?;
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
    let facts = store::approvals::lock(unit.tx(), approval).await?;
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
    let locked = store::tasks::lock(unit.tx(), &[task]).await?;
    Ok(locked.into_iter().next())
}

/// Locks attempts and gives them by id.
pub(in crate::app) async fn locked(
    unit: &mut Unit,
    ids: &[AttemptId],
) -> Result<HashMap<AttemptId, AttemptFacts>> {
    let facts = store::attempts::lock(unit.tx(), ids).await?;
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
