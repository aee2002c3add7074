//! The order of claims inside goals: upward ranks, and the key that follows from them.

use std::collections::HashMap;

use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        budget::ask::Estimates,
        ids::{GoalId, TaskId},
    },
    store::{Tx, columns::uuids, traced},
};

/// An open task, and what its upward rank follows from.
#[derive(Debug)]
pub struct OpenTask {
    /// The task.
    pub task_id: TaskId,
    /// Its container, or the task that added it.
    pub parent_id: Option<TaskId>,
    /// Whether it is a container.
    pub container: bool,
    /// The stored upward rank in milliseconds.
    pub upward_ms: i64,
    /// Its expected spend.
    pub estimate: Option<Json<Estimates>>,
    /// Usual duration of tasks with its capabilities in milliseconds.
    pub usual: Option<i64>,
    /// The tasks that it waits for.
    pub needs: Vec<TaskId>,
}

/// Reads the open tasks of a goal.
pub async fn open_tasks(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<OpenTask>> {
    sqlx::query_as!(
        OpenTask,
        r#"
        select t.task_id as "task_id: TaskId", t.parent_id as "parent_id: TaskId", t.container,
               t.upward_ms, x.estimate as "estimate: Json<Estimates>",
               (select u.p50 from measured_use u
                where u.workspace_id = $1 and u.kind = 'set' and u.name = t.capability_key
                  and u.unit = 'wall_ms') as usual,
               array(select d.needs_task_id from dependencies d
                     where d.workspace_id = $1 and d.task_id = t.task_id and d.satisfied_at is null)
                   as "needs!: Vec<TaskId>"
        from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        where t.workspace_id = $1 and t.goal_id = $2 and t.ended_at is null
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "tasks.order.open_tasks"))
    .await
}

/// Usual durations in milliseconds, by key of the set of capabilities.
pub async fn usual_durations(tx: &mut Tx, keys: &[String]) -> sqlx::Result<HashMap<String, i64>> {
    let rows = sqlx::query!(
        r#"select name, p50 from measured_use
           where workspace_id = $1 and kind = 'set' and name = any($2) and unit = 'wall_ms'"#,
        tx.workspace.0,
        keys,
    )
    .fetch_all(traced!(tx, "tasks.order.usual_durations"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.p50)).collect())
}

/// The upward rank of a task in milliseconds.
pub async fn upward_of(tx: &mut Tx, task: TaskId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "select upward_ms from tasks where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "tasks.order.upward_of"))
    .await
}

/// Writes upward ranks, each `(task, milliseconds)`, and the keys that follow from them. Raises no version:
/// nobody edits them. Locks the tasks in id order.
pub async fn set_upward(tx: &mut Tx, ranks: &[(TaskId, i64)]) -> sqlx::Result<()> {
    if ranks.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with locked as materialized (
             select t.task_id, r.upward_ms
             from unnest($2::uuid[], $3::bigint[]) as r (task_id, upward_ms)
             join tasks t on t.workspace_id = $1 and t.task_id = r.task_id
             order by t.task_id for no key update of t
         )
         update tasks t
         set upward_ms = l.upward_ms,
             claim_rank = claim_rank_of(t.ranked_from, t.priority, l.upward_ms,
                 (select least(g.deadline, t.finish_by) from goals g
                  where g.workspace_id = $1 and g.goal_id = t.goal_id),
                 (select w.routing = 'fifo' from workspaces w where w.workspace_id = $1))
         from locked l where t.workspace_id = $1 and t.task_id = l.task_id",
        tx.workspace.0,
        &ranks.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &ranks.iter().map(|(_, upward)| *upward).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.order.set_upward"))
    .await?;
    Ok(())
}

/// Ranks the tasks of goals again that are ready, or parked for a budget; returns their number. Others get their key
/// when they become ready. Locks the tasks in id order.
pub async fn rank_again(tx: &mut Tx, goals: &[GoalId]) -> sqlx::Result<u64> {
    let ranked = sqlx::query!(
        "with locked as materialized (
             select task_id from tasks
             where workspace_id = $1 and goal_id = any($2)
               and (state = 'ready' or short_limit_id is not null)
             order by task_id for no key update
         )
         update tasks t
         set claim_rank = claim_rank_of(t.ranked_from, t.priority, t.upward_ms,
                 (select least(g.deadline, t.finish_by) from goals g
                  where g.workspace_id = $1 and g.goal_id = t.goal_id),
                 (select w.routing = 'fifo' from workspaces w where w.workspace_id = $1)),
             turn_of = case
                 when (select w.routing = 'fifo' from workspaces w where w.workspace_id = $1)
                     then '00000000-0000-0000-0000-000000000000'::uuid
                 else t.goal_id end
         from locked l where t.workspace_id = $1 and t.task_id = l.task_id",
        tx.workspace.0,
        &uuids(goals),
    )
    .execute(traced!(tx, "tasks.order.rank_again"))
    .await?;
    Ok(ranked.rows_affected())
}

/// Has all ready tasks of the workspace ranked again, from the first goal on.
pub async fn begin_ranking(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into rank_cursors (workspace_id, after_goal_id) values ($1, $2)
         on conflict (workspace_id) do update set after_goal_id = excluded.after_goal_id",
        tx.workspace.0,
        Uuid::nil(),
    )
    .execute(traced!(tx, "tasks.order.begin_ranking"))
    .await?;
    Ok(())
}

/// Locks how far the ready tasks are ranked again: the last goal. `None` if nothing is to be ranked, or another process
/// does it.
pub async fn take_cursor(tx: &mut Tx) -> sqlx::Result<Option<GoalId>> {
    sqlx::query_scalar!(
        r#"select after_goal_id as "goal: GoalId" from rank_cursors
           where workspace_id = $1 for update skip locked"#,
        tx.workspace.0,
    )
    .fetch_optional(traced!(tx, "tasks.order.take_cursor"))
    .await
}

/// An open goal whose ready tasks are to be ranked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unranked {
    /// The goal.
    pub goal_id: GoalId,
    /// Number of these tasks.
    pub tasks: i64,
}

/// The next open goals after `after`, in id order.
pub async fn unranked(tx: &mut Tx, after: GoalId, most: i64) -> sqlx::Result<Vec<Unranked>> {
    sqlx::query_as!(
        Unranked,
        r#"select g.goal_id as "goal_id: GoalId",
                  (select count(*) from tasks t
                   where t.workspace_id = $1 and t.goal_id = g.goal_id
                     and (t.state = 'ready' or t.short_limit_id is not null)) as "tasks!"
           from goals g
           where g.workspace_id = $1 and g.goal_id > $2 and g.ended_at is null
           order by g.goal_id limit $3"#,
        tx.workspace.0,
        after.0,
        most,
    )
    .fetch_all(traced!(tx, "tasks.order.unranked"))
    .await
}

/// Records that the tasks of the goals up to `goal` are ranked.
pub async fn move_cursor(tx: &mut Tx, goal: GoalId) -> sqlx::Result<()> {
    sqlx::query!(
        "update rank_cursors set after_goal_id = $2 where workspace_id = $1",
        tx.workspace.0,
        goal.0,
    )
    .execute(traced!(tx, "tasks.order.move_cursor"))
    .await?;
    Ok(())
}

/// Records that all tasks are ranked.
pub async fn end_ranking(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!("delete from rank_cursors where workspace_id = $1", tx.workspace.0)
        .execute(traced!(tx, "tasks.order.end_ranking"))
        .await?;
    Ok(())
}
