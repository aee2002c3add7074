//! Tasks: the units of work.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        attempts::{
            claim::answer::Claim,
            takeover::{ReassignRequest, TakeoverRequest},
        },
        caller::{OperatorCaller, ProjectReaderCaller, ProjectSubmitterCaller},
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
        extract::{
            auth::Auth,
            body::{ApiJson, OptionalJson},
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::Created,
    },
};

/// The filters of the list of tasks.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TaskQuery {
    /// Only tasks of this goal.
    pub goal_id: Option<GoalId>,
    /// Only children of this task.
    pub parent_id: Option<TaskId>,
    /// Only tasks in this state; may be repeated.
    #[serde(default)]
    pub state: Vec<TaskState>,
    /// Only tasks that require this capability. Needs `goal_id`, `parent_id` or states other than
    /// `done`.
    #[param(example = "rust")]
    pub capability: Option<String>,
}

/// List the tasks.
///
/// In the order of the plan with `goal_id` or `parent_id`, otherwise newest first.
#[utoipa::path(get, path = "/v1/tasks")]
pub async fn list_tasks(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    list: Listing<TaskQuery, TaskPlace>,
) -> Result<Paged<Task>> {
    let TaskQuery { goal_id, parent_id, state, capability } = list.filter.clone();
    let filter = TaskFilter { goal: goal_id, parent: parent_id, states: state, capability };
    let tasks = app.list_tasks(&caller, &filter, list.after, list.rows()).await?;
    list.page(tasks, |task| TaskPlace { id: task.id, position: task.position })
}

/// Read a task.
///
/// Includes its description, criteria and neighbours, and the result with its evidence if the task
/// is done.
#[utoipa::path(get, path = "/v1/tasks/{task_id}")]
pub async fn get_task(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(task): ApiPath<TaskId>,
) -> Result<Versioned<TaskDetail>> {
    Ok(Versioned::new(app.read_task(&caller, task).await?, |task| task.task.version))
}

/// Edit a task.
///
/// Changes the priority of a task that has not ended, and so its position among the ready tasks.
#[utoipa::path(patch, path = "/v1/tasks/{task_id}")]
pub async fn update_task(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(task): ApiPath<TaskId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<TaskChange>,
) -> Result<Versioned<TaskDetail>> {
    let task = app.update_task(&caller, task, if_match.version, change).await?;
    Ok(Versioned::new(task, |task| task.task.version))
}

/// Cancel a task.
///
/// Also cancels every task that cannot be done without it: its dependents and its children. Waiting
/// and ready tasks are cancelled at once. Running attempts are asked to stop and have one minute; a
/// result that arrives before counts. Cancelling a cancelled task changes nothing.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/cancel")]
pub async fn cancel_task(
    Auth { app, caller }: Auth<ProjectSubmitterCaller>,
    ApiPath(task): ApiPath<TaskId>,
    OptionalJson(cancellation): OptionalJson<Cancellation>,
) -> Result<Versioned<TaskDetail>> {
    let task = app.cancel_task(&caller, task, &cancellation).await?;
    Ok(Versioned::new(task, |task| task.task.version))
}

/// Reassign a task.
///
/// Ends the running attempt at once, without counting it as a failed try. Later writes of its agent
/// are refused, except spend. The task is offered again at once: only to the agent in `agent_id`,
/// or without `agent_id` to every agent but the previous one.
///
/// The restriction holds for the next attempt, also if the task must wait first, and ends when the
/// agent is retired. Without `agent_id`, a second request while the task has no attempt lifts it:
/// then any agent may claim the task.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/reassign")]
pub async fn reassign_task(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(task): ApiPath<TaskId>,
    ApiJson(request): ApiJson<ReassignRequest>,
) -> Result<Versioned<TaskDetail>> {
    Ok(Versioned::new(app.reassign_task(&caller, task, &request).await?, |task| task.task.version))
}

/// Take a task over.
///
/// Ends the running attempt at once, as a reassignment does, and starts one for the caller. The
/// answer is its claim: the `lease` and the whole context of the task. Complete, fail or release
/// it, ask, or add subtasks as an agent does, under `/v1/attempts/{attempt_id}`, with the same key.
///
/// Possible for tasks that are running, ready, or waiting for their next try, and for tasks that
/// wait for the answer to an agent's approval of the kind `input` or `action`, which is withdrawn.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/takeover")]
pub async fn take_over_task(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(task): ApiPath<TaskId>,
    Create { body, idempotency }: Create<TakeoverRequest>,
) -> Result<Created<Claim>> {
    let outcome = app.take_over_task(&caller, task, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |claim| format!("/v1/attempts/{}", claim.attempt_id)))
}

/// Acknowledge a quarantined task.
///
/// A task is quarantined (failed) after three attempts in a row ended in silence. Acknowledging
/// records that a person has seen it and removes it from `GET /v1/attention`; the task stays
/// failed. To have the work done, create it again as a goal. Acknowledging it again changes
/// nothing.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/acknowledge")]
pub async fn acknowledge_task(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(task): ApiPath<TaskId>,
    OptionalJson(said): OptionalJson<Acknowledgement>,
) -> Result<Versioned<TaskDetail>> {
    Ok(Versioned::new(app.acknowledge_task(&caller, task, &said).await?, |task| task.task.version))
}

/// List the attempts of a task.
///
/// Latest first.
#[utoipa::path(get, path = "/v1/tasks/{task_id}/attempts")]
pub async fn list_task_attempts(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(task): ApiPath<TaskId>,
    list: Listing<NoFilter, i32>,
) -> Result<Paged<Attempt>> {
    let attempts = app.list_task_attempts(&caller, task, list.after, list.rows()).await?;
    list.page(attempts, |attempt| attempt.number)
}
