//! What a workspace holds, counted for its caps.

use super::{Tx, traced};
use crate::domain::cap::workspace::Holding;

/// What the workspace holds of one thing.
pub async fn held(tx: &mut Tx, holding: Holding) -> sqlx::Result<i64> {
    match holding {
        Holding::Agents => agents(tx).await,
        Holding::Keys => valid_keys(tx).await,
        Holding::OpenTasks => open_tasks(tx).await,
        Holding::StoredBytes => stored_bytes(tx).await,
        Holding::ArtifactBytes => artifact_bytes(tx).await,
    }
}

async fn agents(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from agents where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "usage.agents"))
    .await
}

async fn valid_keys(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from keys
           where workspace_id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)"#,
        tx.workspace.0,
        tx.now,
    )
    .fetch_one(traced!(tx, "usage.valid_keys"))
    .await
}

/// The sum of the counts of goals that have not ended, which an index finds among the ended ones.
async fn open_tasks(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select coalesce(sum(tasks_open), 0)::bigint as "count!" from goals
           where workspace_id = $1 and state in ('planning', 'proposed', 'active', 'verifying')"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "usage.open_tasks"))
    .await
}

/// The size of each table with its indexes, times the share of its rows that the statistics of the
/// planner give to the workspace. Counting the rows themselves would read all of them.
async fn stored_bytes(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        select coalesce(sum(pg_total_relation_size(c.oid) * f.share), 0)::bigint as "bytes!"
        from pg_stats s
        join pg_class c on c.relname = s.tablename and c.relkind = 'r'
             and c.relnamespace = current_schema()::regnamespace
        cross join lateral (
            select m.share
            from unnest(s.most_common_vals::text::text[], s.most_common_freqs) as m (value, share)
            where m.value = $1::text
        ) f
        where s.schemaname = current_schema() and s.attname = 'workspace_id'
        "#,
        tx.workspace.0.to_string(),
    )
    .fetch_one(traced!(tx, "usage.stored_bytes"))
    .await
}

/// The total of the artifacts, and what uploads reserve. The rows of uploads are few.
async fn artifact_bytes(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select coalesce((select bytes from artifact_totals where workspace_id = $1), 0)
                  + coalesce((select sum(reserved) from artifact_uploads where workspace_id = $1), 0)::bigint
                  as "bytes!""#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "usage.artifact_bytes"))
    .await
}
