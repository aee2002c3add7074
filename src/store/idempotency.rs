//! Stored answers to requests with an `Idempotency-Key`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Tx, WriteError, complete, traced};
use crate::domain::ids::KeyId;

/// A stored answer.
#[derive(Debug)]
pub struct Replay {
    /// SHA-256 of the request.
    pub request_sha256: Vec<u8>,
    /// The answer, encrypted.
    pub sealed: Option<Vec<u8>>,
}

/// State of an idempotency key, seen by the transaction that takes it.
#[derive(Debug)]
pub enum Taken {
    /// Unused; reserved for this transaction until it ends.
    Free,
    /// Another request with this key is in progress.
    InProgress,
    /// A request with this key was answered.
    Answered(Replay),
}

/// Takes idempotency keys for this transaction, or returns their earlier use: one outcome per key,
/// in order. Ignores answers stored at or before `since`. Never waits: repeated requests would only
/// occupy connections. The same key may occur twice in `keys`.
pub async fn take(
    tx: &mut Tx,
    keys: &[(KeyId, &str)],
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<Taken>> {
    let ids: Vec<Uuid> = keys.iter().map(|(key, _)| key.0).collect();
    let names: Vec<&str> = keys.iter().map(|(_, name)| *name).collect();
    let free = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended(
               $1::text || ' ' || k.key_id::text || ' ' || k.idempotency_key, 0)) as "free!"
           from unnest($2::uuid[], $3::text[]) with ordinality as k (key_id, idempotency_key, place)
           order by k.place"#,
        tx.workspace.0.to_string(),
        &ids,
        &names as &[&str],
    )
    .fetch_all(traced!(tx, "idempotency.take"))
    .await?;
    // A separate statement, because it must see commits made before the locks were taken.
    let found = sqlx::query!(
        r#"select k.place as "place!", r.request_sha256, r.sealed
           from unnest($2::uuid[], $3::text[]) with ordinality as k (key_id, idempotency_key, place)
           join replays r on r.workspace_id = $1 and r.key_id = k.key_id
                         and r.idempotency_key = k.idempotency_key
           where r.created_at > $4"#,
        tx.workspace.0,
        &ids,
        &names as &[&str],
        since,
    )
    .fetch_all(traced!(tx, "idempotency.take"))
    .await?;
    let mut taken: Vec<Taken> =
        free.into_iter().map(|free| if free { Taken::Free } else { Taken::InProgress }).collect();
    for row in found {
        let place = usize::try_from(row.place - 1).unwrap_or(usize::MAX);
        if let Some(slot) = taken.get_mut(place).filter(|slot| matches!(slot, Taken::Free)) {
            let (request_sha256, sealed) = (row.request_sha256, row.sealed);
            *slot = Taken::Answered(Replay { request_sha256, sealed });
        }
    }
    Ok(taken)
}

/// An answer to be stored.
#[derive(Debug)]
pub struct NewReplay<'a> {
    /// The API key of the request.
    pub key_id: KeyId,
    /// The `Idempotency-Key` of the request.
    pub idempotency_key: &'a str,
    /// SHA-256 of the request.
    pub request_sha256: [u8; 32],
    /// The answer, encrypted.
    pub sealed: Vec<u8>,
}

/// Stores answers in the transaction of their effects. That transaction must have taken the keys.
/// Overwrites answers stored at or before `since`: they have expired, even if no sweep has deleted
/// them yet.
///
/// # Errors
/// When a key was not taken by this transaction.
pub async fn insert(
    tx: &mut Tx,
    since: DateTime<Utc>,
    replays: &[NewReplay<'_>],
) -> Result<(), WriteError> {
    let stored = sqlx::query!(
        r#"
        insert into replays as old (workspace_id, created_at, key_id, idempotency_key,
                                    request_sha256, sealed)
        select $1, $2, r.* from unnest($4::uuid[], $5::text[], $6::bytea[], $7::bytea[]) as r
        on conflict (workspace_id, key_id, idempotency_key) do update
            set request_sha256 = excluded.request_sha256, sealed = excluded.sealed,
                created_at = excluded.created_at
            where old.created_at <= $3
        "#,
        tx.workspace.0,
        tx.now,
        since,
        &replays.iter().map(|r| r.key_id.0).collect::<Vec<_>>(),
        &replays.iter().map(|r| r.idempotency_key).collect::<Vec<_>>() as &[&str],
        &replays.iter().map(|r| r.request_sha256.to_vec()).collect::<Vec<_>>(),
        &replays.iter().map(|r| r.sealed.clone()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "idempotency.insert"))
    .await?;
    complete(&stored, replays.len(), "an idempotency key was not taken")
}

/// Deletes answers stored before `before`; returns their number.
pub async fn sweep(tx: &mut Tx, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let swept = sqlx::query!(
        "delete from replays where (workspace_id, key_id, idempotency_key) in (
             select workspace_id, key_id, idempotency_key from replays
             where workspace_id = $1 and created_at < $2
             limit 1000 for update skip locked)",
        tx.workspace.0,
        before,
    )
    .execute(traced!(tx, "idempotency.sweep"))
    .await?;
    Ok(swept.rows_affected())
}
