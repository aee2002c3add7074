//! What the supervisor does for budgets: offering what there is room for, giving up what there will
//! never be room for, closing allocations, and learning what tasks usually use.
//!
//! Room appears in the transaction that makes it, and what waits is offered there. These steps find
//! what was left over: tasks that somebody held at that moment, periods that began, goals that ended.

use std::collections::BTreeMap;

use super::{App, Result, Unit, allocations, goals::lock_goal, offers, settle, windows::held_now};
use crate::{
    domain::{
        budget::{BudgetNode, OnExhausted},
        ids::{GoalId, LimitId, TaskId, WorkspaceId},
    },
    store,
};

impl App {
    /// Offers tasks for which there is room again, gives up those whose budget says so, withdraws
    /// questions that nothing waits for, and settles what ended goals had set aside.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fund(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut conn = self.reader().await?;
        let limits = store::budget_waits::waited_for(&mut conn, workspace).await?;
        let goals = store::allocations::left_open(&mut conn, workspace).await?;
        drop(conn);
        let mut changed = 0;
        for goal in goals {
            let mut unit = self.begin(workspace, None).await?;
            lock_goal(&mut unit, goal).await?;
            allocations::close(&mut unit, goal).await?;
            self.commit(unit).await?;
        }
        for limit in limits {
            let mut unit = self.begin(workspace, None).await?;
            let (offered, hopeless) = look(&mut unit, limit).await?;
            changed += offered;
            offers::withdraw(&mut unit, &[limit]).await?;
            self.commit(unit).await?;
            if hopeless {
                changed += self.stop(workspace, limit).await?;
            }
        }
        Ok(changed)
    }

    /// Cancels what waits for a limit that says `stop`, each goal's share in a unit of its own.
    async fn stop(&self, workspace: WorkspaceId, limit: LimitId) -> Result<u64> {
        let mut conn = self.reader().await?;
        let waiting = store::budget_waits::waiting_for(&mut conn, workspace, limit).await?;
        drop(conn);
        let count = waiting.len() as u64;
        for (goal, tasks) in by_goal(waiting) {
            let mut unit = self.begin(workspace, None).await?;
            lock_goal(&mut unit, goal).await?;
            cancel(&mut unit, &tasks, "its budget is exhausted").await?;
            self.commit(unit).await?;
        }
        Ok(count)
    }

    /// Computes anew what tasks of each set of capabilities usually use.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn learn_usual_spend(&self, workspace: WorkspaceId) -> Result<u64> {
        // One statement that reads much and changes nothing that others wait for: no unit of work,
        // which would be in the way of whoever changes limits.
        let (mut conn, now) = self.reading().await?;
        Ok(store::usual_spend::compute(&mut conn, workspace, now).await?)
    }
}

fn by_goal(tasks: Vec<(TaskId, GoalId)>) -> BTreeMap<GoalId, Vec<TaskId>> {
    let mut by_goal: BTreeMap<GoalId, Vec<TaskId>> = BTreeMap::new();
    for (task, goal) in tasks {
        by_goal.entry(goal).or_default().push(task);
    }
    by_goal
}

async fn cancel(unit: &mut Unit, tasks: &[TaskId], reason: &str) -> Result<()> {
    let changes = settle::cancel(unit, tasks, reason).await?;
    settle::settle(unit, changes).await
}

/// Offers what a limit has room for; returns how many tasks, and whether the rest is to be given up.
async fn look(unit: &mut Unit, limit: LimitId) -> Result<(u64, bool)> {
    let workspace = unit.workspace();
    let Some((node, id)) = store::budget_rows::node_of(unit.conn(), workspace, limit).await? else {
        // It limits nothing any more.
        let offered = offers::offer(unit, &[(limit, i64::MAX)], offers::MANY).await?;
        return Ok((offered, false));
    };
    let limits = store::windows::limits_of(unit.conn(), workspace, &[(node, id)]).await?;
    let limits: Vec<_> = limits.into_iter().filter(|live| live.limit_id == limit).collect();
    let held = held_now(unit, limits).await?;
    let Some((_, state)) = held.ledger.windows().next() else { return Ok((0, false)) };
    let room = if state.enforced() { state.room() } else { i64::MAX };
    let offered = offers::offer(unit, &[(limit, room)], offers::MANY).await?;
    let stops = match state.on_exhausted {
        OnExhausted::Stop => true,
        OnExhausted::ParkAndAsk | OnExhausted::Park | OnExhausted::Notify => false,
    };
    // While something is set aside it may come back.
    Ok((offered, stops && state.reserved == 0 && node != BudgetNode::Agent))
}

/// Cancels everything that waits for a limit; the unit holds the workspace alone.
///
/// # Errors
/// When the database fails.
pub(super) async fn give_up(unit: &mut Unit, limit: LimitId, reason: &str) -> Result<()> {
    let workspace = unit.workspace();
    let waiting = store::budget_waits::waiting_for(unit.conn(), workspace, limit).await?;
    for (goal, tasks) in by_goal(waiting) {
        lock_goal(unit, goal).await?;
        cancel(unit, &tasks, reason).await?;
    }
    Ok(())
}
