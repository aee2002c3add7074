//! Duty `learn_usual_spend`: computes what tasks usually use and how attempts end, by capabilities.

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
        let used = store::spend::usual::compute(&mut tx).await?;
        let changed = used + store::spend::usual::count_outcomes(&mut tx).await?;
        Ok(Report { looked_at: changed, did: changed, left: 0, failure: None })
    }
}
