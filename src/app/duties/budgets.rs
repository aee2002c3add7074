//! What the supervisor does for budgets: offering what there is room for, asking people about what
//! there will be no room for, or giving it up, closing allocations, and learning what tasks usually use.
//!
//! Room appears in the transaction that makes it, and what waits is offered there. These steps find
//! what was left over: tasks that somebody held at that moment, periods that began, goals that ended.

use std::collections::BTreeMap;

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
        ids::{LimitId, WorkspaceId},
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
        let mut tx = self.reader(workspace).await?;
        let limits = store::budgets::waits::waited_for(&mut tx).await?;
        let goals = store::budgets::allocations::left_open(&mut tx).await?;
        drop(tx);
        let mut changed = 0;
        for goal in goals {
            let mut unit = self.begin(workspace, Actor::SERVICE).await?;
            lock_goal(&mut unit, goal).await?;
            allocations::close(&mut unit, goal).await?;
            self.commit(unit).await?;
        }
        for limit in limits {
            let mut unit = self.begin(workspace, Actor::SERVICE).await?;
            let Looked { offered, stop } = look(&mut unit, limit).await?;
            changed += offered;
            resume::withdraw(&mut unit, &[limit]).await?;
            self.commit(unit).await?;
            if let Some(room) = stop {
                changed += self.stop(workspace, limit, room).await?;
            }
        }
        Ok(changed)
    }

    /// Cancels what waits for a limit that says `stop` and needs more than it can ever have, each
    /// goal's share in a unit of its own.
    async fn stop(&self, workspace: WorkspaceId, limit: LimitId, room: i64) -> Result<u64> {
        let mut tx = self.reader(workspace).await?;
        let waiting = store::budgets::waits::waiting_for(&mut tx, limit, room).await?;
        drop(tx);
        let mut count = 0;
        for (goal, tasks) in by_goal(waiting) {
            let mut unit = self.begin(workspace, Actor::SERVICE).await?;
            lock_goal(&mut unit, goal).await?;
            // Somebody may have made room meanwhile, and somebody else taken the task.
            let tasks = store::budgets::waits::lock_still_waiting(unit.tx(), limit, &tasks).await?;
            count += tasks.len() as u64;
            apply_cancel(&mut unit, &tasks, "its budget is exhausted").await?;
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
        let mut tx = self.reader(workspace).await?;
        Ok(store::spend::usual::compute(&mut tx).await?)
    }
}

/// What a look at a limit came to.
#[derive(Debug, Default)]
struct Looked {
    /// Tasks that were offered.
    offered: u64,
    /// Tasks that need more than this are to be cancelled.
    stop: Option<i64>,
}

/// Offers what a limit has room for. When the next that waits would not even fit if everything that
/// is set aside came back, people are asked, or it is to be given up, as the budget says.
async fn look(unit: &mut Unit, limit: LimitId) -> Result<Looked> {
    let Some((node, id)) = store::budgets::read::node_of(unit.tx(), limit).await? else {
        // It limits nothing any more.
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
    let short = Shortage::of(key, window, needs);
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
