//! Duty `spread_comments`: delivers comments to attempts that started while these were written, and forgets deliveries
//! to attempts that have ended.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result, caller::Actor},
    domain::ids::WorkspaceId,
    store,
};

pub(super) const DUTY: Duty = Duty {
    name: "spread_comments",
    pace: Duration::from_secs(10),
    is_due: |due| due.comments,
    run: |app, workspace| Box::pin(app.spread_comments(workspace)),
};

impl App {
    async fn spread_comments(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let spread = store::comments::deliveries::spread(unit.tx()).await?;
        let forgotten = store::comments::deliveries::forget_ended(unit.tx()).await?;
        self.commit(unit).await?;
        let did = spread + forgotten;
        Ok(Report { looked_at: did, did, left: 0, failure: None })
    }
}
