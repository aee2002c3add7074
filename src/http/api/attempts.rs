//! Attempts: what an agent says of its work, and what is read of it.

use std::sync::Arc;

use axum::{Extension, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use super::goals::PLAN_LIMIT;
use crate::{
    app::{
        App,
        approvals::views::Approval,
        attempts::{
            authorize::{AuthorizeAnswer, AuthorizeRequest},
            finish::answer::{CompleteRequest, FailRequest, FinishAnswer, ReleaseRequest},
            heartbeat::answer::{
                HeartbeatAnswer, HeartbeatRequest, HeartbeatsAnswer, HeartbeatsRequest,
            },
            park::{AskRequest, SubtasksAnswer, SubtasksRequest},
        },
        caller::{HolderCaller, ReaderCaller},
        spend::answer::{SpendAnswer, SpendRequest},
        tasks::attempts::{Attempt, AttemptDetail, SpendLine, SpendPlace},
    },
    domain::ids::{AgentId, AttemptId},
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            body::ApiJson,
            idempotency::Create,
            page::{Listing, NoFilter, Paged, SortKey},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, Reply},
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    let plans = handlers![add_subtasks[NotYourAttempt, LeaseLost, Frozen, GoalEnded, TaskEnded, PlanInvalid]];
    let others = handlers![
        heartbeat[NotYourAttempt, LeaseLost],
        heartbeat_many,
        report_spend[NotYourAttempt, LeaseLost],
        complete[NotYourAttempt, LeaseLost, Frozen, AlreadyCompleted, EvidenceMissing],
        fail[NotYourAttempt, LeaseLost, Frozen, AlreadyCompleted],
        release[NotYourAttempt, LeaseLost, Frozen, AlreadyCompleted],
        authorize[NotYourAttempt, LeaseLost, Frozen, BudgetExhausted],
        ask[NotYourAttempt, LeaseLost, Frozen, GoalEnded, TaskEnded],
        get_attempt,
        list_attempt_spend,
        list_agent_attempts,
    ];
    plans.layer(Extension(PLAN_LIMIT)).merge(others)
}

/// Which attempts of an agent to list.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AgentAttemptQuery {
    /// `true`: only those that run.
    #[serde(default)]
    #[param(default = false)]
    pub running: bool,
}

/// Where a page of an agent's attempts starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AgentAttemptAfter {
    id: AttemptId,
}

impl SortKey for AgentAttemptAfter {
    const LIST: &'static str = "agent_attempts";
}

impl SortKey for SpendPlace {
    const LIST: &'static str = "attempt_spend";
}

/// Keep an attempt alive.
///
/// Send one at least three times per lease. It never shortens the lease and never moves it past
/// the hard deadline. The answer's `directive` says how to go on.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/heartbeat", tag = "attempts")]
async fn heartbeat(
    Auth(caller): Auth<HolderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<HeartbeatRequest>,
) -> Result<Reply<HeartbeatAnswer>> {
    Ok(Reply(app.heartbeat(&caller, attempt, request).await?))
}

/// Keep many attempts alive.
///
/// Each is judged alone: the answer has one outcome for each, in the order of the request.
#[utoipa::path(post, path = "/v1/heartbeats", tag = "attempts")]
async fn heartbeat_many(
    Auth(caller): Auth<HolderCaller>,
    State(app): State<Arc<App>>,
    ApiJson(request): ApiJson<HeartbeatsRequest>,
) -> Result<Reply<HeartbeatsAnswer>> {
    Ok(Reply(app.heartbeat_many(&caller, request).await?))
}

/// Report spend.
///
/// Entries with keys of your own, of which a second one with the same key adds nothing, or totals
/// of the attempt so far, of which only a rise counts. Spend is accepted after the attempt has
/// ended too: what was used was used.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/spend", tag = "attempts")]
async fn report_spend(
    Auth(caller): Auth<HolderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<SpendRequest>,
) -> Result<Reply<SpendAnswer>> {
    Ok(Reply(app.report_spend(&caller, attempt, request).await?))
}

/// Ask before spending.
///
/// What a cost may be at most is set aside under your key, from every budget above the task, or
/// refused. Report the cost afterwards as a spend entry with the same key: as long as it is not more
/// than was authorised, no limit can be overrun by it. The same request again changes nothing.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/authorize", tag = "attempts")]
async fn authorize(
    Auth(caller): Auth<HolderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<AuthorizeRequest>,
) -> Result<Reply<AuthorizeAnswer>> {
    Ok(Reply(app.authorize(&caller, attempt, &request).await?))
}

/// Hand in a result.
///
/// With evidence for each required criterion. A task whose result needs a person is `reviewing`
/// until it is accepted or rejected. The same request again gets the same answer.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/complete", tag = "attempts")]
async fn complete(
    Auth(caller): Auth<HolderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<CompleteRequest>,
) -> Result<Reply<FinishAnswer>> {
    Ok(Reply(app.complete(&caller, attempt, request).await?))
}

/// Give up.
///
/// The class says whether the task is tried again. The same request again gets the same answer.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/fail", tag = "attempts")]
async fn fail(
    Auth(caller): Auth<HolderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<FailRequest>,
) -> Result<Reply<FinishAnswer>> {
    Ok(Reply(app.fail(&caller, attempt, request).await?))
}

/// Give the task back.
///
/// Unharmed: the attempt does not count, and the task is offered to others at once. The same
/// request again gets the same answer.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/release", tag = "attempts")]
async fn release(
    Auth(caller): Auth<HolderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<ReleaseRequest>,
) -> Result<Reply<FinishAnswer>> {
    Ok(Reply(app.release(&caller, attempt, request).await?))
}

/// Have other tasks done first.
///
/// They are added under your task, which is parked: this attempt is over and your slot is free.
/// When all of them have ended your task is offered again, with what they produced.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/subtasks", tag = "attempts")]
async fn add_subtasks(
    Auth(caller): Auth<HolderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(attempt): ApiPath<AttemptId>,
    Create { body, idempotency }: Create<SubtasksRequest>,
) -> Result<Created<SubtasksAnswer>> {
    let outcome = app.add_subtasks(&caller, attempt, &body, idempotency.as_ref()).await?;
    let location = format!("/v1/tasks?parent_id={}", outcome.value.task_id);
    Ok(Created::new(location, outcome))
}

/// Ask a person.
///
/// Your task is parked: this attempt is over and your slot is free. When the question is decided
/// the task is offered again, with the decision.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/approvals", tag = "attempts")]
async fn ask(
    Auth(caller): Auth<HolderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(attempt): ApiPath<AttemptId>,
    Create { body, idempotency }: Create<AskRequest>,
) -> Result<Created<Approval>> {
    let outcome = app.ask(&caller, attempt, &body, idempotency.as_ref()).await?;
    let approval = &outcome.value;
    let location = format!("/v1/approvals/{}", approval.id);
    let version = i64::from(approval.version);
    Ok(Created::new(location, outcome).version(version))
}

/// Read an attempt.
///
/// With its checkpoint, and with its result and evidence when it handed them in.
#[utoipa::path(get, path = "/v1/attempts/{attempt_id}", tag = "attempts")]
async fn get_attempt(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(attempt): ApiPath<AttemptId>,
) -> Result<Reply<AttemptDetail>> {
    Ok(Reply(app.read_attempt(&caller, attempt).await?))
}

/// List what an attempt spent.
///
/// Line by line, in the order of the entries' keys.
#[utoipa::path(get, path = "/v1/attempts/{attempt_id}/spend", tag = "attempts")]
async fn list_attempt_spend(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(attempt): ApiPath<AttemptId>,
    list: Listing<NoFilter, SpendPlace>,
) -> Result<Paged<SpendLine>> {
    let after = list.after.as_ref();
    let lines = app.list_attempt_spend(&caller, attempt, after, list.rows()).await?;
    list.page(lines, |line| SpendPlace { key: line.key.clone(), unit: line.unit.clone() })
}

/// List the attempts of an agent.
///
/// Latest first.
#[utoipa::path(get, path = "/v1/agents/{agent_id}/attempts", tag = "attempts")]
async fn list_agent_attempts(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(agent): ApiPath<AgentId>,
    list: Listing<AgentAttemptQuery, AgentAttemptAfter>,
) -> Result<Paged<Attempt>> {
    let running = list.filter.running;
    let after = list.after.map(|after| after.id);
    let attempts = app.list_agent_attempts(&caller, agent, running, after, list.rows()).await?;
    list.page(attempts, |attempt| AgentAttemptAfter { id: attempt.id })
}
