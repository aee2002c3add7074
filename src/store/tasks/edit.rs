//! Edits of single tasks.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{GoalId, TaskId},
        states::{FailureClass, TaskState},
    },
    store::{Tx, traced},
};

/// What an edit needs to know.
#[derive(Debug)]
pub struct EditFacts {
    /// The task's goal.
    pub goal_id: GoalId,
    /// Its state.
    pub state: TaskState,
    /// 0 to 9.
    pub priority: i16,
    /// Its version.
    pub version: i32,
    /// Why it failed.
    pub failure_class: Option<FailureClass>,
    /// Leases lost in a row.
    pub lost_in_row: i32,
    /// When its quarantine was seen.
    pub acknowledged_at: Option<DateTime<Utc>>,
}

/// Locks a task to edit it.
pub async fn lock(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<EditFacts>> {
    sqlx::query_as!(
        EditFacts,
        r#"select goal_id as "goal_id: GoalId", state as "state: TaskState", priority, version,
                  failure_class as "failure_class: FailureClass", lost_in_row, acknowledged_at
           from tasks where workspace_id = $1 and task_id = $2 for no key update"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_optional(traced!(tx, "tasks.edit.lock"))
    .await
}

/// Gives a task another priority. Its place among the ready follows.
pub async fn set_priority(tx: &mut Tx, task: TaskId, priority: i16) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set priority = $3,
                claim_rank = claim_rank - ($3 - priority) * interval '300 seconds',
                version = version + 1, updated_at = $4
         where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
        priority,
        tx.now,
    )
    .execute(traced!(tx, "tasks.edit.set_priority"))
    .await?;
    Ok(())
}

/// Notes that the quarantine of a task was seen.
pub async fn acknowledge(tx: &mut Tx, task: TaskId) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set acknowledged_at = $3, version = version + 1
         where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
        tx.now,
    )
    .execute(traced!(tx, "tasks.edit.acknowledge"))
    .await?;
    Ok(())
}
