//! Retention of lessons: which are put away long enough, and their deletion.

use chrono::{DateTime, Utc};

use crate::{
    domain::ids::LessonId,
    store::{Tx, columns::uuids, traced},
};

/// Deletes lessons with everything of them but their document, which the index removes.
pub async fn delete(tx: &mut Tx, lessons: &[LessonId]) -> sqlx::Result<()> {
    let ids = uuids(lessons);
    sqlx::query!(
        "delete from exposures where workspace_id = $1 and lesson_id = any($2)",
        tx.workspace.0,
        &ids,
    )
    .execute(traced!(tx, "knowledge.retention.delete"))
    .await?;
    sqlx::query!(
        "delete from lesson_links
         where workspace_id = $1 and (lesson_id = any($2) or other_id = any($2))",
        tx.workspace.0,
        &ids,
    )
    .execute(traced!(tx, "knowledge.retention.delete"))
    .await?;
    sqlx::query!(
        "delete from lesson_bands where workspace_id = $1 and lesson_id = any($2)",
        tx.workspace.0,
        &ids,
    )
    .execute(traced!(tx, "knowledge.retention.delete"))
    .await?;
    sqlx::query!(
        "delete from lesson_versions where workspace_id = $1 and lesson_id = any($2)",
        tx.workspace.0,
        &ids,
    )
    .execute(traced!(tx, "knowledge.retention.delete"))
    .await?;
    sqlx::query!(
        "delete from lessons where workspace_id = $1 and lesson_id = any($2)",
        tx.workspace.0,
        &ids,
    )
    .execute(traced!(tx, "knowledge.retention.delete"))
    .await?;
    Ok(())
}

/// Up to `rows` lessons that were put away before `before`, without those that replaced a lesson that is still there.
pub async fn put_away(
    tx: &mut Tx,
    before: DateTime<Utc>,
    rows: i64,
) -> sqlx::Result<Vec<LessonId>> {
    sqlx::query_scalar!(
        r#"select l.lesson_id as "lesson_id: LessonId" from lessons l
           where l.workspace_id = $1 and l.state in ('archived', 'superseded') and l.changed_at < $2
             and not exists (select from lessons o
                             where o.workspace_id = $1 and o.superseded_by = l.lesson_id)
           order by l.changed_at
           limit $3"#,
        tx.workspace.0,
        before,
        rows,
    )
    .fetch_all(traced!(tx, "knowledge.retention.put_away"))
    .await
}
