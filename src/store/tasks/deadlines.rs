//! What time does to tasks: start times and backoffs that pass, deadlines that run out.

use chrono::{DateTime, Utc};

use crate::{
    domain::ids::{GoalId, TaskId},
    store::{Tx, columns::uuids, traced},
};

/// When the next things happen by the clock; none: nothing is due ever.
#[derive(Debug, Clone, Copy)]
pub struct NextDue {
    /// When the next attempt or task runs out of time.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the next waiting task is to be offered.
    pub ready_from: Option<DateTime<Utc>>,
    /// When the next approval runs out of time, or people are reminded of one.
    pub approvals_due: Option<DateTime<Utc>>,
    /// Whether something waits for a budget, or has set something aside that is to be settled.
    pub funds_wait: bool,
    /// Whether a rule acts, or what one did is still open.
    pub rules_act: bool,
    /// Whether the journal has rows that are not sealed.
    pub seals_wait: bool,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// Looks when the next things happen by the clock: one statement, so that a supervisor with nothing
/// to do costs next to nothing. Every minimum is the first entry of an index, but for the leases: of
/// these there are never more than attempts run.
pub async fn next_due(tx: &mut Tx) -> sqlx::Result<NextDue> {
    sqlx::query_as!(
        NextDue,
        r#"
        select least(
                   (select min(least(lease_expires_at, hard_deadline)) from attempts
                    where workspace_id = $1 and state = 'running'),
                   (select min(start_by) from tasks
                    where workspace_id = $1 and state = 'ready' and start_by is not null),
                   (select min(finish_by) from tasks
                    where workspace_id = $1 and finish_by is not null
                      and state in ('waiting', 'ready', 'running')),
                   (select min(cancel_by) from tasks
                    where workspace_id = $1 and cancel_by is not null and ended_at is null)
               ) as expires_at,
               (select min(ready_from) from tasks
                where workspace_id = $1 and state = 'waiting' and needs_unmet = 0) as ready_from,
               least((select min(expires_at) from approvals
                      where workspace_id = $1 and state = 'pending' and expires_at is not null),
                     (select min(remind_at) from approvals
                      where workspace_id = $1 and state = 'pending' and remind_at is not null)
               ) as approvals_due,
               exists (select from tasks
                       where workspace_id = $1 and short_limit_id is not null)
                   or exists (select from approvals
                              where workspace_id = $1 and state = 'pending' and limit_id is not null)
                   or exists (select from allocations
                              where workspace_id = $1 and closed_at is null) as "funds_wait!",
               exists (select from rules where workspace_id = $1 and enabled)
                   or exists (select from interventions
                              where workspace_id = $1 and closed_at is null) as "rules_act!",
               exists (select from journal_heads h
                       where h.workspace_id = $1 and h.last_number > coalesce(
                           (select sealed_to from journal_chains where workspace_id = $1), 0))
                   as "seals_wait!",
               clock_timestamp() as "now!"
        "#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "tasks.deadlines.next_due"))
    .await
}

/// Waiting tasks whose time has come. What somebody else is moving is left out.
pub async fn due(tx: &mut Tx) -> sqlx::Result<Vec<(TaskId, GoalId)>> {
    let rows = sqlx::query!(
        r#"select task_id as "task_id: TaskId", goal_id as "goal_id: GoalId" from tasks
           where workspace_id = $1 and state = 'waiting' and needs_unmet = 0 and ready_from <= $2
           order by ready_from limit 500"#,
        tx.workspace.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "tasks.deadlines.due"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.goal_id)).collect())
}

/// Tasks that ran out of time: (task, goal, what ran out).
pub async fn overdue(tx: &mut Tx) -> sqlx::Result<Vec<(TaskId, GoalId)>> {
    let rows = sqlx::query!(
        r#"
        (select task_id as "task_id!: TaskId", goal_id as "goal_id!: GoalId" from tasks
         where workspace_id = $1 and state = 'ready' and start_by <= $2 limit 200)
        union
        (select task_id, goal_id from tasks
         where workspace_id = $1 and finish_by <= $2
           and state in ('waiting', 'ready', 'running') limit 200)
        union
        (select task_id, goal_id from tasks
         where workspace_id = $1 and cancel_by <= $2 and ended_at is null limit 200)
        "#,
        tx.workspace.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "tasks.deadlines.overdue"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.goal_id)).collect())
}

/// The deadlines of a task, read under its lock.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// The task.
    pub task_id: TaskId,
    /// When it must have been claimed.
    pub start_by: Option<DateTime<Utc>>,
    /// When it must have ended.
    pub finish_by: Option<DateTime<Utc>>,
    /// When its cancellation is forced.
    pub cancel_by: Option<DateTime<Utc>>,
}

/// Reads deadlines.
pub async fn deadlines(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<Deadlines>> {
    sqlx::query_as!(
        Deadlines,
        r#"select task_id as "task_id: TaskId", start_by, finish_by, cancel_by from tasks
           where workspace_id = $1 and task_id = any($2)"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.deadlines.deadlines"))
    .await
}
