//! Trials: tasks for which lessons were there, with and without them, and how they ended.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{ProjectId, TaskId},
        knowledge::{
            Outcome,
            uplift::{Arm, Moments},
        },
    },
    store::{Tx, columns::uuids, traced},
};

/// A task whose attempt begins with lessons, or without them as one of the control group.
#[derive(Debug, Clone, Copy)]
pub struct NewTrial {
    /// The task.
    pub task_id: TaskId,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// `false`: control group.
    pub with_lessons: bool,
}

/// Begins trials. A task that has one keeps it.
pub async fn begin(tx: &mut Tx, trials: &[NewTrial]) -> sqlx::Result<()> {
    if trials.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into lesson_trials (workspace_id, source_task, project_id, began_at, with_lessons)
         select $1, t.task_id, t.project_id, $2, t.with_lessons
         from unnest($3::uuid[], $4::uuid[], $5::bool[]) as t (task_id, project_id, with_lessons)
         on conflict do nothing",
        tx.workspace.0,
        tx.now,
        &trials.iter().map(|one| one.task_id.0).collect::<Vec<_>>(),
        &trials.iter().map(|one| one.project_id.map(|id| id.0)).collect::<Vec<_>>()
            as &[Option<uuid::Uuid>],
        &trials.iter().map(|one| one.with_lessons).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "knowledge.trials.begin"))
    .await?;
    Ok(())
}

/// Ends the trials of tasks, with what their attempts used. A trial of a cancelled task is deleted: people cancel for
/// reasons of their own. A task that ends again replaces its end.
pub async fn end(tx: &mut Tx, ends: &[(TaskId, Outcome)]) -> sqlx::Result<()> {
    if ends.is_empty() {
        return Ok(());
    }
    let cancelled = ends.iter().filter(|(_, outcome)| *outcome == Outcome::Cancelled);
    let cancelled: Vec<TaskId> = cancelled.map(|(task, _)| *task).collect();
    if !cancelled.is_empty() {
        sqlx::query!(
            "delete from lesson_trials where workspace_id = $1 and source_task = any($2)",
            tx.workspace.0,
            &uuids(&cancelled),
        )
        .execute(traced!(tx, "knowledge.trials.end"))
        .await?;
    }
    let ended: Vec<&(TaskId, Outcome)> =
        ends.iter().filter(|(_, outcome)| *outcome != Outcome::Cancelled).collect();
    if ended.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update lesson_trials l
         set done = e.done, ended_at = $2,
             usd_micros = coalesce((select s.amount from task_spend s
                                    where s.workspace_id = $1 and s.task_id = e.task_id and s.unit = 'usd_micros'), 0),
             attempts = (select count(*) from attempts a
                         where a.workspace_id = $1 and a.task_id = e.task_id and a.state <> 'released')
         from unnest($3::uuid[], $4::bool[]) as e (task_id, done)
         where l.workspace_id = $1 and l.source_task = e.task_id",
        tx.workspace.0,
        tx.now,
        &ended.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &ended.iter().map(|(_, outcome)| *outcome == Outcome::Done).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "knowledge.trials.end"))
    .await?;
    Ok(())
}

/// Deletes up to `rows` trials that began before a time. Returns their number.
pub async fn forget(tx: &mut Tx, before: DateTime<Utc>, rows: i64) -> sqlx::Result<u64> {
    let gone = sqlx::query!(
        "delete from lesson_trials
         where workspace_id = $1 and source_task in (
             select source_task from lesson_trials
             where workspace_id = $1 and began_at < $2
             order by began_at
             limit $3)",
        tx.workspace.0,
        before,
        rows,
    )
    .execute(traced!(tx, "knowledge.trials.forget"))
    .await?;
    Ok(gone.rows_affected())
}

/// Which trials are compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrialFilter {
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Begun at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Begun before this time.
    pub until: Option<DateTime<Utc>>,
}

/// The trials of a filter, summed up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arms {
    /// Tasks whose attempts were given lessons.
    pub with: Arm,
    /// The control group.
    pub without: Arm,
    /// Trials of both arms that have not ended.
    pub open: i64,
}

/// Sums of the trials of a filter.
///
/// A cost of nothing counts as no figure: agents that report no spend say nothing about costs.
pub async fn arms(tx: &mut Tx, filter: TrialFilter) -> sqlx::Result<Arms> {
    let rows = sqlx::query!(
        r#"
        select with_lessons,
               count(*) filter (where done is null) as "open!",
               count(*) filter (where done is not null) as "tasks!",
               count(*) filter (where done) as "done!",
               count(*) filter (where usd_micros > 0) as "costs!",
               coalesce(sum(usd_micros::float8) filter (where usd_micros > 0), 0) as "cost!",
               coalesce(sum(usd_micros::float8 * usd_micros::float8) filter (where usd_micros > 0), 0)
                   as "cost_squares!",
               count(*) filter (where attempts > 0) as "tried!",
               coalesce(sum(attempts::float8) filter (where attempts > 0), 0) as "attempts!",
               coalesce(sum(attempts::float8 * attempts::float8) filter (where attempts > 0), 0)
                   as "attempt_squares!"
        from lesson_trials
        where workspace_id = $1
          and ($2::uuid is null or project_id = $2)
          and ($3::timestamptz is null or began_at >= $3)
          and ($4::timestamptz is null or began_at < $4)
        group by with_lessons
        "#,
        tx.workspace.0,
        filter.project.map(|id| id.0),
        filter.since,
        filter.until,
    )
    .fetch_all(traced!(tx, "knowledge.trials.arms"))
    .await?;
    let mut arms = Arms::default();
    for row in rows {
        arms.open += row.open;
        let arm = Arm {
            tasks: row.tasks,
            done: row.done,
            cost: Moments { count: row.costs, sum: row.cost, squares: row.cost_squares },
            attempts: Moments { count: row.tried, sum: row.attempts, squares: row.attempt_squares },
        };
        if row.with_lessons {
            arms.with = arm;
        } else {
            arms.without = arm;
        }
    }
    Ok(arms)
}
