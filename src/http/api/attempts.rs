//! Attempts: the reports of agents on their work, and their records.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        approvals::views::Approval,
        attempts::{
            authorize::{AuthorizeAnswer, AuthorizeRequest},
            discovered::{DiscoveredAnswer, DiscoveredRequest},
            finish::answer::{CompleteRequest, FailRequest, FinishAnswer, ReleaseRequest},
            hand_off::{HandOffAnswer, HandOffRequest},
            heartbeat::answer::{
                HeartbeatAnswer, HeartbeatRequest, HeartbeatsAnswer, HeartbeatsRequest,
            },
            park::{AskRequest, SubtasksAnswer, SubtasksRequest},
            resources::{ResourcesAnswer, ResourcesRequest},
            split::{SplitAnswer, SplitRequest},
        },
        caller::{AttemptReaderCaller, HolderCaller, OperatorCaller},
        spend::{
            answer::{SpendAnswer, SpendRequest},
            correct::{SpendCorrection, SpendCorrectionRequest},
        },
        tasks::attempts::{Attempt, AttemptDetail, SpendLine, SpendPlace},
    },
    domain::ids::{AgentId, AttemptId},
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            idempotency::Create,
            meter::Meter,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
        },
        fairness::quotas::Counted,
        problem::Result,
        reply::{Created, Reply},
    },
};

/// The filters of the list of an agent's attempts.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AgentAttemptQuery {
    /// `true`: only running attempts.
    #[serde(default)]
    #[param(default = false)]
    pub running: bool,
}

/// Renew a lease.
///
/// Send a heartbeat at least three times per lease. It never shortens a lease, and never extends it
/// past the hard deadline. The `directive` of the answer says how to continue.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/heartbeat")]
pub async fn heartbeat(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<HeartbeatRequest>,
) -> Result<Reply<HeartbeatAnswer>> {
    meter.report(&request.spend, request.checkpoint.as_ref())?;
    Ok(Reply(app.heartbeat(&caller, attempt, request).await?))
}

/// Renew many leases.
///
/// Heartbeats are judged one by one: the answer has one outcome each, in the order of the request.
#[utoipa::path(post, path = "/v1/heartbeats")]
pub async fn heartbeat_many(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiJson(request): ApiJson<HeartbeatsRequest>,
) -> Result<Reply<HeartbeatsAnswer>> {
    for heartbeat in &request.heartbeats {
        meter.report(&heartbeat.spend, heartbeat.checkpoint.as_ref())?;
    }
    Ok(Reply(app.heartbeat_many(&caller, request).await?))
}

/// Report spend.
///
/// Either `entries` with keys of your choice, each key counted once, or `totals` of the attempt so far: only the increase
/// over the highest earlier total counts. Accepted after the end of the attempt too. Refused only if a total would exceed
/// 1,000,000,000,000,000,000.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/spend")]
pub async fn report_spend(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<SpendRequest>,
) -> Result<Reply<SpendAnswer>> {
    meter.count(Counted::SpendEntries, request.entries.len() + request.totals.len())?;
    Ok(Reply(app.report_spend(&caller, attempt, request).await?))
}

/// Correct the spend of an attempt.
///
/// Adds entries with a reason to the attempt, running or ended. A negative amount takes back wrong
/// spend, but never more than the attempt has. The entries reach every total and budget above, in the
/// periods of the attempt, and the earlier entries stay as they are.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/spend/corrections")]
pub async fn correct_spend(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(attempt): ApiPath<AttemptId>,
    Create { body, idempotency }: Create<SpendCorrectionRequest>,
) -> Result<Created<SpendCorrection>> {
    let outcome = app.correct_spend(&caller, attempt, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |made| format!("/v1/attempts/{}/spend", made.attempt_id)))
}

/// Authorize a cost in advance.
///
/// Reserves the maximum of a cost under your key in every budget above the task, or refuses it.
/// Report the cost afterwards as a spend entry with the same key: up to the authorized amount it
/// cannot exceed any limit. The same request again changes nothing.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/authorize")]
pub async fn authorize(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<AuthorizeRequest>,
) -> Result<Reply<AuthorizeAnswer>> {
    meter.count(Counted::SpendEntries, request.amounts.len())?;
    Ok(Reply(app.authorize(&caller, attempt, &request).await?))
}

/// Complete an attempt.
///
/// Submits the result, with evidence for each required criterion. A task whose result needs an
/// approval is `reviewing` until the result is accepted or rejected. The same request again gets
/// the same answer.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/complete")]
pub async fn complete(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<CompleteRequest>,
) -> Result<Reply<FinishAnswer>> {
    meter.report(&request.spend, None)?;
    Ok(Reply(app.complete(&caller, attempt, request).await?))
}

/// Fail an attempt.
///
/// The class of the failure decides whether the task is tried again. The same request again gets
/// the same answer.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/fail")]
pub async fn fail(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<FailRequest>,
) -> Result<Reply<FinishAnswer>> {
    meter.report(&request.spend, None)?;
    Ok(Reply(app.fail(&caller, attempt, request).await?))
}

/// Release a task.
///
/// The attempt does not count as a try, and the task is offered to other agents at once. From the third
/// release in a row without progress on, it is offered after a pause that grows: `retry_at` says when.
/// The same request again gets the same answer.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/release")]
pub async fn release(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<ReleaseRequest>,
) -> Result<Reply<FinishAnswer>> {
    meter.report(&request.spend, request.checkpoint.as_ref())?;
    Ok(Reply(app.release(&caller, attempt, request).await?))
}

/// Add subtasks.
///
/// Creates tasks under yours, ends this attempt and parks your task, which frees your slot. When
/// all subtasks have ended, your task is offered again, with their results.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/subtasks")]
pub async fn add_subtasks(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    Create { body, idempotency }: Create<SubtasksRequest>,
) -> Result<Created<SubtasksAnswer>> {
    meter.count(Counted::Tasks, body.tasks.len())?;
    meter.report(&body.spend, body.checkpoint.as_ref())?;
    let outcome = app.add_subtasks(&caller, attempt, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |answer| format!("/v1/tasks?parent_id={}", answer.task_id)))
}

/// Split a task.
///
/// Ends this attempt without a failure and makes your task a container of the parts: it is done when they are, and
/// what needs it goes on waiting. If it had criteria or its result needs an approval, a last part has these and needs
/// the others. The rest of the goal stays. A task may be inside three divided ones at most.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/split")]
pub async fn split(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    Create { body, idempotency }: Create<SplitRequest>,
) -> Result<Created<SplitAnswer>> {
    meter.count(Counted::Tasks, body.tasks.len())?;
    meter.report(&body.spend, body.checkpoint.as_ref())?;
    let outcome = app.split(&caller, attempt, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |answer| format!("/v1/tasks?parent_id={}", answer.task_id)))
}

/// Hand a task over.
///
/// Ends this attempt, which does not count as a try, and offers your task to one agent or to agents with a capability:
/// until `offer_until` only to these, afterwards to every able agent. The next attempt gets the note and the
/// checkpoint. Refused if no registered agent could take it, and after ten hand-offs of a task.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/hand-off")]
pub async fn hand_off(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    Create { body, idempotency }: Create<HandOffRequest>,
) -> Result<Created<HandOffAnswer>> {
    meter.report(&body.spend, body.checkpoint.as_ref())?;
    let outcome = app.hand_off(&caller, attempt, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |answer| format!("/v1/tasks/{}", answer.task_id)))
}

/// Report discovered work.
///
/// Proposes tasks of the same goal, beside yours. By the goal's `discovered` a person is asked, the tasks are created
/// at once, or the report is refused. A task with the title of an open or proposed one is a duplicate. Your attempt
/// goes on. At most 20 tasks per report, 50 per attempt and 500 per goal, and three discoveries deep.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/discovered")]
pub async fn report_discovered(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    Create { body, idempotency }: Create<DiscoveredRequest>,
) -> Result<Created<DiscoveredAnswer>> {
    meter.count(Counted::Tasks, body.tasks.len())?;
    let outcome = app.report_discovered(&caller, attempt, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |answer| format!("/v1/goals/{}/plans", answer.goal_id)))
}

/// Take or give up resources.
///
/// First gives up what `release` names, then takes all of `take` or nothing: another attempt that holds a conflicting
/// resource is a 409 that says who. The attempt goes on, and holds what it took until it ends or gives it up. The
/// same request again changes nothing.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/resources")]
pub async fn change_resources(
    Auth { app, caller }: Auth<HolderCaller>,
    ApiPath(attempt): ApiPath<AttemptId>,
    ApiJson(request): ApiJson<ResourcesRequest>,
) -> Result<Reply<ResourcesAnswer>> {
    Ok(Reply(app.change_resources(&caller, attempt, &request).await?))
}

/// Ask a person.
///
/// Creates an approval, ends this attempt and parks your task, which frees your slot. When the
/// approval is decided, the task is offered again, with the decision.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/approvals")]
pub async fn ask(
    Auth { app, caller }: Auth<HolderCaller>,
    meter: Meter,
    ApiPath(attempt): ApiPath<AttemptId>,
    Create { body, idempotency }: Create<AskRequest>,
) -> Result<Created<Approval>> {
    meter.report(&body.spend, body.checkpoint.as_ref())?;
    let outcome = app.ask(&caller, attempt, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |approval| format!("/v1/approvals/{}", approval.id));
    Ok(created.version(|approval| approval.version))
}

/// Read an attempt.
///
/// Includes its checkpoint, and its result and evidence if it submitted them.
#[utoipa::path(get, path = "/v1/attempts/{attempt_id}")]
pub async fn get_attempt(
    Auth { app, caller }: Auth<AttemptReaderCaller>,
    ApiPath(attempt): ApiPath<AttemptId>,
) -> Result<Reply<AttemptDetail>> {
    Ok(Reply(app.read_attempt(&caller, attempt).await?))
}

/// List the spend of an attempt.
///
/// One line per entry and unit, in the order of the entries' keys.
#[utoipa::path(get, path = "/v1/attempts/{attempt_id}/spend")]
pub async fn list_attempt_spend(
    Auth { app, caller }: Auth<AttemptReaderCaller>,
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
#[utoipa::path(get, path = "/v1/agents/{agent_id}/attempts")]
pub async fn list_agent_attempts(
    Auth { app, caller }: Auth<AttemptReaderCaller>,
    ApiPath(agent): ApiPath<AgentId>,
    list: Listing<AgentAttemptQuery, AttemptId>,
) -> Result<Paged<Attempt>> {
    let running = list.filter.running;
    let attempts =
        app.list_agent_attempts(&caller, agent, running, list.after, list.rows()).await?;
    list.page(attempts, |attempt| attempt.id)
}
