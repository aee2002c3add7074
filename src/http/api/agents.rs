//! Agents: the registered workers.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        agents::{
            AgentFilter,
            views::{Agent, AgentChange, NewAgent, Registration},
        },
        caller::{OperatorCaller, ReaderCaller},
        unit::idempotency::Outcome,
    },
    domain::{ids::AgentId, states::AgentState},
    http::{
        describe::{Describe, Description, handlers},
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, Paged, SortKey},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, Replayable},
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![list_agents, register_agent[AgentNotActive], get_agent, update_agent]
}

/// Which agents to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AgentQuery {
    /// Only agents in this state.
    pub state: Option<AgentState>,
    /// Only agents that can do this.
    #[param(example = "rust")]
    pub capability: Option<String>,
    /// Only the one with exactly this name.
    pub name: Option<String>,
}

/// Where a page of agents starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AgentAfter {
    id: AgentId,
}

impl SortKey for AgentAfter {
    const LIST: &'static str = "agents";
}

/// 201 for a new agent, 200 for a known one.
struct Registered(Outcome<Registration>);

impl IntoResponse for Registered {
    fn into_response(self) -> Response {
        if self.0.value.created {
            let location = format!("/v1/agents/{}", self.0.value.agent.id);
            Created::new(location, self.0).into_response()
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
/// Newest first.
#[utoipa::path(get, path = "/v1/agents", tag = "agents")]
async fn list_agents(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    list: Listing<AgentQuery, AgentAfter>,
) -> Result<Paged<Agent>> {
    let filter = AgentFilter {
        agent: None,
        state: list.filter.state,
        capability: list.filter.capability.as_deref(),
        name: list.filter.name.as_deref(),
    };
    let after = list.after.map(|after| after.id);
    let agents = app.list_agents(&caller, filter, after, list.rows()).await?;
    list.page(agents, |agent| AgentAfter { id: agent.id })
}

/// Register an agent.
///
/// Idempotent by name: whatever starts an agent can do this at every start. A known agent keeps its
/// id and its state (nothing that an operator paused is activated), gets the capabilities and the
/// limit of the request, and one more key. The five newest keys of an agent are valid; older ones
/// are revoked, so instances that are replaced one after the other keep working.
///
/// With an `Idempotency-Key`, the same request sent again within 24 hours gets the same token again
/// in place of a further one.
#[utoipa::path(post, path = "/v1/agents", tag = "agents")]
async fn register_agent(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    Create { body, idempotency }: Create<NewAgent>,
) -> Result<Registered> {
    Ok(Registered(app.register_agent(&caller, &body, idempotency.as_ref()).await?))
}

/// Read an agent.
///
/// With whether it is heard of, how many attempts it runs, and what it has used. An agent finds its
/// own id with `GET /v1/whoami`.
#[utoipa::path(get, path = "/v1/agents/{agent_id}", tag = "agents")]
async fn get_agent(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(agent): ApiPath<AgentId>,
) -> Result<Versioned<Agent>> {
    let agent = app.get_agent(&caller, agent).await?;
    Ok(Versioned::new(i64::from(agent.version), agent))
}

/// Edit an agent.
///
/// Its capabilities, its limit, and whether it may work: `paused` tells its attempts to pause,
/// `draining` lets them finish, `retired` refuses its keys from the answer on.
#[utoipa::path(patch, path = "/v1/agents/{agent_id}", tag = "agents")]
async fn update_agent(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(agent): ApiPath<AgentId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<AgentChange>,
) -> Result<Versioned<Agent>> {
    let agent = app.update_agent(&caller, agent, if_match.version, &change).await?;
    Ok(Versioned::new(i64::from(agent.version), agent))
}
