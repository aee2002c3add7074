//! The tasks of a goal under a new plan: reads of all of them, and edits of many at once.
//!
//! Callers have locked the goal.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{
    edit::{Editable, Edited},
    links::StoredCriterion,
};
use crate::{
    domain::{
        budget::ask::Estimates,
        criterion::{CriterionType, EvidenceTier, Terms},
        ids::{GoalId, LimitId, TaskId},
        plan::CriterionSpec,
        risk::Risk,
        states::TaskState,
    },
    store::{Tx, columns::uuids, traced},
};

/// A task of a goal with all that a plan says about it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct PlannedRow {
    pub task_id: TaskId,
    pub reference: String,
    pub parent: Option<TaskId>,
    pub container: bool,
    pub state: TaskState,
    pub priority: i16,
    pub ready_from: DateTime<Utc>,
    pub tried: bool,
    pub attempts_used: i32,
    pub max_attempts: i32,
    pub reworks: i32,
    pub max_rework: i32,
    pub lease_ms: Option<i64>,
    pub attempt_timeout_ms: Option<i64>,
    pub start_within_ms: Option<i64>,
    pub finish_within_ms: Option<i64>,
    pub approve_start: bool,
    pub approve_result: bool,
    pub cancelling: bool,
    pub short: bool,
    /// Made for the verification of the goal, or dropped by a plan.
    pub closed: bool,
    /// Whether a person approved its start.
    pub approved: bool,
    pub capabilities: Vec<String>,
    pub title: String,
    pub description: String,
    pub section: Option<String>,
    pub labels: Vec<String>,
    pub input: Option<Value>,
    pub estimate: Option<Json<Estimates>>,
    pub risk: Option<Risk>,
}

/// Locks all tasks of a goal in id order. A claim that came before is waited for; a later one skips them.
pub async fn lock_all(tx: &mut Tx, goal: GoalId) -> sqlx::Result<()> {
    sqlx::query!(
        "select task_id from tasks where workspace_id = $1 and goal_id = $2
         order by task_id for no key update",
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "tasks.replan.lock_all"))
    .await?;
    Ok(())
}

/// Reads all tasks of a goal in the order of their positions.
pub async fn all(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<PlannedRow>> {
    sqlx::query_as!(
        PlannedRow,
        r#"
        select t.task_id as "task_id: TaskId", t.ref as "reference", t.parent_id as "parent: TaskId",
               t.container, t.state as "state: TaskState", t.priority, t.ready_from,
               t.attempts_started > 0 as "tried!", t.attempts_used, t.max_attempts, t.reworks,
               t.max_rework, t.lease_ms, t.attempt_timeout_ms, t.start_within_ms, t.finish_within_ms,
               t.approve_start, t.approve_result, t.cancel_requested_at is not null as "cancelling!",
               t.short_limit_id is not null as "short!",
               (t.purpose is not null or t.dropped) as "closed!",
               exists (select from approvals a
                       where a.workspace_id = $1 and a.task_id = t.task_id and a.kind = 'start'
                         and a.state = 'approved') as "approved!",
               s.capabilities, x.title, x.description, x.section, x.labels, x.input,
               x.estimate as "estimate: Json<Estimates>", x.risk as "risk: Risk"
        from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        join capability_sets s on s.workspace_id = $1 and s.capability_key = t.capability_key
        where t.workspace_id = $1 and t.goal_id = $2
        order by t.position, t.task_id
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "tasks.replan.all"))
    .await
}

/// The criteria of all tasks of a goal, in order.
pub async fn criteria(
    tx: &mut Tx,
    goal: GoalId,
) -> sqlx::Result<HashMap<TaskId, Vec<CriterionSpec>>> {
    let rows = sqlx::query!(
        r#"
        select c.task_id as "task_id: TaskId", c.text, c.required, c.satisfied,
               c.type as "type: CriterionType", c.terms as "terms: Json<Terms>",
               c.min_tier as "min_tier: EvidenceTier"
        from tasks t
        join criteria c on c.workspace_id = $1 and c.task_id = t.task_id
        where t.workspace_id = $1 and t.goal_id = $2
        order by c.task_id, c.number
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "tasks.replan.criteria"))
    .await?;
    let mut found: HashMap<TaskId, Vec<CriterionSpec>> = HashMap::new();
    for row in rows {
        let stored = StoredCriterion {
            text: row.text,
            required: row.required,
            satisfied: row.satisfied,
            r#type: row.r#type,
            terms: row.terms,
            min_tier: row.min_tier,
        };
        found.entry(row.task_id).or_default().push(stored.into());
    }
    Ok(found)
}

/// Reads what an edit can change of locked tasks.
pub async fn editable(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<HashMap<TaskId, Editable>> {
    let rows = sqlx::query!(
        r#"select task_id as "task_id: TaskId", version, ready_from, ranked_from, needs_unmet,
                  attempts_started = attempts_before as "unclaimed!",
                  short_limit_id as "short_limit: LimitId", lease_ms, attempt_timeout_ms,
                  start_within_ms, finish_within_ms, start_by, finish_by, rests_since
           from tasks where workspace_id = $1 and task_id = any($2)"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.replan.editable"))
    .await?;
    let found = rows.into_iter().map(|row| {
        let editable = Editable {
            version: row.version,
            ready_from: row.ready_from,
            ranked_from: row.ranked_from,
            unclaimed: row.unclaimed,
            needs_unmet: row.needs_unmet,
            short_limit: row.short_limit,
            lease_ms: row.lease_ms,
            attempt_timeout_ms: row.attempt_timeout_ms,
            start_within_ms: row.start_within_ms,
            finish_within_ms: row.finish_within_ms,
            start_by: row.start_by,
            finish_by: row.finish_by,
            rests_since: row.rests_since,
        };
        (row.task_id, editable)
    });
    Ok(found.collect())
}

/// Removes dependencies, each `(task, its dependency)`.
pub async fn disconnect(tx: &mut Tx, edges: &[(TaskId, TaskId)]) -> sqlx::Result<()> {
    if edges.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "delete from dependencies d
         using unnest($2::uuid[], $3::uuid[]) as e (task_id, needs_task_id)
         where d.workspace_id = $1 and d.task_id = e.task_id and d.needs_task_id = e.needs_task_id",
        tx.workspace.0,
        &edges.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &edges.iter().map(|(_, need)| need.0).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.replan.disconnect"))
    .await?;
    Ok(())
}

/// Removes the dependencies of tasks that are not satisfied.
pub async fn disconnect_unmet(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from dependencies
         where workspace_id = $1 and task_id = any($2) and satisfied_at is null",
        tx.workspace.0,
        &uuids(tasks),
    )
    .execute(traced!(tx, "tasks.replan.disconnect_unmet"))
    .await?;
    Ok(())
}

/// Stores dependencies, each `(task, its dependency)`; those on done tasks are satisfied.
pub async fn connect(tx: &mut Tx, edges: &[(TaskId, TaskId)]) -> sqlx::Result<()> {
    if edges.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into dependencies (workspace_id, task_id, needs_task_id, satisfied_at)
         select $1, e.task_id, e.needs_task_id, case when n.state = 'done' then $2::timestamptz end
         from unnest($3::uuid[], $4::uuid[]) as e (task_id, needs_task_id)
         join tasks n on n.workspace_id = $1 and n.task_id = e.needs_task_id
         on conflict do nothing",
        tx.workspace.0,
        tx.now,
        &edges.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &edges.iter().map(|(_, need)| need.0).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.replan.connect"))
    .await?;
    Ok(())
}

/// Moves locked tasks into other containers, each `(task, container)`, and counts the children of the containers
/// anew; returns the containers that they left.
pub async fn reparent(
    tx: &mut Tx,
    moves: &[(TaskId, Option<TaskId>)],
) -> sqlx::Result<Vec<TaskId>> {
    if moves.is_empty() {
        return Ok(Vec::new());
    }
    let left = sqlx::query_scalar!(
        r#"
        with moved as (
            select t.task_id, t.parent_id as left_id, m.parent_id
            from unnest($2::uuid[], $3::uuid[]) as m (task_id, parent_id)
            join tasks t on t.workspace_id = $1 and t.task_id = m.task_id
        ), written as (
            update tasks t set parent_id = m.parent_id
            from moved m where t.workspace_id = $1 and t.task_id = m.task_id
        )
        select distinct left_id as "left!: TaskId" from moved where left_id is not null
        "#,
        tx.workspace.0,
        &moves.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &moves.iter().map(|(_, parent)| parent.map(|id| id.0)).collect::<Vec<_>>()
            as &[Option<Uuid>],
    )
    .fetch_all(traced!(tx, "tasks.replan.reparent"))
    .await?;
    let entered = moves.iter().filter_map(|(_, parent)| *parent);
    let counted: Vec<TaskId> = left.iter().copied().chain(entered).collect();
    sqlx::query!(
        "update tasks p
         set children_open = (select count(*) from tasks c
                              where c.workspace_id = $1 and c.parent_id = p.task_id
                                and c.ended_at is null)::int
         where p.workspace_id = $1 and p.task_id = any($2)",
        tx.workspace.0,
        &uuids(&counted),
    )
    .execute(traced!(tx, "tasks.replan.reparent"))
    .await?;
    Ok(left)
}

/// Containers among `tasks` that are open and have no open child.
pub async fn emptied(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"select task_id as "task_id: TaskId" from tasks
           where workspace_id = $1 and task_id = any($2) and container and ended_at is null
             and children_open = 0
           order by task_id"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.replan.emptied"))
    .await
}

/// Unmet needs of tasks: unsatisfied dependencies, plus one while the container is not open.
pub async fn unmet(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<HashMap<TaskId, i32>> {
    let rows = sqlx::query!(
        r#"
        select t.task_id as "task_id: TaskId",
               (select count(*) from dependencies d
                where d.workspace_id = $1 and d.task_id = t.task_id and d.satisfied_at is null)::int
               + case when p.task_id is null then 0 else 1 end as "unmet!"
        from tasks t
        left join tasks p on p.workspace_id = $1 and p.task_id = t.parent_id and p.container
                         and p.state = 'waiting'
        where t.workspace_id = $1 and t.task_id = any($2)
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.replan.unmet"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.unmet)).collect())
}

/// Writes the values of locked tasks as [`super::edit::write`] does.
pub async fn write(tx: &mut Tx, edits: &[(TaskId, Edited)]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:ident) => {
            &edits.iter().map(|(_, edited)| edited.$of.clone()).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "update tasks t
         set priority = e.priority,
             claim_rank = claim_rank_of(t.ranked_from, e.priority, t.upward_ms,
                 (select least(g.deadline, e.finish_by) from goals g
                  where g.workspace_id = $1 and g.goal_id = t.goal_id),
                 (select w.routing = 'fifo' from workspaces w where w.workspace_id = $1)),
             capability_key = e.capability_key, ready_from = e.ready_from,
             needs_unmet = e.needs_unmet, max_attempts = e.max_attempts, max_rework = e.max_rework,
             lease_ms = e.lease_ms, attempt_timeout_ms = e.attempt_timeout_ms,
             start_within_ms = e.start_within_ms, finish_within_ms = e.finish_within_ms,
             start_by = e.start_by, finish_by = e.finish_by, version = t.version + 1, updated_at = $2
         from unnest($3::uuid[], $4::smallint[], $5::text[], $6::timestamptz[], $7::int[], $8::int[],
                     $9::int[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
                     $14::timestamptz[], $15::timestamptz[])
              as e (task_id, priority, capability_key, ready_from, needs_unmet, max_attempts,
                    max_rework, lease_ms, attempt_timeout_ms, start_within_ms, finish_within_ms,
                    start_by, finish_by)
         where t.workspace_id = $1 and t.task_id = e.task_id",
        tx.workspace.0,
        tx.now,
        &edits.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        column!(priority),
        column!(capability_key),
        column!(ready_from),
        column!(needs_unmet),
        column!(max_attempts),
        column!(max_rework),
        column!(lease_ms) as &[Option<i64>],
        column!(attempt_timeout_ms) as &[Option<i64>],
        column!(start_within_ms) as &[Option<i64>],
        column!(finish_within_ms) as &[Option<i64>],
        column!(start_by) as &[Option<DateTime<Utc>>],
        column!(finish_by) as &[Option<DateTime<Utc>>],
    )
    .execute(traced!(tx, "tasks.replan.write"))
    .await?;
    Ok(())
}

/// The texts of a task after an edit by a plan.
#[derive(Debug)]
pub struct PlannedTexts {
    /// The task.
    pub task_id: TaskId,
    /// Title, one line.
    pub title: String,
    /// Description in Markdown.
    pub description: String,
    /// Heading of the plan above it.
    pub section: Option<String>,
    /// Labels, a JSON array of text.
    pub labels: Value,
    /// Input for the agent, JSON.
    pub input: Option<Value>,
    /// Expected spend, JSON.
    pub estimate: Option<Value>,
}

/// Writes the texts of locked tasks.
pub async fn write_texts(tx: &mut Tx, texts: &[PlannedTexts]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:ident) => {
            &texts.iter().map(|texts| texts.$of.clone()).collect::<Vec<_>>()
        };
    }
    // `unnest` cannot return one array per row, so labels are passed as JSON.
    sqlx::query!(
        "update task_texts x
         set title = e.title, description = e.description, section = e.section,
             labels = array(select jsonb_array_elements_text(e.labels)), input = e.input,
             estimate = e.estimate
         from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[],
                     $8::jsonb[])
              as e (task_id, title, description, section, labels, input, estimate)
         where x.workspace_id = $1 and x.task_id = e.task_id",
        tx.workspace.0,
        &texts.iter().map(|texts| texts.task_id.0).collect::<Vec<_>>(),
        column!(title),
        column!(description),
        column!(section) as &[Option<String>],
        column!(labels),
        column!(input) as &[Option<Value>],
        column!(estimate) as &[Option<Value>],
    )
    .execute(traced!(tx, "tasks.replan.write_texts"))
    .await?;
    Ok(())
}

/// Removes the criteria of tasks; evidence of earlier attempts keeps their numbers.
pub async fn drop_criteria(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<()> {
    sqlx::query!(
        "with dropped as (
             delete from criteria where workspace_id = $1 and task_id = any($2)
         )
         update tasks set criteria_version = criteria_version + 1
         where workspace_id = $1 and task_id = any($2)",
        tx.workspace.0,
        &uuids(tasks),
    )
    .execute(traced!(tx, "tasks.replan.drop_criteria"))
    .await?;
    Ok(())
}

/// Marks tasks that the plan no longer wants. Those that failed or were cancelled before no longer count in their
/// containers.
pub async fn mark_dropped(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with parents as (
             select distinct parent_id from tasks
             where workspace_id = $1 and task_id = any($2) and parent_id is not null
               and state in ('failed', 'cancelled')
         )
         update tasks p
         set children_failed = (select count(*) from tasks c
                                where c.workspace_id = $1 and c.parent_id = p.task_id
                                  and c.state in ('failed', 'cancelled') and not c.dropped
                                  and c.task_id <> all($2))::int
         from parents where p.workspace_id = $1 and p.task_id = parents.parent_id and p.container",
        tx.workspace.0,
        &uuids(tasks),
    )
    .execute(traced!(tx, "tasks.replan.mark_dropped"))
    .await?;
    sqlx::query!(
        "update tasks set dropped = true, lost_cause = false
         where workspace_id = $1 and task_id = any($2)",
        tx.workspace.0,
        &uuids(tasks),
    )
    .execute(traced!(tx, "tasks.replan.mark_dropped"))
    .await?;
    Ok(())
}
