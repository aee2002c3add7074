//! Duty `sweep_replays`: deletes stored answers that are too old for a repeated request, and dedup keys whose time is
//! over.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result, caller::Actor},
    domain::{ids::WorkspaceId, settings},
    store,
};

pub(super) const DUTY: Duty = Duty {
    name: "sweep_replays",
    pace: Duration::from_secs(60),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.sweep_replays(workspace)),
};

/// Most transactions of one run, of a thousand answers and as many keys each.
const TRANSACTIONS: u32 = 100;

impl App {
    /// One transaction per batch, until a batch is empty.
    async fn sweep_replays(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut report = Report::default();
        for _ in 0..TRANSACTIONS {
            let mut unit = self.begin(workspace, Actor::SERVICE).await?;
            let before = unit.now() - settings::REPLAY_FOR;
            let answers = store::idempotency::sweep(unit.tx(), before).await?;
            let swept = answers + store::dedup::sweep(unit.tx()).await?;
            self.commit(unit).await?;
            report.looked_at += swept;
            report.did += swept;
            if swept == 0 {
                break;
            }
        }
        Ok(report)
    }
}
