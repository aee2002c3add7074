//! Record of the supervisor: the runs of each duty.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, MonitorCaller},
    },
    domain::ids::WorkspaceId,
    store::{self, supervisor::DutyRow},
};

pub use crate::store::supervisor::DutyRun;

/// A duty of the supervisor and its last run, by any process on the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SupervisorDuty {
    /// Name of the duty, as in logs and metrics.
    #[schema(example = "expire")]
    pub duty: String,
    /// Number of runs so far.
    #[schema(example = 4812)]
    pub runs: i64,
    /// Number of things changed in all runs.
    #[schema(example = 12)]
    pub did: i64,
    /// Number of failed runs so far.
    #[schema(example = 0)]
    pub failures: i64,
    /// When the last run began.
    pub last_run_at: DateTime<Utc>,
    /// Duration of the last run, in milliseconds.
    #[schema(example = 3)]
    pub last_took_ms: i64,
    /// Number of things that the last run looked at: goals, approvals, limits, rules or rows.
    #[schema(example = 2)]
    pub last_examined: i64,
    /// Number of things that the last run changed.
    #[schema(example = 1)]
    pub last_did: i64,
    /// Number of things that the last run left for the next run, because they failed.
    #[schema(example = 0)]
    pub last_left: i64,
    /// Whether the last run failed. The service's log says why.
    pub last_failed: bool,
}

impl From<DutyRow> for SupervisorDuty {
    fn from(row: DutyRow) -> Self {
        let DutyRow {
            duty,
            runs,
            did,
            failures,
            last_run_at,
            last_took_ms,
            last_examined,
            last_did,
            last_left,
            last_failed,
        } = row;
        Self {
            duty,
            runs,
            did,
            failures,
            last_run_at,
            last_took_ms,
            last_examined,
            last_did,
            last_left,
            last_failed,
        }
    }
}

/// The record of the supervisor in this workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SupervisorRecord {
    /// Every duty that ever ran, by name.
    pub duties: Vec<SupervisorDuty>,
}

impl App {
    /// Each duty and its last run.
    pub async fn supervisor_record(&self, caller: &MonitorCaller) -> Result<SupervisorRecord> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let rows = store::supervisor::list(&mut tx).await?;
        Ok(SupervisorRecord { duties: rows.into_iter().map(SupervisorDuty::from).collect() })
    }

    /// Records runs of a duty.
    pub async fn record_duty(&self, workspace: WorkspaceId, run: &DutyRun<'_>) -> Result<()> {
        self.pulse().beat();
        let mut tx = self.reader(workspace).await?;
        Ok(store::supervisor::record(&mut tx, run).await?)
    }
}
