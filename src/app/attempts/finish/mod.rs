//! Completing, failing and releasing attempts.
//!
//! All three end an attempt and share one batch and one transaction. Goals, tasks and attempts are
//! locked in that order, the domain judges each command under those locks, and the consequences are
//! written. A refused command stores nothing, not even its spend. An identical request gets the
//! stored answer, under a freeze too, so an agent that missed the answer can simply repeat the
//! request.

pub mod answer;
pub mod command;
pub(in crate::app) mod transaction;

use sha2::{Digest as _, Sha256};

use super::claim::command::Owner;
use crate::{
    app::{
        App, Result,
        access::lease,
        caller::{Actor, Caller as _, HolderCaller},
        error::corrupt,
    },
    domain::{ids::AttemptId, task::holder::Holder},
};
use answer::{CompleteRequest, FailRequest, FinishAnswer, ReleaseRequest};
use command::{Finish, FinishCommand};

impl App {
    /// Completes an attempt with its result.
    ///
    /// # Errors
    /// `lease_lost`, `frozen`, `already_completed`, `evidence_missing`, `invalid`, `not_found`,
    /// `not_your_attempt`; nothing is stored then.
    pub async fn complete(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        request: CompleteRequest,
    ) -> Result<FinishAnswer> {
        request.check()?;
        let hash = fingerprint("complete", &request)?;
        let lease = lease::hash(&request.lease);
        self.finish(caller, attempt, lease, hash, Finish::Complete(request)).await
    }

    /// Fails an attempt; the failure class decides whether the task is retried.
    ///
    /// # Errors
    /// `lease_lost`, `frozen`, `invalid`, `not_found`, `not_your_attempt`; nothing is stored then.
    pub async fn fail(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        request: FailRequest,
    ) -> Result<FinishAnswer> {
        request.check()?;
        let hash = fingerprint("fail", &request)?;
        let lease = lease::hash(&request.lease);
        self.finish(caller, attempt, lease, hash, Finish::Fail(request)).await
    }

    /// Releases an attempt: the task is ready again, and the attempt does not count.
    ///
    /// # Errors
    /// `lease_lost`, `frozen`, `invalid`, `not_found`, `not_your_attempt`; nothing is stored then.
    pub async fn release(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        request: ReleaseRequest,
    ) -> Result<FinishAnswer> {
        request.check()?;
        let hash = fingerprint("release", &request)?;
        let lease = lease::hash(&request.lease);
        self.finish(caller, attempt, lease, hash, Finish::Release(request)).await
    }

    /// Releases an attempt whose claim was not delivered.
    pub(in crate::app) async fn take_back(
        &self,
        owner: Owner,
        actor: Actor,
        attempt: AttemptId,
        lease: String,
    ) -> Result<FinishAnswer> {
        let lease_sha256 = lease::hash(&lease);
        let message = Some("the agent went away before it was told of this claim".to_owned());
        let request = ReleaseRequest { lease, message, ..ReleaseRequest::default() };
        let command = FinishCommand {
            workspace: owner.workspace,
            actor,
            holder: Holder::Agent(owner.agent),
            attempt,
            lease_sha256,
            request_sha256: fingerprint("release", &request)?,
            finish: Finish::Release(request),
        };
        self.finishes.submit(self, command).await
    }

    async fn finish(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        lease_sha256: [u8; 32],
        request_sha256: [u8; 32],
        finish: Finish,
    ) -> Result<FinishAnswer> {
        let principal = caller.principal();
        let command = FinishCommand {
            workspace: principal.workspace,
            actor: principal.actor(),
            holder: caller.holder(),
            attempt,
            lease_sha256,
            request_sha256,
            finish,
        };
        self.finishes.submit(self, command).await
    }
}

pub(super) fn fingerprint(verb: &str, request: &impl serde::Serialize) -> Result<[u8; 32]> {
    let body = serde_json::to_vec(request).map_err(corrupt)?;
    Ok(Sha256::new().chain_update(verb).chain_update(body).finalize().into())
}
