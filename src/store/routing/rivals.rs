//! Agents that a task may be left for, as they are at the moment of a claim.

use chrono::{DateTime, Utc};

use crate::{
    domain::{ids::AgentId, settings},
    store::{Tx, columns::uuids, traced},
};

/// An agent that may claim and was seen lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RivalRow {
    /// The agent.
    pub agent_id: AgentId,
    /// Its capabilities.
    pub capabilities: Vec<String>,
    /// Most attempts at once.
    pub max_concurrent: i32,
    /// Starts of its running attempts; at most 64.
    pub running: Vec<DateTime<Utc>>,
}

/// Those of the agents that may claim now: online, not frozen, not limited in their rate, and without a quota window
/// that is nearly used up. The last two are the conditions of `held_until` in [`claimers`].
///
/// [`claimers`]: crate::store::attempts::claim::claimers
pub async fn online(tx: &mut Tx, agents: &[AgentId]) -> sqlx::Result<Vec<RivalRow>> {
    sqlx::query_as!(
        RivalRow,
        r#"
        select g.agent_id as "agent_id: AgentId", g.capabilities,
               least(g.max_concurrent, w.agent_max_concurrent) as "max_concurrent!",
               array(select a.started_at from attempts a
                     where a.workspace_id = $1 and a.agent_id = g.agent_id and a.state = 'running'
                     limit 64) as "running!"
        from agents g
        join workspaces w on w.workspace_id = g.workspace_id
        join agent_presence p on p.workspace_id = $1 and p.agent_id = g.agent_id
        where g.workspace_id = $1 and g.agent_id = any($2) and g.state = 'active' and not g.archived
          and p.last_seen_at > $3 and not exists (select from freezes_over($1, null, g.agent_id))
          and (g.limited_until is null or g.limited_until <= $4)
          and not exists (select from quota_windows q
                          where q.workspace_id = $1 and q.account = g.account and q.ends_at > $4
                            and q.used::numeric * 100 >= q.amount::numeric * q.stop_percent)
        "#,
        tx.workspace.0,
        &uuids(agents),
        tx.now - settings::LATE_AFTER,
        tx.now,
    )
    .fetch_all(traced!(tx, "routing.rivals.online"))
    .await
}
