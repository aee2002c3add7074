//! The seals of the audit, and how far it is sealed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::audit::Moment;
use crate::domain::{
    audit::{Digest, Head, START, Seal},
    ids::{AuditEntryId, WorkspaceId},
};

/// How far a workspace is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedTo {
    /// The last seal.
    pub head: Head,
    /// Every entry of a transaction below this is sealed.
    pub horizon: i64,
    /// When something was sealed last; none: nothing was.
    pub sealed_at: Option<DateTime<Utc>>,
}

/// Takes the place of the sealer of a workspace until the end of the transaction; none: another has it.
///
/// # Errors
/// When the database fails.
pub async fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<SealedTo>> {
    sqlx::query!(
        "insert into audit_heads (workspace_id, seq, chain_sha256, horizon, sealed_at)
         values ($1, $2, $3, 0, $4) on conflict do nothing",
        workspace.0,
        START.seq,
        &START.chain_sha256.0,
        now,
    )
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query!(
        "select seq, chain_sha256, horizon, sealed_at from audit_heads where workspace_id = $1
         for update skip locked",
        workspace.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| SealedTo {
        head: Head { seq: row.seq, chain_sha256: Digest::stored(&row.chain_sha256) },
        horizon: row.horizon,
        sealed_at: Some(row.sealed_at),
    }))
}

/// Which transactions have ended, and which have not begun.
///
/// # Errors
/// When the database fails.
pub async fn moment(conn: &mut PgConnection) -> sqlx::Result<Moment> {
    sqlx::query_as!(
        Moment,
        r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "ended_below!",
                  pg_snapshot_xmax(pg_current_snapshot())::text::bigint as "begun_below!""#,
    )
    .fetch_one(conn)
    .await
}

/// How far a workspace is sealed.
///
/// # Errors
/// When the database fails.
pub async fn sealed_to(conn: &mut PgConnection, workspace: WorkspaceId) -> sqlx::Result<SealedTo> {
    let row = sqlx::query!(
        "select seq, chain_sha256, horizon, sealed_at from audit_heads where workspace_id = $1",
        workspace.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map_or(SealedTo { head: START, horizon: 0, sealed_at: None }, |row| SealedTo {
        head: Head { seq: row.seq, chain_sha256: Digest::stored(&row.chain_sha256) },
        horizon: row.horizon,
        sealed_at: Some(row.sealed_at),
    }))
}

/// The last seal and the head, as of one moment: the numbers are the same, unless somebody touched one.
///
/// # Errors
/// When the database fails.
pub async fn ends(conn: &mut PgConnection, workspace: WorkspaceId) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"select coalesce((select seq from audit_seals where workspace_id = $1
                            order by seq desc limit 1), 0) as "last!",
                  coalesce((select seq from audit_heads where workspace_id = $1), 0) as "head!""#,
        workspace.0,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.last, row.head))
}

/// Writes seals; the caller is the sealer.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    seals: &[Seal],
) -> sqlx::Result<()> {
    let bytes =
        |of: fn(&Seal) -> Digest| seals.iter().map(|seal| of(seal).0.to_vec()).collect::<Vec<_>>();
    sqlx::query!(
        "insert into audit_seals (workspace_id, seq, entry_id, entry_sha256, chain_sha256)
         select $1, s.* from unnest($2::bigint[], $3::uuid[], $4::bytea[], $5::bytea[]) s",
        workspace.0,
        &seals.iter().map(|seal| seal.seq).collect::<Vec<_>>(),
        &seals.iter().map(|seal| seal.entry_id.0).collect::<Vec<_>>(),
        &bytes(|seal| seal.entry_sha256),
        &bytes(|seal| seal.chain_sha256),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes how far the workspace is sealed now; the caller is the sealer.
///
/// # Errors
/// When the database fails.
pub async fn advance(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    now: DateTime<Utc>,
    head: Head,
    horizon: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update audit_heads set seq = $2, chain_sha256 = $3, horizon = $4, sealed_at = $5
         where workspace_id = $1",
        workspace.0,
        head.seq,
        &head.chain_sha256.0,
        horizon,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A place in the order of entries: the transaction and the entry.
pub type Place = (i64, AuditEntryId);

/// At most `rows` entries after a place and below a horizon, in their order, and whether each is
/// sealed: below the horizon of the head all are.
///
/// # Errors
/// When the database fails.
pub async fn are_sealed(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Place,
    horizon: i64,
    rows: i64,
) -> sqlx::Result<Vec<(Place, bool)>> {
    let found = sqlx::query!(
        r#"select e.xid, e.entry_id as "entry_id: AuditEntryId",
                  exists (select from audit_seals s
                          where s.workspace_id = $1 and s.entry_id = e.entry_id) as "sealed!"
           from audit_entries e
           where e.workspace_id = $1 and e.xid >= $2 and (e.xid, e.entry_id) > ($2, $3)
             and e.xid < $4
           order by e.xid, e.entry_id limit $5"#,
        workspace.0,
        after.0,
        after.1.0,
        horizon,
        rows,
    )
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().map(|row| ((row.xid, row.entry_id), row.sealed)).collect())
}

/// The first place of all.
pub const FIRST: Place = (i64::MIN, AuditEntryId(Uuid::nil()));

/// How many entries wait to be sealed.
///
/// # Errors
/// When the database fails.
pub async fn waiting(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    horizon: i64,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from audit_entries e
           where e.workspace_id = $1 and e.xid >= $2
             and not exists (select from audit_seals s
                             where s.workspace_id = $1 and s.entry_id = e.entry_id)"#,
        workspace.0,
        horizon,
    )
    .fetch_one(conn)
    .await
}
