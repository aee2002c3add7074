//! Duty `prune_records`: deletes records of models and versions that agents have had no attempt with for ninety days.
//!
//! An agent that says another version every day would else leave a record per capability and day for ever. Those of
//! its present version and of the one before stay, however old: the router compares them.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "prune_records",
    pace: Duration::from_secs(600),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.run_prune_records(workspace)),
};

impl App {
    async fn run_prune_records(&self, workspace: WorkspaceId) -> Result<Report> {
        let (pruned, more) = self.prune_records(workspace).await?;
        Ok(Report { looked_at: pruned, did: pruned, left: u64::from(more), failure: None })
    }
}
