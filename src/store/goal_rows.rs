//! Goals as they are read.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::domain::{
    ids::{GoalId, KeyId, ProjectId, WorkspaceId},
    states::{GoalState, Planner},
};

/// A goal with its text and spend.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct GoalRow {
    pub goal_id: GoalId,
    pub title: String,
    pub state: GoalState,
    pub planner: Planner,
    pub priority: i16,
    pub project_id: Option<ProjectId>,
    pub deadline: Option<DateTime<Utc>>,
    pub tasks_total: i32,
    pub tasks_open: i32,
    pub tasks_done: i32,
    pub tasks_failed: i32,
    pub tasks_cancelled: i32,
    pub spend: Value,
    pub end_reason: Option<String>,
    pub metadata: Value,
    pub brief: Option<String>,
    pub created_by: KeyId,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// Reads one goal.
///
/// # Errors
/// When the database fails.
pub async fn read(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    goal: GoalId,
) -> sqlx::Result<Option<GoalRow>> {
    sqlx::query_as!(
        GoalRow,
        r#"
        select g.goal_id as "goal_id: GoalId", g.title, g.state as "state: GoalState",
               g.planner as "planner: Planner", g.priority, g.project_id as "project_id: ProjectId",
               g.deadline, g.tasks_total, g.tasks_open, g.tasks_done, g.tasks_failed,
               g.tasks_cancelled, g.end_reason, x.metadata, x.brief,
               g.created_by as "created_by: KeyId", g.version, g.created_at, g.updated_at,
               g.ended_at,
               coalesce((select jsonb_object_agg(s.unit, s.amount) from spend_totals s
                         where s.workspace_id = $1 and s.node = 'goal' and s.node_id = g.goal_id),
                        '{}') as "spend!"
        from goals g join goal_texts x using (workspace_id, goal_id)
        where g.workspace_id = $1 and g.goal_id = $2
        "#,
        workspace.0,
        goal.0,
    )
    .fetch_optional(conn)
    .await
}
