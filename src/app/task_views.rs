//! Reading tasks.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

use super::{
    App, Result,
    attempt_views::{self, Evidence},
    caller::{Caller as _, ReaderCaller},
    goals::corrupt,
};
use crate::{
    domain::{
        claim,
        ids::{AgentId, AttemptId, GoalId, TaskId, WorkspaceId},
        plan::ApprovalPoints,
        refusal::Refusal,
        settings,
        spend::Amounts,
        states::{FailureClass, TaskState},
        task,
    },
    store::{
        self,
        task_detail_rows::{CriterionRow, NeighbourRow, Relation, TaskDetailRow},
        task_rows::{TaskConditions, TaskRow, TaskScope},
    },
};

/// How many children and dependents are shown with a task.
const NEIGHBOURS: i64 = 200;

/// One unit of work of a goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Task {
    /// Its id; stable over all attempts, so use it to make your own effects idempotent.
    pub id: TaskId,
    /// The goal that it belongs to.
    pub goal_id: GoalId,
    /// The container that it is in, or the task whose attempt added it.
    pub parent_id: Option<TaskId>,
    /// Its name in the plan, unique in the goal.
    #[schema(example = "api")]
    pub r#ref: String,
    /// Its place in the plan, from 0; subtasks that were added later follow.
    pub position: i32,
    /// One line.
    #[schema(example = "Write the REST endpoints")]
    pub title: String,
    /// `waiting` (for other tasks or a time), `ready` (may be claimed), `running`, `parked` (for a
    /// person or its subtasks), `reviewing`, `done`, `failed` or `cancelled`; the last three are
    /// final.
    pub state: TaskState,
    /// True: it is never offered to an agent, and ends with its children.
    pub container: bool,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// What an agent must be able to do to claim it; empty: any agent can.
    #[schema(example = json!(["rust"]))]
    pub capabilities: Vec<String>,
    /// Free words of the plan.
    #[schema(example = json!(["US1"]))]
    pub labels: Vec<String>,
    /// The heading that it stood under in the brief.
    pub section: Option<String>,
    /// Attempts that count against `max_attempts`: failed and expired ones.
    pub attempts_used: i32,
    /// When so many were used, a failure is final.
    pub max_attempts: i32,
    /// Tasks that it still needs, plus one while its container is not open.
    pub needs_unmet: i32,
    /// Its children that have not ended.
    pub children_open: i32,
    /// It is not offered before: a start time or the backoff after a failure.
    pub ready_from: DateTime<Utc>,
    /// Its latest attempt: the one that holds it, or held it last.
    pub attempt_id: Option<AttemptId>,
    /// The agent that works on it or handed in the result under review.
    pub agent_id: Option<AgentId>,
    /// Why it failed; `null` unless it is `failed`.
    pub failure_class: Option<FailureClass>,
    /// Whether it failed because its agents fell silent three times in a row: something about it
    /// may be harmful, so a person should look before it is tried again.
    pub quarantined: bool,
    /// Since then its agent is told to stop.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Why it failed or was cancelled.
    pub end_reason: Option<String>,
    /// What its attempts used, by unit.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 320}))]
    pub spend: Amounts,
    /// Rises with every edit and change of state; the `ETag`.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its state last changed.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

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
    pub estimate: Amounts,
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
}

/// Which tasks are listed.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only of this goal, in the order of its plan.
    pub goal: Option<GoalId>,
    /// Only children of this task, in the order of the plan.
    pub parent: Option<TaskId>,
    /// Only these states; empty: all.
    pub states: Vec<TaskState>,
    /// Only what requires this.
    pub capability: Option<String>,
}

/// A place in a list of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlace {
    /// The task.
    pub id: TaskId,
    /// Its position in the plan.
    pub position: i32,
}

/// Reads one task.
///
/// # Errors
/// `not_found`.
pub(super) async fn read(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: TaskId,
) -> Result<TaskDetail> {
    let conditions = TaskConditions { states: &[], capability: None, rows: 1 };
    let rows =
        store::task_rows::list(conn, workspace, TaskScope::These(&[id]), &conditions).await?;
    let row = rows.into_iter().next().ok_or_else(|| Refusal::not_found("task"))?;
    let detail = store::task_detail_rows::detail(conn, workspace, id).await?;
    let detail = detail.ok_or_else(|| Refusal::not_found("task"))?;
    let criteria = store::task_detail_rows::criteria(conn, workspace, id).await?;
    let needs = links(conn, workspace, id, Relation::Needs, i64::MAX).await?;
    let dependents = links(conn, workspace, id, Relation::Dependents, NEIGHBOURS).await?;
    let children = links(conn, workspace, id, Relation::Children, NEIGHBOURS).await?;
    let evidence = match store::attempt_rows::accepted(conn, workspace, id).await? {
        Some(attempt) => attempt_views::evidence(conn, workspace, attempt).await?,
        None => Vec::new(),
    };
    let criteria = criteria.into_iter().map(criterion).collect();
    let neighbours = Neighbours { needs, dependents, children };
    detailed(view(row)?, detail, criteria, neighbours, evidence)
}

struct Neighbours {
    needs: Vec<TaskLink>,
    dependents: Vec<TaskLink>,
    children: Vec<TaskLink>,
}

async fn links(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    task: TaskId,
    relation: Relation,
    most: i64,
) -> Result<Vec<TaskLink>> {
    let rows = store::task_detail_rows::neighbours(conn, workspace, task, relation, most).await?;
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
    evidence: Vec<Evidence>,
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
        children_count,
        dependents_count,
    } = row;
    let Neighbours { needs, dependents, children } = neighbours;
    Ok(TaskDetail {
        task,
        description,
        input,
        estimate: estimate.map_or(Ok(Amounts::new()), serde_json::from_value).map_err(corrupt)?,
        criteria,
        approval: ApprovalPoints { start: approve_start, result: approve_result },
        needs,
        dependents,
        dependents_count,
        children,
        children_count,
        result,
        evidence,
        lease_seconds: seconds(lease_ms).unwrap_or_else(|| whole(settings::LEASE)),
        attempt_timeout_seconds: seconds(attempt_timeout_ms)
            .unwrap_or_else(|| whole(settings::ATTEMPT_TIMEOUT)),
        start_within_seconds: seconds(start_within_ms),
        finish_within_seconds: seconds(finish_within_ms),
        start_by,
        finish_by,
        cancel_by,
    })
}

fn seconds(millis: Option<i64>) -> Option<i64> {
    millis.map(|millis| millis / 1000)
}

fn whole(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn view(row: TaskRow) -> Result<Task> {
    let TaskRow {
        task_id,
        goal_id,
        parent_id,
        reference,
        position,
        title,
        state,
        container,
        priority,
        capability_key,
        labels,
        section,
        attempts_used,
        max_attempts,
        lost_in_row,
        needs_unmet,
        children_open,
        ready_from,
        attempt_id,
        agent_id,
        failure_class,
        cancel_requested_at,
        end_reason,
        spend,
        version,
        created_at,
        updated_at,
        ended_at,
    } = row;
    Ok(Task {
        id: task_id,
        goal_id,
        parent_id,
        r#ref: reference,
        position,
        title,
        state,
        container,
        priority,
        capabilities: claim::capabilities(&capability_key),
        labels,
        section,
        attempts_used,
        max_attempts,
        needs_unmet,
        children_open,
        ready_from,
        attempt_id,
        agent_id,
        failure_class,
        quarantined: task::quarantined(failure_class, lost_in_row),
        cancel_requested_at,
        end_reason,
        spend: serde_json::from_value(spend).map_err(corrupt)?,
        version,
        created_at,
        updated_at,
        ended_at,
    })
}

impl App {
    /// Tasks: of a goal or a parent in the order of the plan, otherwise newest first.
    ///
    /// # Errors
    /// `invalid` when a capability is looked for among all the tasks there ever were.
    pub async fn list_tasks(
        &self,
        caller: &ReaderCaller,
        filter: &TaskFilter,
        after: Option<TaskPlace>,
        rows: u32,
    ) -> Result<Vec<Task>> {
        let workspace = caller.principal().workspace;
        let mut conn = self.reader().await?;
        let goal = match (filter.goal, filter.parent) {
            (None, Some(parent)) => {
                let goal = store::tasks::goal_of(&mut conn, workspace, parent).await?;
                let Some(goal) = goal else { return Ok(Vec::new()) };
                Some(goal)
            }
            (goal, _) => goal,
        };
        let scope = match goal {
            Some(goal) => TaskScope::OfGoal {
                goal,
                parent: filter.parent,
                after: after.map(|place| (place.position, place.id)),
            },
            None => {
                check_capability(filter)?;
                TaskScope::Newest { after: after.map(|place| place.id) }
            }
        };
        let TaskFilter { goal: _, parent: _, states, capability } = filter;
        let conditions = TaskConditions { states, capability: capability.as_deref(), rows };
        let rows = store::task_rows::list(&mut conn, workspace, scope, &conditions).await?;
        rows.into_iter().map(view).collect()
    }

    /// One task with everything that is known of it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn read_task(&self, caller: &ReaderCaller, task: TaskId) -> Result<TaskDetail> {
        read(&mut *self.reader().await?, caller.principal().workspace, task).await
    }
}

/// Among all tasks that ever ended there is no fast way to those that required something, and a
/// list that takes longer the older the service is helps nobody.
fn check_capability(filter: &TaskFilter) -> Result<()> {
    let done = filter.states.contains(&TaskState::Done);
    if filter.capability.is_none() || !(filter.states.is_empty() || done) {
        return Ok(());
    }
    Err(Refusal::invalid_at(
        "?capability",
        "give `goal_id` too, or `state` (once or more, any but `done`), for example \
         `capability=rust&state=ready`",
    )
    .into())
}
