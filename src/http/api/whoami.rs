//! The identity of the caller.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::caller::{Caller, SelfCaller},
    domain::{
        access::{person::Person, role::Role, scope::Scope},
        cap::workspace::WorkspaceUse,
        ids::{AgentId, KeyId, WorkspaceId},
    },
    http::{
        extract::{auth::Auth, meter::Meter},
        fairness::quotas::KeyLimit,
        problem::Result,
        reply::Reply,
    },
};

/// The key of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// The workspace that the key opens.
    pub workspace_id: WorkspaceId,
    /// The id of the key that sent the request.
    pub key_id: KeyId,
    /// The role of the key, which decides the operations it may call.
    pub role: Role,
    /// The person who holds the key; `null` if it belongs to no person.
    pub person: Option<Person>,
    /// The agent that the key is bound to; `null` unless the role is `agent`.
    pub agent_id: Option<AgentId>,
    /// What the key may do and see below its role.
    pub scope: Scope,
    /// What the key may use in this process of the service, now. The same for every key; settings of the
    /// service.
    pub limits: Vec<KeyLimit>,
    /// What the workspace may hold, and holds now. Something beyond is refused with `workspace_full`. Empty for a
    /// key with a scope.
    pub caps: Vec<WorkspaceUse>,
}

/// Read your own key.
///
/// Returns the workspace, the key and the role behind the bearer key: the first request to make
/// with a new key.
#[utoipa::path(get, path = "/v1/whoami")]
pub async fn whoami(Auth { app, caller }: Auth<SelfCaller>, meter: Meter) -> Result<Reply<Whoami>> {
    let caps = app.workspace_uses(&caller).await?;
    let principal = caller.principal();
    Ok(Reply(Whoami {
        workspace_id: principal.workspace,
        key_id: principal.key,
        role: principal.role,
        person: principal.person.clone(),
        agent_id: principal.agent,
        scope: principal.scope.clone(),
        limits: meter.levels(),
        caps,
    }))
}
