//! Removal of expired artifacts, and of bytes without an artifact.
//!
//! Removal of bytes has three steps. First, a transaction marks their row as abandoned; from then on they cannot become
//! an artifact. Second, they are removed from the store, outside a transaction. Third, the row is deleted. After a
//! crash the next sweep repeats a step; repeated steps change nothing.
//!
//! Bytes that the store does not remove keep nothing else: the sweep goes on behind them, and asks for them again
//! later.

use std::{io, time::Duration};

use chrono::TimeDelta;

use super::delete;
use crate::{
    app::{App, Result, Stopwatch, caller::Actor, workspace},
    domain::{
        artifact::{StoredName, digest::ArtifactDigest},
        ids::{UploadId, WorkspaceId},
        retention::due_before,
    },
    store,
};

/// Artifacts or uploads of one transaction.
const BATCH: i64 = 100;
/// Time of one batch for the store.
const WITHIN: Duration = Duration::from_secs(10);
/// Pause before the store is asked again to remove bytes that it did not remove.
const AGAIN: TimeDelta = TimeDelta::minutes(15);

const SWEPT: &str = "muster_artifact_swept_total";

impl App {
    /// Deletes up to a batch of artifacts whose retention is over; returns their number. Their bytes are left for
    /// the sweep.
    pub(in crate::app) async fn expire_artifacts(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let days = workspace::read(unit.tx()).await?.artifact_retention_days;
        let Some(before) = days.and_then(|days| due_before(unit.now(), days)) else {
            self.undo(unit).await?;
            return Ok(0);
        };
        let due = store::artifacts::due(unit.tx(), before, BATCH).await?;
        // Locked first and looked at then: a completion that refers to one has committed, or waits.
        let locked = store::artifacts::lock(unit.tx(), &due).await?;
        let digests: Vec<ArtifactDigest> = locked.iter().map(|row| row.sha256).collect();
        let held = store::artifacts::held(unit.tx(), &digests).await?;
        let mut deleted = 0;
        for row in locked {
            if row.uploaded_at < before && !held.contains(&row.sha256) {
                delete(&mut unit, row).await?;
                deleted += 1;
            }
        }
        self.commit(unit).await?;
        Ok(deleted)
    }

    /// Removes up to a batch of bytes that no artifact has and whose time has come. Returns how many there were,
    /// and how many are left because the store did not answer.
    pub(in crate::app) async fn sweep_uploads(&self, workspace: WorkspaceId) -> Result<(u64, u64)> {
        let mut tx = self.transaction(workspace).await?;
        let due: Vec<(UploadId, ArtifactDigest)> =
            store::artifacts::abandon_due(&mut tx, BATCH).await?;
        tx.commit().await?;
        let names = Self::stored_names(workspace, &due);
        let removed = self.sweep(&names).await?;
        let found = names.len() as u64;
        Ok((found, found.saturating_sub(removed)))
    }

    /// Removes bytes that no artifact has; returns how many. The rows of the others stay: those that the store did not
    /// remove are due again after a pause.
    pub(super) async fn sweep(&self, names: &[StoredName]) -> Result<u64> {
        let Some(first) = names.first() else { return Ok(0) };
        let store = &self.artifacts()?.store;
        let uploads: Vec<UploadId> = names.iter().map(|name| name.upload).collect();
        let mut tx = self.transaction(first.workspace).await?;
        let abandoned = store::artifacts::abandon(&mut tx, &uploads).await?;
        tx.commit().await?;
        let (mut removed, mut failed) = (Vec::new(), Vec::new());
        let since = Stopwatch::start();
        // Only what was marked: a row that is gone belongs to an artifact now.
        for name in names.iter().filter(|name| abandoned.contains(&name.upload)) {
            let left = WITHIN.saturating_sub(since.elapsed());
            if left.is_zero() {
                break;
            }
            let outcome = tokio::time::timeout(left, store.remove(*name)).await;
            match outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(()) => removed.push(name.upload),
                Err(error) => {
                    tracing::warn!(%error, upload = %name.upload, "the store of artifacts does not remove bytes; it is asked again");
                    failed.push(name.upload);
                }
            }
        }
        if removed.is_empty() && failed.is_empty() {
            return Ok(0);
        }
        let mut tx = self.transaction(first.workspace).await?;
        let again = tx.now + AGAIN;
        store::artifacts::forget(&mut tx, &removed).await?;
        store::artifacts::put_off(&mut tx, &failed, again).await?;
        tx.commit().await?;
        metrics::counter!(SWEPT).increment(removed.len() as u64);
        Ok(removed.len() as u64)
    }

    /// Removes old files of killed uploads from the spool of this machine.
    pub(in crate::app) async fn tidy_spool(&self) -> Result<u64> {
        self.artifacts()?.store.tidy().await.map_err(super::unavailable)
    }
}

/// Registers the descriptions of these metrics, which `/metrics` shows.
pub(super) fn describe_metrics() {
    metrics::describe_counter!(
        SWEPT,
        "Bytes removed from the store that no artifact had: of broken uploads and deleted artifacts."
    );
}
