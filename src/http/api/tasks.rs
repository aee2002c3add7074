//! Tasks: the units of work.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        attempts::{
            claim::answer::Claim,
            takeover::{ReassignRequest, TakeoverRequest},
        },
        caller::{OperatorCaller, ReaderCaller, SubmitterCaller},
        tasks::{
            Acknowledgement, Cancellation, TaskChange,
            attempts::Attempt,
            detail::TaskDetail,
            list::{Task, TaskFilter, TaskPlace},
        },
    },
    domain::{
        ids::{GoalId, TaskId},
        states::TaskState,
    },
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            body::{ApiJson, OptionalJson},
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, NoFilter, Paged, SortKey},
            path::ApiPath,
        },
        problem::Result,
        reply::Created,
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![
        list_tasks,
        get_task,
        update_task[TaskEnded],
        cancel_task[TaskEnded],
        reassign_task[TaskEnded, GoalEnded, WrongState, PreconditionFailed],
        take_over_task[TaskEnded, GoalEnded, WrongState, PreconditionFailed, Frozen, BudgetExhausted],
        acknowledge_task[WrongState],
        list_task_attempts,
    ]
}

/// Which tasks to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TaskQuery {
    /// Only tasks of this goal.
    pub goal_id: Option<GoalId>,
    /// Only children of this task.
    pub parent_id: Option<TaskId>,
    /// Only tasks in this state; may be repeated.
    #[serde(default)]
    pub state: Vec<TaskState>,
    /// Only tasks that require this. Needs `goal_id`, `parent_id` or states other than `done`.
    #[param(example = "rust")]
    pub capability: Option<String>,
}

impl SortKey for TaskPlace {
    const LIST: &'static str = "tasks";
}

/// Where a page of a task's attempts starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct TaskAttemptAfter {
    number: i32,
}

impl SortKey for TaskAttemptAfter {
    const LIST: &'static str = "task_attempts";
}

/// List the tasks.
///
/// With `goal_id` or `parent_id` in the order of the plan, otherwise newest first.
#[utoipa::path(get, path = "/v1/tasks", tag = "tasks")]
async fn list_tasks(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    list: Listing<TaskQuery, TaskPlace>,
) -> Result<Paged<Task>> {
    let TaskQuery { goal_id, parent_id, state, capability } = list.filter.clone();
    let filter = TaskFilter { goal: goal_id, parent: parent_id, states: state, capability };
    let tasks = app.list_tasks(&caller, &filter, list.after, list.rows()).await?;
    list.page(tasks, |task| TaskPlace { id: task.id, position: task.position })
}

/// Read a task.
///
/// With its description, criteria, neighbours and, when it is done, its result and evidence.
#[utoipa::path(get, path = "/v1/tasks/{task_id}", tag = "tasks")]
async fn get_task(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(task): ApiPath<TaskId>,
) -> Result<Versioned<TaskDetail>> {
    let task = app.read_task(&caller, task).await?;
    Ok(Versioned::new(i64::from(task.task.version), task))
}

/// Edit a task.
///
/// Its priority, as long as it has not ended. Its place among the ready tasks follows.
#[utoipa::path(patch, path = "/v1/tasks/{task_id}", tag = "tasks")]
async fn update_task(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(task): ApiPath<TaskId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<TaskChange>,
) -> Result<Versioned<TaskDetail>> {
    let task = app.update_task(&caller, task, if_match.version, change).await?;
    Ok(Versioned::new(i64::from(task.task.version), task))
}

/// Cancel a task.
///
/// With it goes everything that cannot be done without it: what needs it, and what it contains.
/// What waits is cancelled at once. What runs is told to stop and has a minute; a result that
/// arrives first still counts. Cancelling a cancelled task changes nothing.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/cancel", tag = "tasks")]
async fn cancel_task(
    Auth(caller): Auth<SubmitterCaller>,
    State(app): State<Arc<App>>,
    ApiPath(task): ApiPath<TaskId>,
    OptionalJson(cancellation): OptionalJson<Cancellation>,
) -> Result<Versioned<TaskDetail>> {
    let task = app.cancel_task(&caller, task, &cancellation).await?;
    Ok(Versioned::new(i64::from(task.task.version), task))
}

/// Give a task to somebody else.
///
/// The attempt that has it ends at once: whatever its agent writes from now on is refused, but for
/// what it used. No try is lost. The task is offered again at once, to the agent that you name and no
/// other, or to anybody but the one that had it. That holds for the next attempt, also when the task
/// waits for something first, and falls away when the agent is retired. Sent again without `agent_id`
/// while nobody has the task, it is anybody's.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/reassign", tag = "tasks")]
async fn reassign_task(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(task): ApiPath<TaskId>,
    ApiJson(request): ApiJson<ReassignRequest>,
) -> Result<Versioned<TaskDetail>> {
    let task = app.reassign_task(&caller, task, &request).await?;
    Ok(Versioned::new(i64::from(task.task.version), task))
}

/// Take a task over.
///
/// The attempt that has it ends at once, as when it is reassigned, and a new one starts that is yours:
/// the answer is its claim, with the `lease` and everything that is known of the task. Complete, fail
/// or release it, ask or add subtasks as an agent would, under `/v1/attempts/{attempt_id}`, with the
/// same key. What runs, what may be claimed and what rests before it is tried again can be taken over;
/// and what waits for the answer to a question of its agent, which is withdrawn.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/takeover", tag = "tasks")]
async fn take_over_task(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(task): ApiPath<TaskId>,
    Create { body, idempotency }: Create<TakeoverRequest>,
) -> Result<Created<Claim>> {
    let outcome = app.take_over_task(&caller, task, &body, idempotency.as_ref()).await?;
    Ok(Created::new(format!("/v1/attempts/{}", outcome.value.attempt_id), outcome))
}

/// Acknowledge a quarantine.
///
/// The task failed because its agents fell silent three times in a row. It stays failed: this says that
/// somebody has looked, and takes it out of `GET /v1/attention`. If its work is still wanted, post it
/// again as a goal. Acknowledging it again changes nothing.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/acknowledge", tag = "tasks")]
async fn acknowledge_task(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(task): ApiPath<TaskId>,
    OptionalJson(said): OptionalJson<Acknowledgement>,
) -> Result<Versioned<TaskDetail>> {
    let task = app.acknowledge_task(&caller, task, &said).await?;
    Ok(Versioned::new(i64::from(task.task.version), task))
}

/// List the attempts of a task.
///
/// Latest first.
#[utoipa::path(get, path = "/v1/tasks/{task_id}/attempts", tag = "attempts")]
async fn list_task_attempts(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(task): ApiPath<TaskId>,
    list: Listing<NoFilter, TaskAttemptAfter>,
) -> Result<Paged<Attempt>> {
    let after = list.after.map(|after| after.number);
    let attempts = app.list_task_attempts(&caller, task, after, list.rows()).await?;
    list.page(attempts, |attempt| TaskAttemptAfter { number: attempt.number })
}
