//! Duty `learn_usual_spend`: computes the usual spend of tasks, by set of capabilities.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
    store,
};

pub(super) const DUTY: Duty = Duty {
    name: "learn_usual_spend",
    pace: Duration::from_secs(60),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.learn_usual_spend(workspace)),
};

impl App {
    async fn learn_usual_spend(&self, workspace: WorkspaceId) -> Result<Report> {
        // Without a unit of work: this long statement only reads shared rows, and a unit would
        // block those that run alone.
        let mut tx = self.reader(workspace).await?;
        let changed = store::spend::usual::compute(&mut tx).await?;
        Ok(Report { looked_at: changed, did: changed, left: 0, failure: None })
    }
}
