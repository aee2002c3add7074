//! Approval policies: who decides, and what follows when nobody does.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        approvals::{
            policies::{ApprovalPolicy, PolicyFilter},
            simulate::{Simulation, SimulationRequest},
        },
        caller::{AdminCaller, MonitorCaller},
    },
    domain::{ids::PolicyId, policy::PolicySpec},
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, Reply},
    },
};

/// The filters of the list of approval policies.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PolicyQuery {
    /// `false`: only policies in force. `true`: only retired policies.
    pub retired: Option<bool>,
}

/// List the approval policies.
///
/// Newest first, including retired ones. An approval gets the matching policy in force with the
/// highest `priority`; among equals, the oldest.
#[utoipa::path(get, path = "/v1/approval-policies")]
pub async fn list_approval_policies(
    Auth { app, caller }: Auth<MonitorCaller>,
    list: Listing<PolicyQuery, PolicyId>,
) -> Result<Paged<ApprovalPolicy>> {
    let filter = PolicyFilter { policy: None, retired: list.filter.retired };
    let policies = app.list_policies(&caller, filter, list.after, list.rows()).await?;
    list.page(policies, |policy| policy.id)
}

/// Create an approval policy.
///
/// It applies to approvals that are created later: each approval keeps a copy of its policy, so
/// pending ones stay as they are. Without a matching policy, any operator decides alone, and
/// nothing expires.
#[utoipa::path(post, path = "/v1/approval-policies")]
pub async fn create_approval_policy(
    Auth { app, caller }: Auth<AdminCaller>,
    Create { body, idempotency }: Create<PolicySpec>,
) -> Result<Created<ApprovalPolicy>> {
    let outcome = app.create_policy(&caller, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |policy| format!("/v1/approval-policies/{}", policy.id));
    Ok(created.version(|policy| policy.version))
}

/// Read an approval policy.
#[utoipa::path(get, path = "/v1/approval-policies/{policy_id}")]
pub async fn get_approval_policy(
    Auth { app, caller }: Auth<MonitorCaller>,
    ApiPath(policy): ApiPath<PolicyId>,
) -> Result<Versioned<ApprovalPolicy>> {
    Ok(Versioned::new(app.get_policy(&caller, policy).await?, |policy| policy.version))
}

/// Replace an approval policy.
///
/// An omitted field gets its default, not its previous value. Pending approvals continue under the
/// copy that they have.
#[utoipa::path(put, path = "/v1/approval-policies/{policy_id}")]
pub async fn replace_approval_policy(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(policy): ApiPath<PolicyId>,
    if_match: IfMatch,
    ApiJson(spec): ApiJson<PolicySpec>,
) -> Result<Versioned<ApprovalPolicy>> {
    let policy = app.replace_policy(&caller, policy, if_match.version, &spec).await?;
    Ok(Versioned::new(policy, |policy| policy.version))
}

/// Retire an approval policy.
///
/// It applies to no later approval. It stays readable, because approvals refer to it, and pending
/// approvals continue under their copy. Retiring it again changes nothing.
#[utoipa::path(delete, path = "/v1/approval-policies/{policy_id}")]
pub async fn retire_approval_policy(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(policy): ApiPath<PolicyId>,
    if_match: IfMatch,
) -> Result<Versioned<ApprovalPolicy>> {
    let policy = app.retire_policy(&caller, policy, if_match.version).await?;
    Ok(Versioned::new(policy, |policy| policy.version))
}

/// Simulate an approval policy on past approvals.
///
/// Writes nothing. Returns which past approvals the policy would have applied to, and what it would
/// have refused about each decision: somebody excluded or not an approver decided, too few agreed,
/// or the time had run out.
#[utoipa::path(post, path = "/v1/approval-policies/{policy_id}/simulate")]
pub async fn simulate_approval_policy(
    Auth { app, caller }: Auth<MonitorCaller>,
    ApiPath(policy): ApiPath<PolicyId>,
    ApiJson(request): ApiJson<SimulationRequest>,
) -> Result<Reply<Simulation>> {
    Ok(Reply(app.simulate_policy(&caller, policy, &request).await?))
}
