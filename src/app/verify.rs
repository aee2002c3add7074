//! Checks of the invariants on live data.
//!
//! One read-only transaction with one snapshot checks all invariants of a workspace, so a check is
//! exact beside running traffic and blocks no writer. Invariants about time are judged at the time
//! of the snapshot.
//!
//! A check runs on one connection, and so on one core of the database. Over HTTP it is a scan: few run at
//! a time in a process, by turns of workspaces.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    App, Error, Result,
    access::keys::LocalAdmin,
    caller::{AdminCaller, Caller as _},
};
use crate::{
    clock::Stopwatch,
    domain::{ids::WorkspaceId, invariant::Invariant, settings, words::Words as _},
    store::{
        self,
        verify::{Scope, Violation},
    },
};

/// The result of a check of the invariants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Verification {
    /// Id of the workspace that was checked.
    pub workspace_id: WorkspaceId,
    /// Whether every checked invariant holds.
    pub holds: bool,
    /// Time of the snapshot that was checked.
    pub checked_at: DateTime<Utc>,
    /// Duration of the check, in milliseconds.
    #[schema(example = 140)]
    pub took_ms: i64,
    /// Every invariant that was checked, held or broken.
    pub invariants: Vec<CheckedInvariant>,
}

/// One invariant and its violations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckedInvariant {
    /// Name of the invariant; stable across versions.
    #[schema(example = "one_live_attempt")]
    pub invariant: Invariant,
    /// The promise of the invariant, in one sentence.
    #[schema(example = "At most one attempt of a task is running or submitted.")]
    pub promise: String,
    /// Whether the invariant holds: there are no violations.
    pub holds: bool,
    /// Number of violations that were found.
    #[schema(example = 0, minimum = 0)]
    pub violations: i64,
    /// At most ten of the violations.
    pub samples: Vec<Sample>,
}

/// One violation of an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sample {
    /// Kind of the subject: `task`, `goal`, `attempt`, `approval`, `agent`, `project`, `row`,
    /// `seal` or `workspace`.
    #[schema(example = "task")]
    pub subject: String,
    /// Id of the subject; for a journal row its number, for a seal its first number.
    #[schema(example = "01990f5c-7e2a-7c41-9d3b-2f60f0a1b2c3")]
    pub id: String,
    /// The violation in words, for people.
    #[schema(example = "2 of its attempts are running or submitted")]
    pub found: String,
}

/// Extent of a check.
#[derive(Debug, Clone, Copy)]
pub struct Thoroughness {
    /// Whether invariants about time are checked. They are always broken in a database whose
    /// service does not run.
    pub time: bool,
    /// Time limit of the check.
    pub within: Duration,
}

impl App {
    /// Checks every invariant on the data of the caller's workspace.
    ///
    /// # Errors
    /// `unavailable` if the check takes too long, or the service stops.
    pub async fn verify(&self, caller: &AdminCaller) -> Result<Verification> {
        let how = Thoroughness { time: true, within: settings::VERIFY_TIME_HTTP };
        self.check_all(caller.principal().workspace, how).await
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
    /// Checks every invariant on the data of the workspace.
    ///
    /// # Errors
    /// If the check takes too long.
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
