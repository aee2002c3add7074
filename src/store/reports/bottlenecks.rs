//! Where work waits: open tasks and their needs, agents online, pending approvals, short limits, and the paths of
//! goals with a deadline.
//!
//! The functions run in the transaction of a report ([`super::begin`]). Each reads a bounded number of rows.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        approval::excluded::Excluded,
        attention::COUNTED,
        budget::{BudgetNode, Period, ask::Estimates},
        goal::progress::left::PathStep,
        ids::{ApprovalId, BudgetId, GoalId, LimitId, TaskId},
        settings,
        states::{ApprovalKind, TaskState},
    },
    store::{Tx, columns::uuids, traced},
};

/// Online agents with the same capabilities.
#[derive(Debug)]
pub struct OnlineRow {
    /// Their capabilities.
    pub capabilities: Vec<String>,
    /// Number of agents.
    pub online: i64,
    /// Attempts that they can have at once.
    pub slots: i64,
    /// Further attempts that they can start now.
    pub free: i64,
}

/// Active agents that are online and not frozen, by their capabilities; at most 500 groups.
pub async fn online(tx: &mut Tx) -> sqlx::Result<Vec<OnlineRow>> {
    sqlx::query_as!(
        OnlineRow,
        r#"
        with online as (
            select g.capabilities, s.slots,
                   (select count(*) from attempts a
                    where a.workspace_id = $1 and a.agent_id = g.agent_id and a.state = 'running')
                       as running
            from agents g
            join workspaces w on w.workspace_id = $1
            join agent_presence p on p.workspace_id = $1 and p.agent_id = g.agent_id
            cross join lateral (select least(g.max_concurrent, w.agent_max_concurrent) as slots) s
            where g.workspace_id = $1 and g.state = 'active' and not g.archived
              and p.last_seen_at > $2
              and not exists (select from freezes f
                              where f.workspace_id = $1 and f.lifted_at is null
                                and f.scope = 'agent' and f.scope_id = g.agent_id)
        )
        select capabilities as "capabilities!", count(*) as "online!", sum(slots)::bigint as "slots!",
               sum(greatest(slots - running, 0))::bigint as "free!"
        from online group by capabilities
        order by count(*) desc, capabilities limit 500
        "#,
        tx.workspace.0,
        tx.now - settings::LATE_AFTER,
    )
    .fetch_all(traced!(tx, "reports.bottlenecks.online"))
    .await
}

/// A task that has not ended.
#[derive(Debug)]
pub struct OpenRow {
    /// The task.
    pub task_id: TaskId,
    /// Its container, or the task that added it.
    pub parent: Option<TaskId>,
    /// Whether it only groups others.
    pub container: bool,
    /// Its state.
    pub state: TaskState,
    /// Key of its set of required capabilities.
    pub capability_key: String,
    /// Its earliest start.
    pub ready_from: DateTime<Utc>,
    /// The limit that it waits for.
    pub limit_id: Option<LimitId>,
    /// Its own estimates.
    pub estimate: Option<Json<Estimates>>,
    /// Start of its running attempt.
    pub started_at: Option<DateTime<Utc>>,
}

/// Up to `rows` open tasks of goals that are worked on: running ones first, waiting ones last, of each state those with
/// the highest priority.
pub async fn open_tasks(tx: &mut Tx, rows: i64) -> sqlx::Result<Vec<OpenRow>> {
    sqlx::query_as!(
        OpenRow,
        r#"
        select t.task_id as "task_id!: TaskId", t.parent_id as "parent: TaskId",
               t.container as "container!", t.state as "state!: TaskState",
               t.capability_key as "capability_key!", t.ready_from as "ready_from!",
               t.short_limit_id as "limit_id: LimitId", x.estimate as "estimate: Json<Estimates>",
               (select a.started_at from attempts a
                where t.state = 'running' and a.workspace_id = $1
                  and a.attempt_id = t.current_attempt_id and a.state = 'running') as started_at
        from unnest(array['running', 'reviewing', 'parked', 'ready', 'waiting'])
             with ordinality as s (state, place)
        cross join lateral (
            select * from tasks t
            where t.workspace_id = $1 and t.state = s.state
            order by t.priority desc, t.task_id desc limit $2) t
        join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
             and g.state in ('active', 'verifying')
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        order by s.place, t.priority desc, t.task_id desc limit $2
        "#,
        tx.workspace.0,
        rows,
    )
    .fetch_all(traced!(tx, "reports.bottlenecks.open_tasks"))
    .await
}

/// Up to `rows` unsatisfied needs of tasks, each of a task and the one that it needs.
pub async fn needs(
    tx: &mut Tx,
    tasks: &[TaskId],
    rows: i64,
) -> sqlx::Result<Vec<(TaskId, TaskId)>> {
    let rows = sqlx::query!(
        r#"select task_id as "task_id: TaskId", needs_task_id as "needs: TaskId"
           from dependencies
           where workspace_id = $1 and task_id = any($2) and satisfied_at is null
           order by task_id, needs_task_id limit $3"#,
        tx.workspace.0,
        &uuids(tasks),
        rows,
    )
    .fetch_all(traced!(tx, "reports.bottlenecks.needs"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.needs)).collect())
}

/// A pending approval.
#[derive(Debug)]
pub struct PendingRow {
    /// The approval.
    pub approval_id: ApprovalId,
    /// Its kind.
    pub kind: ApprovalKind,
    /// Its goal.
    pub goal_id: GoalId,
    /// Its task.
    pub task_id: Option<TaskId>,
    /// The limit that it proposes to raise.
    pub limit_id: Option<LimitId>,
    /// When it was asked.
    pub created_at: DateTime<Utc>,
    /// Number of the current payload.
    pub revision: i32,
    /// The people and keys that may not decide.
    pub excluded: Json<Vec<Excluded>>,
    /// The policy as it was when it was asked.
    pub policy: Option<Value>,
    /// Its current stage.
    pub stage: i16,
    /// Number of escalations in the stage.
    pub escalation: i16,
}

/// Up to `rows` pending approvals, oldest first.
pub async fn pending(tx: &mut Tx, rows: i64) -> sqlx::Result<Vec<PendingRow>> {
    sqlx::query_as!(
        PendingRow,
        r#"
        select approval_id as "approval_id: ApprovalId", kind as "kind: ApprovalKind",
               goal_id as "goal_id: GoalId", task_id as "task_id: TaskId",
               limit_id as "limit_id: LimitId", created_at, revision,
               excluded as "excluded: Json<Vec<Excluded>>", policy, stage, escalation
        from approvals
        where workspace_id = $1 and state = 'pending'
        order by approval_id limit $2
        "#,
        tx.workspace.0,
        rows,
    )
    .fetch_all(traced!(tx, "reports.bottlenecks.pending"))
    .await
}

/// A limit that tasks wait for.
#[derive(Debug)]
pub struct ShortLimitRow {
    /// The limit.
    pub limit_id: LimitId,
    /// Its budget.
    pub budget_id: BudgetId,
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
    /// Sum of the least amounts that they need.
    pub needed: i64,
    /// Since when the first of them waits.
    pub since: DateTime<Utc>,
    /// The pending approval that would raise it.
    pub approval_id: Option<ApprovalId>,
}

/// Up to `rows` limits that tasks wait for, the longest waited for first. Skips through the index of waiting tasks from
/// limit to limit, so the number of tasks does not matter.
pub async fn short_limits(tx: &mut Tx, rows: i64) -> sqlx::Result<Vec<ShortLimitRow>> {
    sqlx::query_as!(
        ShortLimitRow,
        r#"
        with recursive every (limit_id) as (
            select (select t.short_limit_id from tasks t
                    where t.workspace_id = $1 and t.short_limit_id is not null
                    order by t.short_limit_id limit 1)
            union all
            select (select t.short_limit_id from tasks t
                    where t.workspace_id = $1 and t.short_limit_id > e.limit_id
                    order by t.short_limit_id limit 1)
            from every e where e.limit_id is not null
        )
        select l.limit_id as "limit_id!: LimitId", l.budget_id as "budget_id!: BudgetId",
               l.node as "node!: BudgetNode", l.node_id as "node_id!", l.unit as "unit!",
               l.period as "period!: Period", w.ends_at as "ends_at?",
               coalesce(w.amount, l.amount) as "amount!",
               least(coalesce(w.settled, 0) + ceil(coalesce(w.fraction, 0) / 1000000.0),
                     9223372036854775807)::bigint as "used!",
               coalesce(w.reserved, 0) as "reserved!", q.waiting as "waiting!", q.needed as "needed!",
               q.since as "since!",
               (select a.approval_id from approvals a
                where a.workspace_id = $1 and a.limit_id = l.limit_id and a.state = 'pending')
                   as "approval_id: ApprovalId"
        from every e
        join budget_limits l on l.workspace_id = $1 and l.limit_id = e.limit_id
             and l.removed_at is null
        left join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
             and w.starts_at <= $2 and (w.ends_at is null or $2 < w.ends_at)
        cross join lateral (
            select count(*) as waiting,
                   least(coalesce(sum(t.short_min), 0), 9223372036854775807)::bigint as needed,
                   min(coalesce(t.rests_since, t.updated_at)) as since
            from (select * from tasks t
                  where t.workspace_id = $1 and t.short_limit_id = e.limit_id
                  order by t.claim_rank, t.task_id limit $3) t) q
        order by q.since, l.limit_id limit $4
        "#,
        tx.workspace.0,
        tx.now,
        COUNTED,
        rows,
    )
    .fetch_all(traced!(tx, "reports.bottlenecks.short_limits"))
    .await
}

/// The longest path of a goal with a deadline.
#[derive(Debug)]
pub struct PathRow {
    /// The goal.
    pub goal_id: GoalId,
    /// Its title.
    pub title: String,
    /// When it should be completed.
    pub deadline: DateTime<Utc>,
    /// When the path was computed.
    pub computed_at: DateTime<Utc>,
    /// Its length in milliseconds.
    pub path_ms: i64,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
    /// Its first tasks.
    pub path: Json<Vec<PathStep>>,
}

/// Up to `rows` paths of goals that are worked on, with less than a tenth of slack until the deadline, or none; the
/// least slack first. Reads what a duty computed, and never the tasks.
pub async fn paths_at_risk(tx: &mut Tx, rows: i64) -> sqlx::Result<Vec<PathRow>> {
    sqlx::query_as!(
        PathRow,
        r#"
        with known as (
            select g.goal_id, g.title, g.deadline, p.computed_at, p.path,
                   least((p.ahead -> 'path' ->> 'p50')::bigint, 315360000000) as path_ms
            from goals g
            join goal_progress p on p.workspace_id = $1 and p.goal_id = g.goal_id
            where g.workspace_id = $1 and g.state in ('active', 'verifying') and not g.archived
              and g.deadline is not null and p.computed_at is not null
        ), ahead as (
            select *, greatest($2, computed_at + path_ms * interval '1 ms') as ends_at
            from known where path_ms is not null
        )
        select goal_id as "goal_id!: GoalId", title as "title!", deadline as "deadline!",
               computed_at as "computed_at!", path_ms as "path_ms!", ends_at as "ends_at!",
               path as "path!: Json<Vec<PathStep>>"
        from ahead
        where (deadline - ends_at) * 10 < deadline - $2
        order by deadline - ends_at, goal_id limit $3
        "#,
        tx.workspace.0,
        tx.now,
        rows,
    )
    .fetch_all(traced!(tx, "reports.bottlenecks.paths_at_risk"))
    .await
}
