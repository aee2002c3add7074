//! Reading budgets: what is limited, and what each limit holds at this moment.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{
        budget::{BudgetNode, OnExhausted, Period, UnknownModel},
        ids::{AttemptId, BudgetId, KeyId, LimitId},
    },
    store::{Tx, columns::uuids, traced},
};

/// A budget as it is shown.
#[derive(Debug, Clone)]
pub struct BudgetRow {
    /// Its id.
    pub budget_id: BudgetId,
    /// What it limits.
    pub node: BudgetNode,
    /// Which one.
    pub node_id: Uuid,
    /// Where its periods begin.
    pub time_zone: String,
    /// What becomes of tasks that it cannot fund.
    pub on_exhausted: OnExhausted,
    /// Thresholds in percent.
    pub warn_percent: Vec<i16>,
    /// Whether the goal sets its limits aside above.
    pub allocated: bool,
    /// What a task reserves when nothing is known of it.
    pub reserve: Value,
    /// What a model without a price costs.
    pub unknown_model: UnknownModel,
    /// Its limits with their windows of the moment.
    pub limits: Value,
    /// Rises with every edit.
    pub version: i32,
    /// Who made it.
    pub created_by: Option<KeyId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

/// Which budgets.
#[derive(Debug, Clone, Copy, Default)]
pub struct BudgetFilter {
    /// Only this one.
    pub budget: Option<BudgetId>,
    /// Only of nodes of this kind.
    pub node: Option<BudgetNode>,
    /// Only of this node.
    pub node_id: Option<Uuid>,
}

/// Up to `rows` budgets after `after`, newest first.
pub async fn list(
    tx: &mut Tx,
    filter: BudgetFilter,
    after: Option<BudgetId>,
    rows: i64,
) -> sqlx::Result<Vec<BudgetRow>> {
    let BudgetFilter { budget, node, node_id } = filter;
    sqlx::query_as!(
        BudgetRow,
        r#"
        select b.budget_id as "budget_id: BudgetId", b.node as "node: BudgetNode", b.node_id,
               b.time_zone, b.on_exhausted as "on_exhausted: OnExhausted", b.warn_percent,
               b.allocated, b.reserve, b.unknown_model as "unknown_model: UnknownModel",
               coalesce((select jsonb_agg(jsonb_build_object(
                    'id', l.limit_id, 'unit', l.unit, 'period', l.period, 'amount', l.amount,
                    'version', l.version, 'window', case when w.limit_id is not null then
                        jsonb_build_object('starts_at', w.starts_at, 'ends_at', w.ends_at,
                            'settled', w.settled + ceil(w.fraction / 1000000.0)::bigint,
                            'reserved', w.reserved, 'overrun', w.overrun,
                            'remaining', greatest(w.amount::numeric - w.settled
                                - ceil(w.fraction / 1000000.0) - w.reserved, 0)::bigint,
                            'warned_percent', w.warned) end)
                    order by l.unit, l.period)
                from budget_limits l
                left join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
                     and w.starts_at <= $2 and (w.ends_at is null or $2 < w.ends_at)
                where l.workspace_id = $1 and l.budget_id = b.budget_id and l.removed_at is null),
                '[]') as "limits!",
               b.version, b.created_by as "created_by: KeyId", b.created_at, b.updated_at
        from budgets b
        where b.workspace_id = $1
          and ($3::uuid is null or b.budget_id = $3)
          and ($4::text is null or b.node = $4)
          and ($5::uuid is null or b.node_id = $5)
          and ($6::uuid is null or b.budget_id < $6)
        order by b.budget_id desc limit $7
        "#,
        tx.workspace.0,
        tx.now,
        budget.map(|id| id.0),
        node.map(BudgetNode::as_str),
        node_id,
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "budgets.read.list"))
    .await
}

/// A limit of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRow {
    /// The limit.
    pub limit_id: LimitId,
    /// The unit.
    pub unit: String,
    /// For how long it counts.
    pub period: Period,
    /// How much.
    pub amount: i64,
}

/// The limits of a budget.
pub async fn limits(tx: &mut Tx, budget: BudgetId) -> sqlx::Result<Vec<LimitRow>> {
    sqlx::query_as!(
        LimitRow,
        r#"select limit_id as "limit_id: LimitId", unit,
                  period as "period: Period", amount
           from budget_limits
           where workspace_id = $1 and budget_id = $2 and removed_at is null
           order by unit, period"#,
        tx.workspace.0,
        budget.0,
    )
    .fetch_all(traced!(tx, "budgets.read.limits"))
    .await
}

/// The budget of a limit, if the limit still counts.
pub async fn budget_of(tx: &mut Tx, limit: LimitId) -> sqlx::Result<Option<BudgetId>> {
    sqlx::query_scalar!(
        r#"select budget_id as "budget_id: BudgetId" from budget_limits
           where workspace_id = $1 and limit_id = $2 and removed_at is null"#,
        tx.workspace.0,
        limit.0,
    )
    .fetch_optional(traced!(tx, "budgets.read.budget_of"))
    .await
}

/// The node of a limit, if the limit still counts.
pub async fn node_of(tx: &mut Tx, limit: LimitId) -> sqlx::Result<Option<(BudgetNode, Uuid)>> {
    let row = sqlx::query!(
        r#"select node as "node: BudgetNode", node_id from budget_limits
           where workspace_id = $1 and limit_id = $2 and removed_at is null"#,
        tx.workspace.0,
        limit.0,
    )
    .fetch_optional(traced!(tx, "budgets.read.node_of"))
    .await?;
    Ok(row.map(|row| (row.node, row.node_id)))
}

/// Whether there is such a node, and whether it may still be worked on.
pub async fn node_exists(tx: &mut Tx, node: BudgetNode, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select case $2
               when 'task' then exists (select from tasks where workspace_id = $1 and task_id = $3)
               when 'goal' then exists (select from goals where workspace_id = $1 and goal_id = $3)
               when 'agent' then exists (select from agents where workspace_id = $1 and agent_id = $3)
               when 'project' then exists (select from projects where workspace_id = $1 and project_id = $3)
               else $3 = $1 end as "exists!""#,
        tx.workspace.0,
        node.as_str(),
        id,
    )
    .fetch_one(traced!(tx, "budgets.read.node_exists"))
    .await
}

/// How an attempt stands with one limit above it.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// What is limited.
    pub node: BudgetNode,
    /// Which one.
    pub node_id: Uuid,
    /// In which unit.
    pub unit: String,
    /// For how long.
    pub period: Period,
    /// What becomes of what it cannot fund.
    pub on_exhausted: OnExhausted,
    /// What money a model without a price costs.
    pub unknown_model: UnknownModel,
    /// The limit.
    pub amount: i64,
    /// What is used, rounded up.
    pub used: i64,
    /// What is set aside.
    pub reserved: i64,
    /// What this attempt was ever granted.
    pub granted: i64,
    /// What of that it still has.
    pub held: i64,
    /// What this attempt has used.
    pub own: i64,
    /// Whether it used tokens of a model without a price.
    pub unpriced: bool,
}

/// How attempts stand with the limits above them. Takes no locks: it informs.
pub async fn standings(tx: &mut Tx, attempts: &[AttemptId]) -> sqlx::Result<Vec<Standing>> {
    sqlx::query_as!(
        Standing,
        r#"
        select c.attempt_id as "attempt_id!: AttemptId", c.started_at as "started_at!",
               c.node as "node!: BudgetNode", c.node_id as "node_id!", c.unit as "unit!",
               c.period as "period!: Period", b.on_exhausted as "on_exhausted: OnExhausted",
               b.unknown_model as "unknown_model: UnknownModel", w.amount,
               least(w.settled + ceil(w.fraction / 1000000.0), 9223372036854775807)::bigint as "used!",
               w.reserved, coalesce(r.granted, 0) as "granted!", coalesce(r.held, 0) as "held!",
               coalesce(least(s.entries::numeric + s.reported, 9223372036854775807), 0)::bigint as "own!",
               exists (select from attempt_spend u where u.workspace_id = $1
                       and u.attempt_id = c.attempt_id and u.unit = 'unpriced_tokens'
                       and u.entries > 0) as "unpriced!"
        from unnest((select $2::uuid[])) as n (attempt_id)
        join charged_windows c on c.workspace_id = $1 and c.attempt_id = n.attempt_id
        join budgets b on b.workspace_id = $1 and b.budget_id = c.budget_id
        join budget_windows w on w.workspace_id = $1 and w.limit_id = c.limit_id
             and w.starts_at = c.starts_at
        left join reservations r on r.workspace_id = $1 and r.attempt_id = c.attempt_id
             and r.unit = c.unit
        left join attempt_spend s on s.workspace_id = $1 and s.attempt_id = c.attempt_id
             and s.unit = c.unit
        where exists (select from budget_limits e where e.workspace_id = $1)
        order by c.attempt_id, c.depth, c.limit_id
        "#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "budgets.read.standings"))
    .await
}
