//! Duty `count_verdicts`: counts what agents said of lessons, and moves those that misled agents of two owners away from
//! agents.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "count_verdicts",
    pace: Duration::from_secs(2),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.run_count_verdicts(workspace)),
};

impl App {
    async fn run_count_verdicts(&self, workspace: WorkspaceId) -> Result<Report> {
        let counted = self.count_verdicts(workspace).await?;
        Ok(Report {
            looked_at: counted.lessons,
            did: counted.lessons,
            left: u64::from(counted.left),
            failure: None,
        })
    }
}
