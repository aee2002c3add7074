//! Duty `learn_durations`: computes how long tasks take, by set of capabilities.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
    store,
};

pub(super) const DUTY: Duty = Duty {
    name: "learn_durations",
    pace: Duration::from_secs(60),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.learn_durations(workspace)),
};

impl App {
    async fn learn_durations(&self, workspace: WorkspaceId) -> Result<Report> {
        // Without a unit of work, as the usual spend.
        let mut tx = self.reader(workspace).await?;
        let changed = store::goals::progress::learn_durations(&mut tx).await?;
        Ok(Report { looked_at: changed, did: changed, left: 0, failure: None })
    }
}
