//! Duty `prune_goals`: deletes ended goals whose retention is over.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result, retention::Pruner},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "prune_goals",
    pace: Duration::from_secs(5),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.run_prune_goals(workspace)),
};

/// No transaction of a run begins later than this, and each has limits of its own: other duties wait for it.
const WITHIN: Duration = Duration::from_millis(500);

impl App {
    async fn run_prune_goals(&self, workspace: WorkspaceId) -> Result<Report> {
        let pruned = self.prune_goals(workspace, Pruner::Duty(WITHIN)).await?;
        Ok(Report {
            looked_at: pruned.goals + pruned.left,
            did: pruned.goals,
            left: pruned.left + u64::from(pruned.more),
            failure: pruned.failure,
        })
    }
}
