//! Details of one task: texts, criteria, evidence, neighbours.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        budget::ask::Estimates,
        criterion::{CriterionType, EvidenceTier, Terms},
        ids::{AttemptId, TaskId},
        risk::Risk,
        states::TaskState,
    },
    store::{Tx, columns::uuids, traced},
};

/// The columns of a task that lists omit.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct TaskDetailRow {
    pub description: String,
    pub input: Option<Value>,
    pub estimate: Option<Json<Estimates>>,
    pub risk: Option<Risk>,
    pub result: Option<Value>,
    pub approve_start: bool,
    pub approve_result: bool,
    pub lease_ms: Option<i64>,
    pub attempt_timeout_ms: Option<i64>,
    pub start_within_ms: Option<i64>,
    pub finish_within_ms: Option<i64>,
    pub start_by: Option<DateTime<Utc>>,
    pub finish_by: Option<DateTime<Utc>>,
    pub cancel_by: Option<DateTime<Utc>>,
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub children_count: i64,
    pub dependents_count: i64,
    pub criteria_version: i32,
    pub checks: Option<AttemptId>,
}

/// Reads the details of a task.
pub async fn detail(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<TaskDetailRow>> {
    sqlx::query_as!(
        TaskDetailRow,
        r#"
        select x.description, x.input, x.estimate as "estimate: Json<Estimates>",
               x.risk as "risk: Risk", t.approve_start, t.approve_result,
               -- The current attempt of a task that is done is the one that was accepted.
               (select r.result from attempt_results r
                where r.workspace_id = $1 and r.attempt_id = t.current_attempt_id
                  and t.state = 'done') as result,
               t.lease_ms, t.attempt_timeout_ms, t.start_within_ms, t.finish_within_ms,
               t.start_by, t.finish_by, t.cancel_by, t.acknowledged_at,
               t.criteria_version, t.checks_attempt_id as "checks: AttemptId",
               (select count(*) from tasks c where c.workspace_id = $1 and c.parent_id = $2)
                   as "children_count!",
               (select count(*) from dependencies d
                where d.workspace_id = $1 and d.needs_task_id = $2) as "dependents_count!"
        from tasks t join task_texts x using (workspace_id, task_id)
        where t.workspace_id = $1 and t.task_id = $2
        "#,
        tx.workspace.0,
        task.0,
    )
    .fetch_optional(traced!(tx, "tasks.detail.detail"))
    .await
}

/// A criterion and what the accepted or submitted attempt shows of it.
#[derive(Debug)]
pub struct CriterionRow {
    /// Ordinal within the task, from 1.
    pub number: i16,
    /// The condition the result must meet.
    pub text: String,
    /// Whether it needs evidence.
    pub required: bool,
    /// Whether it was satisfied already when the task was made.
    pub satisfied: bool,
    /// How it is satisfied.
    pub r#type: CriterionType,
    /// What belongs to the type.
    pub terms: Option<Json<Terms>>,
    /// The least tier of the evidence that satisfies it.
    pub min_tier: EvidenceTier,
    /// Number of pieces of evidence in the accepted attempt.
    pub evidence: i64,
    /// The highest tier of evidence that it is met.
    pub tier: Option<EvidenceTier>,
    /// Whether evidence says that it is not met.
    pub unmet: bool,
    /// Whether a person waived it.
    pub waived: bool,
}

/// Reads the criteria of a task.
pub async fn criteria(tx: &mut Tx, task: TaskId) -> sqlx::Result<Vec<CriterionRow>> {
    sqlx::query_as!(
        CriterionRow,
        r#"
        with judged as materialized (
            select attempt_id, state from attempts
            where workspace_id = $1 and task_id = $2 and state in ('accepted', 'submitted')
        ), given as materialized (
            select e.criterion, e.met, e.tier, j.state from judged j
            join evidence e on e.workspace_id = $1 and e.attempt_id = j.attempt_id
        )
        select c.number, c.text, c.required, c.satisfied, c.type as "type: CriterionType",
               c.terms as "terms: Json<Terms>", c.min_tier as "min_tier: EvidenceTier",
               (select count(*) from given g
                where g.criterion = c.number and g.state = 'accepted') as "evidence!",
               (select g.tier from given g where g.criterion = c.number and g.met
                order by tier_rank(g.tier) desc limit 1) as "tier: EvidenceTier",
               exists (select from given g where g.criterion = c.number and not g.met) as "unmet!",
               exists (select from judged j
                       join waivers w on w.workspace_id = $1 and w.attempt_id = j.attempt_id
                       where w.criterion = c.number) as "waived!"
        from criteria c where c.workspace_id = $1 and c.task_id = $2 order by c.number
        "#,
        tx.workspace.0,
        task.0,
    )
    .fetch_all(traced!(tx, "tasks.detail.criteria"))
    .await
}

/// A task related to another.
#[derive(Debug)]
pub struct NeighbourRow {
    /// The task.
    pub task_id: TaskId,
    /// Its name in the plan (`ref`).
    pub reference: String,
    /// Title, one line.
    pub title: String,
    /// Its state.
    pub state: TaskState,
}

/// How two tasks are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The dependencies of the task.
    Needs,
    /// The tasks that depend on it.
    Dependents,
    /// The children of the task.
    Children,
}

impl Relation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Needs => "needs",
            Self::Dependents => "dependents",
            Self::Children => "children",
        }
    }
}

/// Reads up to `most` related tasks in plan order.
pub async fn neighbours(
    tx: &mut Tx,
    task: TaskId,
    relation: Relation,
    most: i64,
) -> sqlx::Result<Vec<NeighbourRow>> {
    sqlx::query_as!(
        NeighbourRow,
        r#"
        with near as (
            select needs_task_id as task_id from dependencies
            where $3 = 'needs' and workspace_id = $1 and task_id = $2
            union all
            select task_id from dependencies
            where $3 = 'dependents' and workspace_id = $1 and needs_task_id = $2
            union all
            select task_id from tasks
            where $3 = 'children' and workspace_id = $1 and parent_id = $2
        ), first as (
            select t.task_id, t.ref, t.state, t.position from near
            join tasks t on t.workspace_id = $1 and t.task_id = near.task_id
            order by t.position, t.task_id limit $4
        )
        select f.task_id as "task_id!: TaskId", f.ref as "reference!", x.title,
               f.state as "state!: TaskState"
        from first f join task_texts x on x.workspace_id = $1 and x.task_id = f.task_id
        order by f.position, f.task_id
        "#,
        tx.workspace.0,
        task.0,
        relation.as_str(),
        most,
    )
    .fetch_all(traced!(tx, "tasks.detail.neighbours"))
    .await
}

/// Reads up to `most` of some tasks in plan order.
pub async fn in_plan_order(
    tx: &mut Tx,
    tasks: &[TaskId],
    most: i64,
) -> sqlx::Result<Vec<NeighbourRow>> {
    sqlx::query_as!(
        NeighbourRow,
        r#"
        select t.task_id as "task_id: TaskId", t.ref as "reference", x.title,
               t.state as "state: TaskState"
        from tasks t join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        where t.workspace_id = $1 and t.task_id = any($2)
        order by t.position, t.task_id limit $3
        "#,
        tx.workspace.0,
        &uuids(tasks),
        most,
    )
    .fetch_all(traced!(tx, "tasks.detail.in_plan_order"))
    .await
}
