//! One claim in a batch, and its outcome.

use std::{sync::Arc, time::Duration};

use super::answer::ClaimAnswer;
use crate::{
    app::{
        caller::Actor,
        unit::idempotency::{Outcome, Repeatable},
        wake::Who,
    },
    domain::ids::{AgentId, KeyId, WorkspaceId},
};

/// One claim in a batch.
#[derive(Debug, Clone)]
pub(in crate::app) struct ClaimCommand {
    pub owner: Owner,
    pub actor: Actor,
    pub max: u32,
    pub lease: Option<Duration>,
    pub repeatable: Option<Arc<Repeatable>>,
}

impl ClaimCommand {
    pub fn nothing(&self) -> ClaimOutcome {
        let outcome = Outcome::fresh(ClaimAnswer { claims: Vec::new() });
        let actor = self.actor.clone();
        ClaimOutcome { owner: self.owner, actor, outcome, kept: false, able: Arc::default() }
    }
}

impl ClaimCommand {
    pub(super) fn who(&self, able: &Arc<[String]>) -> Who {
        let repeat = self.repeatable.as_ref().map(|repeatable| repeatable.request.key.as_str());
        Who {
            agent: self.owner.agent,
            key: self.owner.key,
            able: Arc::clone(able),
            repeat: repeat.map(Box::from),
        }
    }
}

/// Answer to one claim, and its recipient.
#[derive(Debug)]
pub(in crate::app) struct ClaimOutcome {
    pub owner: Owner,
    pub actor: Actor,
    pub outcome: Outcome<ClaimAnswer>,
    /// Whether the answer is stored under an `Idempotency-Key` and can be requested again.
    pub kept: bool,
    /// Capabilities of the agent.
    pub able: Arc<[String]>,
}

/// The claiming agent and its key.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Owner {
    pub workspace: WorkspaceId,
    pub key: KeyId,
    pub agent: AgentId,
}
