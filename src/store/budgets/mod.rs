//! Budgets and their limits: creation and changes.
//!
//! Changes of limits hold the workspace's exclusive lock ([`super::Hold`]), so no other unit of
//! work runs while the sums of a new window are read.

pub mod allocations;
pub mod charged;
pub mod create;
pub mod read;
pub mod reservations;
pub mod survey;
pub mod waits;
pub mod windows;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Tx, columns::uuids, traced};
use crate::domain::{
    budget::{BudgetNode, OnExhausted, Period, Ranges, UnknownModel, Window},
    ids::{BudgetId, KeyId, LimitId},
};

/// A budget to be created.
#[derive(Debug, Clone)]
pub struct NewBudget<'a> {
    /// Its id.
    pub budget_id: BudgetId,
    /// Kind of the limited node.
    pub node: BudgetNode,
    /// Id of the limited node.
    pub node_id: Uuid,
    /// Time zone of its periods.
    pub time_zone: &'a str,
    /// Handling of tasks it cannot fund.
    pub on_exhausted: OnExhausted,
    /// Warning thresholds in percent.
    pub warn_percent: &'a [i16],
    /// Whether the goal allocates its limits from the budgets above.
    pub allocated: bool,
    /// Amounts that a task without an estimate reserves.
    pub reserve: &'a Ranges,
    /// Cost of models without a price.
    pub unknown_model: UnknownModel,
    /// The key that creates it.
    pub created_by: Option<KeyId>,
}

/// Creates a budget; returns `false` if the node has one.
pub async fn insert(tx: &mut Tx, new: &NewBudget<'_>) -> sqlx::Result<bool> {
    let made = sqlx::query!(
        "insert into budgets (workspace_id, budget_id, node, node_id, time_zone, on_exhausted,
             warn_percent, allocated, reserve, unknown_model, created_by, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
         on conflict (workspace_id, node, node_id) do nothing",
        tx.workspace.0,
        new.budget_id.0,
        new.node.as_str(),
        new.node_id,
        new.time_zone,
        new.on_exhausted.as_str(),
        new.warn_percent,
        new.allocated,
        Json(new.reserve) as _,
        new.unknown_model.as_str(),
        new.created_by.map(|id| id.0),
        tx.now,
    )
    .execute(traced!(tx, "budgets.insert"))
    .await?;
    Ok(made.rows_affected() == 1)
}

/// Stores the settings of a budget and raises its version.
pub async fn update(tx: &mut Tx, budget: &NewBudget<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "update budgets set on_exhausted = $3, warn_percent = $4, reserve = $5, unknown_model = $6,
                version = version + 1, updated_at = $7
         where workspace_id = $1 and budget_id = $2",
        tx.workspace.0,
        budget.budget_id.0,
        budget.on_exhausted.as_str(),
        budget.warn_percent,
        Json(budget.reserve) as _,
        budget.unknown_model.as_str(),
        tx.now,
    )
    .execute(traced!(tx, "budgets.update"))
    .await?;
    // The windows carry whether a limit is enforced: the trigger reads only these.
    sqlx::query!(
        "update budget_windows w set enforced = $3 <> 'notify'
         from budget_limits l
         where l.workspace_id = $1 and l.budget_id = $2 and w.workspace_id = $1
           and w.limit_id = l.limit_id and w.enforced <> ($3 <> 'notify')",
        tx.workspace.0,
        budget.budget_id.0,
        budget.on_exhausted.as_str(),
    )
    .execute(traced!(tx, "budgets.update"))
    .await?;
    Ok(())
}

/// Archives a budget, or puts it back into the lists.
pub async fn set_archived(tx: &mut Tx, budget: BudgetId, archived: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "update budgets set archived = $3, archived_at = case when $3 then $4::timestamptz end,
                version = version + 1, updated_at = $4
         where workspace_id = $1 and budget_id = $2",
        tx.workspace.0,
        budget.0,
        archived,
        tx.now,
    )
    .execute(traced!(tx, "budgets.set_archived"))
    .await?;
    Ok(())
}

/// A limit to be created.
#[derive(Debug, Clone)]
pub struct NewLimit<'a> {
    /// Its id.
    pub limit_id: LimitId,
    /// Its budget.
    pub budget_id: BudgetId,
    /// Kind of the limited node.
    pub node: BudgetNode,
    /// Id of the limited node.
    pub node_id: Uuid,
    /// The unit.
    pub unit: &'a str,
    /// Its period.
    pub period: Period,
    /// Amount of the limit.
    pub amount: i64,
}

/// Creates a limit and opens its current window with the spend and reservations of attempts started
/// in it, those of pruned goals included. Returns that spend, at most the largest number.
pub async fn insert_limit(tx: &mut Tx, new: &NewLimit<'_>, window: Window) -> sqlx::Result<i64> {
    sqlx::query!(
        "insert into budget_limits (workspace_id, limit_id, budget_id, node, node_id, unit, period,
                                    amount, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tx.workspace.0,
        new.limit_id.0,
        new.budget_id.0,
        new.node.as_str(),
        new.node_id,
        new.unit,
        new.period.as_str(),
        new.amount,
        tx.now,
    )
    .execute(traced!(tx, "budgets.insert_limit"))
    .await?;
    let settled = sqlx::query_scalar!(
        r#"
        with below as materialized (
            select a.attempt_id, a.started_at, a.ended_at
            from (
                -- Each kind of node by its own index; what is not asked for is not looked at.
                select a.* from attempts a
                where $6 = 'task' and a.workspace_id = $1 and a.task_id = $7
                union all
                select a.* from attempts a
                where $6 = 'agent' and a.workspace_id = $1 and a.agent_id = $7
                union all
                select a.* from tasks t join attempts a
                     on a.workspace_id = $1 and a.task_id = t.task_id
                where $6 = 'goal' and t.workspace_id = $1 and t.goal_id = $7
                union all
                select a.* from goals g
                join tasks t on t.workspace_id = $1 and t.goal_id = g.goal_id
                join attempts a on a.workspace_id = $1 and a.task_id = t.task_id
                where $6 = 'project' and g.workspace_id = $1 and g.project_id = $7
                union all
                select a.* from attempts a where $6 = 'workspace' and a.workspace_id = $1
            ) a
            where a.started_at >= $4 and ($5::timestamptz is null or a.started_at < $5)
        ), used as (
            select coalesce(sum(e.amount), 0) as amount, coalesce(sum(e.fraction), 0) as fraction
            from (select e.amount, e.fraction
                  from below b join spend_entries e on e.workspace_id = $1 and e.attempt_id = b.attempt_id
                  where e.unit = $3
                  union all
                  -- Of models that planned.
                  select p.amount, p.fraction
                  from planning_spend p
                  join goals g on g.workspace_id = $1 and g.goal_id = p.goal_id
                  where p.workspace_id = $1 and p.unit = $3
                    and p.recorded_at >= $4 and ($5::timestamptz is null or p.recorded_at < $5)
                    and case $6 when 'goal' then p.goal_id = $7
                                when 'project' then p.above and g.project_id = $7
                                else $6 = 'workspace' and p.above end) e
        ), measured as (
            select case $3 when 'attempts' then count(*)
                           when 'wall_ms' then coalesce(sum(floor(extract(epoch from ended_at - started_at) * 1000)), 0)
                           else 0 end as amount
            from below where ended_at is not null
        ), pruned as materialized (
            -- A day of pruned goals counts as its noon.
            select c.group_id, c.attempts, c.wall_ms from folded_attempts c
            cross join lateral (select (c.started_day + time '12:00') at time zone 'UTC' as noon) d
            where c.workspace_id = $1 and d.noon >= $4 and ($5::timestamptz is null or d.noon < $5)
              and case $6 when 'agent' then c.agent_id = $7 when 'project' then c.project_id = $7
                          else $6 = 'workspace' end
        ), folded as (
            select coalesce(sum(p.amount), 0) as amount, coalesce(sum(p.fraction), 0) as fraction
            from (select f.amount, f.fraction from pruned c
                  join folded_spend f on f.workspace_id = $1 and f.group_id = c.group_id
                  where f.unit = $3
                  union all
                  select case $3 when 'attempts' then attempts when 'wall_ms' then wall_ms else 0 end, 0
                  from pruned) p
        ), held as (
            select coalesce(sum(r.held), 0) as amount
            from below b join reservations r on r.workspace_id = $1 and r.attempt_id = b.attempt_id
            where r.unit = $3 and r.closed_at is null
        ), kept as (
            insert into folded_windows (workspace_id, limit_id, starts_at, amount, fraction)
            select $1, $2, $4, amount::bigint, fraction::bigint from folded
            where amount <> 0 or fraction <> 0
        )
        insert into budget_windows (workspace_id, limit_id, starts_at, ends_at, depth, amount,
                                    enforced, version, settled, fraction, reserved)
        select $1, $2, $4, $5, $8, l.amount, b.on_exhausted <> 'notify', l.version,
               least(used.amount + measured.amount + folded.amount, 9223372036854775807)::bigint,
               (used.fraction + folded.fraction)::bigint, held.amount::bigint
        from used, measured, folded, held, budget_limits l
        join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
        where l.workspace_id = $1 and l.limit_id = $2
        returning settled
        "#,
        tx.workspace.0,
        new.limit_id.0,
        new.unit,
        window.starts_at,
        window.ends_at,
        new.node.as_str(),
        new.node_id,
        new.node.depth(),
    )
    .fetch_one(traced!(tx, "budgets.insert_limit"))
    .await?;
    Ok(settled)
}

/// Changes the amount of a limit and of its windows that have not ended. Resets the reported
/// threshold; the new version allows another approval.
pub async fn change_limit(tx: &mut Tx, limit: LimitId, amount: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update budget_limits set amount = $3, version = version + 1
         where workspace_id = $1 and limit_id = $2",
        tx.workspace.0,
        limit.0,
        amount,
    )
    .execute(traced!(tx, "budgets.change_limit"))
    .await?;
    sqlx::query!(
        "update budget_windows set amount = $3, version = version + 1, warned = 0
         where workspace_id = $1 and limit_id = $2 and (ends_at is null or ends_at > $4)",
        tx.workspace.0,
        limit.0,
        amount,
        tx.now,
    )
    .execute(traced!(tx, "budgets.change_limit"))
    .await?;
    Ok(())
}

/// Removes limits; their windows stay.
pub async fn remove_limits(tx: &mut Tx, limits: &[LimitId]) -> sqlx::Result<()> {
    sqlx::query!(
        "update budget_limits set removed_at = $3 where workspace_id = $1 and limit_id = any($2)",
        tx.workspace.0,
        &uuids(limits),
        tx.now,
    )
    .execute(traced!(tx, "budgets.remove_limits"))
    .await?;
    Ok(())
}

/// Records that an approval asks to raise limits, each `(limit, start of the window)`. Returns the
/// limits with no earlier approval for this version and window. Their windows are locked.
pub async fn note_asked(
    tx: &mut Tx,
    limits: &[(LimitId, DateTime<Utc>)],
) -> sqlx::Result<Vec<LimitId>> {
    sqlx::query_scalar!(
        r#"update budget_limits l set asked_version = l.version, asked_window = n.starts_at
           from unnest($2::uuid[], $3::timestamptz[]) as n (limit_id, starts_at)
           where l.workspace_id = $1 and l.limit_id = n.limit_id
             and (l.asked_version, l.asked_window) is distinct from (l.version, n.starts_at)
             and not exists (select from approvals a where a.workspace_id = $1
                             and a.limit_id = l.limit_id and a.state = 'pending')
           returning l.limit_id as "limit_id: LimitId""#,
        tx.workspace.0,
        &limits.iter().map(|(limit, _)| limit.0).collect::<Vec<_>>(),
        &limits.iter().map(|(_, starts_at)| *starts_at).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "budgets.note_asked"))
    .await
}
