//! Agents, and when each was last seen.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::{Tx, traced};
use crate::domain::{
    access::person::Person,
    ids::{AgentId, KeyId},
    spend::Amounts,
    states::AgentState,
};

/// The editable columns of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Unique in the workspace.
    pub name: String,
    /// Sorted, unique.
    pub capabilities: Vec<String>,
    /// Most attempts at once.
    pub max_concurrent: i32,
    /// Set by operators.
    pub state: AgentState,
    /// The person it works for.
    pub owner: Option<Person>,
    /// The model that it says it uses.
    pub model: Option<String>,
    /// The version that it says it has.
    pub agent_version: Option<String>,
    /// Rises by one with every edit.
    pub version: i32,
    /// Whether it is archived. Not edited with the others.
    pub archived: bool,
    /// The account at a provider that it uses.
    pub account: Option<String>,
}

/// An agent with its current work and total spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentOverviewRow {
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Unique in the workspace.
    pub name: String,
    /// Sorted, unique.
    pub capabilities: Vec<String>,
    /// Most attempts at once.
    pub max_concurrent: i32,
    /// Set by operators.
    pub state: AgentState,
    /// The person it works for.
    pub owner: Option<Person>,
    /// The model that it says it uses.
    pub model: Option<String>,
    /// The version that it says it has.
    pub agent_version: Option<String>,
    /// The key of its first registration.
    pub registered_by: Option<KeyId>,
    /// Time of its last claim or heartbeat.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Number of its running attempts.
    pub running_attempts: i64,
    /// Spend of all its attempts, by unit.
    pub spend: Json<Amounts>,
    /// Rises by one with every edit.
    pub version: i32,
    /// Time of its first registration.
    pub created_at: DateTime<Utc>,
    /// Time of its last edit.
    pub updated_at: DateTime<Utc>,
    /// Time of its archiving.
    pub archived_at: Option<DateTime<Utc>>,
    /// The account at a provider that it uses.
    pub account: Option<String>,
    /// Given no tasks before this time, since its provider limits its rate.
    pub limited_until: Option<DateTime<Utc>>,
}

/// An agent to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewAgentRow<'a> {
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Unique in the workspace.
    pub name: &'a str,
    /// Sorted, unique.
    pub capabilities: &'a [String],
    /// Most attempts at once.
    pub max_concurrent: i32,
    /// The person it works for.
    pub owner: Option<&'a Person>,
    /// The model that it says it uses.
    pub model: Option<&'a str>,
    /// The version that it says it has.
    pub agent_version: Option<&'a str>,
    /// The key that registers it.
    pub registered_by: Option<KeyId>,
    /// The account at a provider that it uses.
    pub account: Option<&'a str>,
}

/// Stores a new agent, active. Returns `false` if the name is taken.
pub async fn insert(tx: &mut Tx, agent: &NewAgentRow<'_>) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into agents (workspace_id, agent_id, name, capabilities, max_concurrent, state,
                             created_at, updated_at, owner, registered_by, account,
                             model, agent_version)
         values ($1, $2, $3, $4, $5, 'active', $6, $6, $7, $8, $9, $10, $11)
         on conflict on constraint agents_name_unique do nothing",
        tx.workspace.0,
        agent.agent_id.0,
        agent.name,
        agent.capabilities,
        agent.max_concurrent,
        tx.now,
        agent.owner.map(Person::as_str),
        agent.registered_by.map(|id| id.0),
        agent.account,
        agent.model,
        agent.agent_version,
    )
    .execute(traced!(tx, "agents.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Locks the agent with this name.
pub async fn lock_by_name(tx: &mut Tx, name: &str) -> sqlx::Result<Option<AgentRow>> {
    sqlx::query_as!(
        AgentRow,
        r#"
        select agent_id as "agent_id: AgentId", name, capabilities, max_concurrent,
               state as "state: AgentState", owner as "owner: Person", model,
               agent_version, version, archived, account
        from agents where workspace_id = $1 and name = $2
        for no key update
        "#,
        tx.workspace.0,
        name,
    )
    .fetch_optional(traced!(tx, "agents.lock_by_name"))
    .await
}

/// Locks an agent by id.
pub async fn lock(tx: &mut Tx, agent: AgentId) -> sqlx::Result<Option<AgentRow>> {
    sqlx::query_as!(
        AgentRow,
        r#"
        select agent_id as "agent_id: AgentId", name, capabilities, max_concurrent,
               state as "state: AgentState", owner as "owner: Person", model,
               agent_version, version, archived, account
        from agents where workspace_id = $1 and agent_id = $2
        for no key update
        "#,
        tx.workspace.0,
        agent.0,
    )
    .fetch_optional(traced!(tx, "agents.lock"))
    .await
}

/// The key of the first registration of an agent.
pub async fn registrant(tx: &mut Tx, agent: AgentId) -> sqlx::Result<Option<KeyId>> {
    let found = sqlx::query_scalar!(
        r#"
        select registered_by as "registered_by: KeyId" from agents
        where workspace_id = $1 and agent_id = $2
        "#,
        tx.workspace.0,
        agent.0,
    )
    .fetch_optional(traced!(tx, "agents.registrant"))
    .await?;
    Ok(found.flatten())
}

/// Stores the edited columns of a locked agent. Another model or version begins a record of its own; the one before
/// is noted.
pub async fn update(tx: &mut Tx, agent: &AgentRow) -> sqlx::Result<()> {
    sqlx::query!(
        "update agents set capabilities = $3, max_concurrent = $4, state = $5, owner = $7, account = $8,
                           model = $9, agent_version = $10,
                           version_before = case when version_key(model, agent_version) = version_key($9, $10)
                                                 then version_before else version_key(model, agent_version) end,
                           version_since = case when version_key(model, agent_version) = version_key($9, $10)
                                                then version_since else $6 end,
                           version = version + 1, updated_at = $6
         where workspace_id = $1 and agent_id = $2",
        tx.workspace.0,
        agent.agent_id.0,
        &agent.capabilities,
        agent.max_concurrent,
        agent.state.as_str(),
        tx.now,
        agent.owner.as_ref().map(Person::as_str),
        agent.account,
        agent.model.as_deref(),
        agent.agent_version.as_deref(),
    )
    .execute(traced!(tx, "agents.update"))
    .await?;
    Ok(())
}

/// Archives an agent, or puts it back into the lists.
pub async fn set_archived(tx: &mut Tx, agent: AgentId, archived: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "update agents set archived = $3, archived_at = case when $3 then $4::timestamptz end,
                version = version + 1, updated_at = $4
         where workspace_id = $1 and agent_id = $2",
        tx.workspace.0,
        agent.0,
        archived,
        tx.now,
    )
    .execute(traced!(tx, "agents.set_archived"))
    .await?;
    Ok(())
}

/// Filter for [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct AgentFilter<'a> {
    /// Only this one.
    pub agent: Option<AgentId>,
    /// Only those in this state.
    pub state: Option<AgentState>,
    /// Only those with this capability.
    pub capability: Option<&'a str>,
    /// Only the one with this name.
    pub name: Option<&'a str>,
    /// Only archived ones, or only others; `None`: both.
    pub archived: Option<bool>,
}

/// Lists agents after `after`, newest first (by id, descending).
pub async fn list(
    tx: &mut Tx,
    filter: AgentFilter<'_>,
    after: Option<AgentId>,
    rows: i64,
) -> sqlx::Result<Vec<AgentOverviewRow>> {
    sqlx::query_as!(
        AgentOverviewRow,
        r#"
        select a.agent_id as "agent_id: AgentId", a.name, a.capabilities, a.max_concurrent,
               a.state as "state: AgentState", a.owner as "owner: Person", a.model, a.agent_version,
               a.registered_by as "registered_by: KeyId", p.last_seen_at as "last_seen_at?", a.version,
               a.created_at, a.updated_at, a.archived_at, a.account, a.limited_until,
               (select count(*) from attempts t
                where t.workspace_id = $1 and t.agent_id = a.agent_id and t.state = 'running')
               as "running_attempts!",
               (select coalesce(jsonb_object_agg(s.unit, s.amount), '{}')
                from spend_sums s
                where s.workspace_id = $1 and s.node = 'agent' and s.node_id = a.agent_id)
               as "spend!: Json<Amounts>"
        from agents a
        left join agent_presence p on p.workspace_id = $1 and p.agent_id = a.agent_id
        where a.workspace_id = $1
          and ($2::uuid is null or a.agent_id = $2)
          and ($3::text is null or a.state = $3)
          and ($4::text is null or $4 = any (a.capabilities))
          and ($5::text is null or a.name = $5)
          and ($6::uuid is null or a.agent_id < $6)
          and ($8::bool is null or a.archived = $8)
        order by a.agent_id desc
        limit $7
        "#,
        tx.workspace.0,
        filter.agent.map(|id| id.0),
        filter.state.map(AgentState::as_str),
        filter.capability,
        filter.name,
        after.map(|id| id.0),
        rows,
        filter.archived,
    )
    .fetch_all(traced!(tx, "agents.list"))
    .await
}
