//! Progress of goals: the weights of their tasks, and what a duty computes behind the commit.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::{
    domain::{
        budget::ask::Estimates,
        goal::{
            TaskCounts,
            progress::{
                eta::{AbleAgents, OnlineAgents},
                left::{Ahead, Blocker, Estimated, Left, PathStep},
                weight::{Weighing, Weights},
            },
        },
        ids::{ApprovalId, GoalId, TaskId},
        spend::{Amounts, measured::Quantiles},
        states::{GoalState, TaskState},
    },
    store::{Tx, columns::uuids, traced},
};

/// How the tasks of a goal weigh.
pub async fn weighing(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Weighing> {
    let row = sqlx::query!(
        "select weight_unit, weight_each from goals where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "goals.progress.weighing"))
    .await?;
    Ok(Weighing { unit: row.weight_unit, each: row.weight_each })
}

/// Chooses how the tasks of a locked goal weigh, and weighs those that are there.
pub async fn weigh_by(tx: &mut Tx, goal: GoalId, weighing: &Weighing) -> sqlx::Result<()> {
    sqlx::query!(
        "update goals set weight_unit = $3, weight_each = $4
         where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
        weighing.unit,
        weighing.each,
    )
    .execute(traced!(tx, "goals.progress.weigh_by"))
    .await?;
    let changed = sqlx::query!(
        "with weighed as materialized (
             select t.task_id, coalesce(estimate_weight(x.estimate -> $3), $4) as weight
             from tasks t
             join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
             where t.workspace_id = $1 and t.goal_id = $2 and t.weight > 0
             order by t.task_id for no key update of t
         )
         update tasks t set weight = w.weight
         from weighed w
         where t.workspace_id = $1 and t.task_id = w.task_id and t.weight <> w.weight",
        tx.workspace.0,
        goal.0,
        weighing.unit,
        weighing.each,
    )
    .execute(traced!(tx, "goals.progress.weigh_by"))
    .await?;
    if changed.rows_affected() > 0 { recount(tx, goal).await } else { Ok(()) }
}

/// Sets the weights of locked tasks of a goal that have not ended.
pub async fn weigh(tx: &mut Tx, goal: GoalId, weights: &[(TaskId, i64)]) -> sqlx::Result<()> {
    sqlx::query!(
        "with given as materialized (
             select t.task_id, w.weight, t.weight as before
             from unnest($3::uuid[], $4::bigint[]) as w (task_id, weight)
             join tasks t on t.workspace_id = $1 and t.task_id = w.task_id
         ), weighed as (
             update tasks t set weight = g.weight
             from given g where t.workspace_id = $1 and t.task_id = g.task_id
         )
         update goals g set weight_total = g.weight_total + c.change
         from (select coalesce(sum(weight - before), 0)::bigint as change from given) c
         where g.workspace_id = $1 and g.goal_id = $2",
        tx.workspace.0,
        goal.0,
        &weights.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &weights.iter().map(|(_, weight)| *weight).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "goals.progress.weigh"))
    .await?;
    Ok(())
}

/// Sums the weights of all tasks of a locked goal anew.
pub async fn recount(tx: &mut Tx, goal: GoalId) -> sqlx::Result<()> {
    sqlx::query!(
        "update goals g
         set weight_total = t.total, weight_done = t.done, weight_cancelled = t.cancelled
         from (select coalesce(sum(weight), 0)::bigint as total,
                      coalesce(sum(weight) filter (where state = 'done'), 0)::bigint as done,
                      coalesce(sum(weight) filter (where state = 'cancelled'), 0)::bigint as cancelled
               from tasks where workspace_id = $1 and goal_id = $2) t
         where g.workspace_id = $1 and g.goal_id = $2",
        tx.workspace.0,
        goal.0,
    )
    .execute(traced!(tx, "goals.progress.recount"))
    .await?;
    Ok(())
}

/// The progress of a goal as it is kept.
#[derive(Debug)]
pub struct ProgressRow {
    /// State of the goal.
    pub state: GoalState,
    /// Its tasks by state.
    pub counts: TaskCounts,
    /// How its tasks weigh.
    pub weighing: Weighing,
    /// The sums of their weights.
    pub weights: Weights,
    /// Spend of its attempts, by unit.
    pub spend: Amounts,
    /// What was computed for it; `None`: nothing yet.
    pub computed: Option<Computed>,
}

/// What was computed for a goal, and when.
#[derive(Debug)]
pub struct Computed {
    /// Time of the computation.
    pub at: DateTime<Utc>,
    /// Number of its ended attempts.
    pub attempts: i64,
    /// Their total duration in milliseconds.
    pub wall_ms: i64,
    /// Sums of the estimates of its tasks.
    pub estimates: BTreeMap<String, Estimated>,
    /// What is left.
    pub left: Left,
}

/// Reads the progress of a goal: one row of the goal and one of what was computed, whatever the
/// number of its tasks.
pub async fn read(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<ProgressRow>> {
    let row = sqlx::query!(
        r#"
        select g.state as "state: GoalState", g.tasks_total, g.tasks_open, g.tasks_done,
               g.tasks_failed, g.tasks_cancelled, g.weight_unit, g.weight_each, g.weight_total,
               g.weight_done, g.weight_cancelled,
               coalesce((select jsonb_object_agg(s.unit, s.amount) from spend_sums s
                         where s.workspace_id = $1 and s.node = 'goal' and s.node_id = g.goal_id),
                        '{}') as "spend!: Json<Amounts>",
               p.computed_at as "computed_at?", p.attempts as "attempts?", p.wall_ms as "wall_ms?",
               p.ahead as "ahead?: Json<Ahead>",
               p.estimates as "estimates?: Json<BTreeMap<String, Estimated>>",
               p.path as "path?: Json<Vec<PathStep>>",
               p.blockers as "blockers?: Json<Vec<Blocker>>"
        from goals g
        left join goal_progress p on p.workspace_id = $1 and p.goal_id = g.goal_id
        where g.workspace_id = $1 and g.goal_id = $2
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "goals.progress.read"))
    .await?;
    let Some(row) = row else { return Ok(None) };
    let computed = row.computed_at.zip(row.ahead).map(|(at, ahead)| Computed {
        at,
        attempts: row.attempts.unwrap_or_default(),
        wall_ms: row.wall_ms.unwrap_or_default(),
        estimates: row.estimates.map(|found| found.0).unwrap_or_default(),
        left: Left {
            ahead: ahead.0,
            path: row.path.map(|found| found.0).unwrap_or_default(),
            blockers: row.blockers.map(|found| found.0).unwrap_or_default(),
        },
    });
    Ok(Some(ProgressRow {
        state: row.state,
        counts: TaskCounts {
            total: row.tasks_total,
            open: row.tasks_open,
            done: row.tasks_done,
            failed: row.tasks_failed,
            cancelled: row.tasks_cancelled,
        },
        weighing: Weighing { unit: row.weight_unit, each: row.weight_each },
        weights: Weights {
            total: row.weight_total,
            done: row.weight_done,
            cancelled: row.weight_cancelled,
        },
        spend: row.spend.0,
        computed,
    }))
}

/// The active agents seen since `since` that cover one of the sets of capabilities, counted by what they cover.
pub async fn online(
    tx: &mut Tx,
    keys: &[String],
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<OnlineAgents>> {
    let rows = sqlx::query!(
        r#"
        with wanted as materialized (
            select s.capability_key, s.capabilities from unnest($2::text[]) as k (capability_key)
            join capability_sets s on s.workspace_id = $1 and s.capability_key = k.capability_key
        ), able as (
            select a.max_concurrent,
                   array(select w.capability_key from wanted w
                         where w.capabilities <@ a.capabilities
                         order by w.capability_key) as keys
            from agents a
            join agent_presence p on p.workspace_id = $1 and p.agent_id = a.agent_id
            where a.workspace_id = $1 and a.state = 'active' and not a.archived
              and p.last_seen_at >= $3
        )
        select keys as "keys!", count(*) as "online!", sum(max_concurrent)::bigint as "slots!"
        from able where keys <> '{}' group by keys
        "#,
        tx.workspace.0,
        keys,
        since,
    )
    .fetch_all(traced!(tx, "goals.progress.online"))
    .await?;
    let agents = rows.into_iter().map(|row| OnlineAgents {
        agents: AbleAgents { online: row.online, slots: row.slots },
        keys: row.keys.into_iter().collect(),
    });
    Ok(agents.collect())
}

/// Name of a task.
#[derive(Debug)]
pub struct TaskName {
    /// The task.
    pub task_id: TaskId,
    /// Its name in the plan.
    pub reference: String,
    /// Its title.
    pub title: String,
    /// Its state.
    pub state: TaskState,
}

/// Names of tasks; deleted ones are missing.
pub async fn names(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskName>> {
    sqlx::query_as!(
        TaskName,
        r#"select t.task_id as "task_id: TaskId", t.ref as reference, x.title,
                  t.state as "state: TaskState"
           from tasks t join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
           where t.workspace_id = $1 and t.task_id = any($2)"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "goals.progress.names"))
    .await
}

/// Number of journal rows read so far, and number of goals that changed in them.
#[derive(Debug, Clone, Copy)]
pub struct Marked {
    /// Number of the last row that was read.
    pub read_to: i64,
    /// Number of the newest row.
    pub newest: i64,
    /// Number of goals that changed.
    pub goals: i64,
}

/// Reads up to `rows` further rows of the journal, and marks the goals that changed in them. A goal
/// computed lately is due after its pause.
pub async fn mark(tx: &mut Tx, rows: i64) -> sqlx::Result<Marked> {
    sqlx::query_as!(
        Marked,
        r#"
        with span as materialized (
            select h.last_number as newest, coalesce(c.read_to, 0) as after,
                   least(h.last_number, coalesce(c.read_to, 0) + $3) as until
            from journal_heads h
            left join progress_cursors c on c.workspace_id = $1
            where h.workspace_id = $1
        ), changed as materialized (
            select j.goal_id, max(j.number) as number
            from journal j
            where j.workspace_id = $1 and j.goal_id is not null
              and j.number > (select after from span) and j.number <= (select until from span)
              and (j.kind like 'task.%' or j.kind like 'goal.%' or j.kind like 'approval.%')
            group by j.goal_id
        ), marked as (
            insert into goal_progress as p (workspace_id, goal_id, changed_number, due_at)
            select $1, c.goal_id, c.number, $2 from changed c
            join goals g on g.workspace_id = $1 and g.goal_id = c.goal_id
            order by c.goal_id
            on conflict (workspace_id, goal_id) do update
                set changed_number = greatest(p.changed_number, excluded.changed_number),
                    due_at = coalesce(p.due_at, greatest($2, p.computed_at + p.pause_ms * interval '1 ms'))
            returning 1
        ), moved as (
            insert into progress_cursors as c (workspace_id, read_to)
            select $1, until from span
            on conflict (workspace_id) do update set read_to = excluded.read_to
                where c.read_to < excluded.read_to
        )
        select coalesce((select until from span), 0) as "read_to!",
               coalesce((select newest from span), 0) as "newest!",
               (select count(*) from marked) as "goals!"
        "#,
        tx.workspace.0,
        tx.now,
        rows,
    )
    .fetch_one(traced!(tx, "goals.progress.mark"))
    .await
}

/// Goals to be computed by now, the first due first.
pub async fn due(tx: &mut Tx, goals: i64) -> sqlx::Result<Vec<GoalId>> {
    sqlx::query_scalar!(
        r#"select goal_id as "goal_id: GoalId" from goal_progress
           where workspace_id = $1 and due_at <= $2
           order by due_at limit $3"#,
        tx.workspace.0,
        tx.now,
        goals,
    )
    .fetch_all(traced!(tx, "goals.progress.due"))
    .await
}

/// A task of a goal, for the computation.
#[derive(Debug)]
pub struct TaskRow {
    /// The task.
    pub task_id: TaskId,
    /// Its container, or the task whose attempt added it.
    pub parent: Option<TaskId>,
    /// Whether it only groups others.
    pub container: bool,
    /// Whether it verifies the goal.
    pub verifies: bool,
    /// Its state.
    pub state: TaskState,
    /// Key of its set of required capabilities.
    pub capability_key: String,
    /// Number of its open children.
    pub children_open: i32,
    /// Its own estimates.
    pub estimate: Option<Json<Estimates>>,
    /// Start of its running attempt.
    pub started_at: Option<DateTime<Utc>>,
    /// Whether it waits for a budget.
    pub short: bool,
    /// Whether it waits for the price of a model.
    pub priced: bool,
    /// The pending question about it.
    pub approval_id: Option<ApprovalId>,
}

/// All tasks of a goal, in plan order.
pub async fn tasks(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<TaskRow>> {
    sqlx::query_as!(
        TaskRow,
        r#"
        select t.task_id as "task_id: TaskId", t.parent_id as "parent: TaskId", t.container,
               t.purpose is not null as "verifies!", t.state as "state: TaskState",
               t.capability_key, t.children_open, x.estimate as "estimate: Json<Estimates>",
               a.started_at as "started_at?", t.short_limit_id is not null as "short!",
               t.state = 'parked' and exists (
                   select from price_waits w
                   where w.workspace_id = $1 and w.task_id = t.task_id) as "priced!",
               q.approval_id as "approval_id?: ApprovalId"
        from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        left join lateral (
            select a.started_at from attempts a
            where t.state = 'running' and a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
              and a.state = 'running' limit 1) a on true
        left join lateral (
            select q.approval_id from approvals q
            where t.state in ('parked', 'reviewing') and q.workspace_id = $1
              and q.task_id = t.task_id and q.state = 'pending' limit 1) q on true
        where t.workspace_id = $1 and t.goal_id = $2
        order by t.position, t.task_id
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "goals.progress.tasks"))
    .await
}

/// Unsatisfied dependencies of a goal's open tasks, each of a task on the one it needs.
pub async fn needs(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<(TaskId, TaskId)>> {
    let rows = sqlx::query!(
        r#"select d.task_id as "task_id: TaskId", d.needs_task_id as "needs: TaskId"
           from tasks t
           join dependencies d on d.workspace_id = $1 and d.task_id = t.task_id
           where t.workspace_id = $1 and t.goal_id = $2 and t.ended_at is null
             and d.satisfied_at is null"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "goals.progress.needs"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.needs)).collect())
}

/// Number and total duration in milliseconds of a goal's ended attempts.
pub async fn attempts(tx: &mut Tx, goal: GoalId) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"select count(*) as "attempts!",
                  least(coalesce(sum(greatest(floor(extract(epoch from a.ended_at - a.started_at) * 1000), 0)), 0),
                        9223372036854775807)::bigint as "wall_ms!"
           from tasks t
           join attempts a on a.workspace_id = $1 and a.task_id = t.task_id and a.ended_at is not null
           where t.workspace_id = $1 and t.goal_id = $2"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "goals.progress.attempts"))
    .await?;
    Ok((row.attempts, row.wall_ms))
}

/// How long finished tasks took, by set of capabilities.
pub async fn durations(tx: &mut Tx) -> sqlx::Result<HashMap<String, Quantiles>> {
    let rows = sqlx::query!(
        "select name, p10, p50, p90, tasks
         from measured_use
         where workspace_id = $1 and kind = 'set' and unit = 'wall_ms'",
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "goals.progress.durations"))
    .await?;
    let measured = rows.into_iter().map(|row| {
        let known = Quantiles { p10: row.p10, p50: row.p50, p90: row.p90, tasks: row.tasks.into() };
        (row.name, known)
    });
    Ok(measured.collect())
}

/// A computation to be stored.
#[derive(Debug)]
pub struct NewProgress {
    /// Number of the newest journal row before its reads.
    pub number: i64,
    /// Number of tasks.
    pub tasks: i32,
    /// Number of ended attempts.
    pub attempts: i64,
    /// Their total duration in milliseconds.
    pub wall_ms: i64,
    /// Sums of the estimates.
    pub estimates: BTreeMap<String, Estimated>,
    /// What is left.
    pub left: Left,
    /// Least time until the next computation, in milliseconds.
    pub pause_ms: i64,
}

/// Stores a computation. The goal is due again if it changed since.
pub async fn store(tx: &mut Tx, goal: GoalId, new: &NewProgress) -> sqlx::Result<()> {
    sqlx::query!(
        "update goal_progress
         set computed_number = $3, computed_at = $4, tasks = $5, attempts = $6, wall_ms = $7,
             pause_ms = $8, ahead = $9, estimates = $10, path = $11, blockers = $12,
             due_at = case when changed_number > $3 then $4::timestamptz + $8::bigint * interval '1 ms' end
         where workspace_id = $1 and goal_id = $2 and computed_number <= $3",
        tx.workspace.0,
        goal.0,
        new.number,
        tx.now,
        new.tasks,
        new.attempts,
        new.wall_ms,
        new.pause_ms,
        Json(&new.left.ahead) as Json<&Ahead>,
        Json(&new.estimates) as Json<&BTreeMap<String, Estimated>>,
        Json(&new.left.path) as Json<&Vec<PathStep>>,
        Json(&new.left.blockers) as Json<&Vec<Blocker>>,
    )
    .execute(traced!(tx, "goals.progress.store"))
    .await?;
    Ok(())
}

/// Deletes what was computed for a goal that is deleted.
pub async fn forget(tx: &mut Tx, goal: GoalId) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from goal_progress p where workspace_id = $1 and goal_id = $2
           and not exists (select from goals g where g.workspace_id = $1 and g.goal_id = $2)",
        tx.workspace.0,
        goal.0,
    )
    .execute(traced!(tx, "goals.progress.forget"))
    .await?;
    Ok(())
}
