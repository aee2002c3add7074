//! The unit of work: one transaction, one instant, its rows of the journal, and the hints after its
//! commit.

use std::collections::HashMap;

pub mod idempotency;
mod journal;
pub mod locks;
pub mod snapshot;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{App, Result, caller::Actor};
use crate::{
    clock::Clock,
    domain::{
        ids::{AttemptId, Id, KeyId, WorkspaceId},
        journal::{Kind, NewRow},
        spend::Amounts,
    },
    entropy::Entropy,
    store::{self, Hold, SystemTx, Tx, goals::GoalFacts},
};
use idempotency::Outcome;
use journal::Recorded;

/// One transaction for one workspace. Dropped without [`Unit::commit`], it changes nothing.
#[derive(Debug)]
pub struct Unit {
    tx: Tx,
    actor: Actor,
    entropy: Entropy,
    recorded: Recorded,
}

impl App {
    /// Begins a unit of work for `actor`.
    pub async fn begin(&self, workspace: WorkspaceId, actor: Actor) -> Result<Unit> {
        self.begin_holding(workspace, actor, Hold::Share).await
    }

    /// Begins a unit of work beside which nothing else happens in the workspace: to change limits, or
    /// to set or lift a freeze.
    ///
    /// # Errors
    /// When the database cannot be reached, or others do not finish in time.
    pub(super) async fn begin_alone(&self, workspace: WorkspaceId, actor: Actor) -> Result<Unit> {
        self.begin_holding(workspace, actor, Hold::Alone).await
    }

    async fn begin_holding(
        &self,
        workspace: WorkspaceId,
        actor: Actor,
        hold: Hold,
    ) -> Result<Unit> {
        let mut system: SystemTx =
            self.pool.begin_with(store::begin(workspace, hold)).await?.into();
        let now = read(&self.clock, system.conn()).await?;
        let entropy = self.entropy.clone();
        let recorded = Recorded::default();
        Ok(Unit { tx: system.within(workspace, now), actor, entropy, recorded })
    }

    /// What time it is, for reads that need no transaction.
    pub async fn now(&self) -> Result<DateTime<Utc>> {
        match &self.clock {
            Clock::Manual(clock) => Ok(clock.now()),
            Clock::Database => Ok(store::now(self.system().await?.conn()).await?),
        }
    }

    /// A connection that is tied to no workspace.
    ///
    /// # Errors
    /// `unavailable` when the database cannot be reached.
    pub(super) async fn system(&self) -> Result<SystemTx> {
        Ok(self.pool.acquire().await?.into())
    }

    /// A connection for reads that need no unit of work.
    ///
    /// # Errors
    /// `unavailable` when the database cannot be reached.
    pub(super) async fn reader(&self, workspace: WorkspaceId) -> Result<Tx> {
        let mut system = self.system().await?;
        let now = read(&self.clock, system.conn()).await?;
        Ok(system.within(workspace, now))
    }

    /// A transaction that is no unit of work: it has no share in limits and freezes, and waits for no
    /// unit that holds them alone.
    pub(super) async fn transaction(&self, workspace: WorkspaceId) -> Result<Tx> {
        let mut system: SystemTx = self.pool.begin().await?.into();
        let now = read(&self.clock, system.conn()).await?;
        Ok(system.within(workspace, now))
    }

    /// Commits, then hints at its rows to waiting requests.
    ///
    /// # Errors
    /// When the database fails; then nothing was changed.
    pub async fn commit(&self, unit: Unit) -> Result<()> {
        let Unit { mut tx, actor, entropy, recorded } = unit;
        let workspace = tx.workspace;
        let rows = recorded.finish(&actor, &entropy);
        if !rows.is_empty() {
            store::journal::append(&mut tx, &rows).await?;
        }
        tx.commit().await?;
        self.hint(workspace, &rows);
        Ok(())
    }

    /// Takes everything back, and returns when it is. A unit that is only dropped is taken back
    /// a moment later, and holds its locks until then.
    ///
    /// # Errors
    /// When the database fails; then nothing was changed either.
    pub async fn undo(&self, unit: Unit) -> Result<()> {
        Ok(unit.tx.rollback().await?)
    }

    /// Ends a unit of work whose answer may be kept for a repeated request: commits what was done
    /// now, and takes back everything else before the answer goes out, so that the same request
    /// sent again at once does not meet its own shadow.
    ///
    /// # Errors
    /// Whatever was refused, and when the database fails.
    pub(super) async fn conclude<T>(
        &self,
        unit: Unit,
        outcome: Result<Outcome<T>>,
    ) -> Result<Outcome<T>> {
        match outcome {
            Ok(outcome) if outcome.replayed => {
                self.undo(unit).await?;
                Ok(outcome)
            }
            Ok(outcome) => {
                self.commit(unit).await?;
                Ok(outcome)
            }
            Err(error) => {
                // What was refused counts more than a connection that broke meanwhile.
                let _ = self.undo(unit).await;
                Err(error)
            }
        }
    }

    fn hint(&self, workspace: WorkspaceId, rows: &[NewRow]) {
        // What a lifted freeze was over may be claimed again, without an event of its own; what was
        // reassigned, by somebody else.
        let offers =
            |kind| matches!(kind, Kind::TaskReady | Kind::FreezeLifted | Kind::TaskReassigned);
        if rows.iter().any(|row| offers(row.kind)) {
            self.wake.ready(workspace);
        } else if !rows.is_empty() {
            self.wake.changed(workspace);
        }
    }
}

async fn read(clock: &Clock, conn: &mut PgConnection) -> Result<DateTime<Utc>> {
    match clock {
        Clock::Manual(clock) => Ok(clock.now()),
        Clock::Database => Ok(store::now(conn).await?),
    }
}

impl Unit {
    /// The transaction.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// The workspace it works in.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        self.tx.workspace
    }

    /// Who acts.
    #[must_use]
    pub fn acting(&self) -> &Actor {
        &self.actor
    }

    /// The key that acts; none: the supervisor.
    #[must_use]
    pub fn actor(&self) -> Option<KeyId> {
        self.actor.key
    }

    /// The instant of the whole unit.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.tx.now
    }

    /// A new id.
    #[must_use]
    pub fn id<T: Id>(&self) -> T {
        self.entropy.id(self.tx.now)
    }

    /// New ids in ascending order.
    #[must_use]
    pub fn ids<T: Id>(&self, count: usize) -> Vec<T> {
        self.entropy.ids(self.tx.now, count)
    }

    /// The source of secrets and jitter.
    #[must_use]
    pub fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// Records a row of the journal; it is numbered at the commit. Its actor is that of the unit if it
    /// names none.
    pub fn record(&mut self, row: NewRow) {
        self.recorded.add(row);
    }

    /// Notes goals whose rows are held: their rows are recorded on behalf of the people they name.
    pub fn know(&mut self, goals: &[GoalFacts]) {
        self.recorded.know(goals);
    }

    /// Adds to the rows about tasks what their attempts have used by now.
    pub(super) fn note_spend(&mut self, spent: &HashMap<AttemptId, Amounts>) {
        self.recorded.note_spend(spent);
    }
}
