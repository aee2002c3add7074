//! Lessons that came with the end of an attempt, until they are captured.

use serde_json::json;

use crate::{
    domain::{
        ids::{AgentId, AttemptId, GoalId, ProjectId, TaskId},
        knowledge::LessonKind,
        task::claim::capabilities,
    },
    store::{Tx, traced},
};

/// A lesson as an agent handed it in.
#[derive(Debug, Clone)]
pub struct NewHanded {
    /// The attempt that ends.
    pub attempt_id: AttemptId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Ordinal within the attempt, from 1.
    pub number: i16,
    /// Kind, as the agent says; never a digest.
    pub kind: LessonKind,
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// What it is about.
    pub applies_to: Vec<String>,
}

/// Stores handed-in lessons. Writes nothing without any.
pub async fn insert(tx: &mut Tx, handed: &[NewHanded]) -> sqlx::Result<()> {
    if handed.is_empty() {
        return Ok(());
    }
    // As JSON: an array of arrays of different lengths is no array in SQL.
    let rows = handed.iter().map(|one| {
        json!({"attempt_id": one.attempt_id, "goal_id": one.goal_id, "number": one.number, "kind": one.kind,
               "title": one.title, "body": one.body, "applies_to": one.applies_to})
    });
    sqlx::query!(
        "insert into handed_lessons (workspace_id, attempt_id, goal_id, number, kind, title, body, applies_to)
         select $1, h.attempt_id, h.goal_id, h.number, h.kind, h.title, h.body, h.applies_to
         from jsonb_to_recordset($2::jsonb)
              as h (attempt_id uuid, goal_id uuid, number smallint, kind text, title text, body text,
                    applies_to text[])
         -- A late completion after an expired lease hands in again.
         on conflict do nothing",
        tx.workspace.0,
        rows.collect::<serde_json::Value>(),
    )
    .execute(traced!(tx, "knowledge.handed.insert"))
    .await?;
    Ok(())
}

/// A handed-in lesson with its source.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct HandedRow {
    pub attempt_id: AttemptId,
    pub task_id: TaskId,
    pub goal_id: GoalId,
    pub project_id: Option<ProjectId>,
    pub agent_id: Option<AgentId>,
    pub number: i16,
    pub kind: LessonKind,
    pub title: String,
    pub body: String,
    pub applies_to: Vec<String>,
    /// Capabilities that the task requires.
    pub capabilities: Vec<String>,
}

/// Deletes up to `rows` handed-in lessons, oldest attempts first, and returns them. The caller turns them into lessons
/// in the same transaction.
pub async fn take(tx: &mut Tx, rows: i64) -> sqlx::Result<Vec<HandedRow>> {
    let found = sqlx::query!(
        r#"
        with next as materialized (
            select attempt_id, number from handed_lessons
            where workspace_id = $1
            order by attempt_id, number
            limit $2
            for update skip locked
        ), taken as (
            delete from handed_lessons h
            using next n
            where h.workspace_id = $1 and h.attempt_id = n.attempt_id and h.number = n.number
            returning h.*
        )
        select h.attempt_id as "attempt_id!: AttemptId", a.task_id as "task_id: TaskId",
               h.goal_id as "goal_id!: GoalId", g.project_id as "project_id: ProjectId",
               a.agent_id as "agent_id: AgentId", h.number as "number!", h.kind as "kind!: LessonKind",
               h.title as "title!", h.body as "body!", h.applies_to as "applies_to!", t.capability_key
        from taken h
        join attempts a on a.workspace_id = $1 and a.attempt_id = h.attempt_id
        join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
        join goals g on g.workspace_id = $1 and g.goal_id = h.goal_id
        order by h.attempt_id, h.number
        "#,
        tx.workspace.0,
        rows,
    )
    .fetch_all(traced!(tx, "knowledge.handed.take"))
    .await?;
    let handed = found.into_iter().map(|row| HandedRow {
        attempt_id: row.attempt_id,
        task_id: row.task_id,
        goal_id: row.goal_id,
        project_id: row.project_id,
        agent_id: row.agent_id,
        number: row.number,
        kind: row.kind,
        title: row.title,
        body: row.body,
        applies_to: row.applies_to,
        capabilities: capabilities(&row.capability_key),
    });
    Ok(handed.collect())
}
