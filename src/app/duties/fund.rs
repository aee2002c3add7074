//! Duty `fund`: offers tasks that a budget has room for again, handles tasks that it will never
//! have room for (requests an approval, or cancels them), and closes the allocations of ended
//! goals.
//!
//! Tasks are normally offered in the transaction that makes the room. This duty finds the rest:
//! tasks locked at that moment, periods that began, goals that ended.

use std::{collections::BTreeMap, time::Duration};

use super::{Duty, Report, Tally};
use crate::{
    app::{
        App, Result, Unit,
        budgets::{allocations, resume, shortage, windows::held_now},
        caller::Actor,
        tasks::cascade::{apply_cancel, by_goal},
        unit::locks::lock_goal,
    },
    domain::{
        budget::{OnExhausted, ledger::Shortage},
        ids::{GoalId, LimitId, WorkspaceId},
    },
    store,
};

pub(super) const DUTY: Duty = Duty {
    name: "fund",
    pace: Duration::from_secs(1),
    is_due: |due| due.fund,
    run: |app, workspace| Box::pin(app.fund(workspace)),
};

impl App {
    async fn fund(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut tx = self.reader(workspace).await?;
        let limits = store::budgets::waits::waited_for(&mut tx).await?;
        let goals = store::budgets::allocations::left_open(&mut tx).await?;
        drop(tx);
        let mut tally = Tally::default();
        for goal in goals {
            tally.note(self.close_allocations(workspace, goal).await);
        }
        for limit in limits {
            tally.note(self.fund_limit(workspace, limit).await);
        }
        Ok(tally.report())
    }

    async fn close_allocations(&self, workspace: WorkspaceId, goal: GoalId) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        lock_goal(&mut unit, goal).await?;
        allocations::close(&mut unit, goal).await?;
        self.commit(unit).await?;
        Ok(0)
    }

    /// Offers tasks that wait for a limit, and withdraws its approval if none is left.
    async fn fund_limit(&self, workspace: WorkspaceId, limit: LimitId) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let Looked { offered, stop } = look(&mut unit, limit).await?;
        resume::withdraw(&mut unit, &[limit]).await?;
        self.commit(unit).await?;
        let Some(room) = stop else { return Ok(offered) };
        Ok(offered + self.stop(workspace, limit, room).await?)
    }

    /// Cancels tasks that wait for a limit with `stop` and need more than it can ever have, in one
    /// unit of work per goal.
    async fn stop(&self, workspace: WorkspaceId, limit: LimitId, room: i64) -> Result<u64> {
        let mut tx = self.reader(workspace).await?;
        let waiting = store::budgets::waits::waiting_for(&mut tx, limit, room).await?;
        drop(tx);
        let mut count = 0;
        for (goal, tasks) in by_goal(waiting) {
            let mut unit = self.begin(workspace, Actor::SERVICE).await?;
            lock_goal(&mut unit, goal).await?;
            // The limit may have room by now, and the task may be gone.
            let tasks = store::budgets::waits::lock_still_waiting(unit.tx(), limit, &tasks).await?;
            count += tasks.len() as u64;
            apply_cancel(&mut unit, &tasks, "its budget is exhausted").await?;
            self.commit(unit).await?;
        }
        Ok(count)
    }
}

/// Outcome of examining a limit.
#[derive(Debug, Default)]
struct Looked {
    /// Number of offered tasks.
    offered: u64,
    /// Waiting tasks that need more than this are to be cancelled; `None`: none are.
    stop: Option<i64>,
}

/// Offers as many tasks as a limit has room for. If the next waiting task would not fit even after
/// all open reservations are released, an approval is requested or the task is to be cancelled, as
/// the budget says.
async fn look(unit: &mut Unit, limit: LimitId) -> Result<Looked> {
    let Some((node, id)) = store::budgets::read::node_of(unit.tx(), limit).await? else {
        // The limit was removed.
        let offered = resume::offer(unit, &[(limit, i64::MAX)], resume::MANY).await?;
        return Ok(Looked { offered, stop: None });
    };
    let limits = store::budgets::windows::limits_of(unit.tx(), &[(node, id)]).await?;
    let limits: Vec<_> = limits.into_iter().filter(|live| live.limit_id == limit).collect();
    let held = held_now(unit, limits).await?;
    let Some((key, window)) = held.ledger.windows().next() else { return Ok(Looked::default()) };
    let room = if window.enforced() { window.room() } else { i64::MAX };
    let offered = resume::offer(unit, &[(limit, room)], resume::MANY).await?;
    let first = store::budgets::waits::first_waiting(unit.tx(), limit).await?;
    let Some((goal, needs)) = first else { return Ok(Looked { offered, stop: None }) };
    let short = Shortage::of(key, window, needs, window.room());
    let mut stop = None;
    match window.on_exhausted {
        OnExhausted::ParkAndAsk if short.is_exhausted() => {
            shortage::ask(unit, BTreeMap::from([(limit, (goal, &short))])).await?;
        }
        OnExhausted::Stop => stop = Some(window.amount.saturating_sub(window.used())),
        OnExhausted::ParkAndAsk | OnExhausted::Park | OnExhausted::Notify => {}
    }
    Ok(Looked { offered, stop })
}
