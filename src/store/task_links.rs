//! What new tasks are tied to: criteria and dependencies.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::ids::{TaskId, WorkspaceId};

/// A criterion to be created.
#[derive(Debug, Clone)]
pub struct NewCriterion {
    /// Its task.
    pub task_id: TaskId,
    /// Counts the criteria of the task from 1.
    pub number: i16,
    /// What must be true.
    pub text: String,
    /// Whether evidence is needed.
    pub required: bool,
}

/// Creates criteria.
///
/// # Errors
/// When the database fails.
pub async fn insert_criteria(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    criteria: &[NewCriterion],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into criteria (workspace_id, task_id, number, text, required)
         select $1, * from unnest($2::uuid[], $3::smallint[], $4::text[], $5::bool[])",
        workspace.0,
        &criteria.iter().map(|c| c.task_id.0).collect::<Vec<_>>(),
        &criteria.iter().map(|c| c.number).collect::<Vec<_>>(),
        &criteria.iter().map(|c| c.text.clone()).collect::<Vec<_>>(),
        &criteria.iter().map(|c| c.required).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Creates dependencies: (task, what it needs, whether that is done already).
///
/// # Errors
/// When the database fails.
pub async fn insert_dependencies(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    now: DateTime<Utc>,
    edges: &[(TaskId, TaskId, bool)],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into dependencies (workspace_id, task_id, needs_task_id, satisfied_at)
         select $1, task_id, needs_task_id, case when done then $2::timestamptz end
         from unnest($3::uuid[], $4::uuid[], $5::bool[]) as d (task_id, needs_task_id, done)",
        workspace.0,
        now,
        &edges.iter().map(|(task, _, _)| task.0).collect::<Vec<_>>(),
        &edges.iter().map(|(_, needs, _)| needs.0).collect::<Vec<_>>(),
        &edges.iter().map(|(_, _, done)| *done).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
