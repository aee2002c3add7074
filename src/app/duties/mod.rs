//! Duties of the supervisor: work triggered by time instead of a request.
//!
//! A duty is one file with a [`Duty`], and one line in [`DUTIES`]. It finds due work in a workspace
//! without a lock. Then it handles each goal in a unit of work of its own, which judges again under
//! locks. So two processes may run the same duty at once, a killed duty has completed whole units
//! only, and a failure in one goal does not delay the others. It returns a [`Report`].

mod capture_lessons;
mod count_verdicts;
mod embed_lessons;
mod end_offers;
mod expire;
mod expire_approvals;
mod fire_schedules;
mod forget_trials;
mod fund;
mod intervene;
mod keep_progress;
mod learn_routes;
mod learn_usual_spend;
pub mod measure_sealing;
mod measure_tables;
mod measure_usage;
mod note_key_use;
mod plan;
mod price;
mod promote;
mod prune_assignments;
mod prune_concurrency_keys;
mod prune_goals;
mod prune_journal;
mod prune_lessons;
mod prune_records;
mod rank_again;
pub mod record;
mod roll_up;
mod seal;
mod spread_comments;
mod sweep_artifacts;
mod sweep_replays;

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use super::{App, Error, Result};
use crate::{domain::ids::WorkspaceId, store};

/// All duties in the order of a round: later ones may use what earlier ones offered.
pub const DUTIES: &[Duty] = &[
    expire::DUTY,
    expire_approvals::DUTY,
    fire_schedules::DUTY,
    plan::DUTY,
    promote::DUTY,
    rank_again::DUTY,
    end_offers::DUTY,
    spread_comments::DUTY,
    count_verdicts::DUTY,
    price::DUTY,
    price::LATE,
    fund::DUTY,
    roll_up::DUTY,
    intervene::DUTY,
    learn_usual_spend::DUTY,
    learn_routes::DUTY,
    keep_progress::DUTY,
    capture_lessons::DUTY,
    embed_lessons::DUTY,
    sweep_replays::DUTY,
    prune_assignments::DUTY,
    prune_records::DUTY,
    prune_lessons::DUTY,
    forget_trials::DUTY,
    prune_concurrency_keys::DUTY,
    sweep_artifacts::DUTY,
    prune_goals::DUTY,
    prune_journal::DUTY,
    note_key_use::DUTY,
    seal::DUTY,
];

/// Duties whose changes only follow from those of others: seals, and what is learnt or computed from work.
pub const FOLLOWING: &[&str] = &[
    "seal",
    "learn_usual_spend",
    "learn_routes",
    "keep_progress",
    "capture_lessons",
    "embed_lessons",
];

/// Background work of the supervisor.
#[derive(Debug, Clone, Copy)]
pub struct Duty {
    /// Name in `GET /v1/supervisor`, logs and metrics.
    pub name: &'static str,
    /// Shortest time between two runs in a workspace.
    pub pace: Duration,
    /// Whether it has work, as far as the common check of all duties ([`Due`]) can tell.
    pub is_due: fn(&Due) -> bool,
    /// Runs it once.
    pub run: for<'a> fn(&'a App, WorkspaceId) -> BoxFuture<'a, Result<Report>>,
}

/// Result of one run of a duty.
#[derive(Debug, Default)]
pub struct Report {
    /// Number of things examined: goals, approvals, limits, rules or rows.
    pub looked_at: u64,
    /// Number of things changed.
    pub did: u64,
    /// Number of things left for the next run, because they failed or a run has a limit.
    pub left: u64,
    /// The first failure; everything else was done.
    pub failure: Option<Error>,
}

/// Duties that have work now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// An attempt, task or cancellation is past its time.
    pub expire: bool,
    /// A start time or backoff has passed.
    pub promote: bool,
    /// A task waits for the price of a model.
    pub price: bool,
    /// A task waits for a budget, or an ended goal has open allocations.
    pub fund: bool,
    /// An approval has expired or needs a reminder.
    pub approvals: bool,
    /// A planner has its turn, its server was killed, or its task has a result.
    pub plan: bool,
    /// A rule is enabled or an intervention is open.
    pub intervene: bool,
    /// Journal rows are not sealed.
    pub seal: bool,
    /// The progress of a goal may have changed.
    pub progress: bool,
    /// A schedule is due, or has a queued fire.
    pub schedules: bool,
    /// The offer of a handed-over task is over.
    pub offers: bool,
    /// A comment may have to be delivered to attempts that started meanwhile, or deliveries can be forgotten.
    pub comments: bool,
    /// Ready tasks are to be ranked again.
    pub ranks: bool,
}

impl Due {
    /// All duties, for a round without a check.
    pub const ALL: Self = Self {
        expire: true,
        promote: true,
        price: true,
        fund: true,
        approvals: true,
        plan: true,
        intervene: true,
        seal: true,
        progress: true,
        schedules: true,
        offers: true,
        comments: true,
        ranks: true,
    };
}

impl App {
    /// Checks which duties have work.
    pub async fn due(&self, workspace: WorkspaceId) -> Result<Due> {
        let mut tx = self.reader(workspace).await?;
        let next = store::tasks::deadlines::next_due(&mut tx).await?;
        let now = self.clock.or(next.now);
        let passed = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= now);
        Ok(Due {
            expire: passed(next.expires_at),
            promote: passed(next.ready_from),
            price: next.prices_wait,
            fund: next.funds_wait,
            approvals: passed(next.approvals_due),
            plan: next.plans_wait || passed(next.plans_until),
            intervene: next.rules_act,
            seal: next.seals_wait,
            progress: next.progress_unread || passed(next.progress_due),
            schedules: next.fires_wait || passed(next.schedules_due),
            offers: passed(next.offer_until),
            comments: next.comments_wait,
            ranks: next.ranks_wait,
        })
    }
}

/// Counts the work of a duty per goal or approval. A failure is noted and the others continue.
#[derive(Debug, Default)]
struct Tally(Report);

impl Tally {
    fn note(&mut self, outcome: Result<u64>) {
        self.0.looked_at += 1;
        match outcome {
            Ok(did) => self.0.did += did,
            Err(error) => {
                tracing::warn!(%error, "a goal's share of a duty failed; it is tried again");
                self.0.left += 1;
                self.0.failure.get_or_insert(error);
            }
        }
    }

    /// Something that is left for the next run.
    fn left(&mut self) {
        self.0.left += 1;
    }

    fn report(self) -> Report {
        self.0
    }
}
