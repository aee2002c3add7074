//! Numbers of the shelves of projects.

use std::collections::HashMap;

use super::cursors::Cursor;
use crate::{
    domain::ids::{AgentId, ProjectId},
    store::{Tx, columns::uuids, traced},
};

/// Shelves of these projects, as far as they have lessons.
pub async fn bases(tx: &mut Tx, projects: &[ProjectId]) -> sqlx::Result<HashMap<ProjectId, i32>> {
    let rows = sqlx::query!(
        r#"select project_id as "project_id: ProjectId", shelf from shelves
           where workspace_id = $1 and project_id = any($2)"#,
        tx.workspace.0,
        &uuids(projects),
    )
    .fetch_all(traced!(tx, "knowledge.shelves.bases"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.project_id, row.shelf)).collect())
}

/// Shelves of all projects with lessons.
pub async fn all(tx: &mut Tx) -> sqlx::Result<Vec<(ProjectId, i32)>> {
    let rows = sqlx::query!(
        r#"select project_id as "project_id: ProjectId", shelf from shelves
           where workspace_id = $1
           order by shelf"#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "knowledge.shelves.all"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.project_id, row.shelf)).collect())
}

/// Makes the shelf of a project that has none. The caller holds the lock of the cursor, and writes it.
pub async fn make(tx: &mut Tx, project: ProjectId, cursor: &mut Cursor) -> sqlx::Result<i32> {
    let shelf = cursor.next_shelf;
    cursor.next_shelf += 4;
    sqlx::query!(
        "insert into shelves (workspace_id, project_id, shelf) values ($1, $2, $3)",
        tx.workspace.0,
        project.0,
        shelf,
    )
    .execute(traced!(tx, "knowledge.shelves.make"))
    .await?;
    Ok(shelf)
}

/// Projects of the tasks that an agent works on.
pub async fn worked_on(tx: &mut Tx, agent: AgentId) -> sqlx::Result<Vec<ProjectId>> {
    sqlx::query_scalar!(
        r#"select distinct g.project_id as "project_id!: ProjectId"
           from attempts a
           join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
           where a.workspace_id = $1 and a.agent_id = $2 and a.state = 'running'
             and g.project_id is not null"#,
        tx.workspace.0,
        agent.0,
    )
    .fetch_all(traced!(tx, "knowledge.shelves.worked_on"))
    .await
}
