//! Checking on live data that the promises are kept.
//!
//! All invariants of a workspace are checked in one transaction that sees a single moment and
//! changes nothing, so a check is right beside running traffic, and no writer waits for it. Promises
//! about time are judged by the clock of that moment.
//!
//! Over HTTP one check runs at a time in a process, on one connection. Further requests wait
//! and share the next check, which begins after they arrived. Two processes on one
//! database do not wait for each other: all that costs is a core of the database.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    App, Error, Result,
    access::keys::LocalAdmin,
    caller::{AdminCaller, Caller as _},
    coalesce::{Batched, Limits},
};
use crate::{
    clock::Stopwatch,
    domain::{ids::WorkspaceId, invariant::Invariant, settings, words::Words as _},
    store::{
        self,
        verify::{Scope, Violation},
    },
};

/// One check at a time; nobody needs many to wait. A check has a budget of its own, so it is only given
/// up when the database says nothing at all.
pub(super) const ONE_AT_A_TIME: Limits = Limits {
    in_flight: 1,
    batch: 100,
    queue: 100,
    patience: Duration::from_secs(120),
    apart: Duration::ZERO,
};

/// What was found when the promises were checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Verification {
    /// The workspace that was checked.
    pub workspace_id: WorkspaceId,
    /// Whether every invariant holds.
    pub holds: bool,
    /// The moment that all of them were checked at.
    pub checked_at: DateTime<Utc>,
    /// How long the check took, in milliseconds.
    #[schema(example = 140)]
    pub took_ms: i64,
    /// Every invariant that was checked, the broken ones too.
    pub invariants: Vec<CheckedInvariant>,
}

/// An invariant, and what breaks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckedInvariant {
    /// Its name.
    #[schema(example = "one_live_attempt")]
    pub invariant: Invariant,
    /// What is promised.
    #[schema(example = "At most one attempt of a task is running or submitted.")]
    pub promise: String,
    /// Whether it holds.
    pub holds: bool,
    /// How many break it.
    #[schema(example = 0, minimum = 0)]
    pub violations: i64,
    /// At most ten of those that break it.
    pub samples: Vec<Sample>,
}

/// Something that breaks an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sample {
    /// What it is: `task`, `goal`, `attempt`, `approval`, `agent`, `project`, `row`, `seal` or
    /// `workspace`.
    #[schema(example = "task")]
    pub subject: String,
    /// Its id; for a row of the journal its number, for a seal its first number.
    #[schema(example = "01990f5c-7e2a-7c41-9d3b-2f60f0a1b2c3")]
    pub id: String,
    /// What was found, for people.
    #[schema(example = "2 of its attempts are running or submitted")]
    pub found: String,
}

/// How thorough a check is.
#[derive(Debug, Clone, Copy)]
pub struct Thoroughness {
    /// Whether promises about time are checked. They are broken by definition in a database whose
    /// service does not run.
    pub time: bool,
    /// How long the check may take.
    pub within: Duration,
}

/// A check that somebody asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct VerifyCommand {
    workspace: WorkspaceId,
}

impl Batched for VerifyCommand {
    type Context = App;
    type Group = WorkspaceId;
    type Answer = Verification;
    const KIND: &'static str = "verify";

    fn group(&self) -> WorkspaceId {
        self.workspace
    }

    async fn run(
        app: App,
        workspace: WorkspaceId,
        batch: Vec<Self>,
    ) -> Result<Vec<Result<Verification>>> {
        let how = Thoroughness { time: true, within: settings::VERIFY_TIME_HTTP };
        let found = app.check_all(workspace, how).await?;
        Ok(batch.iter().map(|_| Ok(found.clone())).collect())
    }
}

impl App {
    /// Checks every invariant on the data of the caller's workspace.
    ///
    /// # Errors
    /// `unavailable` when it takes too long, or the service stops.
    pub async fn verify(&self, caller: &AdminCaller) -> Result<Verification> {
        let workspace = caller.principal().workspace;
        self.verifies.submit(self, VerifyCommand { workspace }).await
    }

    async fn check_all(&self, workspace: WorkspaceId, how: Thoroughness) -> Result<Verification> {
        let began = Stopwatch::start();
        let mut tx = self.still(workspace).await?;
        let now = tx.now;
        let mut invariants = Vec::with_capacity(Invariant::ALL.len());
        for invariant in Invariant::ALL.iter().copied() {
            let tolerance = invariant.tolerance();
            if tolerance.is_some() && !how.time {
                continue;
            }
            let left = how.within.saturating_sub(began.elapsed()).as_millis() as i64;
            if left == 0 || self.wake.is_stopping() {
                return Err(Error::Unavailable("the check was given up".into()));
            }
            store::verify::limit_statements(&mut tx, left).await?;
            let scope = Scope { workspace, due: now - tolerance.unwrap_or_default() };
            let broken = store::verify::broken(&mut tx, scope, invariant).await?;
            invariants.push(checked(invariant, broken));
        }
        tx.rollback().await?;
        Ok(Verification {
            workspace_id: workspace,
            holds: invariants.iter().all(|checked| checked.holds),
            checked_at: now,
            took_ms: i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX),
            invariants,
        })
    }
}

impl LocalAdmin<'_> {
    /// Checks the invariants on the data of the workspace.
    ///
    /// # Errors
    /// When the database fails, or the check takes too long.
    pub async fn verify(&self, how: Thoroughness) -> Result<Verification> {
        self.app().check_all(self.workspace(), how).await
    }
}

fn checked(invariant: Invariant, broken: Vec<Violation>) -> CheckedInvariant {
    let violations = broken.first().map_or(0, |violation| violation.total);
    let samples = broken.into_iter().map(|violation| {
        let Violation { subject, id, found, total: _ } = violation;
        Sample { subject, id, found }
    });
    CheckedInvariant {
        invariant,
        promise: invariant.promise().to_owned(),
        holds: violations == 0,
        violations,
        samples: samples.collect(),
    }
}
