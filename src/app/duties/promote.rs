//! Duty `promote`: offers tasks whose start time or backoff has passed.

use std::{collections::BTreeMap, time::Duration};

use super::{Duty, Report, Tally};
use crate::{
    app::{
        App, Result,
        caller::Actor,
        tasks::unblock::{self, Needs},
        unit::locks::lock_goal,
    },
    domain::ids::{GoalId, TaskId, WorkspaceId},
    store,
};

pub(super) const DUTY: Duty = Duty {
    name: "promote",
    pace: Duration::ZERO,
    is_due: |due| due.promote,
    run: |app, workspace| Box::pin(app.promote(workspace)),
};

impl App {
    async fn promote(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut tx = self.reader(workspace).await?;
        let due = store::tasks::deadlines::due(&mut tx).await?;
        drop(tx);
        let mut by_goal: BTreeMap<GoalId, Vec<TaskId>> = BTreeMap::new();
        for (task, goal) in due {
            by_goal.entry(goal).or_default().push(task);
        }
        let mut tally = Tally::default();
        for (goal, tasks) in by_goal {
            tally.note(self.promote_in(workspace, goal, tasks).await);
        }
        Ok(tally.report())
    }

    async fn promote_in(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        tasks: Vec<TaskId>,
    ) -> Result<u64> {
        let count = tasks.len() as u64;
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        lock_goal(&mut unit, goal).await?;
        let facts = store::tasks::lock(unit.tx(), &tasks).await?;
        unblock::unblock(&mut unit, facts, Needs::Written).await?;
        self.commit(unit).await?;
        Ok(count)
    }
}
