//! Approval policies: who decides what, and what happens when nobody does.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        approvals::{
            policies::{ApprovalPolicy, PolicyFilter},
            simulate::{Simulation, SimulationRequest},
        },
        caller::{AdminCaller, MonitorCaller},
    },
    domain::{ids::PolicyId, policy::PolicySpec},
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, Paged, SortKey},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, Reply},
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![
        list_approval_policies,
        create_approval_policy[NotFound, AlreadyExists],
        get_approval_policy,
        replace_approval_policy[AlreadyExists],
        retire_approval_policy,
        simulate_approval_policy,
    ]
}

/// Which policies to list.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PolicyQuery {
    /// `false`: only those in force; `true`: only those that were retired.
    pub retired: Option<bool>,
}

/// Where a page of policies starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct PolicyAfter {
    id: PolicyId,
}

impl SortKey for PolicyAfter {
    const LIST: &'static str = "approval_policies";
}

/// List the approval policies.
///
/// Newest first, retired ones included. Of those in force that match what is asked, that with the
/// highest `priority` counts; of these, the oldest.
#[utoipa::path(get, path = "/v1/approval-policies", tag = "approvals")]
async fn list_approval_policies(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    list: Listing<PolicyQuery, PolicyAfter>,
) -> Result<Paged<ApprovalPolicy>> {
    let filter = PolicyFilter { policy: None, retired: list.filter.retired };
    let after = list.after.map(|after| after.id);
    let policies = app.list_policies(&caller, filter, after, list.rows()).await?;
    list.page(policies, |policy| PolicyAfter { id: policy.id })
}

/// Make an approval policy.
///
/// It is for what is asked from then on: a copy of it is kept with each approval, so what waits
/// already stays as it is. Without any policy that matches, any operator decides alone, and nothing
/// expires.
#[utoipa::path(post, path = "/v1/approval-policies", tag = "approvals")]
async fn create_approval_policy(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    Create { body, idempotency }: Create<PolicySpec>,
) -> Result<Created<ApprovalPolicy>> {
    let outcome = app.create_policy(&caller, &body, idempotency.as_ref()).await?;
    let version = i64::from(outcome.value.version);
    let location = format!("/v1/approval-policies/{}", outcome.value.id);
    Ok(Created::new(location, outcome).version(version))
}

/// Read an approval policy.
#[utoipa::path(get, path = "/v1/approval-policies/{policy_id}", tag = "approvals")]
async fn get_approval_policy(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(policy): ApiPath<PolicyId>,
) -> Result<Versioned<ApprovalPolicy>> {
    let policy = app.get_policy(&caller, policy).await?;
    Ok(Versioned::new(i64::from(policy.version), policy))
}

/// Edit an approval policy.
///
/// As a whole: what is left out is as if it had never been there. What is pending goes on by the words
/// that were there when it was asked.
#[utoipa::path(put, path = "/v1/approval-policies/{policy_id}", tag = "approvals")]
async fn replace_approval_policy(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    ApiPath(policy): ApiPath<PolicyId>,
    if_match: IfMatch,
    ApiJson(spec): ApiJson<PolicySpec>,
) -> Result<Versioned<ApprovalPolicy>> {
    let policy = app.replace_policy(&caller, policy, if_match.version, &spec).await?;
    Ok(Versioned::new(i64::from(policy.version), policy))
}

/// Retire an approval policy.
///
/// It is for nothing that is asked from then on. It stays readable, since approvals name it, and what
/// is pending goes on by it. Once more changes nothing.
#[utoipa::path(delete, path = "/v1/approval-policies/{policy_id}", tag = "approvals")]
async fn retire_approval_policy(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    ApiPath(policy): ApiPath<PolicyId>,
    if_match: IfMatch,
) -> Result<Versioned<ApprovalPolicy>> {
    let policy = app.retire_policy(&caller, policy, if_match.version).await?;
    Ok(Versioned::new(i64::from(policy.version), policy))
}

/// Try an approval policy on the past.
///
/// Changes nothing. Says which of the approvals of the past it would have been for, and what would
/// have stood in the way of each decision: somebody who decided though excluded, or though no approver,
/// too few who agreed, or time that would have been over.
#[utoipa::path(post, path = "/v1/approval-policies/{policy_id}/simulate", tag = "approvals")]
async fn simulate_approval_policy(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(policy): ApiPath<PolicyId>,
    ApiJson(request): ApiJson<SimulationRequest>,
) -> Result<Reply<Simulation>> {
    Ok(Reply(app.simulate_policy(&caller, policy, &request).await?))
}
