//! Erasing the data of rows, and pruning the oldest rows, without breaking the chain.
//!
//! Both announce the removal in a row that is sealed before anything is removed, so a check at any
//! moment finds the announcement of what is missing. If the process ends in between, the
//! announcement without a removal does no harm.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::list::{DISORDER, number_at};
use crate::{
    app::{App, Error, Result, access::keys::LocalAdmin, caller::Actor},
    clock::Stopwatch,
    domain::{
        ids::WorkspaceId,
        journal::{Erasure, Kind, NewRow, Pruning},
    },
    store::{self, Tx, journal::seals},
};

/// Maximum time from an announcement to its seal.
const SEALED_WITHIN: Duration = Duration::from_secs(10);
/// Maximum number of seals pruned per call.
const SEALS: i64 = 100;

impl LocalAdmin<'_> {
    /// Erases the data of rows; the rest of each row, and the proof that it is unchanged, stay.
    /// Returns the number of rows erased now; excludes rows erased before and rows about the
    /// journal itself, which keep their data.
    ///
    /// # Errors
    /// `unavailable` if the announcement is not sealed in time; nothing was erased then.
    pub async fn erase_data(&self, numbers: &[i64]) -> Result<u64> {
        let (app, workspace) = (self.app(), self.workspace());
        let erasure = Erasure { numbers: numbers.to_vec() };
        app.announce(workspace, Kind::JournalErased, &erasure).await?;
        Ok(store::journal::erase(&mut app.reader(workspace).await?, numbers).await?)
    }

    /// Removes the oldest rows, whole seals at a time: up to the last seal that ends at or before
    /// `to`, at most 100 seals. Returns the number of removed rows; 0: nothing is left to remove.
    ///
    /// # Errors
    /// `unavailable` if the announcement is not sealed in time; nothing was removed then.
    pub async fn prune_journal(&self, to: i64) -> Result<u64> {
        self.app().prune_journal(self.workspace(), to, SEALS).await
    }
}

/// The number of the last row that was recorded before a time.
pub(in crate::app) async fn last_before(tx: &mut Tx, time: DateTime<Utc>) -> Result<i64> {
    let newest = store::journal::newest(tx).await?;
    let time = time.checked_sub_signed(DISORDER).unwrap_or(time);
    Ok(number_at(tx, time, newest).await? - 1)
}

impl App {
    /// Removes the oldest rows up to the last seal that ends at or before `to`, at most `seals` seals.
    pub(in crate::app) async fn prune_journal(
        &self,
        workspace: WorkspaceId,
        to: i64,
        seals: i64,
    ) -> Result<u64> {
        let end = seals::end_at_or_before(&mut self.reader(workspace).await?, to, seals).await?;
        let Some(end) = end else { return Ok(0) };
        let pruning = Pruning { pruned_to: end.number, chain_sha256: end.chain_sha256 };
        self.announce(workspace, Kind::JournalPruned, &pruning).await?;
        let began = Stopwatch::start();
        loop {
            let mut tx = self.transaction(workspace).await?;
            if let Some(chain) = seals::lock(&mut tx).await? {
                // A concurrent call may have pruned further.
                if chain.pruned_to >= end.number {
                    return Ok(0);
                }
                let removed = seals::prune(&mut tx, chain, end.number).await?;
                tx.commit().await?;
                return Ok(removed);
            }
            tx.rollback().await?;
            pause(&began).await?;
        }
    }

    /// Writes a row about the journal itself, and waits until it is sealed.
    async fn announce<T: Serialize>(
        &self,
        workspace: WorkspaceId,
        kind: Kind,
        data: &T,
    ) -> Result<()> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        unit.record(NewRow::new(kind).data(json!(data)));
        self.commit(unit).await?;
        let newest = store::journal::newest(&mut self.reader(workspace).await?).await?;
        let began = Stopwatch::start();
        loop {
            self.seal_journal(workspace).await?;
            let chain = seals::chain_of(&mut self.reader(workspace).await?).await?;
            if chain.head.number >= newest {
                return Ok(());
            }
            pause(&began).await?;
        }
    }
}

/// Lets another sealer finish.
async fn pause(began: &Stopwatch) -> Result<()> {
    if began.elapsed() > SEALED_WITHIN {
        return Err(Error::Unavailable("the journal was not sealed in time".into()));
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(())
}
