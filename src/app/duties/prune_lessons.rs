//! Duty `prune_lessons`: deletes lessons whose retention is over, and old trials.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "prune_lessons",
    pace: Duration::from_secs(600),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.run_prune_lessons(workspace)),
};

impl App {
    async fn run_prune_lessons(&self, workspace: WorkspaceId) -> Result<Report> {
        let (pruned, left) = self.prune_lessons(workspace).await?;
        Ok(Report { looked_at: pruned, did: pruned, left: u64::from(left), failure: None })
    }
}
