//! The seals of the journal, and its sealed and pruned ends.

use chrono::{DateTime, Utc};

use crate::{
    domain::journal::{Digest, Head, Seal},
    store::{Tx, traced},
};

/// The sealed and pruned ends of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The end of the last seal.
    pub head: Head,
    /// The number of the last pruned row; 0 if none.
    pub pruned_to: i64,
}

/// Locks the chain of a workspace until the transaction ends. `None` if another transaction has
/// locked it.
pub async fn lock(tx: &mut Tx) -> sqlx::Result<Option<Chain>> {
    sqlx::query!(
        "insert into journal_chains (workspace_id, sealed_to, chain_sha256, pruned_to)
         values ($1, 0, decode(repeat('00', 32), 'hex'), 0) on conflict do nothing",
        tx.workspace.0,
    )
    .execute(traced!(tx, "journal.seals.lock"))
    .await?;
    let row = sqlx::query!(
        "select sealed_to, chain_sha256, pruned_to from journal_chains where workspace_id = $1
         for update skip locked",
        tx.workspace.0,
    )
    .fetch_optional(traced!(tx, "journal.seals.lock"))
    .await?;
    Ok(row.map(|row| chain(row.sealed_to, &row.chain_sha256, row.pruned_to)))
}

/// The current ends, without a lock.
pub async fn chain_of(tx: &mut Tx) -> sqlx::Result<Chain> {
    let row = sqlx::query!(
        "select sealed_to, chain_sha256, pruned_to from journal_chains where workspace_id = $1",
        tx.workspace.0,
    )
    .fetch_optional(traced!(tx, "journal.seals.chain_of"))
    .await?;
    Ok(row.map_or(chain(0, &[], 0), |row| chain(row.sealed_to, &row.chain_sha256, row.pruned_to)))
}

fn chain(number: i64, chain_sha256: &[u8], pruned_to: i64) -> Chain {
    Chain { head: Head { number, chain_sha256: Digest::stored(chain_sha256) }, pruned_to }
}

/// Appends a seal. The caller has locked the chain.
pub async fn append(tx: &mut Tx, seal: &Seal) -> sqlx::Result<()> {
    sqlx::query!(
        "with sealed as (
             insert into journal_seals (workspace_id, first, last, digests, chain_sha256, sealed_at)
             values ($1, $2, $3, $4, $5, $6)
         )
         update journal_chains set sealed_to = $3, chain_sha256 = $5 where workspace_id = $1",
        tx.workspace.0,
        seal.first,
        seal.last,
        seal.digests.as_ref().map(|digests| digests.0.as_slice()),
        &seal.chain_sha256.0,
        tx.now,
    )
    .execute(traced!(tx, "journal.seals.append"))
    .await?;
    Ok(())
}

/// At most `rows` seals that begin above `after` and up to `until`, in order.
pub async fn range(tx: &mut Tx, after: i64, until: i64, rows: i64) -> sqlx::Result<Vec<Seal>> {
    let rows = sqlx::query!(
        "select first, last, digests, chain_sha256 from journal_seals
         where workspace_id = $1 and first > $2 and first <= $3 order by first limit $4",
        tx.workspace.0,
        after,
        until,
        rows,
    )
    .fetch_all(traced!(tx, "journal.seals.range"))
    .await?;
    let seal = |row: (i64, i64, Option<Vec<u8>>, Vec<u8>)| Seal {
        first: row.0,
        last: row.1,
        digests: row.2.map(Into::into),
        chain_sha256: Digest::stored(&row.3),
    };
    let rows = rows.into_iter().map(|row| (row.first, row.last, row.digests, row.chain_sha256));
    Ok(rows.map(seal).collect())
}

/// The last number and the time of the last seal; `None` if nothing is sealed.
pub async fn last(tx: &mut Tx) -> sqlx::Result<Option<(i64, DateTime<Utc>)>> {
    let row = sqlx::query!(
        "select last, sealed_at from journal_seals where workspace_id = $1
         order by first desc limit 1",
        tx.workspace.0,
    )
    .fetch_optional(traced!(tx, "journal.seals.last"))
    .await?;
    Ok(row.map(|row| (row.last, row.sealed_at)))
}

/// The head of the last seal that ends at or before a number, among the first `seals` after the
/// pruned ones; `None` if there is none.
pub async fn end_at_or_before(tx: &mut Tx, number: i64, seals: i64) -> sqlx::Result<Option<Head>> {
    let row = sqlx::query!(
        r#"select last as "last!", chain_sha256 as "chain_sha256!" from
               (select last, chain_sha256 from journal_seals
                where workspace_id = $1 and last <= $2
                  and first > (select pruned_to from journal_chains where workspace_id = $1)
                order by first limit $3) s
           order by last desc limit 1"#,
        tx.workspace.0,
        number,
        seals,
    )
    .fetch_optional(traced!(tx, "journal.seals.end_at_or_before"))
    .await?;
    let head = |number, digest: &[u8]| Head { number, chain_sha256: Digest::stored(digest) };
    Ok(row.map(|row| head(row.last, &row.chain_sha256)))
}

/// Deletes the rows above `pruned_to` of the chain up to a number, and the digests of their seals.
/// The caller has locked the chain; a seal must end with the number. Returns the number of deleted
/// rows.
pub async fn prune(tx: &mut Tx, chain: Chain, pruned_to: i64) -> sqlx::Result<u64> {
    sqlx::query!(
        "update journal_chains set pruned_to = $2 where workspace_id = $1",
        tx.workspace.0,
        pruned_to,
    )
    .execute(traced!(tx, "journal.seals.prune"))
    .await?;
    sqlx::query!(
        "update journal_seals set digests = null
         where workspace_id = $1 and first > $2 and first <= $3",
        tx.workspace.0,
        chain.pruned_to,
        pruned_to,
    )
    .execute(traced!(tx, "journal.seals.prune"))
    .await?;
    let done = sqlx::query!(
        "delete from journal where workspace_id = $1 and number > $2 and number <= $3",
        tx.workspace.0,
        chain.pruned_to,
        pruned_to,
    )
    .execute(traced!(tx, "journal.seals.prune"))
    .await?;
    Ok(done.rows_affected())
}
