//! Limits and the models that plan: what is left for a goal that has no tasks yet, and what an answer takes.
//!
//! An answer has no reservation: nobody knows before what it uses. It takes the room that is left in the
//! windows of its goal, project and workspace, and the rest is overrun, as with spend of an attempt beyond its
//! reservation. A goal with a limit that has no room left asks no model.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    settle::record_event,
    windows::{LockedWindows, apply, hold_now},
};
use crate::{
    app::{Result, Unit},
    domain::{
        budget::{
            BudgetNode,
            ledger::{Reservation, Used, WindowKey, WindowState},
        },
        ids::{GoalId, LimitId, ProjectId},
        journal::{Kind, NewRow},
        spend::{Amounts, FRACTIONS, amount::Exact, most},
    },
    store::{
        self, Tx,
        budgets::{
            charged::Share,
            windows::{LiveLimit, Wanted},
        },
    },
};

/// The nodes whose limits hold for the planning of a goal.
fn nodes(
    tx: &Tx,
    goal: GoalId,
    project: Option<ProjectId>,
) -> impl Iterator<Item = (BudgetNode, uuid::Uuid)> + use<> {
    let project = project.map(|project| (BudgetNode::Project, project.0));
    [Some((BudgetNode::Goal, goal.0)), project, Some((BudgetNode::Workspace, tx.workspace.0))]
        .into_iter()
        .flatten()
}

/// What is left for a goal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::app) struct Left {
    /// The least that is left by unit, of all limits.
    pub by_unit: Amounts,
    /// The limit without room that comes first, for people.
    pub exhausted: Option<String>,
}

/// What is left of the limits of a goal at this moment; takes no lock.
pub(in crate::app) async fn left(tx: &mut Tx, goal: GoalId) -> Result<Left> {
    if !store::budgets::windows::any(tx).await? {
        return Ok(Left::default());
    }
    let above = store::budgets::charged::above(tx, &[goal]).await?;
    let Some(above) = above.into_iter().next() else { return Ok(Left::default()) };
    let nodes: Vec<_> = nodes(tx, goal, above.project_id).collect();
    let (limits, rows) = store::budgets::survey::survey(tx, &nodes, tx.now, tx.now).await?;
    let allocated = above.allocated;
    let limits: Vec<LiveLimit> =
        limits.into_iter().filter(|limit| !allocated.contains(&limit.limit_id)).collect();
    let held = LockedWindows::of(limits, rows);
    let mut left = Left::default();
    for (_, window) in held.ledger.windows().filter(|(_, window)| window.enforced()) {
        let room = window.room();
        let of_unit = left.by_unit.entry(window.unit.clone()).or_insert(room);
        *of_unit = (*of_unit).min(room);
        if room <= 0 && left.exhausted.is_none() {
            let WindowState { node, unit, amount, .. } = window;
            left.exhausted = Some(format!("the limit of {amount} {unit} of its {node} is used up"));
        }
    }
    Ok(left)
}

/// Settles what an answer used with every limit of its locked goal.
///
/// # Errors
/// `invalid` if the spend of a window would pass the most that is counted.
pub(in crate::app) async fn settle(
    unit: &mut Unit,
    goal: GoalId,
    project: Option<ProjectId>,
    above: bool,
    lines: &[(String, Exact)],
) -> Result<()> {
    if !store::budgets::windows::any(unit.tx()).await? {
        return Ok(());
    }
    let shares = store::spend::planned::shares(unit.tx(), goal).await?;
    let shares: BTreeMap<LimitId, Share> =
        shares.into_iter().map(|share| (share.limit_id, share)).collect();
    let nodes: Vec<_> = nodes(unit.tx(), goal, project).collect();
    let limits = store::budgets::windows::limits_of(unit.tx(), &nodes).await?;
    let charged = |limit: &&LiveLimit| match shares.get(&limit.limit_id) {
        Some(share) => share.is_closed,
        None => above || limit.node == BudgetNode::Goal,
    };
    let limits: Vec<LiveLimit> = limits
        .iter()
        .filter(charged)
        .filter(|limit| lines.iter().any(|(name, _)| *name == limit.unit))
        .cloned()
        .collect();
    if limits.is_empty() {
        return Ok(());
    }
    let now = unit.now();
    let at = |limit: &LiveLimit| shares.get(&limit.limit_id).map_or(now, |share| share.starts_at);
    hold_now(unit, &limits).await?;
    let wanted: Vec<Wanted> = limits
        .iter()
        .map(|limit| Wanted { limit: limit.limit_id, from: at(limit), to: at(limit) })
        .collect();
    let rows = store::budgets::windows::lock(unit.tx(), &wanted).await?;
    let mut held = LockedWindows::of(limits, rows);
    let path: Vec<WindowKey> =
        held.limits.values().filter_map(|limit| held.window_at(limit, at(limit))).collect();
    let mut overruns = Vec::new();
    for (name, Exact { amount, fraction }) in lines {
        let fraction = i64::from(*fraction);
        let drawn = amount.saturating_add(i64::from(fraction > 0 && fraction < FRACTIONS));
        let used = Used { amount: *amount, fraction, drawn, authorized: 0 };
        overruns.extend(held.ledger.settle(&path, name, &mut Reservation::default(), used));
    }
    if let Some((window, fits)) = held.ledger.beyond() {
        let whose = format_args!("{} {} under its limit", window.node, window.node_id);
        return Err(most::beyond(whose, &window.unit, fits).into());
    }
    for overrun in &overruns {
        let Some(window) = held.ledger.window(&overrun.window) else { continue };
        unit.record(NewRow::new(Kind::BudgetOverrun).goal(goal).data(json!({
            "limit_id": overrun.window.limit, "node": window.node, "node_id": window.node_id,
            "unit": window.unit, "limit": window.amount, "overrun": overrun.amount,
        })));
    }
    let LockedWindows { ledger, limits, .. } = held;
    let mut passed = Vec::new();
    for row in apply(unit, ledger.into_moves()).await? {
        let Some(limit) = limits.get(&row.limit_id) else { continue };
        let (key, window) = (limit.window(row.starts_at), row.state(limit));
        let percents = window.passed(&limit.warn_percent);
        passed.extend(percents.last().map(|percent| (key, *percent)));
        record_event(unit, key, &window, &percents);
    }
    if passed.is_empty() {
        return Ok(());
    }
    Ok(store::budgets::windows::warned(unit.tx(), &passed).await?)
}
