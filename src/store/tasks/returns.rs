//! Work that comes back: the tasks of a goal with their dependencies, and what a return changes.
//!
//! Callers have locked the goal.

use crate::{
    domain::{
        ids::{AttemptId, GoalId, TaskId},
        states::TaskState,
        task::returns::{
            Cause, Held, MoreChildren, Return,
            graph::{Edge, Node},
        },
    },
    store::{Tx, WriteError, columns::uuids, complete, traced},
};

/// Locks all tasks of a goal in id order. A claim that came before is waited for; a later one skips
/// them.
pub async fn lock_all(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<Node>> {
    sqlx::query_as!(
        Node,
        r#"
        select t.task_id as "task_id: TaskId", t.ref as "reference", t.state as "state: TaskState",
               t.container, t.parent_id as "parent: TaskId", (t.attempts_started > 0 and not t.container) as "started!",
               t.lost_cause, t.children_open,
               -- A criterion that is decided, or checked anew, no longer waits for its check. A goal with
               -- tasks to bring back has its plan, and a dropped task is not in it.
               t.dropped or coalesce(t.purpose in ('plan', 'check'), false)
                   or t.purpose is not distinct from 'verify' and not exists (
                       select from goal_criteria c
                       where c.workspace_id = $1 and c.goal_id = $2 and c.task_id = t.task_id
                         and c.state = 'open') as "obsolete!"
        from tasks t
        where t.workspace_id = $1 and t.goal_id = $2
        order by t.task_id
        for no key update of t
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "tasks.returns.lock_all"))
    .await
}

/// All dependencies between the tasks of a goal.
pub async fn dependencies(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<Edge>> {
    sqlx::query_as!(
        Edge,
        r#"
        select d.task_id as "task: TaskId", d.needs_task_id as "needs: TaskId",
               d.satisfied_at is not null as "satisfied!"
        from tasks t
        join dependencies d on d.workspace_id = $1 and d.task_id = t.task_id
        where t.workspace_id = $1 and t.goal_id = $2
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "tasks.returns.dependencies"))
    .await
}

/// What a retry grants beside the new attempts; `None` keeps what the plan says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grant {
    /// Number of further counted attempts.
    pub attempts: Option<i32>,
    /// Longest time from ready to the first claim, in milliseconds.
    pub start_within_ms: Option<i64>,
    /// Longest time of all attempts together, in milliseconds.
    pub finish_within_ms: Option<i64>,
}

/// Makes ended tasks wait. Nothing of their end is left, their deadlines begin anew, and nobody is kept
/// for them or barred from them. A retried task may be tried as often as `grant` says, beyond the
/// attempts it has used.
///
/// # Errors
/// When a task has not ended.
pub async fn come_back(tx: &mut Tx, tasks: &[Return], grant: Grant) -> Result<(), WriteError> {
    let ids: Vec<_> = tasks.iter().map(|task| task.task_id.0).collect();
    let retried = |task: &Return| task.cause == Cause::Retried;
    let reopened = |task: &Return| task.from == TaskState::Done;
    let changed = sqlx::query!(
        r#"
        update tasks t
        set state = 'waiting', needs_unmet = r.needs_unmet, ended_at = null, failure_class = null,
            acknowledged_at = null, cancel_requested_at = null, cancel_by = null, lost_cause = false,
            dropped = false, start_by = null, finish_by = null, rests_since = null,
            attempts_before = t.attempts_started,
            assigned_agent_id = null, barred_agent_id = null,
            offered_capability = null, offer_until = null,
            lost_in_row = 0, released_in_row = 0,
            planned_attempts = case when r.retried then coalesce(t.planned_attempts, t.max_attempts)
                               else t.planned_attempts end,
            max_attempts = case when r.retried
                           then t.attempts_used + coalesce($6, t.planned_attempts, t.max_attempts)
                           else t.max_attempts end,
            start_within_ms = case when r.retried then coalesce($7, t.start_within_ms)
                              else t.start_within_ms end,
            finish_within_ms = case when r.retried then coalesce($8, t.finish_within_ms)
                               else t.finish_within_ms end,
            reopened_at = case when r.reopened then $2 else t.reopened_at end,
            version = t.version + 1, updated_at = $2
        from unnest($3::uuid[], $4::int[], $5::bool[], $9::bool[])
             as r (task_id, needs_unmet, retried, reopened)
        where t.workspace_id = $1 and t.task_id = r.task_id and t.ended_at is not null
        "#,
        tx.workspace.0,
        tx.now,
        &ids,
        &tasks.iter().map(|task| task.needs_unmet).collect::<Vec<_>>(),
        &tasks.iter().map(retried).collect::<Vec<_>>(),
        grant.attempts,
        grant.start_within_ms,
        grant.finish_within_ms,
        &tasks.iter().map(reopened).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.returns.come_back"))
    .await?;
    complete(&changed, tasks.len(), "a task that has not ended was to come back")?;
    sqlx::query!(
        "update task_texts set end_reason = null
         where workspace_id = $1 and task_id = any($2) and end_reason is not null",
        tx.workspace.0,
        &ids,
    )
    .execute(traced!(tx, "tasks.returns.come_back"))
    .await?;
    Ok(())
}

/// Undoes the marks of dependencies, each of a task on the one it needs.
pub async fn undo(tx: &mut Tx, dependencies: &[(TaskId, TaskId)]) -> sqlx::Result<()> {
    if dependencies.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update dependencies d set satisfied_at = null
         from unnest($2::uuid[], $3::uuid[]) as u (task_id, needs_task_id)
         where d.workspace_id = $1 and d.task_id = u.task_id and d.needs_task_id = u.needs_task_id",
        tx.workspace.0,
        &dependencies.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &dependencies.iter().map(|(_, needs)| needs.0).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.returns.undo"))
    .await?;
    Ok(())
}

/// Makes tasks that were not begun wait for more. Their deadlines begin when they are next ready.
pub async fn hold(tx: &mut Tx, held: &[Held]) -> sqlx::Result<()> {
    if held.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        update tasks t
        set needs_unmet = t.needs_unmet + h.more_needs,
            state = case when h.waits_again then 'waiting' else t.state end,
            start_by = case when h.waits_again then null else t.start_by end,
            finish_by = case when h.waits_again then null else t.finish_by end,
            rests_since = case when h.waits_again then null else t.rests_since end,
            oversized_at = case when h.waits_again then null else t.oversized_at end,
            short_limit_id = case when h.waits_again then null else t.short_limit_id end,
            short_min = case when h.waits_again then null else t.short_min end,
            version = t.version + h.waits_again::int,
            updated_at = case when h.waits_again then $2 else t.updated_at end
        from unnest($3::uuid[], $4::int[], $5::bool[]) as h (task_id, more_needs, waits_again)
        where t.workspace_id = $1 and t.task_id = h.task_id
        "#,
        tx.workspace.0,
        tx.now,
        &held.iter().map(|held| held.task_id.0).collect::<Vec<_>>(),
        &held.iter().map(|held| held.more_needs).collect::<Vec<_>>(),
        &held.iter().map(|held| held.waits_again).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.returns.hold"))
    .await?;
    Ok(())
}

/// Counts children that come back. A task that restarted its count of those not done keeps it at 0.
pub async fn count_children(tx: &mut Tx, parents: &[(TaskId, MoreChildren)]) -> sqlx::Result<()> {
    if parents.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update tasks p
         set children_open = p.children_open + m.open,
             children_failed = greatest(p.children_failed - m.failed, 0)
         from unnest($2::uuid[], $3::int[], $4::int[]) as m (task_id, open, failed)
         where p.workspace_id = $1 and p.task_id = m.task_id",
        tx.workspace.0,
        &parents.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &parents.iter().map(|(_, more)| more.open).collect::<Vec<_>>(),
        &parents.iter().map(|(_, more)| more.failed).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.returns.count_children"))
    .await?;
    Ok(())
}

/// Those of the tasks that wait for no other. The rest is freed with what it waits for.
pub async fn free(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"select task_id as "task_id: TaskId" from tasks
           where workspace_id = $1 and task_id = any($2) and state = 'waiting' and needs_unmet = 0
           order by task_id"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.returns.free"))
    .await
}

/// Locks the accepted attempt of a task; `None` if the plan said that it is done.
pub async fn lock_accepted(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<AttemptId>> {
    sqlx::query_scalar!(
        r#"select attempt_id as "attempt_id: AttemptId" from attempts
           where workspace_id = $1 and task_id = $2 and state = 'accepted'
           for no key update"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_optional(traced!(tx, "tasks.returns.lock_accepted"))
    .await
}

/// Those of the containers with a child that failed, or that was lost with one that did.
pub async fn with_failed_children(tx: &mut Tx, containers: &[TaskId]) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"select distinct parent_id as "parent_id!: TaskId" from tasks
           where workspace_id = $1 and parent_id = any($2)
             and (state = 'failed' or (state = 'cancelled' and lost_cause))"#,
        tx.workspace.0,
        &uuids(containers),
    )
    .fetch_all(traced!(tx, "tasks.returns.with_failed_children"))
    .await
}

/// Takes the mark of the lost from a task, from what it contains, and from all that needs one of these: they
/// are cancelled on request now. Returns whether there was one.
pub async fn keep_cancelled(tx: &mut Tx, task: TaskId) -> sqlx::Result<bool> {
    let changed = sqlx::query!(
        r#"
        with recursive unwanted (task_id) as (
            select $2::uuid
            union
            select n.task_id from unwanted u
            cross join lateral (
                select d.task_id from dependencies d
                where d.workspace_id = $1 and d.needs_task_id = u.task_id and d.satisfied_at is null
                union all
                select c.task_id from tasks c where c.workspace_id = $1 and c.parent_id = u.task_id
            ) n
        ), locked as materialized (
            select t.task_id from tasks t join unwanted using (task_id)
            where t.workspace_id = $1 and t.lost_cause
            order by t.task_id for no key update of t
        )
        update tasks t set lost_cause = false
        from locked l where t.workspace_id = $1 and t.task_id = l.task_id
        "#,
        tx.workspace.0,
        task.0,
    )
    .execute(traced!(tx, "tasks.returns.keep_cancelled"))
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// Marks tasks as lost: they are cancelled or asked to stop, only because another failed.
pub async fn mark_lost(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set lost_cause = true
         where workspace_id = $1 and task_id = any($2) and cancel_requested_at is null",
        tx.workspace.0,
        &uuids(tasks),
    )
    .execute(traced!(tx, "tasks.returns.mark_lost"))
    .await?;
    Ok(())
}
