//! Reading one task with everything that is known of it.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    attempts::{self, Evidence},
    list::{self, Task},
};
use crate::{
    app::{
        App, Result,
        approvals::views::Waived,
        caller::{Caller as _, ReaderCaller},
        error::corrupt,
    },
    domain::{
        budget::ask::Estimate, ids::TaskId, plan::ApprovalPoints, refusal::Refusal, settings,
        states::TaskState,
    },
    store::{
        self, Tx,
        tasks::detail::{CriterionRow, NeighbourRow, Relation, TaskDetailRow},
    },
};

/// How many children and dependents are shown with a task.
const NEIGHBOURS: i64 = 200;

/// One condition of success of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Criterion {
    /// Counts the criteria of the task from 1; evidence names it.
    pub number: i16,
    /// What must be true.
    #[schema(example = "`cargo test` passes")]
    pub text: String,
    /// Whether the task can be completed without evidence for it: it cannot.
    pub required: bool,
    /// How many pieces of evidence the accepted attempt gave for it.
    pub evidence_count: i64,
}

/// A task beside another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskLink {
    /// Its id.
    pub task_id: TaskId,
    /// Its name in the plan.
    #[schema(example = "schema")]
    pub r#ref: String,
    /// One line.
    #[schema(example = "Write the schema")]
    pub title: String,
    /// Its state.
    pub state: TaskState,
}

/// A task with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskDetail {
    /// What lists show of it.
    #[serde(flatten)]
    pub task: Task,
    /// Markdown: what to do.
    pub description: String,
    /// JSON for the agent.
    pub input: Option<Value>,
    /// Expected spend, by unit.
    #[schema(example = json!({"usd_micros": 250000}))]
    pub estimate: BTreeMap<String, Estimate>,
    /// Conditions of success.
    pub criteria: Vec<Criterion>,
    /// When a person must be asked. `start` turns false once the start is approved.
    pub approval: ApprovalPoints,
    /// What must be done before it.
    pub needs: Vec<TaskLink>,
    /// What needs it: the first 200.
    pub dependents: Vec<TaskLink>,
    /// How many tasks need it.
    pub dependents_count: i64,
    /// What it contains or its attempts added: the first 200. `GET /v1/tasks?parent_id=` lists
    /// all of them.
    pub children: Vec<TaskLink>,
    /// How many children it has.
    pub children_count: i64,
    /// What the accepted attempt handed in.
    pub result: Option<Value>,
    /// What the accepted attempt showed for it.
    pub evidence: Vec<Evidence>,
    /// Required criteria without evidence that were let go when the result was accepted.
    pub waived: Vec<Waived>,
    /// How long its agent may stay silent, unless the claim asks for another lease.
    #[schema(example = 60)]
    pub lease_seconds: i64,
    /// Hard limit of one attempt.
    #[schema(example = 14400)]
    pub attempt_timeout_seconds: i64,
    /// It fails when nobody claims it within so many seconds of being ready; `null`: never.
    pub start_within_seconds: Option<i64>,
    /// It fails when all attempts together take longer than this; `null`: never.
    pub finish_within_seconds: Option<i64>,
    /// When `start_within_seconds` runs out; `null` when it does not run.
    pub start_by: Option<DateTime<Utc>>,
    /// When `finish_within_seconds` runs out; `null` before it was first ready.
    pub finish_by: Option<DateTime<Utc>>,
    /// When its cancellation is forced, if its agent does not stop before.
    pub cancel_by: Option<DateTime<Utc>>,
    /// When an operator said that its quarantine was seen; until then it is in `GET /v1/attention`.
    pub acknowledged_at: Option<DateTime<Utc>>,
}

/// Reads one task.
///
/// # Errors
/// `not_found`.
pub(in crate::app) async fn read(tx: &mut Tx, id: TaskId) -> Result<TaskDetail> {
    let task = list::find(tx, id).await?;
    let detail = store::tasks::detail::detail(tx, id).await?;
    let detail = detail.ok_or_else(|| Refusal::not_found("task"))?;
    let criteria = store::tasks::detail::criteria(tx, id).await?;
    let needs = links(tx, id, Relation::Needs, i64::MAX).await?;
    let dependents = links(tx, id, Relation::Dependents, NEIGHBOURS).await?;
    let children = links(tx, id, Relation::Children, NEIGHBOURS).await?;
    let accepted = match store::attempts::read::accepted(tx, id).await? {
        Some(attempt) => Accepted {
            evidence: attempts::evidence(tx, attempt).await?,
            waived: attempts::waived(tx, attempt).await?,
        },
        None => Accepted::default(),
    };
    let criteria = criteria.into_iter().map(criterion).collect();
    let neighbours = Neighbours { needs, dependents, children };
    detailed(task, detail, criteria, neighbours, accepted)
}

/// What an accepted attempt showed, and what it need not show.
#[derive(Default)]
struct Accepted {
    evidence: Vec<Evidence>,
    waived: Vec<Waived>,
}

struct Neighbours {
    needs: Vec<TaskLink>,
    dependents: Vec<TaskLink>,
    children: Vec<TaskLink>,
}

async fn links(tx: &mut Tx, task: TaskId, relation: Relation, most: i64) -> Result<Vec<TaskLink>> {
    let rows = store::tasks::detail::neighbours(tx, task, relation, most).await?;
    let link = |row: NeighbourRow| {
        let NeighbourRow { task_id, reference, title, state } = row;
        TaskLink { task_id, r#ref: reference, title, state }
    };
    Ok(rows.into_iter().map(link).collect())
}

fn criterion(row: CriterionRow) -> Criterion {
    let CriterionRow { number, text, required, evidence } = row;
    Criterion { number, text, required, evidence_count: evidence }
}

fn detailed(
    task: Task,
    row: TaskDetailRow,
    criteria: Vec<Criterion>,
    neighbours: Neighbours,
    accepted: Accepted,
) -> Result<TaskDetail> {
    let TaskDetailRow {
        description,
        input,
        estimate,
        result,
        approve_start,
        approve_result,
        lease_ms,
        attempt_timeout_ms,
        start_within_ms,
        finish_within_ms,
        start_by,
        finish_by,
        cancel_by,
        acknowledged_at,
        children_count,
        dependents_count,
    } = row;
    let Neighbours { needs, dependents, children } = neighbours;
    let Accepted { evidence, waived } = accepted;
    Ok(TaskDetail {
        task,
        description,
        input,
        estimate: estimate.map_or(Ok(BTreeMap::new()), serde_json::from_value).map_err(corrupt)?,
        criteria,
        approval: ApprovalPoints { start: approve_start, result: approve_result },
        needs,
        dependents,
        dependents_count,
        children,
        children_count,
        result,
        evidence,
        waived,
        lease_seconds: seconds(lease_ms).unwrap_or_else(|| whole(settings::LEASE)),
        attempt_timeout_seconds: seconds(attempt_timeout_ms)
            .unwrap_or_else(|| whole(settings::ATTEMPT_TIMEOUT)),
        start_within_seconds: seconds(start_within_ms),
        finish_within_seconds: seconds(finish_within_ms),
        start_by,
        finish_by,
        cancel_by,
        acknowledged_at,
    })
}

fn seconds(millis: Option<i64>) -> Option<i64> {
    millis.map(|millis| millis / 1000)
}

fn whole(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

impl App {
    /// One task with everything that is known of it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn read_task(&self, caller: &ReaderCaller, task: TaskId) -> Result<TaskDetail> {
        read(&mut self.reader(caller.principal().workspace).await?, task).await
    }
}
