//! Duty `forget_trials`: deletes what is known of old tasks with and without lessons. What lessons change is reported for
//! a year.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Duty, Report};
use crate::{
    app::{App, Result, caller::Actor},
    domain::ids::WorkspaceId,
    store,
};

pub(super) const DUTY: Duty = Duty {
    name: "forget_trials",
    pace: Duration::from_secs(3_600),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.forget_trials(workspace)),
};

/// Days for which a trial is kept.
const KEPT_DAYS: i64 = 365;
/// Trials deleted in one run.
const AT_ONCE: i64 = 10_000;

impl App {
    async fn forget_trials(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let before = unit.now() - TimeDelta::days(KEPT_DAYS);
        let gone = store::knowledge::trials::forget(unit.tx(), before, AT_ONCE).await?;
        self.commit(unit).await?;
        let left = u64::from(gone >= AT_ONCE.unsigned_abs());
        Ok(Report { looked_at: gone, did: gone, left, failure: None })
    }
}
