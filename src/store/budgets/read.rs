//! Reads of budgets, their limits and the values of their windows.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        budget::{BudgetNode, OnExhausted, Period, Ranges, UnknownModel, shown::BudgetLimit},
        ids::{AttemptId, BudgetId, KeyId, LimitId},
    },
    store::{Tx, columns::uuids, traced},
};

/// A budget with its limits.
#[derive(Debug, Clone)]
pub struct BudgetRow {
    /// Its id.
    pub budget_id: BudgetId,
    /// Kind of the limited node.
    pub node: BudgetNode,
    /// Id of the limited node.
    pub node_id: Uuid,
    /// Time zone of its periods.
    pub time_zone: String,
    /// Handling of tasks it cannot fund.
    pub on_exhausted: OnExhausted,
    /// Warning thresholds in percent.
    pub warn_percent: Vec<i16>,
    /// Whether the goal allocates its limits from the budgets above.
    pub allocated: bool,
    /// Amounts that a task without an estimate reserves.
    pub reserve: Json<Ranges>,
    /// Cost of models without a price.
    pub unknown_model: UnknownModel,
    /// Its limits with their current windows.
    pub limits: Json<Vec<BudgetLimit>>,
    /// Rises by one with every edit.
    pub version: i32,
    /// The key that created it.
    pub created_by: Option<KeyId>,
    /// Time of its creation.
    pub created_at: DateTime<Utc>,
    /// Time of its last edit.
    pub updated_at: DateTime<Utc>,
    /// Time of its archiving.
    pub archived_at: Option<DateTime<Utc>>,
}

/// Filter of [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct BudgetFilter {
    /// Only this one.
    pub budget: Option<BudgetId>,
    /// Only of nodes of this kind.
    pub node: Option<BudgetNode>,
    /// Only of this node.
    pub node_id: Option<Uuid>,
    /// Only archived ones, or only others; `None`: both.
    pub archived: Option<bool>,
}

/// Up to `rows` budgets after `after`, newest first.
pub async fn list(
    tx: &mut Tx,
    filter: BudgetFilter,
    after: Option<BudgetId>,
    rows: i64,
) -> sqlx::Result<Vec<BudgetRow>> {
    let BudgetFilter { budget, node, node_id, archived } = filter;
    sqlx::query_as!(
        BudgetRow,
        r#"
        select b.budget_id as "budget_id: BudgetId", b.node as "node: BudgetNode", b.node_id,
               b.time_zone, b.on_exhausted as "on_exhausted: OnExhausted", b.warn_percent,
               b.allocated, b.reserve as "reserve: Json<Ranges>",
               b.unknown_model as "unknown_model: UnknownModel",
               coalesce((select jsonb_agg(jsonb_build_object(
                    'id', l.limit_id, 'unit', l.unit, 'period', l.period, 'amount', l.amount,
                    'version', l.version,
                    'reported', exists (select from budget_windows u
                        where u.workspace_id = $1 and u.limit_id = l.limit_id
                          and (u.settled > 0 or u.fraction > 0)),
                    'window', case when w.limit_id is not null then
                        jsonb_build_object('starts_at', w.starts_at, 'ends_at', w.ends_at,
                            'settled', w.settled + ceil(w.fraction / 1000000.0)::bigint,
                            'reserved', w.reserved,
                            'overrun', greatest(w.settled::numeric
                                + ceil(w.fraction / 1000000.0) - w.amount, 0)::bigint,
                            'remaining', greatest(w.amount::numeric - w.settled
                                - ceil(w.fraction / 1000000.0) - w.reserved, 0)::bigint,
                            'warned_percent', w.warned) end)
                    order by l.unit, l.period)
                from budget_limits l
                left join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
                     and w.starts_at <= $2 and (w.ends_at is null or $2 < w.ends_at)
                where l.workspace_id = $1 and l.budget_id = b.budget_id and l.removed_at is null),
                '[]') as "limits!: Json<Vec<BudgetLimit>>",
               b.version, b.created_by as "created_by: KeyId", b.created_at, b.updated_at,
               b.archived_at
        from budgets b
        where b.workspace_id = $1
          and ($3::uuid is null or b.budget_id = $3)
          and ($4::text is null or b.node = $4)
          and ($5::uuid is null or b.node_id = $5)
          and ($6::uuid is null or b.budget_id < $6)
          and ($8::bool is null or b.archived = $8)
        order by b.budget_id desc limit $7
        "#,
        tx.workspace.0,
        tx.now,
        budget.map(|id| id.0),
        node.map(BudgetNode::as_str),
        node_id,
        after.map(|id| id.0),
        rows,
        archived,
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
    /// Its period.
    pub period: Period,
    /// Amount in that unit.
    pub amount: i64,
}

/// The limits in force of a budget.
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

/// The budget of a limit; `None` if the limit was removed.
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

/// The node of a limit; `None` if the limit was removed.
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

/// Whether the node exists, ended or not.
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

/// Work below a node that has not ended: of a task itself, of an agent its running attempts, of the others the
/// goals.
pub async fn open_work(tx: &mut Tx, node: BudgetNode, id: Uuid) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select case $2
               when 'task' then (select count(*) from tasks
                   where workspace_id = $1 and task_id = $3 and ended_at is null)
               when 'goal' then (select count(*) from goals
                   where workspace_id = $1 and goal_id = $3 and ended_at is null)
               when 'agent' then (select count(*) from attempts
                   where workspace_id = $1 and agent_id = $3 and state = 'running')
               when 'project' then (select count(*) from goals
                   where workspace_id = $1 and project_id = $3 and not archived
                     and ended_at is null)
               else (select count(*) from goals
                   where workspace_id = $1 and not archived and ended_at is null) end as "count!""#,
        tx.workspace.0,
        node.as_str(),
        id,
    )
    .fetch_one(traced!(tx, "budgets.read.open_work"))
    .await
}

/// The state of a limit above an attempt, for that attempt.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Time of the attempt's start.
    pub started_at: DateTime<Utc>,
    /// Kind of the limited node.
    pub node: BudgetNode,
    /// Id of the limited node.
    pub node_id: Uuid,
    /// Unit of the limit.
    pub unit: String,
    /// Its period.
    pub period: Period,
    /// Handling of tasks it cannot fund.
    pub on_exhausted: OnExhausted,
    /// Amount of the limit.
    pub amount: i64,
    /// Amount spent, rounded up.
    pub used: i64,
    /// Amount reserved.
    pub reserved: i64,
    /// Total ever reserved for this attempt.
    pub granted: i64,
    /// Part of that still reserved.
    pub held: i64,
    /// Amount spent by this attempt.
    pub own: i64,
    /// The models whose prices the attempt's task waits for, for people.
    pub awaited: Vec<String>,
}

/// The limits above attempts with their current values. Takes no locks: for information only.
pub async fn standings(tx: &mut Tx, attempts: &[AttemptId]) -> sqlx::Result<Vec<Standing>> {
    sqlx::query_as!(
        Standing,
        r#"
        select c.attempt_id as "attempt_id!: AttemptId", c.started_at as "started_at!",
               c.node as "node!: BudgetNode", c.node_id as "node_id!", c.unit as "unit!",
               c.period as "period!: Period", b.on_exhausted as "on_exhausted: OnExhausted",
               w.amount,
               least(w.settled + ceil(w.fraction / 1000000.0), 9223372036854775807)::bigint as "used!",
               w.reserved, coalesce(r.granted, 0) as "granted!", coalesce(r.held, 0) as "held!",
               coalesce(least(s.entries::numeric + s.reported + ceil(s.fraction / 1000000.0), 9223372036854775807), 0)::bigint
                   as "own!",
               case when (select exists (select from price_waits where workspace_id = $1)) then
                   array(select case p.provider when '' then '' else p.provider || '/' end || p.model
                         from attempts a join price_waits p
                              on p.workspace_id = $1 and p.task_id = a.task_id
                         where a.workspace_id = $1 and a.attempt_id = c.attempt_id
                         order by p.noted_at, p.provider, p.model)
                   else '{}' end as "awaited!"
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
