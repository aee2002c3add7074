//! Duty `price`: offers tasks that waited for the price of a model again, with what they used rated.
//!
//! It also parks tasks that became ready although they wait: their spend came with or after the end of
//! their attempt. Duty `price_late` rates what ended tasks used, less often: nobody waits for it, and
//! there may be many of them.

use std::{collections::BTreeMap, time::Duration};

use super::{Duty, Report, Tally};
use crate::{
    app::{
        App, Result, caller::Actor, spend::waits, tasks::cascade::by_goal, unit::locks::lock_goal,
    },
    domain::{
        ids::{GoalId, TaskId, WorkspaceId},
        states::TaskState,
    },
    store::{
        self,
        spend::waits::{Waiting, Whose},
    },
};

/// Waits read per query.
const LOOKED_AT: i64 = 500;

pub(super) const DUTY: Duty = Duty {
    name: "price",
    pace: Duration::from_secs(1),
    is_due: |due| due.price,
    run: |app, workspace| Box::pin(app.price(workspace, Whose::Open)),
};

pub(super) const LATE: Duty = Duty {
    name: "price_late",
    pace: Duration::from_secs(60),
    is_due: |due| due.price,
    run: |app, workspace| Box::pin(app.price(workspace, Whose::Ended)),
};

impl App {
    async fn price(&self, workspace: WorkspaceId, whose: Whose) -> Result<Report> {
        let mut tally = Tally::default();
        let mut after = None;
        loop {
            let mut tx = self.reader(workspace).await?;
            let waits = store::spend::waits::page(&mut tx, whose, after.as_ref(), LOOKED_AT);
            let waits = waits.await?;
            let Some(last) = waits.last() else { return Ok(tally.report()) };
            after = Some(last.clone());
            let over = waits::over(&mut tx, &waits).await?;
            drop(tx);
            let ready = waits.iter().filter(|wait| wait.state == TaskState::Ready);
            let ready = by_goal(ready.map(|wait| (wait.task_id, wait.goal_id)).collect());
            let mut ended: BTreeMap<GoalId, Vec<Waiting>> = BTreeMap::new();
            for wait in over {
                ended.entry(wait.goal_id).or_default().push(wait);
            }
            for (goal, over) in ended {
                tally.note(self.end_waits(workspace, goal, &over).await);
            }
            for (goal, tasks) in ready {
                tally.note(self.park_waiting(workspace, goal, &tasks).await);
            }
        }
    }

    async fn end_waits(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        over: &[Waiting],
    ) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        lock_goal(&mut unit, goal).await?;
        let count = waits::end(&mut unit, over).await?;
        self.commit(unit).await?;
        Ok(count)
    }

    async fn park_waiting(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        tasks: &[TaskId],
    ) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        lock_goal(&mut unit, goal).await?;
        let count = waits::park(&mut unit, tasks).await?;
        self.commit(unit).await?;
        Ok(count)
    }
}
