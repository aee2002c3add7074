//! Workspaces: the tenants.

use super::{SystemTx, Tx, traced};
use crate::domain::ids::WorkspaceId;

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRow {
    /// Id of the workspace.
    pub workspace_id: WorkspaceId,
    /// Name for people.
    pub name: String,
}

/// Lock number of the first start; arbitrary, but must never change.
const FIRST_START: i64 = 0x6d75_7374_6572;

/// Waits for other processes that create the first workspace; locks until the transaction ends.
pub async fn lock_first_start(tx: &mut SystemTx) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1)", FIRST_START)
        .execute(traced!(tx, "workspaces.lock_first_start"))
        .await?;
    Ok(())
}

/// All workspaces, oldest first. Used by the first start, the supervisor and the command line, so
/// it names no workspace.
pub async fn all(tx: &mut SystemTx) -> sqlx::Result<Vec<WorkspaceRow>> {
    sqlx::query_as!(
        WorkspaceRow,
        r#"select workspace_id as "workspace_id: WorkspaceId", name from workspaces
           order by created_at, workspace_id"#,
    )
    .fetch_all(traced!(tx, "workspaces.all"))
    .await
}

/// Stores a workspace.
pub async fn insert(tx: &mut Tx, name: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into workspaces (workspace_id, name, created_at) values ($1, $2, $3)",
        tx.workspace.0,
        name,
        tx.now,
    )
    .execute(traced!(tx, "workspaces.insert"))
    .await?;
    Ok(())
}
