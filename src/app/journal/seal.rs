//! Sealing the journal behind its writers.
//!
//! One sealer per workspace, in whatever process, seals the rows after the last seal in the order of
//! their numbers. The order of numbers is the order of commits, and every row up to the last number is
//! visible, so nothing can come between two rows later. No writer waits for the sealer.

use crate::{
    app::{App, Result},
    domain::{ids::WorkspaceId, journal::Seal},
    store::{self, journal::seals},
};

/// Rows of one seal.
const SEGMENT: i64 = 1_024;
/// Seals of one run of the duty; the next run does the rest.
const SEALS: usize = 50;

impl App {
    /// Seals rows that are not sealed yet, unless another process does. Returns the count of sealed rows.
    pub async fn seal_journal(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut count = 0;
        for _ in 0..SEALS {
            let sealed = self.seal_segment(workspace).await?;
            count += sealed;
            if sealed < SEGMENT.unsigned_abs() {
                break;
            }
        }
        Ok(count)
    }

    /// No unit of work: it changes nothing that others work with, and must not wait for an exclusive
    /// one.
    async fn seal_segment(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut tx = self.transaction(workspace).await?;
        let Some(chain) = seals::lock(&mut tx).await? else { return Ok(0) };
        let first = chain.head.number;
        let newest = store::journal::newest(&mut tx).await?;
        let last = newest.min(first + SEGMENT);
        if last <= first {
            return Ok(0);
        }
        let rows = store::journal::range(&mut tx, first, last, SEGMENT).await?;
        let missing = last - first - rows.len() as i64;
        if missing > 0 {
            tracing::error!(%workspace, first, last, missing, "rows of the journal are missing");
        }
        seals::append(&mut tx, &Seal::of(chain.head, &rows, last)).await?;
        tx.commit().await?;
        Ok((last - first).unsigned_abs())
    }
}
