//! Duty `roll_up`: ends active goals without an open task.
//!
//! A goal ends in the transaction that ends its last task, so this finds only goals that were
//! edited in the database by hand. A goal without tasks never completes.

use std::time::Duration;

use super::{Duty, Report, Tally};
use crate::{
    app::{App, Result, caller::Actor, goals::finish_if_over},
    domain::ids::{GoalId, WorkspaceId},
    store,
};

pub(super) const DUTY: Duty = Duty {
    name: "roll_up",
    pace: Duration::from_secs(5),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.roll_up(workspace)),
};

impl App {
    async fn roll_up(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut tx = self.reader(workspace).await?;
        let goals = store::goals::to_roll_up(&mut tx).await?;
        drop(tx);
        let mut tally = Tally::default();
        for goal in goals {
            tally.note(self.roll_up_one(workspace, goal).await);
        }
        Ok(tally.report())
    }

    async fn roll_up_one(&self, workspace: WorkspaceId, goal: GoalId) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        finish_if_over(&mut unit, goal).await?;
        self.commit(unit).await?;
        Ok(1)
    }
}
