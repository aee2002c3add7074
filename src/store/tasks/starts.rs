//! Start times: of goals, and of tasks of their own.

use chrono::{DateTime, Utc};

use crate::{
    domain::ids::{GoalId, TaskId},
    store::{Tx, columns::uuids, traced},
};

/// Before this time no task of the goal is ready.
pub async fn of_goal(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "select start_at from goals where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "tasks.starts.of_goal"))
    .await
}

/// Sets the start time of a locked goal. Its tasks keep theirs.
pub async fn set_of_goal(
    tx: &mut Tx,
    goal: GoalId,
    start_at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update goals set start_at = $3 where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
        start_at,
    )
    .execute(traced!(tx, "tasks.starts.set_of_goal"))
    .await?;
    Ok(())
}

/// Sets the own start times of locked tasks.
pub async fn set_own(tx: &mut Tx, own: &[(TaskId, Option<DateTime<Utc>>)]) -> sqlx::Result<()> {
    if own.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update tasks t set not_before = n.not_before
         from unnest($2::uuid[], $3::timestamptz[]) as n (task_id, not_before)
         where t.workspace_id = $1 and t.task_id = n.task_id",
        tx.workspace.0,
        &own.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &own.iter().map(|(_, own)| *own).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    )
    .execute(traced!(tx, "tasks.starts.set_own"))
    .await?;
    Ok(())
}

/// The open tasks of a goal that nobody has begun, each with its own start time.
pub async fn not_begun(
    tx: &mut Tx,
    goal: GoalId,
) -> sqlx::Result<Vec<(TaskId, Option<DateTime<Utc>>)>> {
    let rows = sqlx::query!(
        r#"select task_id as "task_id: TaskId", not_before from tasks
           where workspace_id = $1 and goal_id = $2 and purpose is null
             and state in ('waiting', 'ready', 'parked') and attempts_started = 0
           order by task_id"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "tasks.starts.not_begun"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.not_before)).collect())
}

/// Moves the start times of locked tasks that wait. Their deadlines begin when they are ready.
pub async fn move_waiting(tx: &mut Tx, moved: &[(TaskId, DateTime<Utc>)]) -> sqlx::Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update tasks t set ready_from = m.ready_from, start_by = null, finish_by = null,
                version = t.version + 1, updated_at = $2
         from unnest($3::uuid[], $4::timestamptz[]) as m (task_id, ready_from)
         where t.workspace_id = $1 and t.task_id = m.task_id and t.state = 'waiting'",
        tx.workspace.0,
        tx.now,
        &uuids(&moved.iter().map(|(task, _)| *task).collect::<Vec<_>>()),
        &moved.iter().map(|(_, ready_from)| *ready_from).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.starts.move_waiting"))
    .await?;
    Ok(())
}
