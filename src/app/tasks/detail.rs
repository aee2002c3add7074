//! Reading one task with all its details.

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
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        budget::ask::Estimate,
        criterion::{self, CriterionFinding, CriterionType, EvidenceTier, Terms},
        ids::{AttemptId, TaskId},
        plan::ApprovalPoints,
        refusal::Refusal,
        risk::Risk,
        settings,
        states::TaskState,
    },
    store::{
        self, Tx,
        tasks::detail::{CriterionRow, NeighbourRow, Relation, TaskDetailRow},
    },
};

/// Most children and dependents shown with a task.
const NEIGHBOURS: i64 = 200;

/// A condition of success of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Criterion {
    /// Ordinal of the criterion within its task, from 1; evidence refers to it.
    pub number: i16,
    /// The condition that the result must meet.
    #[schema(example = "`cargo test` passes")]
    pub text: String,
    /// Whether completion needs evidence for it.
    pub required: bool,
    /// Whether the plan says that it is satisfied already; then it needs no evidence.
    #[serde(default)]
    pub satisfied: bool,
    /// How it is satisfied.
    #[serde(default)]
    #[schema(required = true)]
    pub r#type: CriterionType,
    /// The least tier of the evidence that satisfies it.
    pub min_tier: EvidenceTier,
    /// What belongs to the type.
    #[serde(flatten)]
    pub terms: Terms,
    /// Pieces of evidence given for it by the accepted attempt.
    pub evidence_count: i64,
    /// The highest tier of the evidence that it is met, of the accepted or submitted attempt; `null`: none.
    pub tier: Option<EvidenceTier>,
    /// What the accepted or submitted attempt shows of it.
    pub verdict: CriterionFinding,
}

/// A related task, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskLink {
    /// Id of the related task.
    pub task_id: TaskId,
    /// Its name in the plan, unique in the goal.
    #[schema(example = "schema")]
    pub r#ref: String,
    /// Title of the task, in one line.
    #[schema(example = "Write the schema")]
    pub title: String,
    /// Present state of the task.
    pub state: TaskState,
}

/// A task with all its details.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskDetail {
    /// The fields shown in lists.
    #[serde(flatten)]
    pub task: Task,
    /// What to do, in detail; Markdown.
    pub description: String,
    /// Input from the plan, any JSON; handed over with the claim.
    pub input: Option<Value>,
    /// Expected spend of one attempt, by unit.
    #[schema(example = json!({"usd_micros": 250000}))]
    pub estimate: BTreeMap<String, Estimate>,
    /// Conditions of success; the required ones need evidence.
    pub criteria: Vec<Criterion>,
    /// Version of the criteria, from 1: raised whenever they are replaced. Evidence names the one it was given for.
    pub criteria_version: i32,
    /// Of a check: the attempt whose result it checks; `null`: it is none.
    pub checks_attempt_id: Option<AttemptId>,
    /// Which approvals it needs. `start` turns false once the start is approved.
    pub approval: ApprovalPoints,
    /// Least risk of every approval about it: its own, or that of what contains it. `null`: no floor.
    pub risk: Option<Risk>,
    /// Tasks that must be done before it.
    pub needs: Vec<TaskLink>,
    /// The first 200 tasks that need it.
    pub dependents: Vec<TaskLink>,
    /// Number of tasks that need it.
    pub dependents_count: i64,
    /// The first 200 tasks that it contains or that its attempts added. `GET /v1/tasks?parent_id=`
    /// lists all.
    pub children: Vec<TaskLink>,
    /// Number of tasks that it contains or that its attempts added.
    pub children_count: i64,
    /// Result of the accepted attempt; `null` until then.
    pub result: Option<Value>,
    /// Evidence of the accepted attempt.
    pub evidence: Vec<Evidence>,
    /// Required criteria without evidence that the reviewer waived when accepting the result.
    pub waived: Vec<Waived>,
    /// Default length of a claim's lease, in seconds: the longest silence between heartbeats.
    #[schema(example = 60)]
    pub lease_seconds: i64,
    /// Longest duration of one attempt, in seconds; no heartbeat extends it.
    #[schema(example = 14400)]
    pub attempt_timeout_seconds: i64,
    /// The task fails if it is not claimed within so many seconds after it became ready; `null`:
    /// never.
    pub start_within_seconds: Option<i64>,
    /// The task fails if all attempts together take longer, in seconds; `null`: never.
    pub finish_within_seconds: Option<i64>,
    /// End of `start_within_seconds`; `null` while it does not run.
    pub start_by: Option<DateTime<Utc>>,
    /// End of `finish_within_seconds`; `null` until the task was first ready.
    pub finish_by: Option<DateTime<Utc>>,
    /// When a requested cancellation is forced, if the attempt has not ended; `null` unless one was
    /// requested.
    pub cancel_by: Option<DateTime<Utc>>,
    /// When an operator acknowledged its quarantine; `null` until then, and the task is in `GET
    /// /v1/attention`.
    pub acknowledged_at: Option<DateTime<Utc>>,
}

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
    Ok(detailed(task, detail, criteria, neighbours, accepted))
}

/// Evidence and waivers of an accepted attempt.
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
    Ok(rows.into_iter().map(link).collect())
}

/// The first 200 of some tasks, in the order of the plan.
pub(in crate::app) async fn links_to(tx: &mut Tx, tasks: &[TaskId]) -> Result<Vec<TaskLink>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let rows = store::tasks::detail::in_plan_order(tx, tasks, NEIGHBOURS).await?;
    Ok(rows.into_iter().map(link).collect())
}

fn link(row: NeighbourRow) -> TaskLink {
    let NeighbourRow { task_id, reference, title, state } = row;
    TaskLink { task_id, r#ref: reference, title, state }
}

fn criterion(row: CriterionRow) -> Criterion {
    let CriterionRow {
        number,
        text,
        required,
        satisfied,
        r#type,
        terms,
        min_tier,
        evidence: evidence_count,
        tier,
        unmet,
        waived,
    } = row;
    let shown = tier.is_some_and(|tier| tier >= min_tier);
    let verdict = criterion::finding(waived, satisfied, unmet, shown);
    let terms = terms.map(|terms| terms.0).unwrap_or_default();
    Criterion {
        number,
        text,
        required,
        satisfied,
        r#type,
        min_tier,
        terms,
        evidence_count,
        tier,
        verdict,
    }
}

fn detailed(
    task: Task,
    row: TaskDetailRow,
    criteria: Vec<Criterion>,
    neighbours: Neighbours,
    accepted: Accepted,
) -> TaskDetail {
    let TaskDetailRow {
        description,
        input,
        estimate,
        risk,
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
        criteria_version,
        checks: checks_attempt_id,
    } = row;
    let Neighbours { needs, dependents, children } = neighbours;
    let Accepted { evidence, waived } = accepted;
    TaskDetail {
        task,
        description,
        input,
        estimate: estimate.unwrap_or_default().0,
        criteria,
        criteria_version,
        checks_attempt_id,
        approval: ApprovalPoints { start: approve_start, result: approve_result },
        risk,
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
    }
}

fn seconds(millis: Option<i64>) -> Option<i64> {
    millis.map(|millis| millis / 1000)
}

fn whole(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

impl App {
    /// Reads one task with all its details.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn read_task(
        &self,
        caller: &ProjectReaderCaller,
        task: TaskId,
    ) -> Result<TaskDetail> {
        self.see_task(caller.principal(), task).await?;
        read(&mut self.reader(caller.principal().workspace).await?, task).await
    }
}
