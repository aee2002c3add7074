//! Duty `sweep_artifacts`: deletes artifacts whose retention is over, and removes bytes that no artifact has.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "sweep_artifacts",
    pace: Duration::from_secs(60),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.sweep_artifacts(workspace)),
};

/// Most transactions of one run that delete artifacts, and that remove bytes.
const TRANSACTIONS: u32 = 10;

impl App {
    async fn sweep_artifacts(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut report = Report::default();
        if self.artifacts().is_err() {
            return Ok(report);
        }
        for _ in 0..TRANSACTIONS {
            let expired = self.expire_artifacts(workspace).await?;
            report.looked_at += expired;
            report.did += expired;
            if expired == 0 {
                break;
            }
        }
        for _ in 0..TRANSACTIONS {
            let (found, left) = self.sweep_uploads(workspace).await?;
            report.looked_at += found;
            report.did += found - left;
            report.left += left;
            // What is left is put off, so the next batch has others; unless the store removes nothing at all.
            if left == found {
                break;
            }
        }
        self.tidy_spool().await?;
        Ok(report)
    }
}
