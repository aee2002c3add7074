//! Duty `fire_schedules`: posts the goals of schedules whose due time has come.
//!
//! Each fire is a transaction of its own that holds the lock of its schedule, so several servers make each fire
//! once, and a killed one leaves whole fires only.

use std::time::Duration;

use super::{Duty, Report, Tally};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "fire_schedules",
    pace: Duration::from_millis(250),
    is_due: |due| due.schedules,
    run: |app, workspace| Box::pin(app.fire_schedules(workspace)),
};

impl App {
    async fn fire_schedules(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut tally = Tally::default();
        for schedule in self.due_schedules(workspace).await? {
            tally.note(self.fire_due(workspace, schedule).await);
        }
        Ok(tally.report())
    }
}
