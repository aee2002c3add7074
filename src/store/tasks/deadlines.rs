//! Effects of time on tasks: start times, backoffs and deadlines.

use chrono::{DateTime, Utc};

use crate::{
    domain::ids::{GoalId, TaskId},
    store::{Tx, columns::uuids, traced},
};

/// Times of the next due work; `None`: nothing will be due.
#[derive(Debug, Clone, Copy)]
pub struct NextDue {
    /// Earliest deadline of an attempt or task.
    pub expires_at: Option<DateTime<Utc>>,
    /// Earliest time at which a waiting task becomes ready.
    pub ready_from: Option<DateTime<Utc>>,
    /// Earliest expiry or reminder of an approval.
    pub approvals_due: Option<DateTime<Utc>>,
    /// Whether a task waits for the price of a model.
    pub prices_wait: bool,
    /// Whether a task or approval waits for a budget, or an allocation is unsettled.
    pub funds_wait: bool,
    /// Whether a rule is enabled or an intervention open.
    pub rules_act: bool,
    /// Whether a planner has its turn, or a planning task ended or has a result.
    pub plans_wait: bool,
    /// Earliest time after which a planning run is taken again.
    pub plans_until: Option<DateTime<Utc>>,
    /// Whether the journal has unsealed rows.
    pub seals_wait: bool,
    /// Whether the journal has rows that may have changed the progress of a goal.
    pub progress_unread: bool,
    /// Earliest time at which the progress of a changed goal is computed.
    pub progress_due: Option<DateTime<Utc>>,
    /// Earliest due time of a schedule.
    pub schedules_due: Option<DateTime<Utc>>,
    /// Whether a schedule has a queued fire.
    pub fires_wait: bool,
    /// Earliest end of the offer of a handed-over task.
    pub offer_until: Option<DateTime<Utc>>,
    /// Whether a comment is spread, or a delivery of one kept.
    pub comments_wait: bool,
    /// Whether ready tasks are to be ranked again.
    pub ranks_wait: bool,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// Reads when work is next due. One statement, so an idle supervisor costs next to nothing. Every
/// minimum is the first entry of an index, except for leases: their number is that of running
/// attempts.
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
               exists (select from price_waits where workspace_id = $1) as "prices_wait!",
               exists (select from tasks
                       where workspace_id = $1 and short_limit_id is not null)
                   or exists (select from approvals
                              where workspace_id = $1 and state = 'pending' and limit_id is not null)
                   or exists (select from allocations
                              where workspace_id = $1 and closed_at is null) as "funds_wait!",
               exists (select from rules where workspace_id = $1 and enabled)
                   or exists (select from interventions
                              where workspace_id = $1 and closed_at is null) as "rules_act!",
               exists (select from planning_runs r
                       left join tasks t on t.workspace_id = $1 and t.task_id = r.task_id
                       left join tasks p on p.workspace_id = $1 and p.task_id = r.parts_of
                       where r.workspace_id = $1 and r.state in ('waiting', 'running')
                         and (r.state = 'waiting' or t.ended_at is not null or t.state = 'reviewing'
                              or r.parts_of is not null and p.oversized_at is null)
                       ) as "plans_wait!",
               (select min(running_until) from planning_runs
                where workspace_id = $1 and state in ('waiting', 'running')) as plans_until,
               exists (select from journal_heads h
                       where h.workspace_id = $1 and h.last_number > coalesce(
                           (select sealed_to from journal_chains where workspace_id = $1), 0))
                   as "seals_wait!",
               exists (select from journal_heads h
                       where h.workspace_id = $1 and h.last_number > coalesce(
                           (select read_to from progress_cursors where workspace_id = $1), 0))
                   as "progress_unread!",
               (select min(due_at) from goal_progress
                where workspace_id = $1 and due_at is not null) as progress_due,
               (select min(next_due) from schedules
                where workspace_id = $1 and next_due is not null) as schedules_due,
               exists (select from schedules
                       where workspace_id = $1 and queued > 0) as "fires_wait!",
               (select min(offer_until) from tasks
                where workspace_id = $1 and offer_until is not null and ended_at is null) as offer_until,
               exists (select from comments_to_spread where workspace_id = $1)
                   or exists (select from comment_deliveries where workspace_id = $1)
                   as "comments_wait!",
               exists (select from rank_cursors where workspace_id = $1) as "ranks_wait!",
               clock_timestamp() as "now!"
        "#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "tasks.deadlines.next_due"))
    .await
}

/// Up to 500 waiting tasks whose `ready_from` has come.
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

/// Tasks past one of their deadlines.
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
    /// Time by which it must be claimed.
    pub start_by: Option<DateTime<Utc>>,
    /// Time by which it must end.
    pub finish_by: Option<DateTime<Utc>>,
    /// Time at which its cancellation is forced.
    pub cancel_by: Option<DateTime<Utc>>,
}

/// Reads the deadlines of tasks.
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
