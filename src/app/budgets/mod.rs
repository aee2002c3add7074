//! Budgets: creating them, changing their limits, and reading their use.
//!
//! Only operators create and change budgets, except the budget posted with a goal. A change of
//! limits locks the workspace alone for a moment: a new limit starts with exact sums, and tasks
//! that fit into a raised limit are offered in the same transaction. So no task waits for a limit
//! that already has room.

pub mod allocations;
mod archive;
pub(in crate::app) mod create;
pub(in crate::app) mod planned;
pub(in crate::app) mod reserve;
pub(in crate::app) mod resume;
pub(in crate::app) mod settle;
pub(in crate::app) mod shortage;
pub mod standing;
pub mod views;
pub(in crate::app) mod windows;

use serde_json::json;
use uuid::Uuid;

use super::{
    App, Result, Unit,
    caller::{Caller as _, OperatorCaller, ReaderCaller},
    error::{corrupt, same_version},
    unit::idempotency::{Outcome, Request},
};
use crate::{
    domain::{
        budget::{BudgetNode, BudgetSpec, LimitSpec, OnExhausted},
        ids::{BudgetId, GoalId, LimitId},
        journal::Kind,
        refusal::{Code, Refusal},
        spend::most,
    },
    store::{
        self, Hold, Tx,
        budgets::{NewLimit, read::LimitRow},
    },
};
use create::about;
use windows::held_now;

pub use crate::store::budgets::read::BudgetFilter;
pub use views::{Budget, BudgetChange, NewBudget};

impl App {
    /// Creates the budget of a node.
    ///
    /// # Errors
    /// `invalid`, `not_found`; `already_exists` if the node has one.
    pub async fn create_budget(
        &self,
        caller: &OperatorCaller,
        new: &NewBudget,
        request: Option<&Request>,
    ) -> Result<Outcome<Budget>> {
        let principal = caller.principal();
        let node_id = new.check(principal.workspace)?;
        self.create(principal, request, Hold::Alone, async |unit| {
            if !store::budgets::read::node_exists(unit.tx(), new.node, node_id).await? {
                return Err(Refusal::not_found(new.node.as_str()).into());
            }
            let budget = make(unit, new.node, node_id, &new.budget).await?;
            read(unit, budget).await
        })
        .await
    }

    /// Edits a budget. `version`: the version the caller read (`If-Match`); `None` skips the check.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `invalid`; `budget_exhausted` if a limit of an allocated
    /// goal grows beyond the room above it.
    pub async fn update_budget(
        &self,
        caller: &OperatorCaller,
        budget: BudgetId,
        version: Option<i64>,
        change: &BudgetChange,
    ) -> Result<Budget> {
        change.check()?;
        let principal = caller.principal();
        let mut unit = self.begin_alone(principal.workspace, principal.actor()).await?;
        let stored = read(&mut unit, budget).await?;
        if let Some(version) = version {
            same_version(i64::from(stored.version), version)?;
        }
        edit(&mut unit, &stored, change).await?;
        let edited = read(&mut unit, budget).await?;
        self.commit(unit).await?;
        Ok(edited)
    }

    /// One budget.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_budget(&self, caller: &ReaderCaller, budget: BudgetId) -> Result<Budget> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let filter = BudgetFilter { budget: Some(budget), ..BudgetFilter::default() };
        one(&mut tx, filter).await
    }

    /// Up to `rows` budgets after `after`, newest first.
    pub async fn list_budgets(
        &self,
        caller: &ReaderCaller,
        filter: BudgetFilter,
        after: Option<BudgetId>,
        rows: u32,
    ) -> Result<Vec<Budget>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let rows = store::budgets::read::list(&mut tx, filter, after, rows.into()).await?;
        Ok(rows.into_iter().map(views::view).collect())
    }
}

async fn one(tx: &mut Tx, filter: BudgetFilter) -> Result<Budget> {
    let found = store::budgets::read::list(tx, filter, None, 1).await?.pop();
    Ok(views::view(found.ok_or_else(|| Refusal::not_found("budget"))?))
}

async fn read(unit: &mut Unit, budget: BudgetId) -> Result<Budget> {
    let filter = BudgetFilter { budget: Some(budget), ..BudgetFilter::default() };
    one(unit.tx(), filter).await
}

/// Creates the budget of a node from a checked `spec`.
///
/// # Errors
/// `already_exists`.
async fn make(
    unit: &mut Unit,
    node: BudgetNode,
    node_id: Uuid,
    spec: &BudgetSpec,
) -> Result<BudgetId> {
    let budget_id: BudgetId = unit.id();
    let row = store::budgets::NewBudget {
        budget_id,
        node,
        node_id,
        time_zone: &spec.time_zone,
        on_exhausted: spec.on_exhausted,
        warn_percent: &spec.warn_percent,
        allocated: spec.allocated,
        reserve: &spec.reserve,
        unknown_model: spec.unknown_model,
        created_by: unit.actor(),
    };
    if !store::budgets::insert(unit.tx(), &row).await? {
        let detail = format!(
            "the {node} has a budget; GET /v1/budgets?node={node}&node_id={node_id} shows it, with \
             archived=true if it is archived, and PATCH changes its limits"
        );
        return Err(Refusal::new(Code::AlreadyExists, detail).into());
    }
    for limit in &spec.limits {
        set_limit(unit, budget_id, node, node_id, &spec.time_zone, limit).await?;
    }
    let data = json!({
        "budget_id": budget_id, "node": node, "node_id": node_id, "limits": spec.limits,
        "on_exhausted": spec.on_exhausted, "allocated": spec.allocated,
    });
    unit.record(about(Kind::BudgetCreated, node, node_id).after(spec).data(data));
    Ok(budget_id)
}

async fn set_limit(
    unit: &mut Unit,
    budget_id: BudgetId,
    node: BudgetNode,
    node_id: Uuid,
    time_zone: &str,
    limit: &LimitSpec,
) -> Result<()> {
    let now = unit.now();
    let LimitSpec { unit: name, period, amount } = limit;
    let window = period.window(time_zone.parse().map_err(corrupt)?, now);
    let new = NewLimit {
        limit_id: unit.id(),
        budget_id,
        node,
        node_id,
        unit: name,
        period: *period,
        amount: *amount,
    };
    let spent = store::budgets::insert_limit(unit.tx(), &new, window).await?;
    if spent > most::TOTAL_MAX {
        return Err(most::beyond(format_args!("{node} {node_id}"), name, 0).into());
    }
    Ok(())
}

/// Edits a budget. The unit holds the workspace alone.
async fn edit(unit: &mut Unit, stored: &Budget, change: &BudgetChange) -> Result<()> {
    let before = store::budgets::read::limits(unit.tx(), stored.id).await?;
    let on_exhausted = change.on_exhausted.unwrap_or(stored.on_exhausted);
    let row = store::budgets::NewBudget {
        budget_id: stored.id,
        node: stored.node,
        node_id: stored.node_id,
        time_zone: &stored.time_zone,
        on_exhausted,
        warn_percent: change.warn_percent.as_ref().unwrap_or(&stored.warn_percent),
        allocated: stored.allocated,
        reserve: change.reserve.as_ref().unwrap_or(&stored.reserve),
        unknown_model: change.unknown_model.unwrap_or(stored.unknown_model),
        created_by: stored.created_by,
    };
    store::budgets::update(unit.tx(), &row).await?;
    let gone = match &change.limits {
        Some(limits) => replace(unit, stored, &before, limits).await?,
        None => Vec::new(),
    };
    let data = json!({
        "budget_id": stored.id, "node": stored.node, "node_id": stored.node_id,
        "before": before.iter().map(spec).collect::<Vec<_>>(),
        "after": change.limits.clone().unwrap_or_else(|| before.iter().map(spec).collect()),
        "on_exhausted": on_exhausted, "reason": change.reason,
    });
    let edited = read(unit, stored.id).await?;
    let event = about(Kind::BudgetUpdated, stored.node, stored.node_id);
    unit.record(event.before(stored).after(&edited).data(data));
    resume(unit, stored, &before, &gone, on_exhausted).await
}

fn spec(row: &LimitRow) -> LimitSpec {
    LimitSpec { unit: row.unit.clone(), period: row.period, amount: row.amount }
}

/// Replaces the limits of a budget; returns the removed ones.
async fn replace(
    unit: &mut Unit,
    budget: &Budget,
    before: &[LimitRow],
    limits: &[LimitSpec],
) -> Result<Vec<LimitId>> {
    let same =
        |row: &LimitRow, limit: &LimitSpec| row.unit == limit.unit && row.period == limit.period;
    let gone = before.iter().filter(|row| !limits.iter().any(|limit| same(row, limit)));
    let gone: Vec<LimitId> = gone.map(|row| row.limit_id).collect();
    if budget.allocated && (!gone.is_empty() || limits.len() != before.len()) {
        let detail = "the limits of an allocated goal are reserved above it: change their amounts";
        return Err(Refusal::invalid_at("/limits", detail).into());
    }
    if !gone.is_empty() {
        store::budgets::remove_limits(unit.tx(), &gone).await?;
    }
    for limit in limits {
        let Some(row) = before.iter().find(|row| same(row, limit)) else {
            let Budget { id, node, node_id, time_zone, .. } = budget;
            set_limit(unit, *id, *node, *node_id, time_zone, limit).await?;
            continue;
        };
        if row.amount != limit.amount {
            store::budgets::change_limit(unit.tx(), row.limit_id, limit.amount).await?;
            if budget.allocated {
                let goal = GoalId(budget.node_id);
                allocations::resize(unit, goal, &limit.unit, limit.amount).await?;
            }
        }
    }
    Ok(gone)
}

/// Offers tasks that waited for limits that were raised or removed.
async fn resume(
    unit: &mut Unit,
    budget: &Budget,
    before: &[LimitRow],
    gone: &[LimitId],
    on_exhausted: OnExhausted,
) -> Result<()> {
    let node = [(budget.node, budget.node_id)];
    let limits = store::budgets::windows::limits_of(unit.tx(), &node).await?;
    let held = held_now(unit, limits).await?;
    let mut rooms: Vec<(LimitId, i64)> = gone.iter().map(|limit| (*limit, i64::MAX)).collect();
    for (key, window) in held.ledger.windows() {
        let refuses = on_exhausted != OnExhausted::Notify;
        rooms.push((key.limit, if refuses { window.room() } else { i64::MAX }));
    }
    resume::offer(unit, &rooms, resume::MANY).await?;
    let asked: Vec<LimitId> = before.iter().map(|row| row.limit_id).collect();
    resume::withdraw(unit, &asked).await
}

/// Raises one limit by an approval. The unit holds the workspace alone.
///
/// # Errors
/// `budget_exhausted` if a limit of an allocated goal grows beyond the room above it.
pub(super) async fn raise(
    unit: &mut Unit,
    limit: LimitId,
    amount: i64,
    reason: Option<&str>,
) -> Result<()> {
    let Some(budget) = store::budgets::read::budget_of(unit.tx(), limit).await? else {
        return Ok(());
    };
    let stored = read(unit, budget).await?;
    let limits = stored.limits.iter().map(|row| LimitSpec {
        unit: row.unit.clone(),
        period: row.period,
        amount: if row.id == limit { amount.max(row.amount) } else { row.amount },
    });
    let change = BudgetChange {
        limits: Some(limits.collect()),
        reason: reason.map(str::to_owned),
        ..BudgetChange::default()
    };
    edit(unit, &stored, &change).await
}
