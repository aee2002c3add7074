//! Tasks as returned by the API.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::{
    domain::{
        budget::shown::BudgetWait,
        gate::resource::Touch,
        ids::{AgentId, AttemptId, GoalId, KeyId, TaskId},
        price::PriceWait,
        spend::Amounts,
        states::{FailureClass, TaskState},
    },
    store::{Tx, columns::uuids, traced},
};

/// A task without its long texts.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct TaskRow {
    pub task_id: TaskId,
    pub goal_id: GoalId,
    pub parent_id: Option<TaskId>,
    pub discovered_from: Option<TaskId>,
    pub reference: String,
    pub position: i32,
    pub title: String,
    pub state: TaskState,
    pub container: bool,
    pub priority: i16,
    pub capability_key: String,
    pub labels: Vec<String>,
    pub section: Option<String>,
    pub attempts_used: i32,
    pub max_attempts: i32,
    pub reworks: i32,
    pub max_rework: i32,
    pub lost_in_row: i32,
    pub needs_unmet: i32,
    pub children_open: i32,
    pub ready_from: DateTime<Utc>,
    pub attempt_id: Option<AttemptId>,
    pub agent_id: Option<AgentId>,
    pub held_by_key: Option<KeyId>,
    pub assigned_agent_id: Option<AgentId>,
    pub barred_agent_id: Option<AgentId>,
    pub offered_capability: Option<String>,
    pub offer_until: Option<DateTime<Utc>>,
    pub failure_class: Option<FailureClass>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub end_reason: Option<String>,
    pub spend: Json<Amounts>,
    pub waits_for_budget: Option<Json<BudgetWait>>,
    pub waits_for_prices: Json<Vec<PriceWait>>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub oversized_at: Option<DateTime<Utc>>,
    pub split_at: Option<DateTime<Utc>>,
    pub concurrency_keys: Vec<String>,
    pub touches: Json<Vec<Touch>>,
}

/// Reads tasks in the order of `tasks`; omits those that do not exist.
///
/// The rows are looked up one by one (`limit 1`): a generic plan does not know how few they are and would
/// scan the table.
pub async fn list(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskRow>> {
    sqlx::query_as!(
        TaskRow,
        r#"
        select t.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId",
               t.parent_id as "parent_id: TaskId",
               t.discovered_from as "discovered_from: TaskId", t.oversized_at, t.split_at, t.ref as reference, t.position, x.title,
               t.state as "state: TaskState", t.container, t.priority, t.capability_key, x.labels,
               x.section, t.attempts_used, t.max_attempts, t.reworks, t.max_rework, t.lost_in_row, t.needs_unmet,
               t.children_open, t.ready_from, t.current_attempt_id as "attempt_id: AttemptId",
               h.agent_id as "agent_id?: AgentId", h.held_by_key as "held_by_key?: KeyId",
               t.assigned_agent_id as "assigned_agent_id: AgentId",
               t.barred_agent_id as "barred_agent_id: AgentId", t.offered_capability, t.offer_until,
               t.failure_class as "failure_class: FailureClass", t.cancel_requested_at,
               x.end_reason,
               coalesce((select jsonb_object_agg(s.unit, s.amount) from task_spend s
                         where s.workspace_id = $1 and s.task_id = t.task_id),
                        '{}') as "spend!: Json<Amounts>",
               case when t.short_limit_id is not null then (
                   select jsonb_build_object('limit_id', l.limit_id, 'node', l.node,
                        'node_id', l.node_id, 'unit', l.unit, 'period', l.period,
                        'limit', w.amount, 'settled', w.settled + ceil(w.fraction / 1000000.0)::bigint,
                        'reserved', w.reserved, 'requested', t.short_min,
                        'remaining', greatest(w.amount::numeric - w.settled
                            - ceil(w.fraction / 1000000.0) - w.reserved, 0)::bigint)
                   from budget_limits l
                   join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
                   where l.workspace_id = $1 and l.limit_id = t.short_limit_id
                   order by w.starts_at desc limit 1) end
                   as "waits_for_budget: Json<BudgetWait>",
               coalesce((select jsonb_agg(jsonb_build_object('provider', nullif(w.provider, ''),
                            'model', w.model, 'since', w.noted_at)
                            order by w.noted_at, w.provider, w.model)
                         from price_waits w
                         where w.workspace_id = $1 and w.task_id = t.task_id
                           and t.ended_at is null),
                        '[]') as "waits_for_prices!: Json<Vec<PriceWait>>",
               case when t.gated then array(
                   select k.name from task_concurrency_keys n
                   join concurrency_keys k on k.workspace_id = $1
                        and k.concurrency_key_id = n.concurrency_key_id
                   where n.workspace_id = $1 and n.task_id = t.task_id
                   union all
                   select d.name from task_key_names d
                   where d.workspace_id = $1 and d.task_id = t.task_id
                   order by 1)
               else '{}' end as "concurrency_keys!: Vec<String>",
               case when t.gated then coalesce((
                   select jsonb_agg(jsonb_build_object('resource', n.resource, 'mode', n.mode)
                                    order by n.resource)
                   from task_touches n
                   where n.workspace_id = $1 and n.task_id = t.task_id), '[]')
               else '[]' end as "touches!: Json<Vec<Touch>>",
               t.version, t.created_at, t.updated_at, t.ended_at
        from unnest($2::uuid[]) with ordinality as picked (task_id, n)
        cross join lateral (
            select * from tasks t
            where t.workspace_id = $1 and t.task_id = picked.task_id limit 1) t
        cross join lateral (
            select * from task_texts x
            where x.workspace_id = $1 and x.task_id = picked.task_id limit 1) x
        left join lateral (
            select a.agent_id, a.held_by_key from attempts a
            where a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
              and a.state in ('running', 'submitted') limit 1) h on true
        order by picked.n
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.list.list"))
    .await
}
