//! The present and former owners of agents.

use super::{Tx, traced};
use crate::domain::{access::person::Person, ids::AgentId};

/// Ends the time of the present owner, and begins that of another one. The agent is locked, or new.
pub async fn change(tx: &mut Tx, agent: AgentId, owner: Option<&Person>) -> sqlx::Result<()> {
    sqlx::query!(
        "update agent_owners
         set owned_until = greatest($3, owned_from)
         where workspace_id = $1 and agent_id = $2 and owned_until is null",
        tx.workspace.0,
        agent.0,
        tx.now,
    )
    .execute(traced!(tx, "agent_owners.change"))
    .await?;
    let Some(owner) = owner else { return Ok(()) };
    sqlx::query!(
        "insert into agent_owners (workspace_id, agent_id, number, owner, owned_from)
         select $1, $2, 1 + count(*), $3, $4
         from agent_owners
         where workspace_id = $1 and agent_id = $2",
        tx.workspace.0,
        agent.0,
        owner.as_str(),
        tx.now,
    )
    .execute(traced!(tx, "agent_owners.change"))
    .await?;
    Ok(())
}
