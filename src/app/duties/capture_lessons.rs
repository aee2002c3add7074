//! Duty `capture_lessons`: writes the digests of ended tasks and the lessons that agents handed in.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

/// A run takes at most a tenth of it while there is a backlog: agents that claim go first.
const PACE: Duration = Duration::from_millis(700);

pub(super) const DUTY: Duty = Duty {
    name: "capture_lessons",
    pace: PACE,
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.run_capture_lessons(workspace)),
};

impl App {
    async fn run_capture_lessons(&self, workspace: WorkspaceId) -> Result<Report> {
        let captured = self.capture_lessons(workspace).await?;
        Ok(Report {
            looked_at: captured.read,
            did: captured.written,
            left: u64::from(captured.left),
            failure: None,
        })
    }
}
