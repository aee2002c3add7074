//! Who the caller is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::caller::{Caller, ReaderCaller},
    domain::{
        access::{person::Person, role::Role},
        ids::{AgentId, KeyId, WorkspaceId},
    },
    http::{
        describe::handlers, extract::auth::Auth, problem::Result, reply::Reply, state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![whoami]
}

/// The key that a request was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// The workspace that the key opens.
    pub workspace_id: WorkspaceId,
    /// The key.
    pub key_id: KeyId,
    /// What it may do.
    pub role: Role,
    /// The person who holds the key; `null`: nobody in particular.
    pub person: Option<Person>,
    /// The agent that the key is bound to; `null` unless the role is `agent`.
    pub agent_id: Option<AgentId>,
}

/// Who am I?
///
/// The workspace, the key and the role behind the bearer key: the first call to make with a new
/// key.
#[utoipa::path(get, path = "/v1/whoami", tag = "keys")]
async fn whoami(Auth(caller): Auth<ReaderCaller>) -> Result<Reply<Whoami>> {
    let principal = caller.principal();
    Ok(Reply(Whoami {
        workspace_id: principal.workspace,
        key_id: principal.key,
        role: principal.role,
        person: principal.person.clone(),
        agent_id: principal.agent,
    }))
}
