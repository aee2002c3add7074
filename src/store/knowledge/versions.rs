//! Versions of lessons: their texts.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        access::person::Person,
        ids::{KeyId, LessonId},
        knowledge::LessonKind,
    },
    store::{Tx, traced},
};

/// One version.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct VersionRow {
    pub version: i32,
    pub kind: LessonKind,
    pub title: String,
    pub body: String,
    pub applies_to: Vec<String>,
    pub supersedes: Vec<LessonId>,
    pub written_by: Option<KeyId>,
    pub person: Option<Person>,
    pub written_at: DateTime<Utc>,
}

/// Up to `rows` versions of a lesson before `before`, newest first.
pub async fn of(
    tx: &mut Tx,
    lesson: LessonId,
    before: i32,
    rows: i64,
) -> sqlx::Result<Vec<VersionRow>> {
    sqlx::query_as!(
        VersionRow,
        r#"select version, kind as "kind: LessonKind", title, body, applies_to,
                  supersedes as "supersedes: Vec<LessonId>", written_by as "written_by: KeyId",
                  person as "person: Person", written_at
           from lesson_versions
           where workspace_id = $1 and lesson_id = $2 and version < $3
           order by version desc
           limit $4"#,
        tx.workspace.0,
        lesson.0,
        before,
        rows,
    )
    .fetch_all(traced!(tx, "knowledge.versions.of"))
    .await
}
