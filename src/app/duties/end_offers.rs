//! Duty `end_offers`: opens tasks to every able agent that nobody took after a hand-off.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::{Duty, Report, Tally};
use crate::{
    app::{App, Result, caller::Actor, unit::locks::lock_goal},
    domain::{
        ids::{GoalId, TaskId, WorkspaceId},
        journal::{Kind, NewRow},
    },
    store,
};

pub(super) const DUTY: Duty = Duty {
    name: "end_offers",
    pace: Duration::ZERO,
    is_due: |due| due.offers,
    run: |app, workspace| Box::pin(app.end_offers(workspace)),
};

impl App {
    async fn end_offers(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut tx = self.reader(workspace).await?;
        let due = store::hand_offs::due(&mut tx).await?;
        drop(tx);
        let mut by_goal: BTreeMap<GoalId, Vec<TaskId>> = BTreeMap::new();
        for (task, goal) in due {
            by_goal.entry(goal).or_default().push(task);
        }
        let mut tally = Tally::default();
        for (goal, tasks) in by_goal {
            tally.note(self.end_offers_in(workspace, goal, tasks).await);
        }
        Ok(tally.report())
    }

    async fn end_offers_in(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        tasks: Vec<TaskId>,
    ) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        lock_goal(&mut unit, goal).await?;
        store::tasks::lock(unit.tx(), &tasks).await?;
        let open = store::hand_offs::end_offers(unit.tx(), &tasks).await?;
        for task in &open {
            let data = json!({"reason": "nobody it was handed over to claimed it in time"});
            unit.record(NewRow::new(Kind::TaskOfferEnded).goal(goal).task(*task).data(data));
        }
        let count = open.len() as u64;
        self.commit(unit).await?;
        metrics::counter!("muster_offers_ended_total").increment(count);
        Ok(count)
    }
}
