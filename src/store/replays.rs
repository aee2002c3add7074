//! Answers kept for requests that carried an `Idempotency-Key`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::ids::{KeyId, WorkspaceId};

/// A stored answer.
#[derive(Debug)]
pub struct Replay {
    /// SHA-256 of the request it answers.
    pub request_sha256: Vec<u8>,
    /// The answer, encrypted.
    pub sealed: Option<Vec<u8>>,
}

/// What an idempotency key is to a transaction.
#[derive(Debug)]
pub enum Taken {
    /// Its own, until it ends.
    Free,
    /// That of a request which is being worked on at this moment.
    InProgress,
    /// That of a request which was answered.
    Answered(Replay),
}

/// Takes the idempotency key for this transaction, or finds what it was used for. Never waits: a
/// request that is repeated while it is worked on would only hold connections.
///
/// # Errors
/// When the database fails.
pub async fn take(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    key: KeyId,
    idempotency_key: &str,
    request_sha256: &[u8; 32],
    now: DateTime<Utc>,
    keep: Duration,
) -> sqlx::Result<Taken> {
    // An answer past its time is overwritten, so that it never outlives the promise of 24 hours
    // just because nothing swept it.
    let free = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended($1::text || ' ' || $2::text || ' ' || $3::text, 0)) as "free!""#,
        workspace.0.to_string(),
        key.0.to_string(),
        idempotency_key,
    )
    .fetch_one(&mut *conn)
    .await?;
    if !free {
        return Ok(Taken::InProgress);
    }
    let taken = sqlx::query_scalar!(
        r#"
        insert into replays as old (workspace_id, key_id, idempotency_key, request_sha256, created_at)
        values ($1, $2, $3, $4, $5)
        on conflict (workspace_id, key_id, idempotency_key) do update
            set request_sha256 = excluded.request_sha256, sealed = null, created_at = excluded.created_at
            where old.created_at <= $6
        returning true as "taken!"
        "#,
        workspace.0,
        key.0,
        idempotency_key,
        request_sha256.as_slice(),
        now,
        now - keep,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if taken.is_some() {
        return Ok(Taken::Free);
    }
    let replay = sqlx::query_as!(
        Replay,
        "select request_sha256, sealed from replays
         where workspace_id = $1 and key_id = $2 and idempotency_key = $3",
        workspace.0,
        key.0,
        idempotency_key,
    )
    .fetch_one(conn)
    .await?;
    Ok(Taken::Answered(replay))
}

/// Stores the answer, in the transaction of its effect.
///
/// # Errors
/// When the database fails.
pub async fn seal(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    key: KeyId,
    idempotency_key: &str,
    sealed: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!(
        "update replays set sealed = $4
         where workspace_id = $1 and key_id = $2 and idempotency_key = $3",
        workspace.0,
        key.0,
        idempotency_key,
        sealed,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets answers older than `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    before: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let swept = sqlx::query!(
        "delete from replays where (workspace_id, key_id, idempotency_key) in (
             select workspace_id, key_id, idempotency_key from replays
             where workspace_id = $1 and created_at < $2
             limit 1000 for update skip locked)",
        workspace.0,
        before,
    )
    .execute(conn)
    .await?;
    Ok(swept.rows_affected())
}
