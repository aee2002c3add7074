//! Allocations: shares of limits that goals reserve as a whole.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::windows::LiveLimit;
use crate::{
    domain::{
        budget::{BudgetNode, OnExhausted, Period, Ranges},
        ids::{GoalId, LimitId},
    },
    store::{Tx, columns::uuids, traced},
};

/// A limit of a goal with an allocated budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoalLimit {
    /// The unit.
    pub unit: String,
    /// Amount in that unit.
    pub amount: i64,
}

/// The limits of a goal's allocated budget; empty without one.
pub async fn limits_of_goal(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<GoalLimit>> {
    sqlx::query_as!(
        GoalLimit,
        "select l.unit, l.amount from budgets b
         join budget_limits l on l.workspace_id = $1 and l.budget_id = b.budget_id
              and l.removed_at is null
         where b.workspace_id = $1 and b.node = 'goal' and b.node_id = $2 and b.allocated
         order by l.unit",
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "budgets.allocations.limits_of_goal"))
    .await
}

/// A goal's share of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// The limit above the goal.
    pub limit_id: LimitId,
    /// Beginning of the limit's window.
    pub starts_at: DateTime<Utc>,
    /// The unit.
    pub unit: String,
    /// Amount in that unit.
    pub amount: i64,
}

/// Stores allocations of a goal.
pub async fn insert(tx: &mut Tx, goal: GoalId, rows: &[Allocation]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into allocations (workspace_id, goal_id, limit_id, starts_at, unit, amount)
         select $1, $2, a.* from unnest($3::uuid[], $4::timestamptz[], $5::text[], $6::bigint[]) as a",
        tx.workspace.0,
        goal.0,
        &rows.iter().map(|row| row.limit_id.0).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.starts_at).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.unit.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.amount).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "budgets.allocations.insert"))
    .await?;
    Ok(())
}

/// The open allocations of a goal.
pub async fn open_of(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<Allocation>> {
    sqlx::query_as!(
        Allocation,
        r#"select limit_id as "limit_id: LimitId", starts_at, unit, amount from allocations
           where workspace_id = $1 and goal_id = $2 and closed_at is null order by limit_id"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "budgets.allocations.open_of"))
    .await
}

/// Locks the open allocations of a goal that has ended, with no open task. Waits for transactions
/// that settle spend below them.
pub async fn lock_open_of_ended(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<Allocation>> {
    sqlx::query_as!(
        Allocation,
        r#"select a.limit_id as "limit_id: LimitId", a.starts_at, a.unit, a.amount
           from allocations a
           join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
           where a.workspace_id = $1 and a.goal_id = $2 and a.closed_at is null
             and g.ended_at is not null
             and not exists (select from tasks t where t.workspace_id = $1 and t.goal_id = $2
                             and t.ended_at is null)
           order by a.limit_id
           for update of a"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "budgets.allocations.lock_open_of_ended"))
    .await
}

/// Locks the closed allocations of a goal, without those of removed limits.
pub async fn lock_closed(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<Allocation>> {
    sqlx::query_as!(
        Allocation,
        r#"select a.limit_id as "limit_id: LimitId", a.starts_at, a.unit, a.amount
           from allocations a
           join budget_limits l on l.workspace_id = $1 and l.limit_id = a.limit_id
                and l.removed_at is null
           where a.workspace_id = $1 and a.goal_id = $2 and a.closed_at is not null
           order by a.limit_id
           for update of a"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "budgets.allocations.lock_closed"))
    .await
}

/// Opens locked allocations of a goal again, each with its amount.
pub async fn reopen(tx: &mut Tx, goal: GoalId, rows: &[Allocation]) -> sqlx::Result<()> {
    sqlx::query!(
        "update allocations a set amount = o.amount, settled = 0, closed_at = null
         from unnest($3::uuid[], $4::bigint[]) as o (limit_id, amount)
         where a.workspace_id = $1 and a.goal_id = $2 and a.limit_id = o.limit_id",
        tx.workspace.0,
        goal.0,
        &rows.iter().map(|row| row.limit_id.0).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.amount).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "budgets.allocations.reopen"))
    .await?;
    Ok(())
}

/// Up to 100 ended goals with open allocations.
pub async fn left_open(tx: &mut Tx) -> sqlx::Result<Vec<GoalId>> {
    sqlx::query_scalar!(
        r#"select distinct a.goal_id as "goal_id: GoalId" from allocations a
           join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
           where a.workspace_id = $1 and a.closed_at is null and g.ended_at is not null limit 100"#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "budgets.allocations.left_open"))
    .await
}

/// The limits with these ids, including removed ones.
pub async fn limits(tx: &mut Tx, limits: &[LimitId]) -> sqlx::Result<Vec<LiveLimit>> {
    sqlx::query_as!(
        LiveLimit,
        r#"select l.limit_id as "limit_id: LimitId", l.node as "node: BudgetNode", l.node_id,
                  l.unit, l.period as "period: Period", b.time_zone,
                  b.on_exhausted as "on_exhausted: OnExhausted", b.warn_percent,
                  nullif(b.reserve, '{}') as "reserve: Json<Ranges>"
           from budget_limits l
           join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
           where l.workspace_id = $1 and l.limit_id = any($2)"#,
        tx.workspace.0,
        &uuids(limits),
    )
    .fetch_all(traced!(tx, "budgets.allocations.limits"))
    .await
}

/// Spend of a goal in one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedByGoal {
    /// The unit.
    pub unit: String,
    /// Whole units.
    pub amount: i64,
    /// Millionths of a unit, in addition.
    pub fraction: i64,
}

/// Spend of a goal, read from the windows of its lifetime limits.
pub async fn used_by(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<UsedByGoal>> {
    sqlx::query_as!(
        UsedByGoal,
        "select l.unit, w.settled as amount, w.fraction from budget_limits l
         join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
         where l.workspace_id = $1 and l.node = 'goal' and l.node_id = $2
           and l.period = 'lifetime' and l.removed_at is null",
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "budgets.allocations.used_by"))
    .await
}

/// Sets the amount of a goal's open allocations in a unit.
pub async fn resize(tx: &mut Tx, goal: GoalId, unit: &str, amount: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update allocations set amount = $4
         where workspace_id = $1 and goal_id = $2 and unit = $3 and closed_at is null",
        tx.workspace.0,
        goal.0,
        unit,
        amount,
    )
    .execute(traced!(tx, "budgets.allocations.resize"))
    .await?;
    Ok(())
}

/// Closes the open allocations of a goal with its settled spend.
pub async fn close(tx: &mut Tx, goal: GoalId, used: &[UsedByGoal]) -> sqlx::Result<()> {
    sqlx::query!(
        "update allocations a set closed_at = $3, settled = greatest(u.amount, 0)
         from allocations o
         left join unnest($4::text[], $5::bigint[]) as u (unit, amount) on u.unit = o.unit
         where o.workspace_id = $1 and o.goal_id = $2 and o.closed_at is null
           and a.workspace_id = $1 and a.goal_id = $2 and a.limit_id = o.limit_id",
        tx.workspace.0,
        goal.0,
        tx.now,
        &used.iter().map(|used| used.unit.clone()).collect::<Vec<_>>(),
        &used.iter().map(|used| used.amount).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "budgets.allocations.close"))
    .await?;
    Ok(())
}
