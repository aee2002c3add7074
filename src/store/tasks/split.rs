//! Tasks that are divided: what a division depends on, and the change of a task to a container.

use std::collections::HashMap;

use sqlx::types::Json;

use super::links::StoredCriterion;
use crate::{
    domain::{
        criterion::{CriterionType, EvidenceTier, Terms},
        ids::TaskId,
        plan::{
            CriterionSpec,
            split::{Division, Whole},
        },
    },
    store::{Tx, WriteError, columns::uuids, complete, traced},
};

/// What a division of each of these locked tasks depends on.
pub async fn divisions(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<HashMap<TaskId, Division>> {
    let rows = sqlx::query!(
        r#"
        with recursive up (task_id, above, depth) as (
            select t.task_id, t.parent_id, 0::bigint
            from tasks t where t.workspace_id = $1 and t.task_id = any($2)
            union all
            select up.task_id, p.parent_id, up.depth + (p.split_at is not null)::int
            from up join tasks p on p.workspace_id = $1 and p.task_id = up.above
        )
        select t.task_id as "task_id: TaskId", t.purpose is not null as "own!",
               (select max(up.depth) from up where up.task_id = t.task_id) as "depth!",
               (select count(*) from attempts a
                join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
                where a.workspace_id = $1 and a.task_id = t.task_id and a.state = 'failed'
                  and r.failure_class = 'too_large') as "too_large!",
               exists (select from budgets b
                       where b.workspace_id = $1 and b.node = 'task' and b.node_id = t.task_id)
                   as "budgeted!",
               (select count(*) from tasks c
                where c.workspace_id = $1 and c.parent_id = t.task_id
                  and c.state in ('failed', 'cancelled')) as "failed_children!"
        from tasks t where t.workspace_id = $1 and t.task_id = any($2)
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.split.divisions"))
    .await?;
    let found = rows.into_iter().map(|row| {
        let division = Division {
            too_large: row.too_large,
            depth: row.depth,
            own: row.own,
            budgeted: row.budgeted,
            failed_children: row.failed_children,
        };
        (row.task_id, division)
    });
    Ok(found.collect())
}

/// Marks parked tasks as too large: they wait for their division.
pub async fn mark_oversized(tx: &mut Tx, tasks: &[TaskId]) -> Result<(), WriteError> {
    let changed = sqlx::query!(
        "update tasks set oversized_at = $3
         where workspace_id = $1 and task_id = any($2) and state = 'parked'",
        tx.workspace.0,
        &uuids(tasks),
        tx.now,
    )
    .execute(traced!(tx, "tasks.split.mark_oversized"))
    .await?;
    complete(&changed, tasks.len(), "a task that is not parked was to wait for its division")
}

/// Whether a task waits for its division.
pub async fn is_oversized(tx: &mut Tx, task: TaskId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select oversized_at is not null as "oversized!" from tasks
           where workspace_id = $1 and task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "tasks.split.is_oversized"))
    .await
}

/// What a task leaves to the part that checks the others.
pub async fn whole(tx: &mut Tx, task: TaskId) -> sqlx::Result<Whole> {
    let row = sqlx::query!(
        r#"select t.ref as reference, t.approve_result, x.title, x.description, s.capabilities
           from tasks t
           join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
           join capability_sets s on s.workspace_id = $1 and s.capability_key = t.capability_key
           where t.workspace_id = $1 and t.task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "tasks.split.whole"))
    .await?;
    let criteria = sqlx::query_as!(
        StoredCriterion,
        r#"select text, required, satisfied, type as "type: CriterionType",
                  terms as "terms: Json<Terms>", min_tier as "min_tier: EvidenceTier"
           from criteria
           where workspace_id = $1 and task_id = $2 order by number"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_all(traced!(tx, "tasks.split.whole"))
    .await?;
    Ok(Whole {
        reference: row.reference,
        title: row.title,
        description: row.description,
        capabilities: row.capabilities,
        criteria: criteria.into_iter().map(CriterionSpec::from).collect(),
        approve_result: row.approve_result,
    })
}

/// Makes a locked task an open container of `parts` outermost parts. What only attempts have (criteria,
/// approvals, an estimate, limits of time) is not of it any more.
///
/// # Errors
/// When the task is neither ready nor parked.
pub async fn to_container(tx: &mut Tx, task: TaskId, parts: i32) -> Result<(), WriteError> {
    let changed = sqlx::query!(
        "update tasks
         set container = true, weight = 0, state = 'running', split_at = $4, children_open = children_open + $3,
             children_failed = 0, approve_start = false, approve_result = false,
             oversized_at = null, rests_since = null, start_within_ms = null, finish_within_ms = null,
             start_by = null, finish_by = null, assigned_agent_id = null, barred_agent_id = null,
             offered_capability = null, offer_until = null,
             version = version + 1, updated_at = $4
         where workspace_id = $1 and task_id = $2 and state in ('ready', 'parked') and not container",
        tx.workspace.0,
        task.0,
        parts,
        tx.now,
    )
    .execute(traced!(tx, "tasks.split.to_container"))
    .await?;
    complete(&changed, 1, "a task that is worked on was to be divided")?;
    sqlx::query!(
        "delete from criteria where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
    )
    .execute(traced!(tx, "tasks.split.to_container"))
    .await?;
    sqlx::query!(
        "update task_texts set estimate = null where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
    )
    .execute(traced!(tx, "tasks.split.to_container"))
    .await?;
    Ok(())
}
