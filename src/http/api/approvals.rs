//! Approvals: decisions that wait for a person.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        approvals::views::{Approval, ApprovalFilter},
        caller::{OperatorCaller, ProjectOperatorCaller, ProjectReaderCaller},
        decisions::{
            request::DecisionRequest,
            revise::{ReviseRequest, Revisions},
        },
    },
    domain::{
        ids::{ApprovalId, GoalId},
        states::{ApprovalKind, ApprovalState},
    },
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfNoneMatch, Versioned},
            idempotency::Create,
            long_poll::WaitQuery,
            page::{Listing, Paged},
            path::ApiPath,
            query::ApiQuery,
        },
        problem::Result,
        reply::Reply,
    },
};

/// The filters of the list of approvals.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ApprovalQuery {
    /// Only approvals in this state; may be repeated. `pending` ones wait for a person.
    #[serde(default)]
    pub state: Vec<ApprovalState>,
    /// Only approvals of this kind; may be repeated.
    #[serde(default)]
    pub kind: Vec<ApprovalKind>,
    /// Only approvals about this goal.
    pub goal_id: Option<GoalId>,
}

/// List the approvals.
///
/// Oldest first, without bodies and payloads: `state=pending` starts with the longest waiting.
#[utoipa::path(get, path = "/v1/approvals")]
pub async fn list_approvals(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    list: Listing<ApprovalQuery, ApprovalId>,
) -> Result<Paged<Approval>> {
    let ApprovalQuery { state, kind, goal_id } = list.filter.clone();
    let filter = ApprovalFilter { states: state, kinds: kind, goal: goal_id };
    let approvals = app.list_approvals(&caller, &filter, list.after, list.rows()).await?;
    list.page(approvals, |approval| approval.id)
}

/// Read an approval.
///
/// `payload` is exactly what is decided. With `wait_seconds`, the answer waits until the approval
/// is decided; together with `If-None-Match`, until its version changes.
#[utoipa::path(get, path = "/v1/approvals/{approval_id}")]
pub async fn get_approval(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(approval): ApiPath<ApprovalId>,
    ApiQuery(wait): ApiQuery<WaitQuery>,
    known: IfNoneMatch,
) -> Result<Versioned<Approval>> {
    let approval = app.wait_approval(&caller, approval, known.version, wait.duration()).await?;
    Ok(Versioned::new(approval, |approval| approval.version).unless(known))
}

/// List the previous payloads of an approval.
///
/// Oldest first. The present payload is in the approval itself.
#[utoipa::path(get, path = "/v1/approvals/{approval_id}/revisions")]
pub async fn list_approval_revisions(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(approval): ApiPath<ApprovalId>,
) -> Result<Reply<Revisions>> {
    Ok(Reply(app.approval_revisions(&caller, approval).await?))
}

/// Revise the payload of an approval.
///
/// Possible until the approval is decided. A decision with the hash of an earlier payload is then
/// refused. The payloads of results and of tasks that wait for their start cannot be revised.
#[utoipa::path(post, path = "/v1/approvals/{approval_id}/revise")]
pub async fn revise_approval(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(approval): ApiPath<ApprovalId>,
    ApiJson(request): ApiJson<ReviseRequest>,
) -> Result<Versioned<Approval>> {
    Ok(Versioned::new(app.revise(&caller, approval, &request).await?, |approval| approval.version))
}

/// Decide an approval.
///
/// `payload_sha256` names the payload that you read; the decision is about exactly that. The
/// decision and its effect are one transaction. People in `excluded` may not decide
/// (`separation_of_duties`). The second of two decisions is refused and changes nothing; the same decision
/// again, by the same person, gets the same answer.
#[utoipa::path(post, path = "/v1/approvals/{approval_id}/decide")]
pub async fn decide_approval(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(approval): ApiPath<ApprovalId>,
    Create { body, idempotency }: Create<DecisionRequest>,
) -> Result<Versioned<Approval>> {
    let outcome = app.decide(&caller, approval, &body, idempotency.as_ref()).await?;
    Ok(Versioned::once(outcome, |approval| approval.version))
}
