//! Agents: the registered workers.

use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        agents::{
            AgentFilter,
            views::{Agent, AgentChange, NewAgent, Registration},
        },
        caller::{OperatorCaller, ReaderCaller},
        unit::idempotency::Outcome,
    },
    domain::{ids::AgentId, states::AgentState},
    http::{
        describe::{Describe, Description},
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, Replayable},
    },
};

/// The filters of the list of agents.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AgentQuery {
    /// Only agents in this state.
    pub state: Option<AgentState>,
    /// Only agents with this capability.
    #[param(example = "rust")]
    pub capability: Option<String>,
    /// Only the agent with exactly this name.
    pub name: Option<String>,
    /// `true`: only archived agents. Absent or `false`: only others.
    pub archived: Option<bool>,
}

/// 201 for a new agent, 200 for a known one.
pub struct Registered(Outcome<Registration>);

impl IntoResponse for Registered {
    fn into_response(self) -> Response {
        if self.0.value.created {
            Created::new(self.0, |made| format!("/v1/agents/{}", made.agent.id)).into_response()
        } else {
            Replayable(self.0).into_response()
        }
    }
}

impl Describe for Registered {
    fn describe(doc: &mut Description<'_>) {
        Replayable::<Registration>::describe(doc);
        Created::<Registration>::describe(doc);
    }
}

/// List the agents.
///
/// Newest first. Archived agents are left out unless `archived=true`.
#[utoipa::path(get, path = "/v1/agents")]
pub async fn list_agents(
    Auth { app, caller }: Auth<ReaderCaller>,
    list: Listing<AgentQuery, AgentId>,
) -> Result<Paged<Agent>> {
    let filter = AgentFilter {
        agent: None,
        state: list.filter.state,
        capability: list.filter.capability.as_deref(),
        name: list.filter.name.as_deref(),
        archived: Some(list.filter.archived.unwrap_or_default()),
    };
    let agents = app.list_agents(&caller, filter, list.after, list.rows()).await?;
    list.page(agents, |agent| agent.id)
}

/// Register an agent.
///
/// Idempotent by name: the program that starts an agent can send this at every start. A known agent
/// keeps its id and its state (a paused agent stays paused), gets the capabilities and the limit of
/// the request, and one more key. Its five newest keys are valid and older ones are revoked, so
/// instances that replace one another keep working.
///
/// With an `Idempotency-Key`, the same request within 24 hours returns the same token instead of
/// another one.
#[utoipa::path(post, path = "/v1/agents")]
pub async fn register_agent(
    Auth { app, caller }: Auth<OperatorCaller>,
    Create { body, idempotency }: Create<NewAgent>,
) -> Result<Registered> {
    Ok(Registered(app.register_agent(&caller, &body, idempotency.as_ref()).await?))
}

/// Read an agent.
///
/// Includes its liveness, its running attempts and its spend. An agent finds its own id with `GET
/// /v1/whoami`.
#[utoipa::path(get, path = "/v1/agents/{agent_id}")]
pub async fn get_agent(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath(agent): ApiPath<AgentId>,
) -> Result<Versioned<Agent>> {
    Ok(Versioned::new(app.get_agent(&caller, agent).await?, |agent| agent.version))
}

/// Edit an agent.
///
/// Changes its capabilities, its limit or its state: `paused` asks its attempts to pause,
/// `draining` lets them finish, `retired` refuses its keys from this answer on.
#[utoipa::path(patch, path = "/v1/agents/{agent_id}")]
pub async fn update_agent(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(agent): ApiPath<AgentId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<AgentChange>,
) -> Result<Versioned<Agent>> {
    let agent = app.update_agent(&caller, agent, if_match.version, &change).await?;
    Ok(Versioned::new(agent, |agent| agent.version))
}

/// Archive an agent.
///
/// Lists leave it out from then on, unless they are asked for `archived=true`. It may not claim, and tasks
/// that were kept for it are for every agent. Only an agent without running attempts can be archived. Its
/// state stays as it is. Archiving an archived agent changes nothing.
#[utoipa::path(post, path = "/v1/agents/{agent_id}/archive")]
pub async fn archive_agent(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(agent): ApiPath<AgentId>,
) -> Result<Versioned<Agent>> {
    Ok(Versioned::new(app.archive_agent(&caller, agent).await?, |agent| agent.version))
}

/// Unarchive an agent.
///
/// Puts it back into the lists; it may claim again if it is `active`. Does nothing to an agent that is not
/// archived.
#[utoipa::path(post, path = "/v1/agents/{agent_id}/unarchive")]
pub async fn unarchive_agent(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(agent): ApiPath<AgentId>,
) -> Result<Versioned<Agent>> {
    Ok(Versioned::new(app.unarchive_agent(&caller, agent).await?, |agent| agent.version))
}
