//! Checks that the journal was not changed.
//!
//! A check recomputes every hash in one transaction with one snapshot, so it is exact beside
//! writers, the sealer, erasures and pruning. One check runs at a time in a process; further
//! requests wait for their turn.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::export::Walk;
use crate::{
    app::{
        App, Error, Result,
        access::keys::LocalAdmin,
        caller::{Caller as _, MonitorCaller},
    },
    clock::Stopwatch,
    domain::{
        ids::WorkspaceId,
        journal::{Break, BreakKind, Check, Head, Line, Verdict},
        settings,
    },
    store::{
        self, Tx,
        journal::seals::{self, Chain},
    },
};

/// Maximum number of checks in a process at a time.
pub(in crate::app) const AT_ONCE: usize = 1;

/// The result of a check of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditVerification {
    /// Id of the workspace that was checked.
    pub workspace_id: WorkspaceId,
    /// Whether the check found no change.
    pub holds: bool,
    /// End of the sealed rows. Store it outside the service, and send it with a later check.
    pub head: Head,
    /// When the last seal was made; `null`: nothing is sealed.
    pub sealed_at: Option<DateTime<Utc>>,
    /// Number of rows that are not sealed yet, and so not protected.
    #[schema(example = 0, minimum = 0)]
    pub unsealed: i64,
    /// Number of the last pruned row: all rows up to it were removed, as announced by a row of the
    /// journal. 0: none.
    #[schema(example = 0, minimum = 0)]
    pub pruned_to: i64,
    /// Number of rows whose data was erased.
    #[schema(example = 0, minimum = 0)]
    pub erased: i64,
    /// Time of the snapshot that was checked.
    pub checked_at: DateTime<Utc>,
    /// Duration of the check, in milliseconds.
    #[schema(example = 140)]
    pub took_ms: i64,
    /// Number of all breaks that were found.
    #[schema(example = 0, minimum = 0)]
    pub break_count: i64,
    /// The first breaks in the order of their numbers, at most 100.
    pub breaks: Vec<Break>,
}

impl App {
    /// Checks the journal of the caller's workspace, optionally against an externally stored head.
    ///
    /// # Errors
    /// `unavailable` if it takes longer than a minute, or the service stops; `unauthenticated` if the
    /// key ended meanwhile.
    pub async fn verify_audit(
        &self,
        caller: &MonitorCaller,
        kept: Option<Head>,
    ) -> Result<AuditVerification> {
        let principal = caller.principal();
        let _turn = self.audits.take(principal.workspace).await;
        let within = settings::VERIFY_TIME_HTTP;
        let checked = self.check_journal(principal.workspace, kept, within).await?;
        // The check may have waited for others, and taken long itself.
        self.prove(principal.credential()).await?;
        Ok(checked)
    }

    async fn check_journal(
        &self,
        workspace_id: WorkspaceId,
        kept: Option<Head>,
        within: Duration,
    ) -> Result<AuditVerification> {
        let began = Stopwatch::start();
        let mut tx = self.still(workspace_id).await?;
        let checked_at = tx.now;
        let Chain { head, pruned_to } = seals::chain_of(&mut tx).await?;
        let sealed_at = seals::last(&mut tx).await?.map(|(_, at)| at);
        let mut check = Check::new(kept);
        let mut walk = Walk::new(head.number);
        loop {
            let lines = walk.next(&mut tx).await?;
            if lines.is_empty() {
                break;
            }
            for line in lines {
                match line {
                    Line::Seal(seal) => check.seal(seal),
                    Line::Row(row) => check.row(&row),
                    Line::Head(_) => {}
                }
            }
            if began.elapsed() > within || self.wake.is_stopping() {
                return Err(Error::Unavailable("the check of the journal was given up".into()));
            }
        }
        let mut verdict = check.finish(head, pruned_to);
        let newest = store::journal::newest(&mut tx).await?;
        check_behind(&mut tx, head.number, newest, &mut verdict).await?;
        tx.rollback().await?;
        let Verdict { breaks, break_count, pruned_to, erased } = verdict;
        Ok(AuditVerification {
            workspace_id,
            holds: break_count == 0,
            head,
            sealed_at,
            unsealed: (newest - head.number).max(0),
            pruned_to,
            erased,
            checked_at,
            took_ms: i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX),
            break_count,
            breaks,
        })
    }
}

impl LocalAdmin<'_> {
    /// Like [`App::verify_audit`], with a time limit of half an hour.
    ///
    /// # Errors
    /// `unavailable` if it takes longer.
    pub async fn verify_audit(&self, kept: Option<Head>) -> Result<AuditVerification> {
        self.app().check_journal(self.workspace(), kept, settings::VERIFY_TIME_LOCAL).await
    }
}

/// Checks the end: no seals after the sealed rows, no gaps up to the last number, and no rows
/// beyond it.
async fn check_behind(
    tx: &mut Tx,
    sealed_to: i64,
    newest: i64,
    verdict: &mut Verdict,
) -> Result<()> {
    if seals::last(tx).await?.is_some_and(|(last, _)| last > sealed_to) {
        let found = "there is a seal beyond the head of the chain";
        verdict.add(BreakKind::Inserted, sealed_to + 1, 1, found);
    }
    let (following, present, beyond) = store::journal::tail(tx, sealed_to, newest).await?;
    let missing = newest - sealed_to - present;
    if missing > 0 {
        let first = sealed_to + following + 1;
        verdict.add(BreakKind::Missing, first, missing, "the row is missing, and was not sealed");
    }
    if beyond > 0 {
        let found = "there are rows beyond the last number of the journal";
        verdict.add(BreakKind::Inserted, newest.max(sealed_to) + 1, beyond, found);
    }
    Ok(())
}
