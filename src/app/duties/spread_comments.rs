//! Duty `spread_comments`: delivers comments to attempts that started while these were written, and forgets deliveries
//! to attempts that have ended.

use std::time::Duration;

use uuid::Uuid;

use super::{Duty, Report};
use crate::{
    app::{App, Result, caller::Actor},
    domain::ids::{CommentId, WorkspaceId},
    store::{self, comments::deliveries::FORGOTTEN_AT_ONCE},
};

pub(super) const DUTY: Duty = Duty {
    name: "spread_comments",
    pace: Duration::from_secs(10),
    is_due: |due| due.comments,
    run: |app, workspace| Box::pin(app.spread_comments(workspace)),
};

/// Time after which a run begins no further transaction; the next one goes on.
const RUN: Duration = Duration::from_secs(1);

impl App {
    /// One transaction per bite, until one is not full. Comments that are still fresh stay for the next run.
    async fn spread_comments(&self, workspace: WorkspaceId) -> Result<Report> {
        let bound = self.clock.bound(RUN);
        let mut report = Report::default();
        let mut after = Some(CommentId(Uuid::nil()));
        let mut ended = true;
        while (after.is_some() || ended) && !bound.is_over() {
            let mut unit = self.begin(workspace, Actor::SERVICE).await?;
            if let Some(last) = after {
                let spread = store::comments::deliveries::spread(unit.tx(), last).await?;
                report.did += spread.deliveries.unsigned_abs();
                after = spread.last;
            }
            if ended {
                let forgotten = store::comments::deliveries::forget_ended(unit.tx()).await?;
                report.did += forgotten;
                ended = forgotten >= FORGOTTEN_AT_ONCE.unsigned_abs();
            }
            self.commit(unit).await?;
        }
        report.looked_at = report.did;
        report.left = u64::from(after.is_some() || ended);
        Ok(report)
    }
}
