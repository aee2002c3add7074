//! Waits for the prices of models.

use std::collections::HashMap;

use crate::{
    domain::{
        ids::{AttemptId, GoalId, TaskId},
        price::PriceWait,
        states::TaskState,
    },
    store::{Tx, columns::uuids, traced},
};

/// A task that begins to wait for a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWait {
    /// The task.
    pub task_id: TaskId,
    /// The attempt that used the model.
    pub attempt_id: AttemptId,
    /// The called provider, if it was stated.
    pub provider: Option<String>,
    /// The model.
    pub model: String,
}

/// Stores waits; ignores known ones.
pub async fn note(tx: &mut Tx, waits: &[NewWait]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &waits.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "insert into price_waits (workspace_id, noted_at, task_id, attempt_id, provider, model)
         select $1, $2, w.task_id, w.attempt_id, w.provider, w.model
         from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[])
              as w (task_id, attempt_id, provider, model)
         order by w.task_id, w.provider, w.model
         on conflict do nothing",
        tx.workspace.0,
        tx.now,
        column!(|wait| wait.task_id.0),
        column!(|wait| wait.attempt_id.0),
        column!(|wait| wait.provider.clone().unwrap_or_default()),
        column!(|wait| wait.model.clone()),
    )
    .execute(traced!(tx, "spend.waits.note"))
    .await?;
    Ok(())
}

/// The waits of those of the tasks that have any, oldest first.
pub async fn of_tasks(
    tx: &mut Tx,
    tasks: &[TaskId],
) -> sqlx::Result<HashMap<TaskId, Vec<PriceWait>>> {
    let rows = sqlx::query!(
        r#"select task_id as "task_id: TaskId", nullif(provider, '') as provider, model, noted_at
           from price_waits where workspace_id = $1 and task_id = any($2)
           order by noted_at, provider, model"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "spend.waits.of_tasks"))
    .await?;
    let mut waits: HashMap<TaskId, Vec<PriceWait>> = HashMap::new();
    for row in rows {
        let wait = PriceWait { provider: row.provider, model: row.model, since: row.noted_at };
        waits.entry(row.task_id).or_default().push(wait);
    }
    Ok(waits)
}

/// A wait. After the end of its task only the spend waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// State of the task.
    pub state: TaskState,
    /// The attempt that used the model first.
    pub attempt_id: AttemptId,
    /// The called provider, if it was stated.
    pub provider: Option<String>,
    /// The model.
    pub model: String,
}

/// Whose waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of open tasks.
    Open,
    /// Of ended tasks.
    Ended,
}

/// Up to `rows` waits after a position, in order of task, provider and model. Omits open tasks whose
/// backoff is not over: they wait on.
pub async fn page(
    tx: &mut Tx,
    whose: Whose,
    after: Option<&Waiting>,
    rows: i64,
) -> sqlx::Result<Vec<Waiting>> {
    let (task, provider, model) = after.map_or((uuid::Uuid::nil(), "", ""), |after| {
        (after.task_id.0, after.provider.as_deref().unwrap_or_default(), after.model.as_str())
    });
    sqlx::query_as!(
        Waiting,
        r#"select w.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId",
                  t.state as "state: TaskState", w.attempt_id as "attempt_id: AttemptId",
                  nullif(w.provider, '') as provider, w.model
           from price_waits w
           join tasks t on t.workspace_id = $1 and t.task_id = w.task_id
                and (t.ended_at is not null) = $7 and ($7 or t.ready_from <= $6)
           where w.workspace_id = $1 and (w.task_id, w.provider, w.model) > ($2, $3, $4)
           order by w.task_id, w.provider, w.model limit $5"#,
        tx.workspace.0,
        task,
        provider,
        model,
        rows,
        tx.now,
        whose == Whose::Ended,
    )
    .fetch_all(traced!(tx, "spend.waits.page"))
    .await
}

/// All attempts of tasks.
pub async fn attempts(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<AttemptId>> {
    sqlx::query_scalar!(
        r#"select attempt_id as "attempt_id: AttemptId" from attempts
           where workspace_id = $1 and task_id = any($2) order by attempt_id"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "spend.waits.attempts"))
    .await
}

/// Removes waits.
pub async fn forget(tx: &mut Tx, waits: &[Waiting]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &waits.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "delete from price_waits w
         using unnest($2::uuid[], $3::text[], $4::text[]) as n (task_id, provider, model)
         where w.workspace_id = $1 and w.task_id = n.task_id and w.provider = n.provider
           and w.model = n.model",
        tx.workspace.0,
        column!(|wait| wait.task_id.0),
        column!(|wait| wait.provider.clone().unwrap_or_default()),
        column!(|wait| wait.model.clone()),
    )
    .execute(traced!(tx, "spend.waits.forget"))
    .await?;
    Ok(())
}

/// Removes all waits of a task.
pub async fn forget_task(tx: &mut Tx, task: TaskId) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from price_waits where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
    )
    .execute(traced!(tx, "spend.waits.forget_task"))
    .await?;
    Ok(())
}

/// Those of the tasks that are parked and wait for nothing: no price, no budget, no decision, no
/// subtask, no division. The caller has locked them.
pub async fn freed(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"select t.task_id as "task_id: TaskId" from tasks t
           where t.workspace_id = $1 and t.task_id = any($2) and t.state = 'parked'
             and t.short_limit_id is null and t.oversized_at is null and t.children_open = 0
             and not exists (select from price_waits w
                             where w.workspace_id = $1 and w.task_id = t.task_id)
             and not exists (select from approvals p where p.workspace_id = $1
                             and p.task_id = t.task_id and p.state = 'pending')"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "spend.waits.freed"))
    .await
}
