//! Allocated goals: a goal reserves its whole limits from every limit above it.
//!
//! When the goal begins, each of its limits is reserved at the project and the workspace, as far as
//! they limit the unit. Its attempts then touch no limit above the goal, so goals of a busy project
//! do not wait for each other's locks. When the goal has ended and has no running attempt, its
//! spend is settled above and the rest is released. An overrun is shown on the goal, and reaches
//! the limits above only then. Spend reported later settles in the same periods. A goal that comes
//! back reserves again, in the same periods too.
//!
//! The limits that exist when the goal begins are the ones it is set aside from. A limit that is added above
//! it later has no allocation of the goal: attempts that are started from then on reserve from it one by
//! one and settle in it, as those of other goals do. That holds for a goal that comes back too: only what
//! was set aside before is reserved as a whole again, and a limit that was removed since is not.

use super::{
    resume,
    shortage::exhausted,
    windows::{LockedWindows, apply, held_now},
};
use crate::{
    app::{Result, Unit},
    domain::{
        budget::{
            BudgetNode,
            ledger::{Asker, Ledger, Shortage, WindowKey, WindowState},
        },
        ids::{GoalId, LimitId},
    },
    store::{
        self,
        budgets::{
            allocations::{Allocation, GoalLimit},
            windows::Wanted,
        },
    },
};

/// Allocates the limits of a goal that begins in this unit, if its budget says so. A goal that a planner was called
/// for began with its planning.
///
/// # Errors
/// `budget_exhausted`, naming every limit that is short.
pub(in crate::app) async fn open(unit: &mut Unit, goal: GoalId) -> Result<()> {
    let workspace = unit.workspace();
    let own = store::budgets::allocations::limits_of_goal(unit.tx(), goal).await?;
    if own.is_empty()
        || store::planning::began(unit.tx(), goal).await?
        || !store::budgets::allocations::open_of(unit.tx(), goal).await?.is_empty()
    {
        return Ok(());
    }
    let above = store::budgets::charged::above(unit.tx(), &[goal]).await?;
    let mut nodes = vec![(BudgetNode::Workspace, workspace.0)];
    nodes.extend(above.iter().filter_map(|a| Some((BudgetNode::Project, a.project_id?.0))));
    let limits = store::budgets::windows::limits_of(unit.tx(), &nodes).await?;
    let mut ledger = held_now(unit, limits).await?.ledger;
    let keys: Vec<WindowKey> = ledger.windows().map(|(key, _)| *key).collect();
    let mut short = Vec::new();
    let mut rows = Vec::new();
    for GoalLimit { unit: name, amount } in own {
        let range = crate::domain::budget::Range { want: amount, min: amount };
        if let Err(lacks) = ledger.reserve(&keys, &[(name.clone(), range)].into()) {
            short.extend(to_allocate(lacks));
            continue;
        }
        let limiting = keys.iter().filter(|key| ledger.window(key).is_some_and(|w| w.unit == name));
        rows.extend(limiting.map(|key| Allocation {
            limit_id: key.limit,
            starts_at: key.starts_at,
            unit: name.clone(),
            amount,
        }));
    }
    if !short.is_empty() {
        return Err(exhausted(&short));
    }
    apply(unit, ledger.into_moves()).await?;
    Ok(store::budgets::allocations::insert(unit.tx(), goal, &rows).await?)
}

fn to_allocate(short: Vec<Shortage>) -> Vec<Shortage> {
    short.into_iter().map(|lack| lack.of_asker(Asker::Allocation)).collect()
}

/// Opens the closed allocations of a goal that comes back, in the periods that they had. What the goal
/// has spent since is no longer settled above it, but is part of its allocation again.
///
/// # Errors
/// `budget_exhausted`, naming every limit that is short.
pub(in crate::app) async fn reopen(unit: &mut Unit, goal: GoalId) -> Result<()> {
    let mut closed = store::budgets::allocations::lock_closed(unit.tx(), goal).await?;
    if closed.is_empty() {
        return Ok(());
    }
    // The limits of the goal may have been edited since.
    for GoalLimit { unit: name, amount } in
        store::budgets::allocations::limits_of_goal(unit.tx(), goal).await?
    {
        closed.iter_mut().filter(|a| a.unit == name).for_each(|a| a.amount = amount);
    }
    let (mut ledger, keys) = lock(unit, &closed).await?;
    let used = store::budgets::allocations::used_by(unit.tx(), goal).await?;
    let mut short = Vec::new();
    for allocation in &closed {
        let Some(key) = keys.iter().find(|key| key.limit == allocation.limit_id) else { continue };
        let Some(before) = ledger.window(key).cloned() else { continue };
        if let Some(used) = used.iter().find(|used| used.unit == allocation.unit) {
            ledger.take(key, -used.amount, -used.fraction);
        }
        let own = before.used() - ledger.window(key).map_or(0, WindowState::used);
        let amount = allocation.amount;
        let range = crate::domain::budget::Range { want: amount, min: amount };
        let asks = [(allocation.unit.clone(), range)].into();
        let lacks = ledger.reserve(&[*key], &asks).err().into_iter().flatten();
        short.extend(lacks.map(|lack| lack.seen_in(&before).of_asker(Asker::Return { own })));
    }
    if !short.is_empty() {
        return Err(exhausted(&short));
    }
    apply(unit, ledger.into_moves()).await?;
    Ok(store::budgets::allocations::reopen(unit.tx(), goal, &closed).await?)
}

/// Locks the windows of allocations.
async fn lock(unit: &mut Unit, open: &[Allocation]) -> Result<(Ledger, Vec<WindowKey>)> {
    let ids: Vec<LimitId> = open.iter().map(|allocation| allocation.limit_id).collect();
    let limits = store::budgets::allocations::limits(unit.tx(), &ids).await?;
    let wanted = open.iter().map(|allocation| Wanted {
        limit: allocation.limit_id,
        from: allocation.starts_at,
        to: allocation.starts_at,
    });
    let wanted: Vec<Wanted> = wanted.collect();
    let rows = store::budgets::windows::lock(unit.tx(), &wanted).await?;
    let ledger = LockedWindows::of(limits, rows).ledger;
    let keys = ledger.windows().map(|(key, _)| *key).collect();
    Ok((ledger, keys))
}

/// Resizes the allocation of a goal in a unit whose limit changed.
///
/// # Errors
/// `budget_exhausted`, naming every limit that is short.
pub(in crate::app) async fn resize(
    unit: &mut Unit,
    goal: GoalId,
    name: &str,
    amount: i64,
) -> Result<()> {
    let open = store::budgets::allocations::open_of(unit.tx(), goal).await?;
    let open: Vec<Allocation> = open.into_iter().filter(|a| a.unit == name).collect();
    let (mut ledger, keys) = lock(unit, &open).await?;
    for allocation in &open {
        let Some(key) = keys.iter().find(|key| key.limit == allocation.limit_id) else { continue };
        let more = amount - allocation.amount;
        let range = crate::domain::budget::Range { want: more.max(0), min: more.max(0) };
        ledger
            .reserve(&[*key], &[(name.to_owned(), range)].into())
            .map_err(|short| exhausted(&to_allocate(short)))?;
        ledger.give_back(key, (-more).max(0));
    }
    apply(unit, ledger.into_moves()).await?;
    Ok(store::budgets::allocations::resize(unit.tx(), goal, name, amount).await?)
}

/// Settles the spend of a goal with the limits above it and releases the rest, if it has ended and
/// has no running attempt. Late spend locks the allocations too, so it is settled either here or,
/// after the close, directly above. A goal whose spend would take a limit past the most that is
/// counted keeps its allocations until it fits.
pub(in crate::app) async fn close(unit: &mut Unit, goal: GoalId) -> Result<()> {
    let open = store::budgets::allocations::lock_open_of_ended(unit.tx(), goal).await?;
    if open.is_empty() {
        return Ok(());
    }
    let (mut ledger, keys) = lock(unit, &open).await?;
    let used = store::budgets::allocations::used_by(unit.tx(), goal).await?;
    for allocation in &open {
        let Some(key) = keys.iter().find(|key| key.limit == allocation.limit_id) else { continue };
        let of_unit = used.iter().find(|used| used.unit == allocation.unit);
        let (amount, fraction) = of_unit.map_or((0, 0), |used| (used.amount, used.fraction));
        ledger.give_back(key, allocation.amount);
        ledger.take(key, amount, fraction);
    }
    if let Some((window, _)) = ledger.beyond() {
        // The end of a goal is not undone for this. Its allocation stays open, which is what the
        // windows say, and the supervisor tries again after a correction.
        tracing::warn!(%goal, unit = window.unit, "the spend of a goal does not fit into a limit above");
        return Ok(());
    }
    let keys: Vec<LimitId> = keys.iter().map(|key| key.limit).collect();
    let rooms: Vec<(LimitId, i64)> = ledger
        .windows()
        .filter(|(key, _)| keys.contains(&key.limit))
        .map(|(key, window)| (key.limit, window.room()))
        .collect();
    apply(unit, ledger.into_moves()).await?;
    store::budgets::allocations::close(unit.tx(), goal, &used).await?;
    resume::offer(unit, &rooms, resume::FEW).await.map(drop)
}
