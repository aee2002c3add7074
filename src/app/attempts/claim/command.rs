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

/// What a claim was given, and who is to hear of it.
#[derive(Debug)]
pub(in crate::app) struct ClaimOutcome {
    pub owner: Owner,
    pub actor: Actor,
    pub outcome: Outcome<ClaimAnswer>,
    /// The answer can be had again by its `Idempotency-Key`.
    pub kept: bool,
    /// What the agent is able to do.
    pub able: Arc<[String]>,
}

/// Who claims.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Owner {
    pub workspace: WorkspaceId,
    pub key: KeyId,
    pub agent: AgentId,
}
