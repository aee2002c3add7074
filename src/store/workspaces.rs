//! Workspaces: the tenants.

use chrono::{DateTime, Utc};

use super::{SystemTx, Tx, traced};
use crate::domain::{ids::WorkspaceId, routing::policy::Policy};

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

/// A workspace with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceSettings {
    /// Id of the workspace.
    pub workspace_id: WorkspaceId,
    /// Name for people.
    pub name: String,
    /// Lifetime of a new key of an agent in seconds; `None`: it does not expire.
    pub agent_key_lifetime_seconds: Option<i64>,
    /// Most attempts of one agent at once; `None`: no cap.
    pub agent_max_concurrent: Option<i32>,
    /// Longest lease of an attempt of an agent in seconds; `None`: no cap.
    pub max_lease_seconds: Option<i32>,
    /// Ended goals are pruned after this many days; `None`: never.
    pub goal_retention_days: Option<i32>,
    /// Rows of the journal are pruned after this many days; `None`: never.
    pub journal_retention_days: Option<i32>,
    /// How claims choose tasks and agents.
    pub routing: Policy,
    /// Longest time in milliseconds that a task is kept for a better agent.
    pub max_deferral_ms: i32,
    /// Percentage of assignments made at random.
    pub control_percent: i32,
    /// Artifacts that no open goal refers to are deleted after this many days; `None`: never.
    pub artifact_retention_days: Option<i32>,
    /// Media types of artifacts; `None`: all.
    pub artifact_media_types: Option<Vec<String>>,
    /// Most tokens of lessons in a claim; 0: none.
    pub lesson_tokens: i32,
    /// Percentage of tasks whose claims get no lessons.
    pub lesson_control_percent: i32,
    /// Archived and superseded lessons are deleted after this many days; `None`: never.
    pub lesson_retention_days: Option<i32>,
    /// Rises by one with every edit.
    pub version: i32,
    /// Time of its creation.
    pub created_at: DateTime<Utc>,
    /// Time of its last edit.
    pub updated_at: Option<DateTime<Utc>>,
}

/// The settings of the workspace; `None` if it does not exist.
pub async fn settings(tx: &mut Tx) -> sqlx::Result<Option<WorkspaceSettings>> {
    sqlx::query_as!(
        WorkspaceSettings,
        r#"select workspace_id as "workspace_id: WorkspaceId", name, agent_key_lifetime_seconds,
                  agent_max_concurrent, max_lease_seconds, goal_retention_days,
                  journal_retention_days, routing as "routing: Policy", max_deferral_ms,
                  control_percent, artifact_retention_days, artifact_media_types,
                  lesson_tokens, lesson_control_percent, lesson_retention_days,
                  version, created_at, updated_at
           from workspaces where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_optional(traced!(tx, "workspaces.settings"))
    .await
}

/// Writes the settings of the workspace, with the next version. The unit of work runs alone.
pub async fn update(tx: &mut Tx, edited: &WorkspaceSettings) -> sqlx::Result<()> {
    sqlx::query!(
        "update workspaces
         set name = $2, agent_key_lifetime_seconds = $3, agent_max_concurrent = $4,
             max_lease_seconds = $5, goal_retention_days = $7, journal_retention_days = $8,
             routing = $9, max_deferral_ms = $10, control_percent = $11,
             artifact_retention_days = $12, artifact_media_types = $13,
             lesson_tokens = $14, lesson_control_percent = $15, lesson_retention_days = $16,
             version = version + 1, updated_at = $6
         where workspace_id = $1",
        tx.workspace.0,
        edited.name,
        edited.agent_key_lifetime_seconds,
        edited.agent_max_concurrent,
        edited.max_lease_seconds,
        tx.now,
        edited.goal_retention_days,
        edited.journal_retention_days,
        edited.routing.as_str(),
        edited.max_deferral_ms,
        edited.control_percent,
        edited.artifact_retention_days,
        edited.artifact_media_types.as_deref(),
        edited.lesson_tokens,
        edited.lesson_control_percent,
        edited.lesson_retention_days,
    )
    .execute(traced!(tx, "workspaces.update"))
    .await?;
    Ok(())
}
