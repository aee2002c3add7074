//! Duty `prune_journal`: deletes rows of the journal whose retention is over.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "prune_journal",
    pace: Duration::from_secs(60),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.run_prune_journal(workspace)),
};

/// No step of a run begins later than this: other duties wait for it.
const WITHIN: Duration = Duration::from_millis(500);

impl App {
    async fn run_prune_journal(&self, workspace: WorkspaceId) -> Result<Report> {
        let (removed, more) = self.prune_old_journal(workspace, Some(WITHIN)).await?;
        Ok(Report { looked_at: removed, did: removed, left: more.into(), failure: None })
    }
}
