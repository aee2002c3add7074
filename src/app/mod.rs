//! The use cases: the only place that begins and commits transactions.
//!
//! **Lock order**, the same in every unit of work: limits and freezes of the workspace (shared;
//! exclusive for their changes) -> schedule -> goal -> task -> attempt -> approval -> agent -> rates ->
//! quota windows -> concurrency keys -> resources -> spend totals ->
//! allocations -> windows of limits (least shared first) -> links -> event head; within a table by id. Everything
//! that ends or adds tasks locks the goal's row first, so cascades through dependents and
//! containers of one goal never run concurrently. The planning runs of a goal change under its lock. Claims skip
//! locked tasks and lock no goal.
//!
//! **Wake-ups are hints**: waiters poll anyway; a commit only makes them look sooner.

pub mod access;
pub mod agents;
pub mod approvals;
pub mod artifacts;
pub mod attempts;
pub mod attention;
mod bites;
pub mod budgets;
pub mod caller;
pub mod caps;
pub mod coalesce;
pub mod comments;
pub mod decisions;
pub mod duties;
mod edit;
pub mod error;
pub mod explain;
pub mod freezes;
pub mod gates;
pub mod goals;
pub mod journal;
pub mod knowledge;
pub mod moving;
pub mod planners;
pub mod playbooks;
pub mod projects;
pub mod quota_windows;
pub mod rates;
pub mod reports;
pub mod retention;
pub mod routing;
pub mod rules;
pub mod schedules;
pub mod secrets;
pub mod sign_in;
pub mod spend;
pub mod storage;
pub mod tasks;
pub mod unit;
pub mod verify;
pub mod wake;
pub mod workspace;

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;

pub use crate::clock::Stopwatch;
pub use error::{Error, Result};
pub use unit::Unit;

use crate::{
    clock::{Clock, Pulse},
    domain::ids::WorkspaceId,
    entropy::Entropy,
    store,
    turns::{Presence, Turns},
};

/// The use cases and their shared state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pool: PgPool,
    clock: Clock,
    entropy: Entropy,
    wake: wake::Wake,
    routes: routing::Routes,
    pulse: Pulse,
    storage: storage::Storage,
    patience: Duration,
    key_finder: coalesce::Coalescer<access::authenticate::FindKey>,
    claims: coalesce::Coalescer<attempts::claim::command::ClaimCommand>,
    search_starts: Arc<attempts::claim::turns::SearchStarts>,
    heartbeats: coalesce::Coalescer<attempts::heartbeat::command::HeartbeatCommand>,
    spends: coalesce::Coalescer<spend::command::SpendCommand>,
    finishes: coalesce::Coalescer<attempts::finish::command::FinishCommand>,
    connections: unit::Shares,
    reports: Turns<WorkspaceId>,
    audits: Turns<WorkspaceId>,
    sieves: Turns<WorkspaceId>,
    readers: Turns<WorkspaceId>,
    caps: unit::holdings::Caps,
    key_uses: access::key_use::KeyUses,
    master_keys: Arc<dyn secrets::KeySource>,
    goal_files: Option<Arc<dyn retention::export::GoalFiles>>,
    pruning: retention::progress::Progress,
    sign_in: Option<Arc<sign_in::SignIn>>,
    model: Arc<dyn goals::planning::model::ModelPlanner>,
    thinkers: goals::planning::Thinkers,
    planners: Option<Arc<planners::Planners>>,
    artifacts: Option<artifacts::Artifacts>,
    captures: bool,
    embedder: Option<Arc<dyn knowledge::meaning::Embedder>>,
    tables: knowledge::meaning::Tables,
    lesson_searches: Arc<knowledge::exposures::Searches>,
}

impl App {
    /// An app on a database whose schema is up to date.
    #[must_use]
    pub fn new(pool: PgPool, clock: Clock, entropy: Entropy) -> Self {
        let limits = coalesce::Limits::default();
        let presence = Presence::default();
        let connections = unit::Shares::of(pool.options().get_max_connections(), &presence);
        Self {
            pool,
            connections,
            clock,
            entropy,
            wake: wake::Wake::default(),
            routes: routing::Routes::default(),
            pulse: Pulse::default(),
            storage: storage::Storage::default(),
            patience: limits.patience,
            key_finder: coalesce::Coalescer::new(limits),
            claims: coalesce::Coalescer::new(limits),
            search_starts: Arc::default(),
            heartbeats: coalesce::Coalescer::new(attempts::heartbeat::transaction::in_no_hurry(
                limits,
            )),
            spends: coalesce::Coalescer::new(limits),
            finishes: coalesce::Coalescer::new(limits),
            reports: Turns::halved(reports::AT_ONCE),
            audits: Turns::halved(journal::verify::AT_ONCE),
            sieves: Turns::halved(journal::SIEVES),
            readers: Turns::shared(wake::reads::AT_ONCE, 1, &presence),
            caps: unit::holdings::Caps::default(),
            key_uses: access::key_use::KeyUses::default(),
            master_keys: Arc::new(secrets::Keyless),
            goal_files: None,
            pruning: retention::progress::Progress::default(),
            sign_in: None,
            model: Arc::new(goals::planning::llm::Llm),
            thinkers: goals::planning::Thinkers::default(),
            planners: None,
            artifacts: None,
            captures: true,
            embedder: None,
            tables: knowledge::meaning::Tables::default(),
            lesson_searches: Arc::default(),
        }
    }

    /// The same app with another patience: the time limit of a batch or a background step. Use the
    /// timeout of a request, because nobody waits for the answer after that.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        let limits = coalesce::Limits { patience, ..coalesce::Limits::default() };
        Self {
            patience,
            key_finder: coalesce::Coalescer::new(limits),
            claims: coalesce::Coalescer::new(limits),
            heartbeats: coalesce::Coalescer::new(attempts::heartbeat::transaction::in_no_hurry(
                limits,
            )),
            spends: coalesce::Coalescer::new(limits),
            finishes: coalesce::Coalescer::new(limits),
            ..self
        }
    }

    /// The same app that captures finished tasks as lessons, or does not.
    #[must_use]
    pub fn capturing(self, captures: bool) -> Self {
        Self { captures, ..self }
    }

    /// Runs background work within the app's patience.
    ///
    /// # Errors
    /// Those of the work; `Unavailable` if the database does not answer in time.
    pub async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let patience = self.patience;
        tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
            Err(Error::Unavailable(format!("the database did not answer within {patience:?}")))
        })
    }

    /// The pool, for health checks and shutdown.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Finishes every accepted command and accepts no more. Part of a clean shutdown, before the
    /// pool is closed.
    pub async fn drain(&self) {
        self.claims.drain().await;
        self.heartbeats.drain().await;
        self.spends.drain().await;
        self.finishes.drain().await;
        self.key_finder.drain().await;
    }

    /// The source of ids and jitter.
    #[must_use]
    pub fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// Wakes waiting claims and readers.
    #[must_use]
    pub fn wake(&self) -> &wake::Wake {
        &self.wake
    }

    /// The heartbeat of this process's supervisor.
    #[must_use]
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn reach_database(&self) -> Result<()> {
        self.now().await.map(|_| ())
    }

    /// Whether the database has the schema version of this program.
    pub async fn is_migrated(&self) -> Result<bool> {
        Ok(store::is_migrated(self.system().await?.conn()).await?)
    }
}
