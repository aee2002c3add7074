//! Freezes: setting and lifting, and the attempts under them.
//!
//! A change of freezes holds the workspace's exclusive lock ([`super::Hold`]): earlier units of
//! work have ended, later ones see the change. So a unit of work may read freezes at any point
//! without a lock, and they stay the same until its end.

pub mod read;

use std::collections::HashMap;

use uuid::Uuid;

use super::{Tx, attempts::Place, columns::uuids, traced};
use crate::domain::{
    freeze::{FreezeMode, FreezeScope},
    ids::{AttemptId, FreezeId, GoalId, KeyId, TaskId},
};

/// A freeze to be set.
#[derive(Debug, Clone)]
pub struct NewFreeze<'a> {
    /// Its id.
    pub freeze_id: FreezeId,
    /// Kind of its scope.
    pub scope: FreezeScope,
    /// Id of the frozen thing; `None` for the workspace or a capability.
    pub scope_id: Option<Uuid>,
    /// The frozen capability.
    pub capability: Option<&'a str>,
    /// Its mode: how much it stops.
    pub mode: FreezeMode,
    /// Its reason.
    pub reason: &'a str,
    /// The key that sets it.
    pub set_by: Option<KeyId>,
}

/// Sets a freeze; returns its generation.
pub async fn insert(tx: &mut Tx, new: &NewFreeze<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "insert into freezes (workspace_id, freeze_id, scope, scope_id, capability, mode, reason,
                              set_by, set_at, generation)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9,
                1 + coalesce((select max(generation) from freezes where workspace_id = $1), 0)
         returning generation",
        tx.workspace.0,
        new.freeze_id.0,
        new.scope.as_str(),
        new.scope_id,
        new.capability,
        new.mode.as_str(),
        new.reason,
        new.set_by.map(|id| id.0),
        tx.now,
    )
    .fetch_one(traced!(tx, "freezes.insert"))
    .await
}

/// Lifts a freeze. Returns its new generation, or `None` if it was lifted before. The lift never
/// precedes the setting, even if the clock was set back.
pub async fn lift(
    tx: &mut Tx,
    freeze: FreezeId,
    by: Option<KeyId>,
    reason: &str,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "update freezes
         set lifted_at = greatest($3, set_at), lifted_by = $4, lift_reason = $5,
             generation = 1 + (select max(generation) from freezes where workspace_id = $1)
         where workspace_id = $1 and freeze_id = $2 and lifted_at is null
         returning generation",
        tx.workspace.0,
        freeze.0,
        tx.now,
        by.map(|id| id.0),
        reason,
    )
    .fetch_optional(traced!(tx, "freezes.lift"))
    .await
}

/// Whether the thing to freeze exists.
pub async fn scope_exists(tx: &mut Tx, scope: FreezeScope, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select case $2::text
            when 'workspace' then $1::uuid = $3::uuid
            when 'project' then exists (select from projects where workspace_id = $1 and project_id = $3)
            when 'goal' then exists (select from goals where workspace_id = $1 and goal_id = $3)
            when 'task' then exists (select from tasks where workspace_id = $1 and task_id = $3)
            when 'agent' then exists (select from agents where workspace_id = $1 and agent_id = $3)
            else false end as "exists!""#,
        tx.workspace.0,
        scope.as_str(),
        id,
    )
    .fetch_one(traced!(tx, "freezes.scope_exists"))
    .await
}

/// Running attempts under a freeze.
pub async fn running_under(tx: &mut Tx, freeze: FreezeId) -> sqlx::Result<Vec<Place>> {
    sqlx::query_as!(
        Place,
        r#"select a.attempt_id as "attempt_id: AttemptId", a.task_id as "task_id: TaskId",
                  a.goal_id as "goal_id: GoalId", null::text as "frozen: FreezeMode"
           from attempts a
           where a.workspace_id = $1 and a.state = 'running'
             and exists (select from freezes_over($1, a.task_id, a.agent_id) f
                         where f.freeze_id = $2)"#,
        tx.workspace.0,
        freeze.0,
    )
    .fetch_all(traced!(tx, "freezes.running_under"))
    .await
}

/// Stores the attempts ended by a freeze.
pub async fn note_stopped(
    tx: &mut Tx,
    freeze: FreezeId,
    attempts: &[AttemptId],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into freeze_stops (workspace_id, freeze_id, attempt_id)
         select $1, $2, unnest($3::uuid[])",
        tx.workspace.0,
        freeze.0,
        &uuids(attempts),
    )
    .execute(traced!(tx, "freezes.note_stopped"))
    .await?;
    Ok(())
}

/// A freeze over an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// The freeze.
    pub freeze_id: FreezeId,
    /// Its mode: how much it stops.
    pub mode: FreezeMode,
    /// Its generation: the number of its last change in the workspace.
    pub generation: i64,
    /// Its reason.
    pub reason: String,
}

/// The strongest freeze over each attempt, the latest among equals. Omits attempts without a
/// freeze.
pub async fn strongest_over(
    tx: &mut Tx,
    attempts: &[AttemptId],
) -> sqlx::Result<HashMap<AttemptId, Over>> {
    let rows = sqlx::query!(
        r#"select a.attempt_id as "attempt_id: AttemptId", f.freeze_id as "freeze_id!: FreezeId",
                  f.mode as "mode!: FreezeMode", f.generation as "generation!", f.reason as "reason!"
           from attempts a cross join lateral (
               select * from freezes_over($1, a.task_id, a.agent_id)
               order by mode desc, generation desc limit 1
           ) f
           where a.workspace_id = $1 and a.attempt_id = any($2)"#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "freezes.strongest_over"))
    .await?;
    let over = rows.into_iter().map(|row| {
        let over = Over {
            freeze_id: row.freeze_id,
            mode: row.mode,
            generation: row.generation,
            reason: row.reason,
        };
        (row.attempt_id, over)
    });
    Ok(over.collect())
}
