//! Duty `prune_assignments`: deletes assignments that are older than thirty days.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "prune_assignments",
    // Each claim writes one, so as many are due as claims were made a month ago: some thousand per second.
    pace: Duration::from_secs(5),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.run_prune_assignments(workspace)),
};

impl App {
    async fn run_prune_assignments(&self, workspace: WorkspaceId) -> Result<Report> {
        let (pruned, more) = self.prune_assignments(workspace).await?;
        Ok(Report { looked_at: pruned, did: pruned, left: u64::from(more), failure: None })
    }
}
