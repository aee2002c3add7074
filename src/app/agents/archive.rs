//! Archiving agents that run nothing.
//!
//! An archived agent does not claim and is not registered again: it would work without being listed. Its state
//! stays, so it works on as before once it is back. Both directions hold the workspace alone for a moment: no
//! claim is answered meanwhile, and no task is left assigned to an agent that is not coming.

use super::views::{self, Agent};
use crate::{
    app::{
        App, Result,
        attempts::takeover,
        caller::{Caller as _, OperatorCaller},
    },
    domain::{
        archive,
        ids::AgentId,
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
    },
    store::{self, agents::AgentRow},
};

impl App {
    /// Archives an agent. Archiving it again changes nothing.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` if it has running attempts.
    pub async fn archive_agent(&self, caller: &OperatorCaller, agent: AgentId) -> Result<Agent> {
        self.put_agent(caller, agent, true).await
    }

    /// Puts an archived agent back into the lists. Doing so again changes nothing.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn unarchive_agent(&self, caller: &OperatorCaller, agent: AgentId) -> Result<Agent> {
        self.put_agent(caller, agent, false).await
    }

    async fn put_agent(
        &self,
        caller: &OperatorCaller,
        agent: AgentId,
        archived: bool,
    ) -> Result<Agent> {
        let principal = caller.principal();
        let mut unit = self.begin_alone(principal.workspace, principal.actor()).await?;
        let before = views::read(unit.tx(), agent).await?;
        if before.archived_at.is_some() == archived {
            self.undo(unit).await?;
            return Ok(before);
        }
        let kind = if archived {
            archive::agent(before.running_attempts)?;
            takeover::keep_no_more(&mut unit, agent).await?;
            Kind::AgentArchived
        } else {
            Kind::AgentUnarchived
        };
        store::agents::set_archived(unit.tx(), agent, archived).await?;
        let after = views::read(unit.tx(), agent).await?;
        unit.record(NewRow::new(kind).agent(agent).before(&before).after(&after));
        self.commit(unit).await?;
        Ok(after)
    }
}

/// Why an archived agent is not registered again.
pub(super) fn refused(agent: &AgentRow) -> Refusal {
    let detail = format!(
        "the agent `{}` is archived; an operator brings it back with POST /v1/agents/{}/unarchive",
        agent.name, agent.agent_id
    );
    Refusal::new(Code::AgentNotActive, detail)
}
