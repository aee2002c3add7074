//! Approvals: what waits for a person.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        approvals::views::{Approval, ApprovalFilter},
        caller::{OperatorCaller, ReaderCaller},
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
        describe::handlers,
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfNoneMatch, Versioned},
            long_poll::{LongPoll, WaitQuery},
            page::{Listing, Paged, SortKey},
            path::ApiPath,
            query::ApiQuery,
        },
        problem::Result,
        reply::Reply,
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![
        list_approvals,
        get_approval,
        list_approval_revisions,
        revise_approval[AlreadyDecided, PayloadChanged, PlanInvalid],
        decide_approval[EvidenceMissing, AlreadyDecided, SeparationOfDuties, NotAnApprover, AlreadyVoted, PayloadChanged, PlanInvalid, GoalEnded, TaskEnded, BudgetExhausted],
    ]
}

/// Which approvals to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApprovalQuery {
    /// Only approvals in this state; may be repeated. What waits for a person is `pending`.
    #[serde(default)]
    pub state: Vec<ApprovalState>,
    /// Only approvals of this kind; may be repeated.
    #[serde(default)]
    pub kind: Vec<ApprovalKind>,
    /// Only approvals about this goal.
    pub goal_id: Option<GoalId>,
}

/// Where a page of approvals starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ApprovalAfter {
    id: ApprovalId,
}

impl SortKey for ApprovalAfter {
    const LIST: &'static str = "approvals";
}

/// List the approvals.
///
/// Oldest first, without their bodies and payloads: with `state=pending` what waits longest is on
/// top.
#[utoipa::path(get, path = "/v1/approvals", tag = "approvals")]
async fn list_approvals(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    list: Listing<ApprovalQuery, ApprovalAfter>,
) -> Result<Paged<Approval>> {
    let ApprovalQuery { state, kind, goal_id } = list.filter.clone();
    let filter = ApprovalFilter { states: state, kinds: kind, goal: goal_id };
    let after = list.after.map(|after| after.id);
    let approvals = app.list_approvals(&caller, &filter, after, list.rows()).await?;
    list.page(approvals, |approval| ApprovalAfter { id: approval.id })
}

/// Read an approval.
///
/// With exactly what is decided in `payload`. With `wait_seconds` the answer waits until it is
/// decided; with `If-None-Match` too, until its version is another.
#[utoipa::path(get, path = "/v1/approvals/{approval_id}", tag = "approvals")]
async fn get_approval(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(approval): ApiPath<ApprovalId>,
    ApiQuery(wait): ApiQuery<WaitQuery>,
    known: IfNoneMatch,
    _: LongPoll,
) -> Result<Versioned<Approval>> {
    let approval = app.wait_approval(&caller, approval, known.version, wait.duration()).await?;
    Ok(Versioned::new(i64::from(approval.version), approval).unless(known))
}

/// Read what an approval asked before it was revised.
///
/// The forms that its payload had, oldest first. The present one is in the approval itself.
#[utoipa::path(get, path = "/v1/approvals/{approval_id}/revisions", tag = "approvals")]
async fn list_approval_revisions(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(approval): ApiPath<ApprovalId>,
) -> Result<Reply<Revisions>> {
    Ok(Reply(app.approval_revisions(&caller, approval).await?))
}

/// Put what is asked in another form.
///
/// As long as nobody has decided. Whoever has read the form before can no longer decide: their hash
/// is not the payload's any more. What an agent handed in, and a task that is to start, stay as they
/// are.
#[utoipa::path(post, path = "/v1/approvals/{approval_id}/revise", tag = "approvals")]
async fn revise_approval(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(approval): ApiPath<ApprovalId>,
    ApiJson(request): ApiJson<ReviseRequest>,
) -> Result<Versioned<Approval>> {
    let approval = app.revise(&caller, approval, &request).await?;
    Ok(Versioned::new(i64::from(approval.version), approval))
}

/// Decide.
///
/// `payload_sha256` says what was read, and exactly that is decided. The decision and its effect are
/// one step: nothing waits on something that is decided. Who is named in `excluded` does not decide
/// (`separation_of_duties`). Whoever decides second is told so, and
/// changes nothing.
#[utoipa::path(post, path = "/v1/approvals/{approval_id}/decide", tag = "approvals")]
async fn decide_approval(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(approval): ApiPath<ApprovalId>,
    ApiJson(request): ApiJson<DecisionRequest>,
) -> Result<Versioned<Approval>> {
    let approval = app.decide(&caller, approval, &request).await?;
    Ok(Versioned::new(i64::from(approval.version), approval))
}
