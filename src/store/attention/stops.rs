//! Causes that stop work: exhausted limits, freezes, and goals stalled without a known cause.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::Scope;
use crate::{
    domain::{
        attention::COUNTED,
        budget::{BudgetNode, LimitSpec, Period},
        freeze::{FreezeMode, FreezeScope},
        ids::{BudgetId, FreezeId, GoalId, LimitId, TaskId},
    },
    store::{Tx, traced},
};

/// A limit with waiting tasks whose first does not fit even after all reservations are released.
#[derive(Debug)]
pub struct ExhaustedLimit {
    /// The limit.
    pub limit_id: LimitId,
    /// Its budget.
    pub budget_id: BudgetId,
    /// The version of the budget.
    pub version: i32,
    /// Kind of the limited node.
    pub node: BudgetNode,
    /// Id of the limited node.
    pub node_id: Uuid,
    /// Unit of the limit.
    pub unit: String,
    /// Its period.
    pub period: Period,
    /// End of the current period.
    pub ends_at: Option<DateTime<Utc>>,
    /// Amount of the limit.
    pub amount: i64,
    /// Used amount, rounded up.
    pub used: i64,
    /// Reserved amount.
    pub reserved: i64,
    /// Number of waiting tasks, counted up to [`COUNTED`].
    pub waiting: i64,
    /// Sum of the least amounts they need.
    pub needed: i64,
    /// Time since which the first of them waits.
    pub since: DateTime<Utc>,
    /// The first in claim order.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// All limits of the budget.
    pub limits: Json<Vec<LimitSpec>>,
}

/// Limits that keep tasks waiting until a person raises them or the next period begins. Omits
/// limits with a pending approval, and budgets that fail tasks they cannot fund.
///
/// Skips through the index of waiting tasks from limit to limit, so the number of tasks does not
/// matter.
pub async fn exhausted_limits(tx: &mut Tx, scope: Scope<'_>) -> sqlx::Result<Vec<ExhaustedLimit>> {
    sqlx::query_as!(
        ExhaustedLimit,
        r#"
        with recursive every (limit_id) as (
            select (select t.short_limit_id from tasks t
                    where t.workspace_id = $1 and t.short_limit_id is not null
                    order by t.short_limit_id limit 1)
            where $3::uuid[] is null
            union all
            select (select t.short_limit_id from tasks t
                    where t.workspace_id = $1 and t.short_limit_id > e.limit_id
                    order by t.short_limit_id limit 1)
            from every e where e.limit_id is not null
        ), short as materialized (
            select limit_id from every where limit_id is not null
            union
            select t.short_limit_id from unnest($3::uuid[]) as g (goal_id) cross join lateral (
                select * from tasks t
                where t.workspace_id = $1 and t.goal_id = g.goal_id
                  and t.short_limit_id is not null) t
        )
        select l.limit_id as "limit_id: LimitId", b.budget_id as "budget_id: BudgetId", b.version,
               l.node as "node: BudgetNode", l.node_id, l.unit, l.period as "period: Period",
               w.ends_at, w.amount, u.used as "used!", w.reserved,
               q.waiting as "waiting!", q.needed as "needed!", q.since as "since!",
               q.task_id as "task_id!: TaskId", q.goal_id as "goal_id!: GoalId",
               (select jsonb_agg(jsonb_build_object('unit', o.unit, 'period', o.period,
                                                    'amount', o.amount) order by o.unit, o.period)
                from budget_limits o where o.workspace_id = $1 and o.budget_id = b.budget_id
                and o.removed_at is null) as "limits!: Json<Vec<LimitSpec>>"
        from short s
        join budget_limits l on l.workspace_id = $1 and l.limit_id = s.limit_id
             and l.removed_at is null
        join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
             and b.on_exhausted in ('park_and_ask', 'park')
        join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
             and w.starts_at <= $2 and (w.ends_at is null or $2 < w.ends_at)
        cross join lateral (
            select least(w.settled + ceil(w.fraction / 1000000.0), 9223372036854775807)::bigint
                   as used) u
        cross join lateral (
            select count(*) as waiting, least(sum(t.short_min), 9223372036854775807)::bigint as needed,
                   min(coalesce(t.rests_since, t.updated_at)) as since,
                   (array_agg(t.short_min order by t.claim_rank, t.task_id))[1] as first,
                   (array_agg(t.task_id order by t.claim_rank, t.task_id))[1] as task_id,
                   (array_agg(t.goal_id order by t.claim_rank, t.task_id))[1] as goal_id
            from (select * from tasks t where t.workspace_id = $1 and t.short_limit_id = s.limit_id
                  order by t.claim_rank, t.task_id limit $4) t) q
        where u.used::numeric + q.first > w.amount
          and not exists (select from approvals a where a.workspace_id = $1
                          and a.limit_id = s.limit_id and a.state = 'pending')
        "#,
        tx.workspace.0,
        tx.now,
        scope.live,
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.stops.exhausted_limits"))
    .await
}

/// A freeze with ready tasks under it.
#[derive(Debug)]
pub struct FreezeWaits {
    /// The freeze.
    pub freeze_id: FreezeId,
    /// Kind of its scope.
    pub scope: FreezeScope,
    /// Id of the frozen thing; `None` for the workspace or a capability.
    pub scope_id: Option<Uuid>,
    /// The frozen capability.
    pub capability: Option<String>,
    /// Its mode: how much it stops.
    pub mode: FreezeMode,
    /// Its reason.
    pub reason: String,
    /// Time at which it was set.
    pub set_at: DateTime<Utc>,
    /// Number of ready tasks under it, counted up to [`COUNTED`].
    pub waiting: i64,
}

/// Freezes in force with ready tasks under them. Omits freezes of agents: other agents can do the
/// tasks.
///
/// Implements `freezes_over` in the other direction, from the freeze to its tasks. A test compares
/// the two.
pub async fn freezes_with_waiting(tx: &mut Tx, scope: Scope<'_>) -> sqlx::Result<Vec<FreezeWaits>> {
    sqlx::query_as!(
        FreezeWaits,
        r#"
        select f.freeze_id as "freeze_id: FreezeId", f.scope as "scope: FreezeScope", f.scope_id,
               f.capability, f.mode as "mode: FreezeMode", f.reason, f.set_at, w.waiting as "waiting!"
        from freezes f cross join lateral (
            select count(*) as waiting from (
                select from tasks t
                where f.scope = 'workspace' and t.workspace_id = $1 and t.state = 'ready'
                  and ($2::uuid[] is null or t.goal_id = any($2))
                union all
                select from goals g cross join lateral (
                    select from tasks t
                    where t.workspace_id = $1 and t.goal_id = g.goal_id and t.state = 'ready' limit $3) t
                where f.scope = 'project' and g.workspace_id = $1 and g.project_id = f.scope_id
                  and g.state in ('active', 'verifying')
                  and ($2::uuid[] is null or g.goal_id = any($2))
                union all
                select from tasks t
                where f.scope = 'goal' and t.workspace_id = $1 and t.goal_id = f.scope_id
                  and t.state = 'ready' and ($2::uuid[] is null or t.goal_id = any($2))
                union all
                select from (
                    with recursive below (task_id) as (
                        select f.scope_id where f.scope = 'task'
                        union all
                        select t.task_id from below b
                        join tasks t on t.workspace_id = $1 and t.parent_id = b.task_id)
                    select task_id from below) b
                join tasks t on t.workspace_id = $1 and t.task_id = b.task_id and t.state = 'ready'
                     and ($2::uuid[] is null or t.goal_id = any($2))
                union all
                select from capability_sets s cross join lateral (
                    select from tasks t
                    where t.workspace_id = $1 and t.state = 'ready'
                      and t.capability_key = s.capability_key
                      and ($2::uuid[] is null or t.goal_id = any($2)) limit $3) t
                where f.scope = 'capability' and s.workspace_id = $1
                  and f.capability = any (s.capabilities)
                limit $3) t
        ) w
        where f.workspace_id = $1 and f.lifted_at is null and f.scope <> 'agent' and w.waiting > 0
        "#,
        tx.workspace.0,
        scope.live,
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.stops.freezes_with_waiting"))
    .await
}

/// An active or verifying goal without recent change.
#[derive(Debug)]
pub struct RestingGoal {
    /// The goal.
    pub goal_id: GoalId,
    /// Title, one line.
    pub title: String,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// Target time for the end of its tasks.
    pub deadline: Option<DateTime<Utc>>,
    /// Its version.
    pub version: i32,
    /// Time of the last change.
    pub since: DateTime<Utc>,
    /// Number of its open tasks.
    pub open: i64,
    /// Number of its ready tasks.
    pub ready: i64,
    /// Number of its running tasks.
    pub running: i64,
}

/// Active and verifying goals with open tasks and without change since `before`: no task changed its state, nobody edited the goal,
/// no attempt reported progress. Omits goals with a known cause: an approval, a limit, a freeze, a
/// start time to come, a cancellation, an assignment to an agent, or required capabilities among
/// `short`, the sets that no agent covers.
///
/// Examines the first [`COUNTED`] goals, by id, that have not changed themselves.
pub async fn resting_goals(
    tx: &mut Tx,
    scope: Scope<'_>,
    before: DateTime<Utc>,
    short: &[String],
) -> sqlx::Result<Vec<RestingGoal>> {
    sqlx::query_as!(
        RestingGoal,
        r#"
        with resting as materialized (
            select * from goals g
            where g.workspace_id = $1 and g.state in ('active', 'verifying') and g.updated_at < $3
              and ($5::uuid[] is null or g.goal_id = any($5))
              -- A freeze on the goal, or on anything above or in it, is why.
              and not exists (
                  select from freezes f where f.workspace_id = $1 and f.lifted_at is null
                  and case f.scope when 'workspace' then true
                          when 'project' then f.scope_id = g.project_id
                          when 'goal' then f.scope_id = g.goal_id
                          when 'task' then (select t.goal_id from tasks t where t.workspace_id = $1
                                            and t.task_id = f.scope_id) = g.goal_id
                          else false end)
            order by g.goal_id limit $6
        ), frozen as materialized (
            select coalesce(array_agg(s.capability_key), '{}') as keys
            from freezes f join capability_sets s
                 on s.workspace_id = $1 and f.capability = any (s.capabilities)
            where f.workspace_id = $1 and f.lifted_at is null and f.scope = 'capability'
        )
        select g.goal_id as "goal_id!: GoalId", g.title as "title!", g.priority as "priority!",
               g.deadline, g.version as "version!", greatest(g.updated_at, t.moved) as "since!",
               t.open as "open!", t.ready as "ready!", t.running as "running!"
        from resting g cross join lateral (
            select count(*) as open, max(t.updated_at) as moved,
                   count(*) filter (where t.state = 'ready') as ready,
                   count(*) filter (where t.state = 'running' and not t.container) as running,
                   bool_or(t.short_limit_id is not null or t.oversized_at is not null
                           or t.cancel_by is not null
                           or (t.state = 'ready' and t.assigned_agent_id is not null)
                           or exists (select from price_waits p where p.workspace_id = $1
                                      and p.task_id = t.task_id)
                           or (t.state = 'waiting' and t.needs_unmet = 0 and t.ready_from > $2)
                           or (t.state = 'ready' and t.capability_key = any($4))
                           or (t.state in ('ready', 'running') and not t.container
                               and t.capability_key = any((select keys from frozen)::text[])))
                       as explained
            from tasks t
            where t.workspace_id = $1 and t.goal_id = g.goal_id and t.ended_at is null
        ) t
        where t.moved < $3 and not t.explained
          and not exists (select from approvals a where a.workspace_id = $1
                          and a.goal_id = g.goal_id and a.state = 'pending')
          and not exists (
              select from tasks t where t.workspace_id = $1 and t.goal_id = g.goal_id
              and t.state = 'running' and not t.container
              and exists (select from attempt_progress p where p.workspace_id = $1
                          and p.attempt_id = t.current_attempt_id and p.updated_at >= $3))
        order by g.goal_id
        "#,
        tx.workspace.0,
        tx.now,
        before,
        short,
        scope.live,
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.stops.resting_goals"))
    .await
}
