//! Edits of single tasks.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{GoalId, TaskId},
        states::{FailureClass, TaskState},
    },
    store::{Tx, traced},
};

/// The facts an edit needs.
#[derive(Debug)]
pub struct EditFacts {
    /// The task's goal.
    pub goal_id: GoalId,
    /// Its state.
    pub state: TaskState,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// Its version.
    pub version: i32,
    /// Its failure class.
    pub failure_class: Option<FailureClass>,
    /// Number of consecutive lost leases.
    pub lost_in_row: i32,
    /// Time at which its quarantine was acknowledged.
    pub acknowledged_at: Option<DateTime<Utc>>,
}

/// Locks a task and reads the facts of an edit.
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

/// Sets the priority of a task; its claim rank follows.
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

/// Records that a person acknowledged a task's quarantine.
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
