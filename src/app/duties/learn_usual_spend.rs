//! Computes what tasks of each set of capabilities usually use.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
    store,
};

/// The duty.
pub(super) const DUTY: Duty = Duty {
    name: "learn_usual_spend",
    pace: Duration::from_secs(60),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.learn_usual_spend(workspace)),
};

impl App {
    async fn learn_usual_spend(&self, workspace: WorkspaceId) -> Result<Report> {
        // One statement that reads much and changes nothing that others wait for: a unit of work would
        // block an exclusive one meanwhile.
        let mut tx = self.reader(workspace).await?;
        let changed = store::spend::usual::compute(&mut tx).await?;
        Ok(Report { looked_at: changed, did: changed, left: 0, failure: None })
    }
}
