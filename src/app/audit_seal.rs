//! Sealing the audit: entries are numbered and chained after they were written.
//!
//! Writers only insert. One sealer per workspace, whichever process it is in, takes the entries of
//! transactions that have ended with all before them, so that nothing can come between any more, and
//! binds each to the one before. The order is that of the transactions' numbers and, within one, of the
//! entries' ids. What a transaction writes that stays open for long is sealed after it has ended, and
//! so is everything that began after it: nothing is passed over, and no writer waits.
//!
//! A transaction that writes anywhere on the same PostgreSQL, in another database too, holds the
//! horizon. That delays the seal and nothing else.

use super::{App, Result};
use crate::{
    domain::{audit, ids::WorkspaceId},
    store::{self, audit_seals::SealedTo},
};

/// Entries of one transaction of the sealer; the last transaction that they are of comes whole.
const BATCH: i64 = 1_000;
/// Transactions of one step: what is left is for the next.
const BATCHES: usize = 20;

/// What a transaction of the sealer did.
struct Sealed {
    entries: u64,
    /// There may be more.
    more: bool,
}

impl App {
    /// Seals what can be sealed, unless somebody else is doing it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn seal_audit(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut count = 0;
        for _ in 0..BATCHES {
            let Sealed { entries, more } = self.seal_some(workspace).await?;
            count += entries;
            if !more {
                break;
            }
        }
        Ok(count)
    }

    /// No unit of work: it changes nothing that anybody works with, and must not wait for whoever holds
    /// the workspace alone.
    async fn seal_some(&self, workspace: WorkspaceId) -> Result<Sealed> {
        let now = self.now().await?;
        let mut tx = self.pool.begin().await?;
        let Some(to) = store::audit_seals::lock(&mut tx, workspace, now).await? else {
            return Ok(Sealed { entries: 0, more: false });
        };
        let SealedTo { head, horizon, sealed_at: _ } = to;
        let moment = store::audit_seals::moment(&mut tx).await?;
        // No transaction that was sealed can lie ahead, but in a database that was moved.
        let moved = horizon > moment.begun_below;
        let from = if moved { i64::MIN } else { horizon };
        let entries = store::audit::to_seal(&mut tx, workspace, moment, from, moved, BATCH).await?;
        let more = entries.len() as i64 >= BATCH;
        let (seals, head) = audit::seal(head, &entries);
        if !seals.is_empty() {
            store::audit_seals::insert(&mut tx, workspace, &seals).await?;
        }
        let next = match entries.last() {
            // Everything has to be looked at once more.
            _ if moved && more => horizon,
            Some(last) if more => last.xid + 1,
            Some(_) | None => moment.ended_below,
        };
        store::audit_seals::advance(&mut tx, workspace, now, head, next).await?;
        tx.commit().await?;
        Ok(Sealed { entries: seals.len() as u64, more })
    }
}
