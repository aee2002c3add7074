//! The unit of work: one transaction at one instant, its journal rows, and the wake-ups after its
//! commit.

use std::{collections::HashMap, time::Duration};

pub mod holdings;
pub mod idempotency;
mod journal;
pub mod locks;
pub mod snapshot;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{App, Error, Result, caller::Actor};
use crate::{
    clock::Clock,
    domain::{
        ids::{AttemptId, Id, KeyId, WorkspaceId},
        journal::{Kind, NewRow},
        spend::Amounts,
    },
    entropy::Entropy,
    store::{self, Hold, SystemTx, Tx, goals::GoalFacts},
    turns::{Presence, Turn, Turns},
};
use holdings::Caps;
use journal::Recorded;

/// The longest wait for a turn: as long as the pool lets a caller wait for a connection.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// The connections of the pool, shared by workspaces. A fifth takes no turns: those of [`App::system`], and
/// of reports and checks, which are few and long.
///
/// Beside others, a workspace has twice as many units of work at a time as there are processors, because a
/// commit waits for the disk, and half as many reads as processors. More would not make its own statements
/// faster, but those of the others slower.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    units: Turns<WorkspaceId>,
    reads: Turns<WorkspaceId>,
}

impl Shares {
    /// The shares of a pool of `connections`.
    pub fn of(connections: u32, presence: &Presence<WorkspaceId>) -> Self {
        let places = (connections - connections / 5) as usize;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let (reads, units) = ((places / 2).max(1), places.div_ceil(2));
        Self {
            units: Turns::shared(units, processors * 2, presence),
            reads: Turns::shared(reads, (processors / 2).max(1), presence),
        }
    }
}

/// A transaction for one workspace. Without [`Unit::commit`] it changes nothing.
#[derive(Debug)]
pub struct Unit {
    tx: Tx,
    actor: Actor,
    entropy: Entropy,
    caps: Caps,
    recorded: Recorded,
}

impl App {
    /// Begins a unit of work for `actor`.
    pub async fn begin(&self, workspace: WorkspaceId, actor: Actor) -> Result<Unit> {
        self.begin_holding(workspace, actor, Hold::Share).await
    }

    /// Begins a unit of work that runs alone in its workspace: to change limits, or to set or lift
    /// a freeze.
    ///
    /// # Errors
    /// If the database cannot be reached, or other units do not finish in time.
    pub(super) async fn begin_alone(&self, workspace: WorkspaceId, actor: Actor) -> Result<Unit> {
        self.begin_holding(workspace, actor, Hold::Alone).await
    }

    async fn begin_holding(
        &self,
        workspace: WorkspaceId,
        actor: Actor,
        hold: Hold,
    ) -> Result<Unit> {
        let turn = in_turn(&self.connections.units, workspace).await?;
        let mut system: SystemTx =
            self.pool.begin_with(store::begin(workspace, hold)).await?.into();
        let now = read(&self.clock, system.conn()).await?;
        let entropy = self.entropy.clone();
        let recorded = Recorded::default();
        let caps = self.caps.clone();
        Ok(Unit { tx: system.on_turn(turn, now), actor, entropy, caps, recorded })
    }

    /// The present time, for reads without a transaction.
    pub async fn now(&self) -> Result<DateTime<Utc>> {
        match &self.clock {
            Clock::Manual(clock) => Ok(clock.now()),
            Clock::Database => Ok(store::now(self.system().await?.conn()).await?),
        }
    }

    /// The turn of `workspace` to read. Connections for one workspace are taken in its turn, because the
    /// pool itself serves in the order of arrival.
    ///
    /// # Errors
    /// `unavailable` if the turn does not come in time.
    pub(super) async fn turn_to_read(&self, workspace: WorkspaceId) -> Result<Turn<WorkspaceId>> {
        in_turn(&self.connections.reads, workspace).await
    }

    /// A connection that is not bound to a workspace, and takes no turn: authentication, heartbeats
    /// without spend, and the watchers of workspaces, which are few at a time.
    ///
    /// # Errors
    /// `unavailable` if the database cannot be reached.
    pub(super) async fn system(&self) -> Result<SystemTx> {
        Ok(self.pool.acquire().await?.into())
    }

    /// A connection for reads without a unit of work.
    ///
    /// # Errors
    /// `unavailable` if the database cannot be reached.
    pub(super) async fn reader(&self, workspace: WorkspaceId) -> Result<Tx> {
        let turn = self.turn_to_read(workspace).await?;
        let mut system = self.system().await?;
        let now = read(&self.clock, system.conn()).await?;
        Ok(system.on_turn(turn, now))
    }

    /// A transaction that is not a unit of work: it must not touch limits or freezes, and does not
    /// wait for units that run alone.
    pub(super) async fn transaction(&self, workspace: WorkspaceId) -> Result<Tx> {
        let turn = in_turn(&self.connections.units, workspace).await?;
        let mut system: SystemTx = self.pool.begin().await?.into();
        let now = read(&self.clock, system.conn()).await?;
        Ok(system.on_turn(turn, now))
    }

    /// Commits, then wakes waiting requests.
    ///
    /// # Errors
    /// If the database fails; nothing is changed then.
    pub async fn commit(&self, unit: Unit) -> Result<()> {
        let Unit { mut tx, actor, entropy, caps: _, recorded } = unit;
        let workspace = tx.workspace;
        let rows = recorded.finish(&actor, &entropy);
        if !rows.is_empty() {
            store::journal::append(&mut tx, &rows).await?;
        }
        tx.commit().await?;
        self.hint(workspace, &rows);
        Ok(())
    }

    /// Rolls back and waits until that is done. A dropped unit is rolled back a moment later, and
    /// keeps its locks until then.
    ///
    /// # Errors
    /// If the database fails; nothing is changed then either.
    pub async fn undo(&self, unit: Unit) -> Result<()> {
        Ok(unit.tx.rollback().await?)
    }

    fn hint(&self, workspace: WorkspaceId, rows: &[NewRow]) {
        // Tasks under a lifted freeze, and those of a goal that left a frozen project, can be claimed
        // again without an event of their own; reassigned and edited tasks, by another agent.
        // Rates and quota windows free tasks when they change.
        let offers = |kind| {
            matches!(
                kind,
                Kind::TaskReady
                    | Kind::FreezeLifted
                    | Kind::TaskReassigned
                    | Kind::TaskOfferEnded
                    | Kind::TaskUpdated
                    | Kind::GoalUpdated
                    | Kind::RateUpdated
                    | Kind::RateDeleted
                    | Kind::QuotaWindowUpdated
                    | Kind::QuotaWindowDeleted
            )
        };
        if rows.iter().any(|row| row.kind == Kind::WorkspaceUpdated) {
            self.lesson_searches.forget(workspace);
        }
        let teaches = |kind| {
            matches!(kind, Kind::LessonCreated | Kind::LessonActivated | Kind::LessonsImported)
        };
        if rows.iter().any(|row| teaches(row.kind)) {
            self.lesson_searches.notice(workspace);
        }
        if rows.iter().any(|row| offers(row.kind)) {
            self.wake.ready(workspace);
        } else if !rows.is_empty() {
            self.wake.changed(workspace);
        }
    }
}

async fn in_turn(turns: &Turns<WorkspaceId>, of: WorkspaceId) -> Result<Turn<WorkspaceId>> {
    tokio::time::timeout(TURN_WITHIN, turns.take(of))
        .await
        .map_err(|_| Error::Unavailable("no connection to the database became free".into()))
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

    /// The actor of the unit.
    #[must_use]
    pub fn acting(&self) -> &Actor {
        &self.actor
    }

    /// The acting key; `None` for the supervisor.
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

    /// New ids, ascending.
    #[must_use]
    pub fn ids<T: Id>(&self, count: usize) -> Vec<T> {
        self.entropy.ids(self.tx.now, count)
    }

    /// What the workspace may hold.
    #[must_use]
    pub(in crate::app) fn caps(&self) -> &Caps {
        &self.caps
    }

    /// The source of secrets and jitter.
    #[must_use]
    pub fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// Records a journal row; it is numbered at the commit. Without an actor it gets the unit's.
    pub fn record(&mut self, row: NewRow) {
        self.recorded.add(row);
    }

    /// Adds locked goals: rows about them name the people for whom they were posted.
    pub fn know(&mut self, goals: &[GoalFacts]) {
        self.recorded.know(goals);
    }

    /// Adds the attempts' total spend to the rows about their tasks.
    pub(super) fn note_spend(&mut self, spent: &HashMap<AttemptId, Amounts>) {
        self.recorded.note_spend(spent);
    }
}
