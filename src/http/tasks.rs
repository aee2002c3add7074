//! Tasks: the units of work.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use super::{
    HttpState,
    auth::Auth,
    body::{ApiJson, OptionalJson},
    conditional::{IfMatch, Versioned},
    describe::handlers,
    page::{Listing, NoFilter, Paged, SortKey},
    path::ApiPath,
    problem::Result,
};
use crate::{
    app::{
        App,
        attempt_views::Attempt,
        caller::{OperatorCaller, ReaderCaller, SubmitterCaller},
        goals::Cancellation,
        task_details::TaskDetail,
        task_views::{Task, TaskFilter, TaskPlace},
        tasks::TaskChange,
    },
    domain::{
        ids::{GoalId, TaskId},
        states::TaskState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![
        list_tasks,
        get_task,
        update_task[TaskEnded],
        cancel_task[TaskEnded],
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
