//! What is said and asked of agents.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{Result, access::keys::Key},
    domain::{
        access::person::Person,
        agent::liveness,
        check::Checks,
        ids::{AgentId, KeyId},
        refusal::Refusal,
        settings,
        spend::Amounts,
        states::{AgentState, Liveness},
    },
    store::{
        self, Tx,
        agents::{AgentFilter, AgentOverviewRow},
    },
};

/// A registered worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Unique in the workspace.
    #[schema(example = "coder-1")]
    pub name: String,
    /// What it can do, sorted. It is given tasks that require none but these.
    #[schema(example = json!(["review", "rust"]))]
    pub capabilities: Vec<String>,
    /// How many attempts it may run at once.
    #[schema(example = 2)]
    pub max_concurrent: i32,
    /// Set by operators: `active` may claim, `paused` and `draining` may not, the keys of `retired`
    /// are refused.
    pub state: AgentState,
    /// The person for whom the agent works. The owner never decides about its work. `null`: the holder
    /// of the key `registered_by` never does.
    pub owner: Option<Person>,
    /// The key that registered it first.
    pub registered_by: Option<KeyId>,
    /// Whether it was heard of lately: `online`, `late` after two minutes of silence, `lost` after
    /// ten, or when it was never heard of.
    pub liveness: Liveness,
    /// Its last claim or heartbeat, exact to thirty seconds; `null`: never heard of.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// How many attempts it runs now.
    #[schema(example = 1)]
    pub running_attempts: i64,
    /// What its attempts have used, by unit.
    #[schema(example = json!({"usd_micros": 41000, "output_tokens": 9120}))]
    pub spend: Amounts,
    /// Rises with every edit; the `ETag`.
    pub version: i32,
    /// When it was first registered.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

impl Agent {
    pub(in crate::app) fn of(row: AgentOverviewRow, now: DateTime<Utc>) -> Self {
        let AgentOverviewRow {
            agent_id,
            name,
            capabilities,
            max_concurrent,
            state,
            owner,
            registered_by,
            last_seen_at,
            running_attempts,
            spend,
            version,
            created_at,
            updated_at,
        } = row;
        Self {
            id: agent_id,
            name,
            capabilities,
            max_concurrent,
            state,
            owner,
            registered_by,
            liveness: liveness(last_seen_at, now),
            last_seen_at,
            running_attempts,
            spend: spend.0,
            version,
            created_at,
            updated_at,
        }
    }
}

/// Reads one agent.
pub(in crate::app) async fn read(tx: &mut Tx, agent: AgentId) -> Result<Agent> {
    let filter = AgentFilter { agent: Some(agent), ..AgentFilter::default() };
    let found = store::agents::list(tx, filter, None, 1).await?.pop();
    Ok(Agent::of(found.ok_or_else(|| Refusal::not_found("agent"))?, tx.now))
}

/// An agent to be registered, or registered again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    /// One line, unique in the workspace. Registering this name again is not an error.
    #[schema(example = "coder-1", min_length = 1, max_length = 200)]
    pub name: String,
    /// What it can do: at most 200. Absent: nothing special for a new agent, as before for a known
    /// one.
    #[serde(default)]
    #[schema(example = json!(["rust", "review"]))]
    pub capabilities: Option<Vec<String>>,
    /// How many attempts it may run at once. Absent: 1 for a new agent, as before for a known one.
    #[serde(default)]
    #[schema(example = 2, minimum = 1, maximum = 10_000)]
    pub max_concurrent: Option<i32>,
    /// The person for whom it works: who never decides about its work. Absent: for a new agent the
    /// person of the key that registers it, as before for a known one.
    #[serde(default)]
    pub owner: Option<Person>,
}

impl NewAgent {
    pub(in crate::app) fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        checks.line("/name", &self.name, settings::NAME_CHARS);
        abilities(&mut checks, self.capabilities.as_deref(), self.max_concurrent);
        Ok(checks.finish()?)
    }
}

/// An edit of an agent; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentChange {
    /// What it can do: at most 200.
    #[schema(example = json!(["rust", "review"]))]
    pub capabilities: Option<Vec<String>>,
    /// How many attempts it may run at once. Lowering it ends nothing that runs.
    #[schema(example = 2, minimum = 1, maximum = 10_000)]
    pub max_concurrent: Option<i32>,
    /// `active`, `paused` (its attempts are told to pause), `draining` (its attempts go on, it gets
    /// no more) or `retired` (its keys are refused; the ones that were not revoked are good again
    /// if it is set to another state).
    pub state: Option<AgentState>,
    /// The person for whom it works. What was asked before stays as it was asked.
    pub owner: Option<Person>,
}

impl AgentChange {
    pub(in crate::app) fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        abilities(&mut checks, self.capabilities.as_deref(), self.max_concurrent);
        Ok(checks.finish()?)
    }
}

fn abilities(checks: &mut Checks, capabilities: Option<&[String]>, max_concurrent: Option<i32>) {
    if let Some(list) = capabilities {
        checks.capabilities("/capabilities", list, settings::AGENT_CAPABILITIES);
    }
    if let Some(most) = max_concurrent {
        checks.range("/max_concurrent", most, 1..=settings::AGENT_CONCURRENT_MAX);
    }
}

/// An agent, and a key for it that is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Registration {
    /// The agent.
    pub agent: Agent,
    /// Whether this made the agent; false when it was known already.
    pub created: bool,
    /// The new key. The five newest keys of an agent are valid; older ones were revoked just now.
    pub key: Key,
    /// What the agent sends as `Authorization: Bearer ...`. It is stored nowhere and cannot be
    /// shown again.
    #[schema(example = "mst_<public>_<secret>")]
    pub token: String,
}
