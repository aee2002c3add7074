//! Rates of capabilities.

use chrono::{DateTime, Utc};

use super::{Tx, traced};
use crate::domain::{ids::RateId, rate::Pace};

/// A rate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct RateRow {
    pub rate_id: RateId,
    pub capability: String,
    pub starts_per_minute: i32,
    pub burst: i32,
    pub debt: i64,
    pub debt_at: DateTime<Utc>,
    pub free_at: DateTime<Utc>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl RateRow {
    /// How much of it is used.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        let Self { starts_per_minute, burst, debt, debt_at, .. } = *self;
        Pace { starts_per_minute, burst, debt, debt_at }
    }
}

/// Stores a rate; returns `false` if the capability has one.
pub async fn insert(
    tx: &mut Tx,
    rate: RateId,
    capability: &str,
    pace: &Pace,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into rates (workspace_id, rate_id, capability, starts_per_minute, burst, debt_at,
                            free_at, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $6, $6, $6)
         on conflict on constraint rates_capability_unique do nothing",
        tx.workspace.0,
        rate.0,
        capability,
        pace.starts_per_minute,
        pace.burst,
        tx.now,
    )
    .execute(traced!(tx, "rates.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Lists rates after `after`, newest first; only `rate` if it is given.
pub async fn list(
    tx: &mut Tx,
    rate: Option<RateId>,
    after: Option<RateId>,
    rows: i64,
) -> sqlx::Result<Vec<RateRow>> {
    sqlx::query_as!(
        RateRow,
        r#"select rate_id as "rate_id: RateId", capability, starts_per_minute, burst, debt, debt_at,
                  free_at, version, created_at, updated_at
           from rates
           where workspace_id = $1 and ($2::uuid is null or rate_id = $2)
             and ($3::uuid is null or rate_id < $3)
           order by rate_id desc limit $4"#,
        tx.workspace.0,
        rate.map(|id| id.0),
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "rates.list"))
    .await
}

/// Number of rates.
pub async fn count(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from rates where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "rates.count"))
    .await
}

/// Locks one rate.
pub async fn lock(tx: &mut Tx, rate: RateId) -> sqlx::Result<Option<RateRow>> {
    sqlx::query_as!(
        RateRow,
        r#"select rate_id as "rate_id: RateId", capability, starts_per_minute, burst, debt, debt_at,
                  free_at, version, created_at, updated_at
           from rates where workspace_id = $1 and rate_id = $2
           for no key update"#,
        tx.workspace.0,
        rate.0,
    )
    .fetch_optional(traced!(tx, "rates.lock"))
    .await
}

/// Locks the rates of capabilities, in the order of these.
pub async fn lock_of(tx: &mut Tx, capabilities: &[String]) -> sqlx::Result<Vec<RateRow>> {
    sqlx::query_as!(
        RateRow,
        r#"select rate_id as "rate_id: RateId", capability, starts_per_minute, burst, debt, debt_at,
                  free_at, version, created_at, updated_at
           from rates where workspace_id = $1 and capability = any($2)
           order by capability
           for no key update"#,
        tx.workspace.0,
        capabilities,
    )
    .fetch_all(traced!(tx, "rates.lock_of"))
    .await
}

/// Writes how much of locked rates is used.
pub async fn set(tx: &mut Tx, paces: &[(RateId, Pace)]) -> sqlx::Result<()> {
    sqlx::query!(
        "update rates r set debt = n.debt, debt_at = n.debt_at, free_at = n.free_at
         from unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
              as n (rate_id, debt, debt_at, free_at)
         where r.workspace_id = $1 and r.rate_id = n.rate_id",
        tx.workspace.0,
        &paces.iter().map(|(rate, _)| rate.0).collect::<Vec<_>>(),
        &paces.iter().map(|(_, pace)| pace.debt).collect::<Vec<_>>(),
        &paces.iter().map(|(_, pace)| pace.debt_at).collect::<Vec<_>>(),
        &paces.iter().map(|(_, pace)| pace.free_at()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "rates.set"))
    .await?;
    Ok(())
}

/// Edits a locked rate.
pub async fn edit(tx: &mut Tx, rate: RateId, pace: &Pace) -> sqlx::Result<()> {
    sqlx::query!(
        "update rates set starts_per_minute = $3, burst = $4, debt = $5, debt_at = $6,
                free_at = $7, version = version + 1, updated_at = $8
         where workspace_id = $1 and rate_id = $2",
        tx.workspace.0,
        rate.0,
        pace.starts_per_minute,
        pace.burst,
        pace.debt,
        pace.debt_at,
        pace.free_at(),
        tx.now,
    )
    .execute(traced!(tx, "rates.edit"))
    .await?;
    Ok(())
}

/// Deletes a rate; returns `false` if it does not exist.
pub async fn delete(tx: &mut Tx, rate: RateId) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "delete from rates where workspace_id = $1 and rate_id = $2",
        tx.workspace.0,
        rate.0,
    )
    .execute(traced!(tx, "rates.delete"))
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Earliest time at which a used up rate has a start free again; `None`: none is used up.
pub async fn next_free(tx: &mut Tx) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "select min(free_at) from rates where workspace_id = $1 and free_at > $2",
        tx.workspace.0,
        tx.now,
    )
    .fetch_one(traced!(tx, "rates.next_free"))
    .await
}
