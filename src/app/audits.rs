//! Reading, checking and exporting the audit.
//!
//! A check recomputes every hash from what is stored, in batches, each a statement of its own: what is
//! sealed never changes, so it does not matter that they see different moments. One check runs at a
//! time in a process; whoever asks meanwhile waits for their turn.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    App, Error, Result,
    access::keys::LocalAdmin,
    caller::{Caller as _, MonitorCaller},
};
use crate::{
    clock::Stopwatch,
    domain::{
        audit::{
            AuditEntry, Break, BreakKind, Breaks, ChainCheck, Digest, ExportHead, Head, Link, Seal,
            SealedEntry,
        },
        ids::{AuditEntryId, WorkspaceId},
        settings,
    },
    store::{self, audit::AuditRow, audit_seals::SealedTo},
};

pub use crate::store::audit::AuditFilter;

/// How many entries are read at once.
const PAGE: i64 = 1_000;
/// Checks in a process at once.
pub(super) const AT_ONCE: usize = 1;

/// An entry of the audit, sealed or not yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditRecord {
    /// Its number among the sealed entries, from 1; `null`: it is not sealed yet, which takes a second
    /// or so.
    #[schema(example = 5119)]
    pub seq: Option<i64>,
    /// The hash that it was sealed with.
    pub entry_sha256: Option<Digest>,
    /// The chain up to it.
    pub chain_sha256: Option<Digest>,
    /// What was done.
    pub entry: AuditEntry,
}

/// What was found when the audit was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditVerification {
    /// The workspace that was checked.
    pub workspace_id: WorkspaceId,
    /// Whether nothing was touched.
    pub holds: bool,
    /// How far it is sealed: keep this somewhere else, and send it with a later check.
    pub head: Head,
    /// When something was sealed last; `null`: nothing was.
    pub sealed_at: Option<DateTime<Utc>>,
    /// Entries that are not sealed yet.
    #[schema(example = 0, minimum = 0)]
    pub unsealed: i64,
    /// When it was checked.
    pub checked_at: DateTime<Utc>,
    /// How long the check took, in milliseconds.
    #[schema(example = 140)]
    pub took_ms: i64,
    /// How many breaks there are.
    #[schema(example = 0, minimum = 0)]
    pub break_count: i64,
    /// The first hundred of them, by place.
    pub breaks: Vec<Break>,
}

impl App {
    /// Up to `rows` entries before `before`, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_audit(
        &self,
        caller: &MonitorCaller,
        filter: AuditFilter<'_>,
        before: Option<AuditEntryId>,
        rows: u32,
    ) -> Result<Vec<AuditRecord>> {
        let workspace = caller.principal().workspace;
        let span = (
            filter.from.map_or(Uuid::nil(), |from| first_id(from, 0)),
            // The next millisecond begins above every id of this one.
            filter.until.map_or(Uuid::max(), |until| first_id(until, 1)),
        );
        let mut conn = self.pool.acquire().await?;
        let found =
            store::audit::list(&mut conn, workspace, filter, span, before, rows.into()).await?;
        Ok(found.into_iter().filter_map(record).collect())
    }

    /// Checks the audit of the caller's workspace; also against a head that was kept elsewhere.
    ///
    /// # Errors
    /// `unavailable` when it takes too long, or the service stops.
    pub async fn verify_audit(
        &self,
        caller: &MonitorCaller,
        kept: Option<Head>,
    ) -> Result<AuditVerification> {
        let place = Arc::clone(&self.audits).acquire_owned().await;
        let _place = place.map_err(|error| Error::Unavailable(error.to_string()))?;
        let within = settings::VERIFY_TIME_HTTP;
        self.check_audit(caller.principal().workspace, kept, within).await
    }

    /// The sealed entries of the caller's workspace, in their order, as far as they are sealed now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn export_audit(&self, caller: &MonitorCaller) -> Result<AuditExport> {
        let workspace_id = caller.principal().workspace;
        let (mut conn, exported_at) = (self.pool.acquire().await?, self.now().await?);
        let to = store::audit_seals::sealed_to(&mut conn, workspace_id).await?;
        let Head { seq, chain_sha256 } = to.head;
        let head = ExportHead { workspace_id, seq, chain_sha256, exported_at };
        Ok(AuditExport { app: self.clone(), head, after: 0 })
    }

    async fn check_audit(
        &self,
        workspace: WorkspaceId,
        kept: Option<Head>,
        within: Duration,
    ) -> Result<AuditVerification> {
        let began = Stopwatch::start();
        let (mut conn, now) = (self.pool.acquire().await?, self.now().await?);
        let patience = || {
            if began.elapsed() < within && !self.wake.is_stopping() {
                return Ok(());
            }
            Err(Error::Unavailable("the check of the audit was given up".into()))
        };
        let to = store::audit_seals::sealed_to(&mut conn, workspace).await?;
        let SealedTo { head, horizon, sealed_at } = to;
        let unsealed = store::audit_seals::waiting(&mut conn, workspace, horizon).await?;
        let mut check = ChainCheck::new(kept);
        check_chain(&mut conn, workspace, head, &mut check, patience).await?;
        find_inserted(&mut conn, workspace, horizon, check.breaks(), patience).await?;
        check_ends(&mut conn, workspace, check.breaks()).await?;
        let Breaks { told, total } = check.finish(head);
        Ok(AuditVerification {
            workspace_id: workspace,
            holds: total == 0,
            head,
            sealed_at,
            unsealed,
            checked_at: now,
            took_ms: i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX),
            break_count: total,
            breaks: told,
        })
    }
}

impl LocalAdmin<'_> {
    /// As [`App::verify_audit`], for as long as it takes.
    ///
    /// # Errors
    /// When the database fails, or the check takes too long.
    pub async fn verify_audit(&self, kept: Option<Head>) -> Result<AuditVerification> {
        self.app().check_audit(self.workspace(), kept, settings::VERIFY_TIME_LOCAL).await
    }
}

/// An export under way: read a batch at a time, at the pace of whoever takes it, holding no connection
/// and no transaction in between.
#[derive(Debug)]
pub struct AuditExport {
    app: App,
    head: ExportHead,
    after: i64,
}

impl AuditExport {
    /// How far it goes.
    #[must_use]
    pub fn head(&self) -> ExportHead {
        self.head
    }

    /// The next entries; none at the end.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next(&mut self) -> Result<Vec<SealedEntry>> {
        let mut conn = self.app.pool.acquire().await?;
        let ExportHead { workspace_id, seq, .. } = self.head;
        let rows = store::audit::sealed(&mut conn, workspace_id, self.after, seq, PAGE).await?;
        let entries: Vec<SealedEntry> = rows.into_iter().filter_map(sealed).collect();
        self.after = entries.last().map_or(seq, |last| last.seq);
        Ok(entries)
    }
}

/// The first id that can have been made some milliseconds after an instant.
fn first_id(at: DateTime<Utc>, later: i64) -> Uuid {
    let millis = u64::try_from(at.timestamp_millis() + later).unwrap_or_default();
    Uuid::from_u64_pair(millis << 16, 0)
}

fn record(row: AuditRow) -> Option<AuditRecord> {
    let AuditRow { seal, entry } = row;
    Some(AuditRecord {
        seq: seal.map(|seal| seal.seq),
        entry_sha256: seal.map(|seal| seal.entry_sha256),
        chain_sha256: seal.map(|seal| seal.chain_sha256),
        entry: entry?,
    })
}

fn sealed(row: AuditRow) -> Option<SealedEntry> {
    let AuditRow { seal, entry } = row;
    let Seal { seq, entry_id, entry_sha256, chain_sha256 } = seal?;
    Some(SealedEntry { seq, entry_id, entry_sha256, chain_sha256, entry })
}

/// Holds every sealed entry against its seal and the chain.
async fn check_chain(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    head: Head,
    check: &mut ChainCheck,
    patience: impl Fn() -> Result<()>,
) -> Result<()> {
    let mut after = i64::MIN;
    loop {
        patience()?;
        let rows = store::audit::sealed(conn, workspace, after, head.seq, PAGE).await?;
        for AuditRow { seal, entry } in rows.iter() {
            let Some(seal) = *seal else { continue };
            check.take(Link { seal, found: entry.as_ref().map(AuditEntry::sha256) });
            after = seal.seq;
        }
        if (rows.len() as i64) < PAGE {
            return Ok(());
        }
    }
}

/// Finds entries that were not there when everything up to the horizon was sealed.
async fn find_inserted(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    horizon: i64,
    breaks: &mut Breaks,
    patience: impl Fn() -> Result<()>,
) -> Result<()> {
    let mut after = store::audit_seals::FIRST;
    loop {
        patience()?;
        let rows = store::audit_seals::are_sealed(conn, workspace, after, horizon, PAGE).await?;
        for ((xid, entry), sealed) in &rows {
            if !sealed {
                let text = format!(
                    "the entry has no seal, and everything that transaction {xid} wrote was sealed"
                );
                breaks.add(BreakKind::Inserted, None, Some(*entry), text);
            }
        }
        match rows.last() {
            Some((place, _)) if rows.len() as i64 == PAGE => after = *place,
            Some(_) | None => return Ok(()),
        }
    }
}

/// Finds seals behind the head.
async fn check_ends(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    breaks: &mut Breaks,
) -> Result<()> {
    let (last, head) = store::audit_seals::ends(conn, workspace).await?;
    if last > head {
        let text = format!("there are seals up to number {last}, and the head says {head}");
        breaks.add(BreakKind::Inserted, Some(head + 1), None, text);
    }
    Ok(())
}
