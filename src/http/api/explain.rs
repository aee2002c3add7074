//! Explanations: why a task does not run, and why an agent gets nothing.

use crate::{
    app::{
        caller::{ProjectReaderCaller, ReaderCaller},
        explain::views::{AgentExplanation, TaskExplanation},
    },
    domain::ids::{AgentId, TaskId},
    http::{
        extract::{auth::Auth, path::ApiPath},
        problem::Result,
        reply::Reply,
    },
};

/// Explain a task.
///
/// Why the task does not run, the decisive cause first: each with the one who must act, and the request that clears it,
/// or the time at which it ends by itself. If it runs: which attempt works on it, and why its agent got it.
///
/// Everything is of one moment, and may have changed when you act. The requests carry the versions that were read, so
/// that they overwrite no other change. Causes behind the first show up once those before are cleared.
#[utoipa::path(get, path = "/v1/tasks/{task_id}/explain")]
pub async fn explain_task(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(task): ApiPath<TaskId>,
) -> Result<Reply<TaskExplanation>> {
    Ok(Reply(app.explain_task(&caller, task).await?))
}

/// Explain an agent.
///
/// Why the agent gets nothing, the decisive cause first: each with the one who must act, and the request that clears it,
/// or the time at which it ends by itself. If there is work for it, it has only to claim.
#[utoipa::path(get, path = "/v1/agents/{agent_id}/explain")]
pub async fn explain_agent(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath(agent): ApiPath<AgentId>,
) -> Result<Reply<AgentExplanation>> {
    Ok(Reply(app.explain_agent(&caller, agent).await?))
}
