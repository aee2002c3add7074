//! Waits for budgets: parked tasks, and approvals to raise limits.

use chrono::{DateTime, Utc};

use crate::{
    domain::ids::{ApprovalId, GoalId, LimitId, TaskId},
    store::{Tx, columns::uuids, traced},
};

/// A task waiting for a limit.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Least amount it needs of the limit.
    pub short_min: i64,
    /// Time before which it is not ready.
    pub ready_from: DateTime<Utc>,
    /// Since when it ages in the order of claims.
    pub ranked_from: DateTime<Utc>,
    /// Number of counted attempts.
    pub attempts_used: i32,
    /// Number of consecutive lost leases.
    pub lost_in_row: i32,
    /// Number of consecutive releases.
    pub released_in_row: i32,
}

/// Locks the first `most` tasks waiting for a limit, in claim order; skips locked ones.
pub async fn lock_waiting(tx: &mut Tx, limit: LimitId, most: i64) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        r#"select task_id as "task_id: TaskId", goal_id as "goal_id: GoalId",
                  short_min as "short_min!", ready_from, ranked_from, attempts_used, lost_in_row,
                  released_in_row
           from tasks where workspace_id = $1 and short_limit_id = $2
           order by claim_rank, task_id limit $3
           for no key update skip locked"#,
        tx.workspace.0,
        limit.0,
        most,
    )
    .fetch_all(traced!(tx, "budgets.waits.lock_waiting"))
    .await
}

/// Locks, in id order, the tasks of a goal that wait for one of the limits.
pub async fn lock_of_goal(
    tx: &mut Tx,
    goal: GoalId,
    limits: &[LimitId],
) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        r#"select task_id as "task_id: TaskId", goal_id as "goal_id: GoalId",
                  short_min as "short_min!", ready_from, ranked_from, attempts_used, lost_in_row,
                  released_in_row
           from tasks
           where workspace_id = $1 and goal_id = $2 and short_limit_id = any($3)
           order by task_id
           for no key update"#,
        tx.workspace.0,
        goal.0,
        &uuids(limits),
    )
    .fetch_all(traced!(tx, "budgets.waits.lock_of_goal"))
    .await
}

/// Those of the limits with waiting tasks.
pub async fn awaited(tx: &mut Tx, limits: &[LimitId]) -> sqlx::Result<Vec<LimitId>> {
    sqlx::query_scalar!(
        r#"select n.limit_id as "limit_id!: LimitId" from unnest($2::uuid[]) as n (limit_id)
           where exists (select from tasks t
                         where t.workspace_id = $1 and t.short_limit_id = n.limit_id)"#,
        tx.workspace.0,
        &uuids(limits),
    )
    .fetch_all(traced!(tx, "budgets.waits.awaited"))
    .await
}

/// The limits with waiting tasks or a pending approval.
pub async fn waited_for(tx: &mut Tx) -> sqlx::Result<Vec<LimitId>> {
    sqlx::query_scalar!(
        r#"select distinct short_limit_id as "limit_id!: LimitId" from tasks
           where workspace_id = $1 and short_limit_id is not null
           union
           select limit_id from approvals
           where workspace_id = $1 and state = 'pending' and limit_id is not null"#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "budgets.waits.waited_for"))
    .await
}

/// Up to 1,000 tasks, with their goals, that wait for a limit and need more than `room` of it.
pub async fn waiting_for(
    tx: &mut Tx,
    limit: LimitId,
    room: i64,
) -> sqlx::Result<Vec<(TaskId, GoalId)>> {
    let rows = sqlx::query!(
        r#"select task_id as "task_id: TaskId", goal_id as "goal_id: GoalId" from tasks
           where workspace_id = $1 and short_limit_id = $2 and short_min > $3 limit 1000"#,
        tx.workspace.0,
        limit.0,
        room,
    )
    .fetch_all(traced!(tx, "budgets.waits.waiting_for"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.goal_id)).collect())
}

/// Locks, in id order, those of the tasks that still wait for the limit.
pub async fn lock_still_waiting(
    tx: &mut Tx,
    limit: LimitId,
    tasks: &[TaskId],
) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"select task_id as "task_id: TaskId" from tasks
           where workspace_id = $1 and task_id = any($3) and short_limit_id = $2
           order by task_id for no key update"#,
        tx.workspace.0,
        limit.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "budgets.waits.lock_still_waiting"))
    .await
}

/// The first task, in claim order, waiting for a limit: its goal and the least amount it needs.
pub async fn first_waiting(tx: &mut Tx, limit: LimitId) -> sqlx::Result<Option<(GoalId, i64)>> {
    let row = sqlx::query!(
        r#"select goal_id as "goal_id: GoalId", short_min as "short_min!" from tasks
           where workspace_id = $1 and short_limit_id = $2
           order by claim_rank, task_id limit 1"#,
        tx.workspace.0,
        limit.0,
    )
    .fetch_optional(traced!(tx, "budgets.waits.first_waiting"))
    .await?;
    Ok(row.map(|row| (row.goal_id, row.short_min)))
}

/// Cancels the pending approvals of limits without waiting tasks; returns each with its goal.
pub async fn withdraw_questions(
    tx: &mut Tx,
    limits: &[LimitId],
) -> sqlx::Result<Vec<(ApprovalId, GoalId)>> {
    let rows = sqlx::query!(
        r#"update approvals a set state = 'cancelled', decided_at = $2, version = a.version + 1,
                  reason = 'no task waits for the limit'
           where a.workspace_id = $1 and a.limit_id = any($3) and a.state = 'pending'
             and not exists (select from tasks t where t.workspace_id = $1
                             and t.short_limit_id = a.limit_id)
           returning a.approval_id as "approval_id: ApprovalId", a.goal_id as "goal_id: GoalId""#,
        tx.workspace.0,
        tx.now,
        &uuids(limits),
    )
    .fetch_all(traced!(tx, "budgets.waits.withdraw_questions"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.approval_id, row.goal_id)).collect())
}
