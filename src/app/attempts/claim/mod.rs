//! Claims: assignment of ready tasks to agents.
//!
//! Concurrent claims of a workspace form one batch in one transaction:
//!
//! 1. Ready tasks are locked in the order of turns between goals and of ranks inside a goal; tasks locked by another
//!    batch are skipped.
//! 2. The agents are locked, so that the count of their attempts is exact.
//! 3. The domain assigns tasks to agents, and the attempts start.
//! 4. The passes of their goals move on.
//!
//! A waiting claim holds no connection and no place in a batch.
//!
//! A frozen task is assigned to no agent, and a frozen agent gets no task. Claims wait until the
//! freeze is lifted, as if no task were ready.
//!
//! Lessons of earlier work are attached when the batch is committed: `lessons.rs`.
//!
//! Tasks whose capabilities have a rate start no faster than that, and agents whose account has a quota window get
//! only what fits in it: `pacing.rs`.

pub mod answer;
pub mod command;
pub mod learned;
pub mod lessons;
mod pacing;
pub(in crate::app) mod transaction;
pub(in crate::app) mod turns;

use std::{pin::pin, sync::Arc, time::Duration};

use crate::app::{
    App, Result,
    caller::{Caller as _, ClaimCaller},
    unit::idempotency::{Outcome, Repeatable, Request},
};
use answer::{ClaimAnswer, ClaimRequest};
use command::{ClaimCommand, Owner};

impl App {
    /// Claims up to `max` tasks for the caller's agent, waiting up to `wait_seconds` for the first.
    /// The answer is empty if there was none.
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
            let given = self.claims.submit(self, command).await?;
            return Ok(self.with_lessons(given).await);
        }
        self.claim_or_wait(caller, command, Duration::from_secs(asked.wait_seconds.into())).await
    }

    /// Its futures are boxed: thousands of claims wait at once, and a waiting one should be small.
    async fn claim_or_wait(
        &self,
        caller: &ClaimCaller,
        command: ClaimCommand,
        wait: Duration,
    ) -> Result<Outcome<ClaimAnswer>> {
        let mut over = pin!(tokio::time::sleep(wait));
        let mut ticket = self.wake.place(self, command.owner.workspace).ticket();
        let mut proven = caller.recognised().is_none();
        let enqueued =
            caller.recognised().is_some_and(|able| ticket.enqueue_unverified(command.who(able)));
        let mut waiting = enqueued;
        loop {
            if !waiting {
                // The key may have been revoked during the wait.
                if !proven {
                    Box::pin(caller.prove(self)).await?;
                }
                ticket.begin();
                // Never cancelled half-way: the claimer must get what the batch assigned.
                let given = Box::pin(self.claims.submit(self, command.clone())).await?;
                if !given.outcome.value.claims.is_empty() {
                    ticket.served();
                    return Ok(Box::pin(self.with_lessons(given)).await);
                }
                ticket.enqueue(command.who(&given.able), caller.known(&given.able));
            }
            waiting = false;
            proven = false;
            tokio::select! {
                () = ticket.called() => {}
                () = &mut over => break,
                () = self.wake.stopping() => break,
            }
        }
        if enqueued && ticket.is_unverified() {
            Box::pin(caller.prove(self)).await?;
        }
        Ok(command.nothing().outcome)
    }
}
