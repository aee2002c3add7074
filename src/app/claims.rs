//! Claims: giving ready tasks to agents.
//!
//! Concurrent claims of a workspace are one batch in one transaction: what is ready is locked in
//! the order of claims, skipping what another batch is taking; the agents are locked, so that the
//! count of their attempts is exact; the domain says who gets what; the attempts start. A claim
//! that waits holds no connection and no place in a batch while it waits.
//!
//! What is frozen is given to nobody, and a frozen agent is given nothing: both wait as if there were
//! nothing to do, until the freeze is lifted.

use std::{pin::pin, sync::Arc, time::Duration};

use super::{
    App, Error, Result,
    caller::{Actor, Caller as _, ClaimCaller},
    claim_batch::{Claimed, Look, claim_batch, keep, repeats},
    claim_views::{ClaimAnswer, ClaimRequest},
    coalesce::Batched,
    funding::{Refused, Sureness},
    idempotency::{Outcome, Repeat, Repeatable, Request},
    wake::Who,
};
use crate::domain::ids::{AgentId, KeyId, WorkspaceId};

/// Who claims.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub workspace: WorkspaceId,
    pub key: KeyId,
    pub agent: AgentId,
}

/// What a claim was given, and who is to hear of it.
#[derive(Debug)]
pub(super) struct Given {
    pub owner: Owner,
    pub actor: Actor,
    pub outcome: Outcome<ClaimAnswer>,
    /// The answer can be had again by its `Idempotency-Key`.
    pub kept: bool,
    /// What the agent is able to do.
    pub able: Arc<[String]>,
}

/// One claim in a batch.
#[derive(Debug, Clone)]
pub(super) struct ClaimCommand {
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

/// How often a batch looks behind tasks that could not be paid for. Each time it parks as many as it
/// may lock, so this is thousands; the next claim goes on.
const LOOKS_BEYOND: usize = 8;

fn got_nothing(answer: &Result<Given>) -> bool {
    answer.as_ref().is_ok_and(|given| given.outcome.value.claims.is_empty())
}

/// A batch in one transaction; in two, when what it decided by a look was gone at its end.
async fn claim_once(
    app: &App,
    workspace: WorkspaceId,
    batch: &[&ClaimCommand],
    look: Look,
) -> Result<Claimed> {
    match claim_by(app, workspace, batch, look, Sureness::Look).await {
        Err(Error::Again) => claim_by(app, workspace, batch, look, Sureness::Lock).await,
        done => done,
    }
}

async fn claim_by(
    app: &App,
    workspace: WorkspaceId,
    batch: &[&ClaimCommand],
    look: Look,
    sureness: Sureness,
) -> Result<Claimed> {
    let mut unit = app.begin(workspace, Actor::SERVICE).await?;
    let repeats = repeats(&mut unit, batch).await?;
    let fresh: Vec<&ClaimCommand> = batch
        .iter()
        .zip(&repeats)
        .filter(|(_, repeat)| matches!(repeat, Repeat::New))
        .map(|(command, _)| *command)
        .collect();
    let claimed = claim_batch(&mut unit, &fresh, look, sureness).await;
    let Claimed { answers: mut given, refused } = match claimed {
        Ok(claimed) => claimed,
        Err(error) => {
            // Its locks are in the way of whoever tries next.
            let _ = app.undo(unit).await;
            return Err(error);
        }
    };
    keep(&mut unit, &fresh, &mut given).await?;
    app.commit(unit).await?;
    let mut given = given.into_iter();
    let answers = batch.iter().zip(repeats).map(|(command, repeat)| match repeat {
        Repeat::New => given.next().unwrap_or_else(|| Ok(command.nothing())),
        Repeat::Refused(refusal) => Err(refusal.into()),
        Repeat::Answered(answer) => {
            Ok(Given { outcome: Outcome::replayed(answer), kept: true, ..command.nothing() })
        }
    });
    Ok(Claimed { answers: answers.collect(), refused })
}

impl ClaimCommand {
    pub fn nothing(&self) -> Given {
        let outcome = Outcome::fresh(ClaimAnswer { claims: Vec::new() });
        let actor = self.actor.clone();
        Given { owner: self.owner, actor, outcome, kept: false, able: Arc::default() }
    }
}

impl App {
    /// Claims up to `max` tasks for the caller's agent, waiting for the first up to
    /// `wait_seconds`. No claims: there was nothing it could do.
    ///
    /// # Errors
    /// `agent_not_active`, `invalid`.
    pub async fn claim(
        &self,
        caller: &ClaimCaller,
        asked: &ClaimRequest,
        request: Option<&Request>,
    ) -> Result<Outcome<ClaimAnswer>> {
        asked.check()?;
        let principal = caller.principal();
        let owner = Owner {
            workspace: principal.workspace,
            key: principal.key,
            agent: caller.agent().agent(),
        };
        let command = ClaimCommand {
            owner,
            actor: principal.actor(),
            max: asked.max,
            lease: asked.lease_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            repeatable: Repeatable::of(principal, request).map(Arc::new),
        };
        if asked.wait_seconds == 0 {
            if caller.recognised().is_some() {
                caller.prove(self).await?;
            }
            return Ok(self.claims.submit(self, command).await?.outcome);
        }
        self.claim_or_wait(caller, command, Duration::from_secs(asked.wait_seconds.into())).await
    }

    /// What it awaits stands in boxes: thousands of claims wait at once, and each should hold only
    /// what waiting takes.
    async fn claim_or_wait(
        &self,
        caller: &ClaimCaller,
        command: ClaimCommand,
        wait: Duration,
    ) -> Result<Outcome<ClaimAnswer>> {
        let mut over = pin!(tokio::time::sleep(wait));
        let mut seat = self.wake.place(self, command.owner.workspace).seat();
        let mut proven = caller.recognised().is_none();
        let dozes = caller.recognised().is_some_and(|able| seat.doze(command.who(able)));
        let mut asleep = dozes;
        loop {
            if !asleep {
                // A key that was revoked while its claim waited is given nothing any more.
                if !proven {
                    Box::pin(caller.prove(self)).await?;
                }
                seat.begin();
                // Never cancelled half-way: what a batch has given must reach its claimer.
                let given = Box::pin(self.claims.submit(self, command.clone())).await?;
                if !given.outcome.value.claims.is_empty() {
                    return Ok(given.outcome);
                }
                seat.sleep(command.who(&given.able), caller.known(&given.able));
            }
            asleep = false;
            proven = false;
            tokio::select! {
                () = seat.called() => {}
                () = &mut over => break,
                () = self.wake.stopping() => break,
            }
        }
        if dozes && seat.is_unproven() {
            Box::pin(caller.prove(self)).await?;
        }
        Ok(command.nothing().outcome)
    }
}

impl ClaimCommand {
    fn who(&self, able: &Arc<[String]>) -> Who {
        let repeat = self.repeatable.as_ref().map(|repeatable| repeatable.request.key.as_str());
        Who {
            agent: self.owner.agent,
            key: self.owner.key,
            able: Arc::clone(able),
            repeat: repeat.map(Box::from),
        }
    }
}
