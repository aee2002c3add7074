//! Dedup keys: the goals and tasks that hold them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Tx, traced};
use crate::domain::{
    ids::{GoalId, ProjectId, TaskId},
    states::TaskState,
};

/// A key to be taken.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    /// The key.
    pub key: &'a str,
    /// The goal, or the goal of the task.
    pub goal: GoalId,
    /// The task.
    pub task: Option<TaskId>,
    /// Held until then; `None`: while its holder is open.
    pub held_until: Option<DateTime<Utc>>,
}

fn place(project: Option<ProjectId>) -> Uuid {
    project.map_or(Uuid::nil(), |project| project.0)
}

/// Takes a key for a goal if nothing has it; returns whether it did. Waits for another transaction that takes
/// it.
pub async fn take_new(
    tx: &mut Tx,
    project: Option<ProjectId>,
    new: &NewKey<'_>,
) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "insert into dedup_keys (workspace_id, within, key, goal_id, held_until, taken_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict do nothing",
        tx.workspace.0,
        place(project),
        new.key,
        new.goal.0,
        new.held_until,
        tx.now,
    )
    .execute(traced!(tx, "dedup.take_new"))
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// The goal that has a key.
#[derive(Debug, Clone, Copy)]
pub struct GoalHolder {
    /// The goal.
    pub goal_id: GoalId,
    /// Whether it was deleted.
    pub gone: bool,
    /// Whether it has not ended and is still in the project.
    pub open: bool,
    /// Until when the key is held.
    pub held_until: Option<DateTime<Utc>>,
}

/// Locks a key of a goal; `None` if it is gone.
pub async fn lock_of_goal(
    tx: &mut Tx,
    project: Option<ProjectId>,
    key: &str,
) -> sqlx::Result<Option<GoalHolder>> {
    sqlx::query_as!(
        GoalHolder,
        r#"select k.goal_id as "goal_id: GoalId",
                  g.goal_id is null as "gone!",
                  g.goal_id is not null and g.ended_at is null
                      and g.project_id is not distinct from $4::uuid as "open!",
                  -- A goal that left the project holds nothing there.
                  case when g.goal_id is null or g.project_id is not distinct from $4
                       then k.held_until end as held_until
           from dedup_keys k
           left join goals g on g.workspace_id = $1 and g.goal_id = k.goal_id
           where k.workspace_id = $1 and k.within = $2 and k.key = $3
           for no key update of k"#,
        tx.workspace.0,
        place(project),
        key,
        project.map(|project| project.0),
    )
    .fetch_optional(traced!(tx, "dedup.lock_of_goal"))
    .await
}

/// Gives a locked key to another goal.
pub async fn pass_on(
    tx: &mut Tx,
    project: Option<ProjectId>,
    new: &NewKey<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update dedup_keys set goal_id = $4, held_until = $5, taken_at = $6
         where workspace_id = $1 and within = $2 and key = $3",
        tx.workspace.0,
        place(project),
        new.key,
        new.goal.0,
        new.held_until,
        tx.now,
    )
    .execute(traced!(tx, "dedup.pass_on"))
    .await?;
    Ok(())
}

/// Deletes up to a thousand keys whose time is over. Returns their number.
pub async fn sweep(tx: &mut Tx) -> sqlx::Result<u64> {
    let swept = sqlx::query!(
        "delete from dedup_keys
         where workspace_id = $1 and (within, key) in (
             select within, key from dedup_keys
             where workspace_id = $1 and held_until <= $2
             order by held_until
             limit 1000
             for update skip locked)",
        tx.workspace.0,
        tx.now,
    )
    .execute(traced!(tx, "dedup.sweep"))
    .await?;
    Ok(swept.rows_affected())
}

/// A task that has a key.
#[derive(Debug, Clone)]
pub struct TaskHolder {
    /// The key.
    pub key: String,
    /// The task.
    pub task_id: TaskId,
    /// Its name in the plan.
    pub reference: String,
    /// Its state.
    pub state: TaskState,
    /// Until when the key is held.
    pub held_until: Option<DateTime<Utc>>,
}

/// The tasks of a locked goal that have these keys.
pub async fn of_tasks(tx: &mut Tx, goal: GoalId, keys: &[String]) -> sqlx::Result<Vec<TaskHolder>> {
    sqlx::query_as!(
        TaskHolder,
        r#"select k.key, t.task_id as "task_id: TaskId", t.ref as reference,
                  t.state as "state: TaskState", k.held_until
           from dedup_keys k
           join tasks t on t.workspace_id = $1 and t.task_id = k.task_id
           where k.workspace_id = $1 and k.within = $2 and k.key = any($3)"#,
        tx.workspace.0,
        goal.0,
        keys,
    )
    .fetch_all(traced!(tx, "dedup.of_tasks"))
    .await
}

/// Gives keys to tasks of a locked goal, whoever had them.
pub async fn take_for_tasks(tx: &mut Tx, goal: GoalId, new: &[NewKey<'_>]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into dedup_keys (workspace_id, within, key, goal_id, task_id, held_until, taken_at)
         select $1, $2, n.key, $2, n.task_id, n.held_until, $3
         from unnest($4::text[], $5::uuid[], $6::timestamptz[]) as n (key, task_id, held_until)
         on conflict (workspace_id, within, key) do update
             set task_id = excluded.task_id, held_until = excluded.held_until,
                 taken_at = excluded.taken_at",
        tx.workspace.0,
        goal.0,
        tx.now,
        &new.iter().map(|new| new.key.to_owned()).collect::<Vec<_>>(),
        &new.iter().map(|new| new.task.map(|task| task.0)).collect::<Vec<_>>() as &[Option<Uuid>],
        &new.iter().map(|new| new.held_until).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    )
    .execute(traced!(tx, "dedup.take_for_tasks"))
    .await?;
    Ok(())
}
