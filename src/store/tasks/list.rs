//! Tasks as returned by the API.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::{
    domain::{
        budget::shown::BudgetWait,
        ids::{AgentId, AttemptId, GoalId, KeyId, ProjectId, TaskId},
        spend::Amounts,
        states::{FailureClass, TaskState},
    },
    store::{
        Tx,
        columns::{uuids, words},
        traced,
    },
};

/// A task without its long texts.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct TaskRow {
    pub task_id: TaskId,
    pub goal_id: GoalId,
    pub parent_id: Option<TaskId>,
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
    pub failure_class: Option<FailureClass>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub end_reason: Option<String>,
    pub spend: Json<Amounts>,
    pub waits_for_budget: Option<Json<BudgetWait>>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// Selection and order of tasks; each has its own index.
#[derive(Debug, Clone, Copy)]
pub enum TaskScope<'a> {
    /// These, newest first.
    These(&'a [TaskId]),
    /// Tasks of a goal in plan order.
    OfGoal {
        /// The goal.
        goal: GoalId,
        /// Only children of this task.
        parent: Option<TaskId>,
        /// Only after this position.
        after: Option<(i32, TaskId)>,
    },
    /// All tasks, newest first.
    Newest {
        /// Only older ones.
        after: Option<TaskId>,
    },
}

/// Filters of [`list`] and its page size.
#[derive(Debug, Clone, Copy)]
pub struct TaskConditions<'a> {
    /// Only these states; empty means all.
    pub states: &'a [TaskState],
    /// Only tasks of goals of these projects; not asked for tasks of one goal.
    pub within: Option<&'a [ProjectId]>,
    /// Only tasks that require this capability.
    pub capability: Option<&'a str>,
    /// Most rows.
    pub rows: u32,
}

/// The scope as arguments of the statement: the branch that runs, and its start.
struct Branch {
    name: &'static str,
    these: Vec<uuid::Uuid>,
    goal: Option<uuid::Uuid>,
    parent: Option<uuid::Uuid>,
    position: i32,
    id: uuid::Uuid,
}

impl Branch {
    fn of(scope: TaskScope<'_>, conditions: &TaskConditions<'_>) -> Self {
        let start = Self {
            name: "these",
            these: Vec::new(),
            goal: None,
            parent: None,
            position: -1,
            id: uuid::Uuid::nil(),
        };
        match scope {
            TaskScope::These(tasks) => Self { these: uuids(tasks), ..start },
            TaskScope::OfGoal { goal, parent, after } => {
                let (position, id) = after.map_or((-1, start.id), |(at, task)| (at, task.0));
                let (goal, parent) = (Some(goal.0), parent.map(|id| id.0));
                Self { name: "goal", goal, parent, position, id, ..start }
            }
            TaskScope::Newest { after } => {
                let name = if conditions.states.is_empty() { "newest" } else { "states" };
                Self { name, id: after.map_or(uuid::Uuid::max(), |id| id.0), ..start }
            }
        }
    }
}

/// Reads tasks.
///
/// Conditions on `$2` are constant within a call, so only one branch runs. A goal's tasks follow
/// the plan order; all tasks the primary key; tasks of some states the index of states, each from
/// its newest, merged. The rows are looked up one by one (`limit 1`): a generic plan does not know
/// how few they are and would scan the table.
pub async fn list(
    tx: &mut Tx,
    scope: TaskScope<'_>,
    conditions: &TaskConditions<'_>,
) -> sqlx::Result<Vec<TaskRow>> {
    let branch = Branch::of(scope, conditions);
    sqlx::query_as!(
        TaskRow,
        r#"
        with able as materialized (
            select capability_key from capability_sets
            where workspace_id = $1 and $9::text is not null and $9 = any(capabilities)
        ), picked as materialized (
            (select t.task_id from tasks t
             where $2 = 'these' and t.workspace_id = $1 and t.task_id = any($3::uuid[]))
            union all
            (select t.task_id from tasks t
             where $2 = 'goal' and t.workspace_id = $1 and t.goal_id = $4
               and ($5::uuid is null or t.parent_id = $5)
               and (cardinality($8::text[]) = 0 or t.state = any($8))
               and ($9 is null or t.capability_key in (select capability_key from able))
               and (t.position, t.task_id) > ($6::int, $7::uuid)
             order by t.position, t.task_id limit $10)
            union all
            (select t.task_id from tasks t
             where $2 = 'newest' and t.workspace_id = $1 and t.task_id < $7
               and ($11::uuid[] is null or exists (select from goals g where g.workspace_id = $1
                        and g.goal_id = t.goal_id and g.project_id = any($11)))
             order by t.task_id desc limit $10)
            union all
            (select o.task_id from unnest($8) as s (state)
             cross join lateral (
                 select t.task_id from tasks t
                 where t.workspace_id = $1 and t.state = s.state and t.task_id < $7
                   and ($11::uuid[] is null or exists (select from goals g where g.workspace_id = $1
                        and g.goal_id = t.goal_id and g.project_id = any($11)))
                   and ($9 is null or t.capability_key in (select capability_key from able))
                 order by t.task_id desc limit $10) o
             where $2 = 'states')
        )
        select t.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId",
               t.parent_id as "parent_id: TaskId", t.ref as reference, t.position, x.title,
               t.state as "state: TaskState", t.container, t.priority, t.capability_key, x.labels,
               x.section, t.attempts_used, t.max_attempts, t.reworks, t.max_rework, t.lost_in_row, t.needs_unmet,
               t.children_open, t.ready_from, t.current_attempt_id as "attempt_id: AttemptId",
               h.agent_id as "agent_id?: AgentId", h.held_by_key as "held_by_key?: KeyId",
               t.assigned_agent_id as "assigned_agent_id: AgentId",
               t.barred_agent_id as "barred_agent_id: AgentId",
               t.failure_class as "failure_class: FailureClass", t.cancel_requested_at,
               x.end_reason,
               coalesce((select jsonb_object_agg(s.unit, s.amount) from task_spend s
                         where s.workspace_id = $1 and s.task_id = t.task_id),
                        '{}') as "spend!: Json<Amounts>",
               case when t.short_limit_id is not null then (
                   select jsonb_build_object('limit_id', l.limit_id, 'node', l.node,
                        'node_id', l.node_id, 'unit', l.unit, 'period', l.period,
                        'limit', w.amount, 'settled', w.settled + ceil(w.fraction / 1000000.0)::bigint,
                        'reserved', w.reserved, 'requested', t.short_min)
                   from budget_limits l
                   join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
                   where l.workspace_id = $1 and l.limit_id = t.short_limit_id
                   order by w.starts_at desc limit 1) end
                   as "waits_for_budget: Json<BudgetWait>",
               t.version, t.created_at, t.updated_at, t.ended_at
        from picked
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
        order by case when $2 = 'goal' then t.position end,
                 case when $2 = 'goal' then t.task_id end, t.task_id desc
        limit $10
        "#,
        tx.workspace.0,
        branch.name,
        &branch.these,
        branch.goal,
        branch.parent,
        branch.position,
        branch.id,
        &words(conditions.states),
        conditions.capability,
        i64::from(conditions.rows),
        conditions.within.map(uuids) as Option<Vec<uuid::Uuid>>,
    )
    .fetch_all(traced!(tx, "tasks.list.list"))
    .await
}
