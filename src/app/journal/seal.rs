//! Sealing of the journal, after its writers.
//!
//! One sealer per workspace, in any process, seals the rows after the last seal in the order of
//! their numbers. Numbers are in the order of commits, and every row up to the last number is
//! visible, so no row can appear between sealed ones later. Writers do not wait for the sealer.

use crate::{
    app::{App, Result},
    domain::{ids::WorkspaceId, journal::Seal},
    store::{self, journal::seals},
};

/// Maximum number of rows per seal.
const SEGMENT: i64 = 1_024;
/// Maximum number of seals per run of the duty; the next run continues.
const SEALS: usize = 50;

impl App {
    /// Seals the unsealed rows, unless another process is doing so. Returns the number of sealed
    /// rows.
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

    /// Not a unit of work: it changes no shared state, and must not wait for an exclusive unit.
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
