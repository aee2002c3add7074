//! Existing tasks of a goal that a change of its plan refers to.

use uuid::Uuid;

use crate::{
    domain::{
        ids::{GoalId, TaskId},
        plan::around::{KnownTask, OrderedTask},
        risk::Risk,
        states::TaskState,
    },
    store::{Tx, traced},
};

/// The tasks of a goal with one of the refs or ids; each with its ref.
pub async fn known(
    tx: &mut Tx,
    goal: GoalId,
    refs: &[String],
    ids: &[Uuid],
) -> sqlx::Result<Vec<(String, KnownTask)>> {
    let rows = sqlx::query!(
        r#"
        with recursive named as materialized (
            select task_id from tasks
            where workspace_id = $1 and goal_id = $2 and ref = any($3)
            union
            select task_id from tasks
            where workspace_id = $1 and goal_id = $2 and task_id = any($4)
        ), up (task_id, above, depth) as (
            select t.task_id, t.parent_id, 0 from named
            join tasks t on t.workspace_id = $1 and t.task_id = named.task_id
            union all
            select up.task_id, t.parent_id, up.depth + 1 from up
            join tasks t on t.workspace_id = $1 and t.task_id = up.above
        )
        select t.task_id as "task_id: TaskId", t.ref as "reference", t.state as "state: TaskState",
               t.container, t.cancel_requested_at is not null as "cancelling!", x.risk as "risk: Risk",
               (select max(up.depth) from up where up.task_id = t.task_id) as "depth!"
        from named
        join tasks t on t.workspace_id = $1 and t.task_id = named.task_id
        join task_texts x on x.workspace_id = $1 and x.task_id = named.task_id
        "#,
        tx.workspace.0,
        goal.0,
        refs,
        ids,
    )
    .fetch_all(traced!(tx, "tasks.around.known"))
    .await?;
    let known = rows.into_iter().map(|row| {
        let known = KnownTask {
            task_id: row.task_id,
            state: row.state,
            container: row.container,
            cancelling: row.cancelling,
            depth: usize::try_from(row.depth).unwrap_or_default(),
            risk: row.risk,
        };
        (row.reference, known)
    });
    Ok(known.collect())
}

/// The tasks of a goal that can still be in its order, with all their dependencies: what is done can be
/// reopened, and then those that need it wait for it again; what failed can be retried.
pub async fn ordered(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<OrderedTask>> {
    let rows = sqlx::query!(
        r#"
        select t.task_id as "task_id: TaskId", t.ref as "reference",
               t.parent_id as "parent_id: TaskId",
               array(select d.needs_task_id from dependencies d
                     where d.workspace_id = $1 and d.task_id = t.task_id)
                   as "needs!"
        from tasks t
        where t.workspace_id = $1 and t.goal_id = $2 and t.state <> 'cancelled'
        order by t.task_id
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "tasks.around.ordered"))
    .await?;
    let ordered = rows.into_iter().map(|row| OrderedTask {
        task_id: row.task_id,
        r#ref: row.reference,
        parent: row.parent_id,
        needs: row.needs.into_iter().map(TaskId).collect(),
    });
    Ok(ordered.collect())
}
