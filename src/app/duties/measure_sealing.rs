//! Measures how long rows of the journal have waited for their seal, and the oldest transaction of
//! another program in the database: left open, it may keep the sealer from the journal.
//!
//! Not a [`Duty`](super::Duty), because the gauges are those of the whole service: no metric has data
//! of a workspace.

use chrono::{DateTime, Utc};

use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
    store,
};

/// Age of the oldest unsealed row.
const UNSEALED: &str = "muster_journal_unsealed_seconds";
/// Age of the oldest transaction of another program.
const FOREIGN: &str = "muster_foreign_transaction_seconds";

impl App {
    /// Sets the gauges.
    pub async fn measure_sealing(&self, workspaces: &[WorkspaceId]) -> Result<()> {
        let mut oldest: Option<DateTime<Utc>> = None;
        let mut now = self.now().await?;
        for workspace in workspaces {
            let mut tx = self.reader(*workspace).await?;
            now = tx.now;
            let since = store::attention::unsealed_since(&mut tx).await?;
            oldest = oldest.into_iter().chain(since).min();
        }
        let unsealed = oldest.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0));
        metrics::gauge!(UNSEALED).set(unsealed);
        let foreign = store::statistics::oldest_foreign(&mut self.system().await?).await?;
        metrics::gauge!(FOREIGN).set(foreign);
        Ok(())
    }
}

/// Describes the gauges.
pub fn describe_metrics() {
    metrics::describe_gauge!(
        UNSEALED,
        metrics::Unit::Seconds,
        "Age of the oldest journal row without a seal, over all workspaces; 0: all are sealed."
    );
    metrics::describe_gauge!(
        FOREIGN,
        metrics::Unit::Seconds,
        "Age of the oldest open transaction of another program in the database; 0: none is open."
    );
}
