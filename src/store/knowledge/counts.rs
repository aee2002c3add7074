//! Numbers of lessons. `projects` are those that are seen, `None`: all; `workspace`: whether those of the workspace
//! are.

use chrono::{DateTime, NaiveDate, Utc};

use crate::{
    domain::knowledge::{LessonKind, LessonState},
    store::{Tx, traced},
};

/// Lessons in one state and of one kind.
#[derive(Debug, Clone, Copy)]
pub struct GroupRow {
    /// The state.
    pub state: LessonState,
    /// The kind.
    pub kind: LessonKind,
    /// Their number.
    pub lessons: i64,
}

/// Lessons by state and kind.
pub async fn groups(
    tx: &mut Tx,
    projects: Option<&[uuid::Uuid]>,
    workspace: bool,
) -> sqlx::Result<Vec<GroupRow>> {
    sqlx::query_as!(
        GroupRow,
        r#"select state as "state: LessonState", kind as "kind: LessonKind", count(*) as "lessons!"
           from lessons
           where workspace_id = $1
             and (case when project_id is null then $3
                       else $2::uuid[] is null or project_id = any($2) end)
           group by state, kind"#,
        tx.workspace.0,
        projects,
        workspace,
    )
    .fetch_all(traced!(tx, "knowledge.counts.groups"))
    .await
}

/// Numbers of lessons that need a look.
#[derive(Debug, Clone, Copy)]
pub struct Flags {
    /// Resemble another one.
    pub duplicates: i64,
    /// Another contradicts them.
    pub contradicted: i64,
    /// No attempt was ever given them.
    pub never_shown: i64,
    /// Nothing of them since a time.
    pub stale: i64,
    /// More harmful than helpful verdicts.
    pub disliked: i64,
}

/// Counts what needs a look.
pub async fn flags(
    tx: &mut Tx,
    projects: Option<&[uuid::Uuid]>,
    workspace: bool,
    stale: DateTime<Utc>,
) -> sqlx::Result<Flags> {
    sqlx::query_as!(
        Flags,
        r#"select count(*) filter (where cluster_id <> lesson_id) as "duplicates!",
                  count(*) filter (where exists (
                      select from lesson_links k
                      where k.workspace_id = $1
                        and (k.lesson_id = l.lesson_id or k.other_id = l.lesson_id))) as "contradicted!",
                  count(*) filter (where state in ('active', 'candidate') and shown = 0) as "never_shown!",
                  count(*) filter (where state in ('active', 'candidate')
                      and greatest(learned_at, confirmed_at, last_shown_at) < $4) as "stale!",
                  count(*) filter (where harmful > helpful) as "disliked!"
           from lessons l
           where workspace_id = $1
             and (case when project_id is null then $3
                       else $2::uuid[] is null or project_id = any($2) end)"#,
        tx.workspace.0,
        projects,
        workspace,
        stale,
    )
    .fetch_one(traced!(tx, "knowledge.counts.flags"))
    .await
}

/// Lessons by day since a time, with the number of digests among them.
pub async fn growth(
    tx: &mut Tx,
    projects: Option<&[uuid::Uuid]>,
    workspace: bool,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<(NaiveDate, i64, i64)>> {
    let rows = sqlx::query!(
        r#"select (created_at at time zone 'UTC')::date as "day!", count(*) as "written!",
                  count(*) filter (where kind = 'digest') as "digests!"
           from lessons
           where workspace_id = $1 and created_at >= $4
             and (case when project_id is null then $3
                       else $2::uuid[] is null or project_id = any($2) end)
           group by 1
           order by 1"#,
        tx.workspace.0,
        projects,
        workspace,
        since,
    )
    .fetch_all(traced!(tx, "knowledge.counts.growth"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.day, row.written, row.digests)).collect())
}
