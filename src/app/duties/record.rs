//! What the supervisor did last.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, MonitorCaller},
    },
    domain::ids::WorkspaceId,
    store::{self, supervisor::StepRow},
};

pub use crate::store::supervisor::StepRun;

/// A background step and its last run, whichever process ran it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SupervisorStep {
    /// Its name.
    #[schema(example = "expire")]
    pub step: String,
    /// How often it ran.
    #[schema(example = 4812)]
    pub runs: i64,
    /// How many things it changed in all runs.
    #[schema(example = 12)]
    pub changed: i64,
    /// How many runs failed.
    #[schema(example = 0)]
    pub failures: i64,
    /// When the last run began.
    pub last_run_at: DateTime<Utc>,
    /// How long the last run took, in milliseconds.
    #[schema(example = 3)]
    pub last_took_ms: i64,
    /// How many things the last run changed.
    #[schema(example = 0)]
    pub last_changed: i64,
    /// Whether the last run failed. Why is in the service's log.
    pub last_failed: bool,
}

impl From<StepRow> for SupervisorStep {
    fn from(row: StepRow) -> Self {
        let StepRow {
            step,
            runs,
            changed,
            failures,
            last_run_at,
            last_took_ms,
            last_changed,
            last_error,
        } = row;
        Self {
            step,
            runs,
            changed,
            failures,
            last_run_at,
            last_took_ms,
            last_changed,
            last_failed: last_error.is_some(),
        }
    }
}

/// The supervisor's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SupervisorRecord {
    /// The steps that ever ran, by name.
    pub steps: Vec<SupervisorStep>,
}

impl App {
    /// Each background step and its last run.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn supervisor_record(&self, caller: &MonitorCaller) -> Result<SupervisorRecord> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let rows = store::supervisor::list(&mut tx).await?;
        Ok(SupervisorRecord { steps: rows.into_iter().map(SupervisorStep::from).collect() })
    }

    /// Writes down runs of a background step.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record_step(&self, workspace: WorkspaceId, run: &StepRun<'_>) -> Result<()> {
        self.pulse().beat();
        let mut tx = self.reader(workspace).await?;
        Ok(store::supervisor::record(&mut tx, run).await?)
    }
}
