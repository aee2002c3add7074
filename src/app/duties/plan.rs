//! Duty `plan`: continues the planning of goals. It takes runs whose turn it is, judges what planning agents hand
//! in, and gives the next planner its turn.
//!
//! Planners that wait for a model do so in tasks of their own ([`crate::app::goals::planning`]): a model that takes
//! minutes delays no other duty.

use std::time::Duration;

use super::{Duty, Report, Tally};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "plan",
    pace: Duration::from_millis(250),
    is_due: |due| due.plan,
    run: |app, workspace| Box::pin(app.plan(workspace)),
};

impl App {
    async fn plan(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut tally = Tally::default();
        for (goal, run) in self.runs_to_continue(workspace).await? {
            let done = self.continue_planning(workspace, goal, run).await;
            tally.note(done.map(u64::from));
        }
        Ok(tally.report())
    }
}
