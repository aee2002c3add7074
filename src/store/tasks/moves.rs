//! State changes of tasks, and their effects on dependents, containers and goals.
//!
//! Callers have locked the goals, so two cascades never run in one goal at once.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        goal::TaskCounts,
        ids::{AttemptId, GoalId, LimitId, TaskId},
        states::{FailureClass, GoalState, TaskState},
        task::TaskFacts,
    },
    store::{Tx, WriteError, columns::uuids, complete, traced},
};

/// A task's change of state.
#[derive(Debug, Clone)]
pub struct TaskMove {
    /// The task.
    pub task_id: TaskId,
    /// The new state.
    pub state: TaskState,
    /// Time before which it is not ready; of a ready task: since when it is.
    pub ready_from: DateTime<Utc>,
    /// Since when it ages in the order of claims.
    pub ranked_from: DateTime<Utc>,
    /// Number of counted attempts.
    pub attempts_used: i32,
    /// Number of consecutive lost leases.
    pub lost_in_row: i32,
    /// Number of consecutive releases.
    pub released_in_row: i32,
    /// `true` sets the number of unmet needs to 0; `false` keeps it.
    pub needs_met: bool,
    /// The limit it is parked for, and the least amount it needs of that.
    pub short: Option<(LimitId, i64)>,
    /// Its failure class.
    pub failure: Option<FailureClass>,
    /// Reason of its end, for people.
    pub reason: Option<String>,
}

impl TaskMove {
    /// A move that keeps a task's counters and its place in the order of claims from `now` on. What
    /// becomes ready is so from `now`, however long ago its start time was.
    #[must_use]
    pub fn of(task: &TaskFacts, state: TaskState, now: DateTime<Utc>) -> Self {
        let ready = state == TaskState::Ready;
        Self {
            task_id: task.task_id,
            state,
            ready_from: if ready { task.ready_from.max(now) } else { task.ready_from },
            ranked_from: now,
            attempts_used: task.attempts_used,
            lost_in_row: task.lost_in_row,
            released_in_row: task.released_in_row,
            needs_met: false,
            short: None,
            failure: None,
            reason: None,
        }
    }
}

/// Writes state changes. Deadlines start when a task is first ready, and stop while it waits for
/// people or its subtasks. A result that arrived before a forced cancellation is kept.
///
/// # Errors
/// When a task has ended (terminal states absorb).
pub async fn apply(tx: &mut Tx, moves: &[TaskMove]) -> Result<(), WriteError> {
    let states: Vec<&str> = moves.iter().map(|m| m.state.as_str()).collect();
    let failures: Vec<Option<&str>> =
        moves.iter().map(|m| m.failure.map(FailureClass::as_str)).collect();
    let changed = sqlx::query!(
        r#"
        update tasks t
        set state = m.state, ready_from = m.ready_from, ranked_from = m.ranked_from,
            claim_rank = case when m.state in ('ready', 'parked') then claim_rank_of(
                m.ranked_from, t.priority, t.upward_ms,
                (select least(g.deadline, coalesce(
                            t.finish_by + coalesce($2 - t.rests_since, interval '0'),
                            $2::timestamptz + t.finish_within_ms * interval '1 ms'))
                 from goals g where g.workspace_id = $1 and g.goal_id = t.goal_id),
                (select w.routing = 'fifo' from workspaces w where w.workspace_id = $1))
                else t.claim_rank end,
            turn_of = case when m.state <> 'ready' then t.turn_of
                when (select w.routing = 'fifo' from workspaces w where w.workspace_id = $1)
                    then '00000000-0000-0000-0000-000000000000'::uuid
                else t.goal_id end,
            attempts_used = m.attempts_used, lost_in_row = m.lost_in_row,
            released_in_row = m.released_in_row,
            needs_unmet = case when m.needs_met then 0 else t.needs_unmet end,
            failure_class = m.failure,
            short_limit_id = m.short_limit_id, short_min = m.short_min,
            ended_at = case when m.state in ('done', 'failed', 'cancelled') then $2::timestamptz end,
            start_by = case when m.state = 'ready' and t.attempts_started = t.attempts_before
                            then coalesce(t.start_by, $2::timestamptz + t.start_within_ms * interval '1 ms') end,
            finish_by = case when m.state = 'ready'
                             then coalesce(t.finish_by + coalesce($2 - t.rests_since, interval '0'),
                                           $2::timestamptz + t.finish_within_ms * interval '1 ms')
                             else t.finish_by end,
            oversized_at = case when m.state = 'parked' then t.oversized_at end,
            rests_since = case when m.state in ('parked', 'reviewing') then $2 end,
            cancel_by = case when m.state <> 'reviewing' then t.cancel_by end,
            version = t.version + 1, updated_at = $2
        from unnest($3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::int[],
                    $8::int[], $9::text[], $10::bool[], $11::uuid[], $12::bigint[],
                    $13::int[])
             as m (task_id, state, ready_from, ranked_from, attempts_used, lost_in_row, failure,
                   needs_met, short_limit_id, short_min, released_in_row)
        where t.workspace_id = $1 and t.task_id = m.task_id and t.ended_at is null
        "#,
        tx.workspace.0,
        tx.now,
        &moves.iter().map(|m| m.task_id.0).collect::<Vec<_>>(),
        &states as &[&str],
        &moves.iter().map(|m| m.ready_from).collect::<Vec<_>>(),
        &moves.iter().map(|m| m.ranked_from).collect::<Vec<_>>(),
        &moves.iter().map(|m| m.attempts_used).collect::<Vec<_>>(),
        &moves.iter().map(|m| m.lost_in_row).collect::<Vec<_>>(),
        &failures as &[Option<&str>],
        &moves.iter().map(|m| m.needs_met).collect::<Vec<_>>(),
        &moves.iter().map(|m| m.short.map(|(limit, _)| limit.0)).collect::<Vec<_>>()
            as &[Option<uuid::Uuid>],
        &moves.iter().map(|m| m.short.map(|(_, min)| min)).collect::<Vec<_>>() as &[Option<i64>],
        &moves.iter().map(|m| m.released_in_row).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.moves.apply"))
    .await?;
    complete(&changed, moves.len(), "a task that has ended was to be moved")?;
    let said: Vec<&TaskMove> = moves.iter().filter(|m| m.reason.is_some()).collect();
    if said.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update task_texts t set end_reason = m.reason
         from unnest($2::uuid[], $3::text[]) as m (task_id, reason)
         where t.workspace_id = $1 and t.task_id = m.task_id",
        tx.workspace.0,
        &said.iter().map(|m| m.task_id.0).collect::<Vec<_>>(),
        &said.iter().filter_map(|m| m.reason.clone()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.moves.apply"))
    .await?;
    Ok(())
}

/// Satisfies dependencies on done tasks. Locks and returns the waiting tasks with no unmet need
/// left. Does not write the 0 to these: the caller's [`apply`] does, because each update of a task
/// writes many index entries.
pub async fn satisfy(tx: &mut Tx, done: &[TaskId]) -> sqlx::Result<Vec<TaskFacts>> {
    sqlx::query_as!(
        TaskFacts,
        r#"
        with satisfied as (
            update dependencies set satisfied_at = $2
            where workspace_id = $1 and needs_task_id = any($3) and satisfied_at is null
            returning task_id
        ), counts as (
            select task_id, count(*)::int as n from satisfied group by task_id
        ), locked as materialized (
            select t.*, t.needs_unmet - c.n as left_over
            from tasks t join counts c using (task_id)
            where t.workspace_id = $1 order by t.task_id for no key update of t
        ), lowered as (
            update tasks t set needs_unmet = l.left_over
            from locked l where t.workspace_id = $1 and t.task_id = l.task_id
              and not (l.left_over = 0 and l.state = 'waiting')
        )
        select task_id as "task_id: TaskId", goal_id as "goal_id: GoalId",
               parent_id as "parent_id: TaskId", container, state as "state: TaskState", priority,
               ready_from, children_open, children_failed, attempts_used, max_attempts,
               lost_in_row, released_in_row, approve_start, approve_result,
               current_attempt_id as "current_attempt: AttemptId",
               cancel_requested_at is not null as "cancelling!", max_rework, reworks, weight,
               criteria_version, checks_attempt_id as "checks: AttemptId"
        from locked where left_over = 0 and state = 'waiting' order by task_id
        "#,
        tx.workspace.0,
        tx.now,
        &uuids(done),
    )
    .fetch_all(traced!(tx, "tasks.moves.satisfy"))
    .await
}

/// Decrements the unmet needs of the children of opening containers; returns the children with none
/// left.
pub async fn open_gates(tx: &mut Tx, containers: &[TaskId]) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"
        with locked as materialized (
            select task_id from tasks
            where workspace_id = $1 and parent_id = any($2) and ended_at is null
            order by task_id for no key update
        ), lowered as (
            update tasks t set needs_unmet = t.needs_unmet - 1
            from locked l where t.workspace_id = $1 and t.task_id = l.task_id
            returning t.task_id, t.needs_unmet, t.state
        )
        select task_id as "task_id: TaskId" from lowered
        where needs_unmet = 0 and state = 'waiting' order by task_id
        "#,
        tx.workspace.0,
        &uuids(containers),
    )
    .fetch_all(traced!(tx, "tasks.moves.open_gates"))
    .await
}

/// Updates the parents' counts for ended children; returns open parents without an open child.
pub async fn children_ended(tx: &mut Tx, children: &[TaskId]) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"
        with counts as (
            select parent_id, count(*)::int as ended,
                   count(*) filter (where state <> 'done' and not dropped)::int as failed
            from tasks where workspace_id = $1 and task_id = any($2) and parent_id is not null
            group by parent_id
        ), locked as materialized (
            select p.task_id, c.ended, c.failed
            from tasks p join counts c on c.parent_id = p.task_id
            where p.workspace_id = $1 order by p.task_id for no key update of p
        ), counted as (
            update tasks p
            set children_open = p.children_open - l.ended,
                children_failed = p.children_failed + l.failed
            from locked l where p.workspace_id = $1 and p.task_id = l.task_id
            returning p.task_id, p.children_open, p.ended_at
        )
        select task_id as "task_id: TaskId" from counted
        where children_open = 0 and ended_at is null order by task_id
        "#,
        tx.workspace.0,
        &uuids(children),
    )
    .fetch_all(traced!(tx, "tasks.moves.children_ended"))
    .await
}

/// All open tasks lost through failed or cancelled ones: their dependents and children,
/// transitively.
pub async fn lost_with(tx: &mut Tx, ended: &[TaskId]) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"
        with recursive lost (task_id) as (
            select unnest($2::uuid[])
            union
            select n.task_id from lost l
            cross join lateral (
                select d.task_id from dependencies d
                where d.workspace_id = $1 and d.needs_task_id = l.task_id and d.satisfied_at is null
                union all
                select c.task_id from tasks c where c.workspace_id = $1 and c.parent_id = l.task_id
            ) n
        )
        select t.task_id as "task_id: TaskId"
        from tasks t join lost using (task_id)
        where t.workspace_id = $1 and t.ended_at is null and t.task_id <> all($2)
        order by t.task_id
        "#,
        tx.workspace.0,
        &uuids(ended),
    )
    .fetch_all(traced!(tx, "tasks.moves.lost_with"))
    .await
}

/// Requests the cancellation of running tasks: heartbeats report it, and `cancel_by` forces it.
pub async fn request_cancel(
    tx: &mut Tx,
    cancel_by: DateTime<Utc>,
    tasks: &[TaskId],
) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set cancel_requested_at = $2, cancel_by = $3, version = version + 1,
                updated_at = $2
         where workspace_id = $1 and task_id = any($4) and cancel_requested_at is null",
        tx.workspace.0,
        tx.now,
        cancel_by,
        &uuids(tasks),
    )
    .execute(traced!(tx, "tasks.moves.request_cancel"))
    .await?;
    Ok(())
}

/// Records that a person approved the start; it needs no further approval.
pub async fn start_approved(tx: &mut Tx, task: TaskId) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set approve_start = false where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
    )
    .execute(traced!(tx, "tasks.moves.start_approved"))
    .await?;
    Ok(())
}

/// Change of a goal's task counters in a unit of work.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountChange {
    /// Tasks added.
    pub total: i32,
    /// Net change of open tasks.
    pub open: i32,
    /// Tasks done.
    pub done: i32,
    /// Tasks failed.
    pub failed: i32,
    /// Tasks cancelled.
    pub cancelled: i32,
    /// Weight of tasks added.
    pub weight: i64,
    /// Weight of tasks done.
    pub weight_done: i64,
    /// Weight of tasks cancelled.
    pub weight_cancelled: i64,
}

/// Changes the counters of goals; returns each goal's state and new counters.
pub async fn count(
    tx: &mut Tx,
    changes: &[(GoalId, CountChange)],
) -> sqlx::Result<Vec<(GoalId, GoalState, TaskCounts)>> {
    macro_rules! column {
        ($of:ident) => {
            &changes.iter().map(|(_, change)| change.$of).collect::<Vec<_>>()
        };
    }
    let rows = sqlx::query!(
        r#"
        update goals g
        set tasks_total = g.tasks_total + c.total, tasks_open = g.tasks_open + c.open,
            tasks_done = g.tasks_done + c.done, tasks_failed = g.tasks_failed + c.failed,
            tasks_cancelled = g.tasks_cancelled + c.cancelled,
            weight_total = g.weight_total + c.weight, weight_done = g.weight_done + c.weight_done,
            weight_cancelled = g.weight_cancelled + c.weight_cancelled, updated_at = $2
        from unnest($3::uuid[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[],
                    $9::bigint[], $10::bigint[], $11::bigint[])
             as c (goal_id, total, open, done, failed, cancelled, weight, weight_done,
                   weight_cancelled)
        where g.workspace_id = $1 and g.goal_id = c.goal_id
        returning g.goal_id as "goal_id: GoalId", g.state as "state: GoalState", g.tasks_total,
                  g.tasks_open, g.tasks_done, g.tasks_failed, g.tasks_cancelled
        "#,
        tx.workspace.0,
        tx.now,
        &changes.iter().map(|(goal, _)| goal.0).collect::<Vec<_>>(),
        column!(total),
        column!(open),
        column!(done),
        column!(failed),
        column!(cancelled),
        column!(weight),
        column!(weight_done),
        column!(weight_cancelled),
    )
    .fetch_all(traced!(tx, "tasks.moves.count"))
    .await?;
    let counted = rows.into_iter().map(|row| {
        let counts = TaskCounts {
            total: row.tasks_total,
            open: row.tasks_open,
            done: row.tasks_done,
            failed: row.tasks_failed,
            cancelled: row.tasks_cancelled,
        };
        (row.goal_id, row.state, counts)
    });
    Ok(counted.collect())
}
