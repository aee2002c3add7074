//! Projects.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Tx, columns::uuids, traced, violates};
use crate::domain::{ids::ProjectId, spend::Amounts};

const NAME_UNIQUE: &str = "projects_name_unique";

/// A project with the spend of its goals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRow {
    /// Id of the project.
    pub project_id: ProjectId,
    /// Unique in the workspace.
    pub name: String,
    /// Description for people.
    pub description: String,
    /// Spend of all its goals, by unit.
    pub spend: Json<Amounts>,
    /// Rises by one with every edit.
    pub version: i32,
    /// Time of its creation.
    pub created_at: DateTime<Utc>,
    /// Time of its last edit.
    pub updated_at: DateTime<Utc>,
    /// Time of its archiving.
    pub archived_at: Option<DateTime<Utc>>,
}

/// Stores a project. Returns `false` if the name is taken.
pub async fn insert(
    tx: &mut Tx,
    project: ProjectId,
    name: &str,
    description: &str,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into projects (workspace_id, project_id, name, description, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $5)
         on conflict on constraint projects_name_unique do nothing",
        tx.workspace.0,
        project.0,
        name,
        description,
        tx.now,
    )
    .execute(traced!(tx, "projects.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Returns the project with this name; creates it with the id `id` if there is none. The caller
/// knows by the returned id whether it was created.
///
/// Safe to call from several transactions at once: the later one waits for the earlier and finds
/// its project. An existing project is neither written nor locked.
pub async fn ensure_by_name(tx: &mut Tx, id: ProjectId, name: &str) -> sqlx::Result<ProjectId> {
    if let Some(found) = find_by_name(tx, name).await? {
        return Ok(found);
    }
    if insert(tx, id, name, "").await? {
        return Ok(id);
    }
    find_by_name(tx, name).await?.ok_or(sqlx::Error::RowNotFound)
}

/// The project with this name.
pub async fn find_by_name(tx: &mut Tx, name: &str) -> sqlx::Result<Option<ProjectId>> {
    sqlx::query_scalar!(
        r#"select project_id as "project_id: ProjectId" from projects
           where workspace_id = $1 and name = $2"#,
        tx.workspace.0,
        name,
    )
    .fetch_optional(traced!(tx, "projects.find_by_name"))
    .await
}

/// Those of the projects that exist, in no order.
pub async fn existing(tx: &mut Tx, projects: &[ProjectId]) -> sqlx::Result<Vec<ProjectId>> {
    sqlx::query_scalar!(
        r#"select project_id as "project_id: ProjectId" from projects
           where workspace_id = $1 and project_id = any($2)"#,
        tx.workspace.0,
        &uuids(projects),
    )
    .fetch_all(traced!(tx, "projects.existing"))
    .await
}

/// Names of projects, by id.
pub async fn names(
    tx: &mut Tx,
    projects: &[ProjectId],
) -> sqlx::Result<HashMap<ProjectId, String>> {
    let rows = sqlx::query!(
        r#"select project_id as "project_id: ProjectId", name from projects
           where workspace_id = $1 and project_id = any($2)"#,
        tx.workspace.0,
        &uuids(projects),
    )
    .fetch_all(traced!(tx, "projects.names"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.project_id, row.name)).collect())
}

/// Filter for [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ProjectFilter<'a> {
    /// Only these.
    pub within: Option<&'a [ProjectId]>,
    /// Only this one.
    pub project: Option<ProjectId>,
    /// Only the one with this name.
    pub name: Option<&'a str>,
    /// Only archived ones, or only others; `None`: both.
    pub archived: Option<bool>,
}

/// Lists projects after `after`, newest first (by id, descending).
pub async fn list(
    tx: &mut Tx,
    filter: ProjectFilter<'_>,
    after: Option<ProjectId>,
    rows: i64,
) -> sqlx::Result<Vec<ProjectRow>> {
    sqlx::query_as!(
        ProjectRow,
        r#"
        select p.project_id as "project_id: ProjectId", p.name, p.description, p.version,
               p.created_at, p.updated_at, p.archived_at,
               (select coalesce(jsonb_object_agg(s.unit, s.amount), '{}')
                from spend_sums s
                where s.workspace_id = $1 and s.node = 'project' and s.node_id = p.project_id)
               as "spend!: Json<Amounts>"
        from projects p
        where p.workspace_id = $1
          and ($2::uuid is null or p.project_id = $2)
          and ($3::text is null or p.name = $3)
          and ($4::uuid is null or p.project_id < $4)
          and ($6::uuid[] is null or p.project_id = any($6))
          and ($7::bool is null or p.archived = $7)
        order by p.project_id desc
        limit $5
        "#,
        tx.workspace.0,
        filter.project.map(|id| id.0),
        filter.name,
        after.map(|id| id.0),
        rows,
        filter.within.map(uuids) as Option<Vec<Uuid>>,
        filter.archived,
    )
    .fetch_all(traced!(tx, "projects.list"))
    .await
}

/// Number of goals of a project that have not ended.
pub async fn open_goals(tx: &mut Tx, project: ProjectId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from goals
           where workspace_id = $1 and project_id = $2 and not archived and ended_at is null"#,
        tx.workspace.0,
        project.0,
    )
    .fetch_one(traced!(tx, "projects.open_goals"))
    .await
}

/// Whether a project is archived.
pub async fn is_archived(tx: &mut Tx, project: ProjectId) -> sqlx::Result<bool> {
    let archived = sqlx::query_scalar!(
        "select archived from projects where workspace_id = $1 and project_id = $2",
        tx.workspace.0,
        project.0,
    )
    .fetch_optional(traced!(tx, "projects.is_archived"))
    .await?;
    Ok(archived.unwrap_or_default())
}

/// Archives a project, or puts it back into the lists.
pub async fn set_archived(tx: &mut Tx, project: ProjectId, archived: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "update projects set archived = $3, archived_at = case when $3 then $4::timestamptz end,
                version = version + 1, updated_at = $4
         where workspace_id = $1 and project_id = $2",
        tx.workspace.0,
        project.0,
        archived,
        tx.now,
    )
    .execute(traced!(tx, "projects.set_archived"))
    .await?;
    Ok(())
}

/// The editable columns of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectText {
    /// Unique in the workspace.
    pub name: String,
    /// Description for people.
    pub description: String,
    /// Rises by one with every edit.
    pub version: i32,
}

/// Locks a project by id.
pub async fn lock(tx: &mut Tx, project: ProjectId) -> sqlx::Result<Option<ProjectText>> {
    sqlx::query_as!(
        ProjectText,
        "select name, description, version from projects
         where workspace_id = $1 and project_id = $2
         for no key update",
        tx.workspace.0,
        project.0,
    )
    .fetch_optional(traced!(tx, "projects.lock"))
    .await
}

/// Edits a locked project. Returns `false` if the name is taken; the transaction must then be
/// rolled back.
pub async fn update(
    tx: &mut Tx,
    project: ProjectId,
    name: &str,
    description: &str,
) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "update projects set name = $3, description = $4, version = version + 1, updated_at = $5
         where workspace_id = $1 and project_id = $2",
        tx.workspace.0,
        project.0,
        name,
        description,
        tx.now,
    )
    .execute(traced!(tx, "projects.update"))
    .await;
    match updated {
        Ok(_) => Ok(true),
        Err(error) if violates(&error, NAME_UNIQUE) => Ok(false),
        Err(error) => Err(error),
    }
}
