//! The duties of the supervisor: what happens because time passed, not because somebody asked.
//!
//! A duty is one file with a [`Duty`], and one line in [`DUTIES`]. It takes a workspace, finds what is
//! due without a lock, and does each goal's share in a unit of work of its own, which judges again
//! under the locks. So two processes may run the same duty at once, a duty that is killed has done
//! whole units only, and a failure in one goal does not keep the others waiting. It returns a
//! [`Report`].

mod expire;
mod expire_approvals;
mod fund;
mod intervene;
mod learn_usual_spend;
mod measure_tables;
mod promote;
pub mod record;
mod roll_up;
mod seal;
mod sweep_replays;

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use super::{App, Error, Result};
use crate::{domain::ids::WorkspaceId, store};

/// All duties in the order of a round: what one offers the next may use.
pub const DUTIES: &[Duty] = &[
    expire::DUTY,
    expire_approvals::DUTY,
    promote::DUTY,
    fund::DUTY,
    roll_up::DUTY,
    intervene::DUTY,
    learn_usual_spend::DUTY,
    sweep_replays::DUTY,
    seal::DUTY,
];

/// Something that the supervisor does in the background.
#[derive(Debug, Clone, Copy)]
pub struct Duty {
    /// Its name in `GET /v1/supervisor`, in logs and in metrics.
    pub name: &'static str,
    /// The shortest time between two runs in a workspace.
    pub pace: Duration,
    /// Whether there is anything to do, as far as one look for all duties can tell.
    pub is_due: fn(&Due) -> bool,
    /// Runs it once.
    pub run: for<'a> fn(&'a App, WorkspaceId) -> BoxFuture<'a, Result<Report>>,
}

/// One run of a duty.
#[derive(Debug, Default)]
pub struct Report {
    /// Things that were looked at: goals, approvals, limits, rules, rows.
    pub looked_at: u64,
    /// Things that were changed.
    pub did: u64,
    /// Things that are left for the next run, because they failed or a run has a limit.
    pub left: u64,
    /// The first failure. What failed is left; the rest was done.
    pub failure: Option<Error>,
}

/// What is due by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Something ran out of time.
    pub expire: bool,
    /// Something is to be offered.
    pub promote: bool,
    /// Something waits for a budget.
    pub fund: bool,
    /// Approvals ran out of time, or people are to be reminded.
    pub approvals: bool,
    /// Rules are to be evaluated.
    pub intervene: bool,
    /// Rows of the journal are not sealed.
    pub seal: bool,
}

impl Due {
    /// Everything: for a round without a look.
    pub const ALL: Self = Self {
        expire: true,
        promote: true,
        fund: true,
        approvals: true,
        intervene: true,
        seal: true,
    };
}

impl App {
    /// One look at what is due by the clock.
    pub async fn due(&self, workspace: WorkspaceId) -> Result<Due> {
        let mut tx = self.reader(workspace).await?;
        let next = store::tasks::deadlines::next_due(&mut tx).await?;
        let now = self.clock.or(next.now);
        let passed = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= now);
        Ok(Due {
            expire: passed(next.expires_at),
            promote: passed(next.ready_from),
            fund: next.funds_wait,
            approvals: passed(next.approvals_due),
            intervene: next.rules_act,
            seal: next.seals_wait,
        })
    }
}

/// Counts what a duty does, one goal or approval after the other. A failure is noted, and the others
/// go on.
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

    fn report(self) -> Report {
        self.0
    }
}
