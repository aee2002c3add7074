//! What a task may wait for.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        access::person::Person,
        approval::{PayloadHash, Risk, kind::Subject},
        budget::{LimitSpec, Period},
        explain::{
            answer::{FreezeOver, GateHolder, NamedTask},
            task::gates::{GateKind, HeldGate},
        },
        freeze::{FreezeMode, FreezeScope},
        ids::{
            AgentId, ApprovalId, AttemptId, BudgetId, FreezeId, GoalId, KeyId, LimitId, ProjectId,
            TaskId,
        },
        rate::Pace,
        states::{ApprovalKind, GoalState, TaskState},
    },
    store::{Tx, attention::PendingApproval, columns::uuids, traced},
};

/// What is around a task: its goal, its attempt and its question.
#[derive(Debug)]
pub struct Around {
    /// The project of its goal.
    pub project_id: Option<ProjectId>,
    /// The state of its goal.
    pub goal_state: GoalState,
    /// The start time of its goal.
    pub start_at: Option<DateTime<Utc>>,
    /// Its own start time.
    pub not_before: Option<DateTime<Utc>>,
    /// When a requested cancellation is forced.
    pub cancel_by: Option<DateTime<Utc>>,
    /// Number of attempts ever started.
    pub attempts_started: i32,
    /// Whether a claim must ask for its gates.
    pub gated: bool,
    /// A capability that it needs besides, after a hand-off.
    pub offered_capability: Option<String>,
    /// Whether it is a check that demands another owner.
    pub other_owner: bool,
    /// Of a check: the agents that may not do it.
    pub may_not: Vec<AgentId>,
    /// Its running attempt.
    pub attempt_id: Option<AttemptId>,
    /// The agent of the attempt.
    pub agent_id: Option<AgentId>,
    /// The name of the agent.
    pub agent_name: Option<String>,
    /// The key of the person who holds the attempt.
    pub held_by_key: Option<KeyId>,
    /// The start of the attempt.
    pub started_at: Option<DateTime<Utc>>,
    /// When the attempt is lost without a heartbeat.
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// Its pending approval, or that of the limit that it waits for, or that of the plan of its goal.
    pub approval_id: Option<ApprovalId>,
}

/// Reads what is around a task; `None` for an unknown one.
pub async fn around(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<Around>> {
    sqlx::query_as!(
        Around,
        r#"
        select g.project_id as "project_id: ProjectId", g.state as "goal_state: GoalState", g.start_at,
               t.not_before, t.cancel_by, t.attempts_started, t.gated,
               t.offered_capability, coalesce(t.checks_other_owner, false) as "other_owner!",
               case when t.checks_attempt_id is null then '{}'
                    else array(select barred_from_check($1, t.task_id)) end as "may_not!: Vec<AgentId>",
               a.attempt_id as "attempt_id?: AttemptId", a.agent_id as "agent_id?: AgentId",
               n.name as "agent_name?", a.held_by_key as "held_by_key?: KeyId",
               a.started_at as "started_at?", a.lease_expires_at as "lease_expires_at?",
               coalesce(
                   (select p.approval_id from approvals p
                    where p.workspace_id = $1 and p.task_id = t.task_id and p.state = 'pending' limit 1),
                   (select p.approval_id from approvals p
                    where p.workspace_id = $1 and p.limit_id = t.short_limit_id
                      and p.state = 'pending' limit 1),
                   case when g.state = 'proposed' then (
                       select p.approval_id from approvals p
                       where p.workspace_id = $1 and p.goal_id = t.goal_id and p.plan_id is not null
                         and p.state = 'pending' limit 1) end)
                   as "approval_id: ApprovalId"
        from tasks t
        join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
        left join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
             and a.state = 'running'
        left join agents n on n.workspace_id = $1 and n.agent_id = a.agent_id
        where t.workspace_id = $1 and t.task_id = $2
        "#,
        tx.workspace.0,
        task.0,
    )
    .fetch_optional(traced!(tx, "explain.task.around"))
    .await
}

/// A task with what is shown of it beside another one.
struct LinkRow {
    task_id: TaskId,
    reference: String,
    title: String,
    state: TaskState,
    attempt_id: Option<AttemptId>,
    agent_id: Option<AgentId>,
    agent_name: Option<String>,
    count: i64,
}

impl From<LinkRow> for NamedTask {
    fn from(row: LinkRow) -> Self {
        let LinkRow {
            task_id,
            reference,
            title,
            state,
            attempt_id,
            agent_id,
            agent_name,
            count: _,
        } = row;
        Self { task_id, r#ref: reference, title, state, attempt_id, agent_id, agent_name }
    }
}

/// Most tasks that are followed from one to the next.
const FOLLOWED: i64 = 1_000;

/// The tasks that a task waits for and that wait for no other, at most `most`; and the number of all that it waits
/// for, counted up to 1,000. Those that need a person come first, then those that are worked on.
///
/// Follows unsatisfied needs, closed containers around it, and open tasks inside of what waits for these.
pub async fn roots(tx: &mut Tx, task: TaskId, most: i64) -> sqlx::Result<(Vec<NamedTask>, i64)> {
    let rows = sqlx::query_as!(
        LinkRow,
        r#"
        with recursive walk (task_id) as (
            select $2::uuid
            union
            select n.task_id from walk w
            join tasks t on t.workspace_id = $1 and t.task_id = w.task_id
            cross join lateral (
                select d.needs_task_id as task_id from dependencies d
                where t.state = 'waiting' and t.needs_unmet > 0
                  and d.workspace_id = $1 and d.task_id = t.task_id and d.satisfied_at is null
                union all
                select p.task_id from tasks p
                where t.state = 'waiting' and t.needs_unmet > 0 and p.workspace_id = $1
                  and p.task_id = t.parent_id and p.container and p.state = 'waiting'
                union all
                select c.task_id from tasks c
                where ((t.container and t.state = 'running') or (t.state = 'parked' and t.children_open > 0))
                  and c.workspace_id = $1 and c.parent_id = t.task_id and c.ended_at is null
            ) n
        ), seen as materialized (
            select task_id from walk limit $3
        ), roots as materialized (
            select t.* from seen s
            join tasks t on t.workspace_id = $1 and t.task_id = s.task_id
            where t.task_id <> $2 and t.state <> 'done'
              and not (t.state = 'waiting' and t.needs_unmet > 0)
              and not (t.container and t.state = 'running')
              and not (t.state = 'parked' and t.children_open > 0)
            order by case t.state when 'failed' then 0 when 'cancelled' then 1 when 'parked' then 2
                         when 'reviewing' then 3 when 'running' then 4 when 'ready' then 5 else 6 end,
                     t.position, t.task_id
            limit $4
        )
        select t.task_id as "task_id: TaskId", t.ref as reference, x.title, t.state as "state: TaskState",
               a.attempt_id as "attempt_id?: AttemptId", a.agent_id as "agent_id?: AgentId",
               n.name as "agent_name?", ((select count(*) from seen) - 1) as "count!"
        from roots t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        left join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
             and a.state in ('running', 'submitted')
        left join agents n on n.workspace_id = $1 and n.agent_id = a.agent_id
        order by case t.state when 'failed' then 0 when 'cancelled' then 1 when 'parked' then 2
                     when 'reviewing' then 3 when 'running' then 4 when 'ready' then 5 else 6 end,
                 t.position, t.task_id
        "#,
        tx.workspace.0,
        task.0,
        FOLLOWED,
        most,
    )
    .fetch_all(traced!(tx, "explain.task.roots"))
    .await?;
    let count = rows.first().map_or(0, |row| row.count);
    Ok((rows.into_iter().map(NamedTask::from).collect(), count))
}

/// The first failed task among those that a cancelled one needs, or that needed its containers.
pub async fn failed_first(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<NamedTask>> {
    let row = sqlx::query_as!(
        LinkRow,
        r#"
        with recursive walk (task_id) as (
            select $2::uuid
            union
            select n.task_id from walk w
            join tasks t on t.workspace_id = $1 and t.task_id = w.task_id
            cross join lateral (
                select d.needs_task_id as task_id from dependencies d
                where t.state = 'cancelled' and d.workspace_id = $1 and d.task_id = t.task_id
                union all
                select t.parent_id where t.state = 'cancelled' and t.parent_id is not null
                union all
                select c.task_id from tasks c
                where t.container and t.state in ('failed', 'cancelled')
                  and c.workspace_id = $1 and c.parent_id = t.task_id and c.state = 'failed'
            ) n
        ), seen as materialized (
            select task_id from walk limit $3
        )
        select t.task_id as "task_id: TaskId", t.ref as reference, x.title, t.state as "state: TaskState",
               null::uuid as "attempt_id: AttemptId", null::uuid as "agent_id: AgentId",
               null::text as agent_name, 1::bigint as "count!"
        from seen s
        join tasks t on t.workspace_id = $1 and t.task_id = s.task_id
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        where t.state = 'failed' and not t.container
        order by t.ended_at, t.task_id limit 1
        "#,
        tx.workspace.0,
        task.0,
        FOLLOWED,
    )
    .fetch_optional(traced!(tx, "explain.task.failed_first"))
    .await?;
    Ok(row.map(NamedTask::from))
}

/// The freezes over a task, the latest first; at most 20.
pub async fn freezes(tx: &mut Tx, task: TaskId) -> sqlx::Result<Vec<FreezeOver>> {
    sqlx::query_as!(
        FreezeOver,
        r#"
        select f.freeze_id as "freeze_id!: FreezeId", f.scope as "scope!: FreezeScope",
               f.scope_id as "scope_id: Uuid", f.capability, f.mode as "mode!: FreezeMode",
               f.reason as "reason!", k.person as "set_by?: Person", f.set_at as "set_at!"
        from freezes_over($1, $2, null) f
        left join keys k on k.workspace_id = $1 and k.key_id = f.set_by
        order by f.generation desc limit 20
        "#,
        tx.workspace.0,
        task.0,
    )
    .fetch_all(traced!(tx, "explain.task.freezes"))
    .await
}

/// The gates over a task without room, with those who hold them, the longest first; at most 100.
pub async fn gates(tx: &mut Tx, task: TaskId) -> sqlx::Result<Vec<HeldGate>> {
    let rows = sqlx::query!(
        r#"
        select g.kind = 'concurrency_key' as "is_key!", g.subject as "subject!", k.most as "most?",
               a.attempt_id as "attempt_id: AttemptId", a.task_id as "task_id: TaskId",
               a.agent_id as "agent_id: AgentId", n.name as "agent_name?",
               a.held_by_key as "held_by_key: KeyId", a.started_at, o.project_id as "project_id: ProjectId",
               count(*) over (partition by g.kind, g.subject) as "count!"
        from (select distinct * from gates_over($1, $2, $3)) g
        left join lateral (
            select k.concurrency_key_id, k.most from task_concurrency_keys t
            join concurrency_keys k on k.workspace_id = $1
                 and k.concurrency_key_id = t.concurrency_key_id
            where g.kind = 'concurrency_key' and t.workspace_id = $1 and t.task_id = $2
              and k.name = g.subject limit 1) k on true
        cross join lateral (
            select g.attempt_id as attempt_id where g.attempt_id is not null
            union all
            select h.attempt_id from concurrency_grants h
            where h.workspace_id = $1 and h.concurrency_key_id = k.concurrency_key_id) h
        join attempts a on a.workspace_id = $1 and a.attempt_id = h.attempt_id
        join goals o on o.workspace_id = $1 and o.goal_id = a.goal_id
        left join agents n on n.workspace_id = $1 and n.agent_id = a.agent_id
        order by g.kind, g.subject, a.started_at, a.attempt_id limit 100
        "#,
        tx.workspace.0,
        task.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "explain.task.gates"))
    .await?;
    let gate = rows.into_iter().map(|row| HeldGate {
        kind: match row.is_key {
            true => GateKind::Key { most: row.most.unwrap_or_default() },
            false => GateKind::Resource,
        },
        count: row.count,
        project_id: row.project_id,
        holder: GateHolder {
            subject: row.subject,
            attempt_id: row.attempt_id,
            task_id: row.task_id,
            agent_id: row.agent_id,
            agent_name: row.agent_name,
            held_by_key: row.held_by_key,
            since: row.started_at,
        },
    });
    Ok(gate.collect())
}

/// The rates of capabilities, without a lock.
pub async fn rates(tx: &mut Tx, capabilities: &[String]) -> sqlx::Result<Vec<(String, Pace)>> {
    let rows = sqlx::query!(
        "select capability, starts_per_minute, burst, debt, debt_at from rates
         where workspace_id = $1 and capability = any($2) order by capability",
        tx.workspace.0,
        capabilities,
    )
    .fetch_all(traced!(tx, "explain.task.rates"))
    .await?;
    let pace = rows.into_iter().map(|row| {
        let (starts_per_minute, burst) = (row.starts_per_minute, row.burst);
        (row.capability, Pace { starts_per_minute, burst, debt: row.debt, debt_at: row.debt_at })
    });
    Ok(pace.collect())
}

/// The budget of a limit, with all its limits.
#[derive(Debug)]
pub struct BudgetOf {
    /// The limit.
    pub limit_id: LimitId,
    /// Its budget.
    pub budget_id: BudgetId,
    /// The version of the budget.
    pub version: i32,
    /// Period of the limit.
    pub period: Period,
    /// Time zone of its periods.
    pub time_zone: String,
    /// The limit.
    pub amount: i64,
    /// Whether its present period has a window; without one it is unused.
    pub is_open: bool,
    /// All limits of the budget.
    pub limits: Json<Vec<LimitSpec>>,
}

/// The budgets of limits.
pub async fn budgets_of(tx: &mut Tx, limits: &[LimitId]) -> sqlx::Result<Vec<BudgetOf>> {
    sqlx::query_as!(
        BudgetOf,
        r#"
        select l.limit_id as "limit_id: LimitId", b.budget_id as "budget_id: BudgetId", b.version,
               l.period as "period: Period", b.time_zone, l.amount,
               exists (select from budget_windows w
                       where w.workspace_id = $1 and w.limit_id = l.limit_id
                         and w.starts_at <= $3 and (w.ends_at is null or $3 < w.ends_at)) as "is_open!",
               (select jsonb_agg(jsonb_build_object('unit', o.unit, 'period', o.period,
                                                    'amount', o.amount) order by o.unit, o.period)
                from budget_limits o where o.workspace_id = $1 and o.budget_id = b.budget_id
                and o.removed_at is null) as "limits!: Json<Vec<LimitSpec>>"
        from budget_limits l
        join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
        where l.workspace_id = $1 and l.limit_id = any($2) and l.removed_at is null
        "#,
        tx.workspace.0,
        &uuids(limits),
        tx.now,
    )
    .fetch_all(traced!(tx, "explain.task.budgets_of"))
    .await
}

/// A pending approval as the attention list reads it, and when its policy ends the wait.
pub async fn pending(
    tx: &mut Tx,
    approval: ApprovalId,
) -> sqlx::Result<Option<(PendingApproval, Option<DateTime<Utc>>)>> {
    let row = sqlx::query!(
        r#"
        select a.approval_id as "approval_id: ApprovalId", a.kind as "kind: ApprovalKind",
               a.goal_id as "goal_id: GoalId", a.task_id as "task_id: TaskId",
               a.limit_id as "limit_id: LimitId", a.title,
               a.payload_sha256 as "payload_sha256: PayloadHash",
               a.risk as "risk: Risk", a.created_at, a.last_round, a.expires_at,
               array(select c.number from criteria c
                     where a.kind = any($3::text[]) and c.workspace_id = $1 and c.task_id = a.task_id
                       and c.required and not exists (
                           select from evidence e where e.workspace_id = $1
                           and e.attempt_id = a.attempt_id and e.criterion = c.number)
                     order by c.number) as "missing!"
        from approvals a
        where a.workspace_id = $1 and a.approval_id = $2 and a.state = 'pending'
        "#,
        tx.workspace.0,
        approval.0,
        &ApprovalKind::with(Subject::Result),
    )
    .fetch_optional(traced!(tx, "explain.task.pending"))
    .await?;
    Ok(row.map(|row| {
        let pending = PendingApproval {
            approval_id: row.approval_id,
            kind: row.kind,
            goal_id: row.goal_id,
            task_id: row.task_id,
            agent_id: None,
            limit_id: row.limit_id,
            budget_id: None,
            title: row.title,
            payload_sha256: row.payload_sha256,
            risk: row.risk,
            created_at: row.created_at,
            waiting: 0,
            last_round: row.last_round,
            missing: row.missing,
        };
        (pending, row.expires_at)
    }))
}
