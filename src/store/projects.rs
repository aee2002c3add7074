//! Projects.
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::ids::{ProjectId, WorkspaceId};

/// The project of a name, made if it does not exist.
///
/// # Errors
/// When the database fails.
pub async fn ensure_by_name(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ProjectId,
    name: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<ProjectId> {
    sqlx::query_scalar!(
        r#"insert into projects as p (workspace_id, project_id, name, created_at, updated_at)
           values ($1, $2, $3, $4, $4)
           on conflict (workspace_id, name) do update set name = p.name
           returning project_id as "project_id: ProjectId""#,
        workspace.0,
        id.0,
        name,
        now,
    )
    .fetch_one(conn)
    .await
}
