//! Tasks: the units of work.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        attempts::{
            claim::answer::Claim,
            takeover::{ReassignRequest, TakeoverRequest},
        },
        caller::{
            OperatorCaller, ProjectOperatorCaller, ProjectReaderCaller, ProjectSubmitterCaller,
        },
        goals::{
            reopen::{ReopenRequest, ReopenedTask},
            retry::{RetriedTask, RetryRequest},
            split::SplitTaskRequest,
        },
        tasks::{
            Acknowledgement, Cancellation,
            attempts::Attempt,
            detail::TaskDetail,
            edit::TaskChange,
            list::{Task, TaskFilter, TaskPage},
        },
    },
    domain::{
        ids::{AgentId, GoalId, TaskId},
        states::TaskState,
        task::find::{TaskPlace, TaskSort},
    },
    http::{
        extract::{
            auth::Auth,
            body::{ApiJson, OptionalJson},
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            meter::Meter,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
        },
        fairness::quotas::Counted,
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
    /// Only tasks of this priority, 0 to 9; may be repeated.
    #[serde(default)]
    pub priority: Vec<i16>,
    /// Only tasks with this text in the title or the description, in upper or lower case. At most 500
    /// characters.
    #[param(example = "importer")]
    pub text: Option<String>,
    /// Only tasks with exactly this ref. It is unique in a goal, not in the workspace.
    #[param(example = "T012")]
    pub r#ref: Option<String>,
    /// Only tasks with exactly this label.
    #[param(example = "US1")]
    pub label: Option<String>,
    /// Only tasks that require this capability.
    #[param(example = "rust")]
    pub capability: Option<String>,
    /// Only tasks whose current or latest attempt is of this agent.
    pub agent_id: Option<AgentId>,
    /// The order. Absent: that of the plan with `goal_id` or `parent_id`, otherwise newest first.
    /// `position`, `updated_at` and `-updated_at` need `goal_id` or `parent_id`.
    #[param(inline)]
    pub sort: Option<TaskSort>,
}

/// List the tasks.
///
/// In the order of the plan with `goal_id` or `parent_id`, otherwise newest first, or as `sort` says.
///
/// `text`, `ref`, `label`, `capability` and `agent_id` test one task after the other, at most 10,000 per
/// page: a page may have fewer items than `limit`, or none, and still a `next_cursor`. Read on until it is
/// `null`. With `goal_id`, or with the states that matter, there is less to test.
#[utoipa::path(get, path = "/v1/tasks")]
pub async fn list_tasks(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    list: Listing<TaskQuery, TaskPlace>,
) -> Result<Paged<Task>> {
    let TaskQuery {
        goal_id,
        parent_id,
        state,
        priority,
        text,
        r#ref,
        label,
        capability,
        agent_id,
        sort,
    } = list.filter.clone();
    let filter = TaskFilter {
        goal: goal_id,
        parent: parent_id,
        states: state,
        priorities: priority,
        text,
        reference: r#ref,
        label,
        capability,
        agent: agent_id,
        sort,
    };
    let page = app.list_tasks(&caller, &filter, list.after, list.rows()).await?;
    let TaskPage { tasks, goes_on } = page;
    let page = list.page_of(tasks, |(place, _)| *place, goes_on)?;
    Ok(page.map(|page| page.map(|(_, task)| task)))
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
/// Fields left out stay, `null` sets a field back to its default, and lists are replaced as a whole. An
/// edit that changes nothing keeps the version.
///
/// A task that nobody works on can be edited in everything: a ready one with a new need or start time
/// waits again, a waiting one without needs is offered, and a person who was asked about its start is
/// asked again with the new text, and so is one who approved the start before anybody began. What an
/// approved plan says is changed only by an operator who could have approved it alone.
///
/// While it is running or its result is under review, what the claim handed over stays: only
/// `priority`, `labels`, `max_attempts`, `max_rework`, `lease_seconds` and `attempt_timeout_seconds`
/// change. `errors` of the refusal names the others, and its `detail` what may change now. A task that
/// has begun and is parked, and a container that is open, keep `needs` and `not_before`. A failed task
/// keeps `max_attempts`: its retry says how often it is tried again. What is done or cancelled is not
/// edited.
///
/// An attempt whose lease has ended can complete its task until another agent is given it. An edit of
/// anything that stays while a task is running ends that: its `complete` gets 409 `lease_lost`.
///
/// The budget of a task is edited with `PATCH /v1/budgets/{budget_id}`, and made with
/// `POST /v1/budgets`.
#[utoipa::path(patch, path = "/v1/tasks/{task_id}")]
pub async fn update_task(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(task): ApiPath<TaskId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<TaskChange>,
) -> Result<Versioned<TaskDetail>> {
    let task = app.update_task(&caller, task, if_match.version, &change).await?;
    Ok(Versioned::new(task, |task| task.task.version))
}

/// Cancel a task.
///
/// Also cancels every task that cannot be done without it: its dependents and its children. Waiting
/// and ready tasks are cancelled at once. Running attempts are asked to stop and have one minute; a
/// result that arrives before counts. Of a task that was cancelled because another failed, it says that
/// the task does not come back with the retry of that one. Otherwise cancelling again changes nothing.
///
/// A container whose other tasks are done is cancelled with it: what needs the container needs all of it.
/// To go on without the task, edit the `needs` of what comes after.
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
/// then any agent may claim the task. A check is refused to agents that may not do it, such as those that worked on
/// what it checks.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/reassign")]
pub async fn reassign_task(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
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

/// Divide a task.
///
/// Makes a ready task, or one that waits because it is too large, a container of the parts: it is done when they
/// are, and what needs it goes on waiting. If it had criteria or its result needs an approval, a last part has these
/// and needs the others. The rest of the goal stays.
///
/// A running task is reassigned first, or its agent divides it: `POST /v1/attempts/{attempt_id}/split`. What an
/// approved plan says is divided only by an operator who could have approved it alone.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/split")]
pub async fn split_task(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    meter: Meter,
    ApiPath(task): ApiPath<TaskId>,
    ApiJson(request): ApiJson<SplitTaskRequest>,
) -> Result<Versioned<TaskDetail>> {
    meter.count(Counted::Tasks, request.tasks.len())?;
    Ok(Versioned::new(app.split_task(&caller, task, &request).await?, |task| task.task.version))
}

/// Acknowledge a failed task.
///
/// Records that a person has seen the failure, for example a quarantine (three attempts in a row ended
/// in silence), and removes the task from `GET /v1/attention`. The task stays failed; `POST
/// /v1/tasks/{task_id}/retry` has the work done. Acknowledging it again changes nothing.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/acknowledge")]
pub async fn acknowledge_task(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(task): ApiPath<TaskId>,
    OptionalJson(said): OptionalJson<Acknowledgement>,
) -> Result<Versioned<TaskDetail>> {
    Ok(Versioned::new(app.acknowledge_task(&caller, task, &said).await?, |task| task.task.version))
}

/// Retry a failed task.
///
/// The task is offered again with further attempts: `attempts` of the body, or as many as the plan gave
/// it. Its deadlines begin anew. What was cancelled because of the failure comes back: tasks that need
/// it, and tasks around it or inside them, as far as nothing else that they need stays failed or
/// cancelled. Finished work stays, and so does what was cancelled on request. A failed goal is active
/// again. Of a container, every failed task inside it is retried.
///
/// A subtask can be retried while its parent task still waits for its subtasks. Each further attempt
/// needs room in every budget above the task, as usual.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/retry")]
pub async fn retry_task(
    Auth { app, caller }: Auth<ProjectSubmitterCaller>,
    ApiPath(task): ApiPath<TaskId>,
    OptionalJson(request): OptionalJson<RetryRequest>,
) -> Result<Versioned<RetriedTask>> {
    let retried = app.retry_task(&caller, task, &request).await?;
    Ok(Versioned::new(retried, |retried| retried.task.task.version))
}

/// Reopen a done task.
///
/// Takes the accepted result back: its attempt is `rejected`, and the next attempt gets the result and
/// the `reason` among `earlier_attempts`. Done containers around the task open again, and a completed
/// goal is active again.
///
/// Tasks that need it and were not begun wait again (`waiting_again`). Those that were begun go on, and
/// those that are done stay done (`begun`).
#[utoipa::path(post, path = "/v1/tasks/{task_id}/reopen")]
pub async fn reopen_task(
    Auth { app, caller }: Auth<ProjectSubmitterCaller>,
    ApiPath(task): ApiPath<TaskId>,
    OptionalJson(request): OptionalJson<ReopenRequest>,
) -> Result<Versioned<ReopenedTask>> {
    let reopened = app.reopen_task(&caller, task, &request).await?;
    Ok(Versioned::new(reopened, |reopened| reopened.task.task.version))
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
