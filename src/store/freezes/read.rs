//! Reads of freezes, with the attempts they stopped or cover.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    domain::{
        freeze::{FreezeMode, FreezeScope},
        ids::{AgentId, AttemptId, FreezeId, KeyId, TaskId},
    },
    store::{Tx, traced},
};

/// A freeze with its numbers of attempts.
#[derive(Debug, Clone)]
pub struct FreezeRow {
    /// Its id.
    pub freeze_id: FreezeId,
    /// Kind of its scope.
    pub scope: FreezeScope,
    /// Id of the frozen thing; `None` for the workspace or a capability.
    pub scope_id: Option<Uuid>,
    /// The frozen capability.
    pub capability: Option<String>,
    /// Its mode: how much it stops.
    pub mode: FreezeMode,
    /// Its reason.
    pub reason: String,
    /// Generation: the number of its last change in the workspace.
    pub generation: i64,
    /// Number of attempts it ended.
    pub stopped: i64,
    /// Number of attempts running under it.
    pub running: i64,
    /// The key that set it.
    pub set_by: Option<KeyId>,
    /// Time at which it was set.
    pub set_at: DateTime<Utc>,
    /// The key that lifted it.
    pub lifted_by: Option<KeyId>,
    /// Time at which it was lifted.
    pub lifted_at: Option<DateTime<Utc>>,
    /// Reason of the lift.
    pub lift_reason: Option<String>,
}

/// Filter of [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct FreezeFilter {
    /// Only this one.
    pub freeze: Option<FreezeId>,
    /// Only lifted ones, or only those in force.
    pub lifted: Option<bool>,
    /// Only with this kind of scope.
    pub scope: Option<FreezeScope>,
    /// Only with this scope id.
    pub scope_id: Option<Uuid>,
}

/// Up to `rows` freezes after `after`, newest first.
pub async fn list(
    tx: &mut Tx,
    filter: FreezeFilter,
    after: Option<FreezeId>,
    rows: i64,
) -> sqlx::Result<Vec<FreezeRow>> {
    let FreezeFilter { freeze, lifted, scope, scope_id } = filter;
    sqlx::query_as!(
        FreezeRow,
        r#"
        select f.freeze_id as "freeze_id: FreezeId", f.scope as "scope: FreezeScope", f.scope_id,
               f.capability, f.mode as "mode: FreezeMode", f.reason, f.generation,
               (select count(*) from freeze_stops s
                where s.workspace_id = $1 and s.freeze_id = f.freeze_id) as "stopped!",
               case when f.lifted_at is null then
                   (select count(*) from attempts a
                    where a.workspace_id = $1 and a.state = 'running'
                      and exists (select from freezes_over($1, a.task_id, a.agent_id) o
                                  where o.freeze_id = f.freeze_id))
               else 0 end as "running!",
               f.set_by as "set_by: KeyId", f.set_at, f.lifted_by as "lifted_by: KeyId",
               f.lifted_at, f.lift_reason
        from freezes f
        where f.workspace_id = $1
          and ($2::uuid is null or f.freeze_id = $2)
          and ($3::bool is null or (f.lifted_at is not null) = $3)
          and ($4::text is null or f.scope = $4)
          and ($5::uuid is null or f.scope_id = $5)
          and ($6::uuid is null or f.freeze_id < $6)
        order by f.freeze_id desc limit $7
        "#,
        tx.workspace.0,
        freeze.map(|id| id.0),
        lifted,
        scope.map(FreezeScope::as_str),
        scope_id,
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "freezes.read.list"))
    .await
}

/// An attempt ended by a freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoppedRow {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
    /// The agent; `None` if a person held it.
    pub agent_id: Option<AgentId>,
}

/// At most `most` attempts that a freeze ended.
pub async fn stopped(tx: &mut Tx, freeze: FreezeId, most: i64) -> sqlx::Result<Vec<StoppedRow>> {
    sqlx::query_as!(
        StoppedRow,
        r#"select a.attempt_id as "attempt_id: AttemptId", a.task_id as "task_id: TaskId",
                  a.agent_id as "agent_id: AgentId"
           from freeze_stops s
           join attempts a on a.workspace_id = $1 and a.attempt_id = s.attempt_id
           where s.workspace_id = $1 and s.freeze_id = $2
           order by s.attempt_id limit $3"#,
        tx.workspace.0,
        freeze.0,
        most,
    )
    .fetch_all(traced!(tx, "freezes.read.stopped"))
    .await
}
