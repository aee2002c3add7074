//! Wire types of agents.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{Result, access::keys::Key, edit::present},
    domain::{
        access::{person::Person, role::Role, scope::Scope},
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

/// A registered agent: a program that claims tasks and works on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Agent {
    /// Id of the agent; stable for its life.
    pub id: AgentId,
    /// One line, unique in the workspace; stable for the agent's life.
    #[schema(example = "coder-1")]
    pub name: String,
    /// Capabilities of the agent, sorted. It is offered a task only if it has every capability the
    /// task requires.
    #[schema(example = json!(["review", "rust"]))]
    pub capabilities: Vec<String>,
    /// Number of attempts that it may run at once.
    #[schema(example = 2)]
    pub max_concurrent: i32,
    /// Set by operators: `active` may claim; `paused` and `draining` may not; the keys of `retired`
    /// are refused.
    pub state: AgentState,
    /// The person on whose behalf the agent works. The owner never decides about its work. `null`:
    /// the holder of the key `registered_by` never does.
    pub owner: Option<Person>,
    /// The model that it says it uses; `null`: unknown.
    #[schema(example = "claude-sonnet-4-5")]
    pub model: Option<String>,
    /// The version that it says it has; `null`: unknown.
    #[schema(example = "2026-03-01")]
    pub agent_version: Option<String>,
    /// The key that registered it first; `null` if that had no key.
    pub registered_by: Option<KeyId>,
    /// Whether it sent a claim or heartbeat lately: `online`; `late` after two minutes of silence;
    /// `lost` after ten, or if it never did.
    pub liveness: Liveness,
    /// Its last claim or heartbeat, accurate to thirty seconds; `null`: none yet.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Number of attempts that it is running now.
    #[schema(example = 1)]
    pub running_attempts: i64,
    /// Total spend of its attempts, by unit.
    #[schema(example = json!({"usd_micros": 41000, "output_tokens": 9120}))]
    pub spend: Amounts,
    /// Version of the agent; rises by one with every edit; the `ETag`.
    pub version: i32,
    /// When the agent was first registered.
    pub created_at: DateTime<Utc>,
    /// When the agent was last edited.
    pub updated_at: DateTime<Utc>,
    /// When it was archived; `null`: it is not, and lists have it.
    pub archived_at: Option<DateTime<Utc>>,
    /// The account at a provider that it uses, whose quota windows it shares; `null`: none.
    #[serde(default)]
    #[schema(example = "claude-max-1")]
    pub account: Option<String>,
    /// It is given no tasks before this time, because its provider limits its rate; `null`: none does now.
    #[serde(default)]
    pub limited_until: Option<DateTime<Utc>>,
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
            model,
            agent_version,
            registered_by,
            last_seen_at,
            running_attempts,
            spend,
            version,
            created_at,
            updated_at,
            archived_at,
            account,
            limited_until,
        } = row;
        Self {
            id: agent_id,
            name,
            capabilities,
            max_concurrent,
            state,
            owner,
            model,
            agent_version,
            registered_by,
            liveness: liveness(last_seen_at, now),
            last_seen_at,
            running_attempts,
            spend: spend.0,
            version,
            created_at,
            updated_at,
            archived_at,
            account,
            limited_until: limited_until.filter(|until| *until > now),
        }
    }
}

pub(in crate::app) async fn read(tx: &mut Tx, agent: AgentId) -> Result<Agent> {
    let filter = AgentFilter { agent: Some(agent), ..AgentFilter::default() };
    let found = store::agents::list(tx, filter, None, 1).await?.pop();
    Ok(Agent::of(found.ok_or_else(|| Refusal::not_found("agent"))?, tx.now))
}

/// Request to register an agent, also one that is registered already.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    /// One line, unique in the workspace. Registering a known name is not an error.
    #[schema(example = "coder-1", min_length = 1, max_length = 200)]
    pub name: String,
    /// Capabilities of the agent: at most 200. Absent: none for a new agent, unchanged for a known
    /// one.
    #[serde(default)]
    #[schema(example = json!(["rust", "review"]))]
    pub capabilities: Option<Vec<String>>,
    /// Number of attempts that it may run at once. Absent: 1 for a new agent, unchanged for a known
    /// one.
    #[serde(default)]
    #[schema(example = 2, minimum = 1, maximum = 10_000)]
    pub max_concurrent: Option<i32>,
    /// The person on whose behalf it works. The owner never decides about its work. Absent: for a
    /// new agent the person of the registering key, unchanged for a known one.
    #[serde(default)]
    pub owner: Option<Person>,
    /// The account at a provider that it uses. Agents with the same account share its quota windows. Absent: none
    /// for a new agent, unchanged for a known one.
    #[serde(default)]
    #[schema(example = "claude-max-1", min_length = 1, max_length = 200)]
    pub account: Option<String>,
    /// The model that it uses, for the comparison of models. One line. Absent: unknown for a new agent, unchanged for a
    /// known one.
    #[serde(default)]
    #[schema(example = "claude-sonnet-4-5", min_length = 1, max_length = 200)]
    pub model: Option<String>,
    /// Its version: of its program, prompt or configuration. Another one is counted apart and compared with the one
    /// before. One line. Absent: unknown for a new agent, unchanged for a known one.
    #[serde(default)]
    #[schema(example = "2026-03-01", min_length = 1, max_length = 200)]
    pub agent_version: Option<String>,
    /// What the new key may do and see: the access `all` or `own_attempts`. Absent: `all`.
    #[serde(default)]
    pub scope: Scope,
    /// Whether the new key ends at once when the registering key is revoked or expires.
    #[serde(default)]
    pub dies_with_maker: bool,
}

impl NewAgent {
    pub(in crate::app) fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        checks.line("/name", &self.name, settings::NAME_CHARS);
        abilities(&mut checks, self.capabilities.as_deref(), self.max_concurrent);
        if let Some(account) = &self.account {
            checks.line("/account", account, settings::NAME_CHARS);
        }
        kind(&mut checks, self.model.as_deref(), self.agent_version.as_deref());
        self.scope.check(&mut checks, Role::Agent);
        Ok(checks.finish()?)
    }
}

/// An edit of an agent; absent fields keep their value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentChange {
    /// Capabilities of the agent: at most 200; replaces the list.
    #[schema(example = json!(["rust", "review"]))]
    pub capabilities: Option<Vec<String>>,
    /// Number of attempts that it may run at once. Lowering it ends no running attempt.
    #[schema(example = 2, minimum = 1, maximum = 10_000)]
    pub max_concurrent: Option<i32>,
    /// `active`; `paused` (its attempts are told to pause); `draining` (its attempts continue, it
    /// gets no new ones); or `retired` (its keys are refused; those not revoked are valid again
    /// once the agent has another state).
    pub state: Option<AgentState>,
    /// The person on whose behalf it works. Existing approvals keep their excluded deciders.
    pub owner: Option<Person>,
    /// The account at a provider that it uses; `null`: none.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "claude-max-1", max_length = 200)]
    pub account: Option<Option<String>>,
    /// The model that it uses; `null`: unknown. Another one is counted apart and compared with the one before.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "claude-sonnet-4-5", min_length = 1, max_length = 200)]
    pub model: Option<Option<String>>,
    /// Its version; `null`: unknown. Another one is counted apart and compared with the one before.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "2026-03-01", min_length = 1, max_length = 200)]
    pub agent_version: Option<Option<String>>,
}

impl AgentChange {
    pub(in crate::app) fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        abilities(&mut checks, self.capabilities.as_deref(), self.max_concurrent);
        if let Some(Some(account)) = &self.account {
            checks.line("/account", account, settings::NAME_CHARS);
        }
        let given = |field: &'_ Option<Option<String>>| field.clone().flatten();
        kind(&mut checks, given(&self.model).as_deref(), given(&self.agent_version).as_deref());
        Ok(checks.finish()?)
    }
}

fn kind(checks: &mut Checks, model: Option<&str>, agent_version: Option<&str>) {
    if let Some(model) = model {
        checks.line("/model", model, settings::NAME_CHARS);
    }
    if let Some(version) = agent_version {
        checks.line("/agent_version", version, settings::NAME_CHARS);
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

/// An agent with a new key. The token is shown only in this answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Registration {
    /// The agent after the registration.
    pub agent: Agent,
    /// Whether this request created the agent; `false` if it was known.
    pub created: bool,
    /// The new key. The five newest keys of an agent are valid; this registration revoked older
    /// ones.
    pub key: Key,
    /// The bearer token, to send as `Authorization: Bearer ...`. Only its hash is stored, so it
    /// cannot be shown again.
    #[schema(example = "mst_<public>_<secret>")]
    pub token: String,
}
