//! One claim in a batch, and its outcome.

use std::{sync::Arc, time::Duration};

use super::{
    LOOKS_BEYOND,
    answer::ClaimAnswer,
    claim_once, got_nothing,
    transaction::{Claimed, Look},
};
use crate::{
    app::{
        App, Result,
        budgets::reserve::Refused,
        caller::Actor,
        coalesce::Batched,
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

impl Batched for ClaimCommand {
    type Context = App;
    type Group = WorkspaceId;
    type Answer = Given;
    const KIND: &'static str = "claim";

    fn group(&self) -> WorkspaceId {
        self.owner.workspace
    }

    async fn run(app: App, workspace: WorkspaceId, batch: Vec<Self>) -> Result<Vec<Result<Given>>> {
        let first: Vec<&Self> = batch.iter().collect();
        let Claimed { mut answers, mut refused } =
            claim_once(&app, workspace, &first, Look::Wanted).await?;
        // What nobody could pay for is parked by now: whoever got nothing looks behind it. What only
        // these agents cannot pay for stays where it is, so one more look sees all there is to see.
        for look in 0..LOOKS_BEYOND {
            let empty: Vec<usize> =
                (0..batch.len()).filter(|n| got_nothing(&answers[*n])).collect();
            let worth_it = match refused {
                Refused::Nothing => false,
                Refused::Agents => look == 0,
                Refused::Tasks => true,
            };
            if !worth_it || empty.is_empty() {
                break;
            }
            let again: Vec<&Self> = empty.iter().map(|n| &batch[*n]).collect();
            let more = claim_once(&app, workspace, &again, Look::Beyond).await?;
            refused = more.refused;
            for (index, answer) in empty.into_iter().zip(more.answers) {
                answers[index] = answer;
            }
        }
        Ok(answers)
    }

    /// The agent hung up while it was being given tasks. Nobody knows the leases, so the tasks go
    /// back at once instead of being lost for the length of a lease; unless the agent can ask for
    /// this answer again.
    async fn undelivered(app: App, given: Given) {
        if given.kept {
            return;
        }
        for claim in given.outcome.value.claims {
            let attempt = claim.attempt_id;
            let (owner, actor) = (given.owner, given.actor.clone());
            if let Err(error) = app.take_back(owner, actor, attempt, claim.lease).await {
                tracing::warn!(%error, %attempt, "a claim that nobody received was not taken back");
            }
        }
    }
}

impl ClaimCommand {
    pub fn nothing(&self) -> Given {
        let outcome = Outcome::fresh(ClaimAnswer { claims: Vec::new() });
        let actor = self.actor.clone();
        Given { owner: self.owner, actor, outcome, kept: false, able: Arc::default() }
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
pub(in crate::app) struct Given {
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
