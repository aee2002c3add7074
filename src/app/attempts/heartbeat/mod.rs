//! Heartbeats: lease renewal, progress, and the directive to the agent.
//!
//! A heartbeat moves the lease (never earlier, never past the hard deadline), stores progress,
//! checkpoint and spend, and answers with a directive. It locks only the attempt, and without a report
//! it writes no event, so thousands of running attempts cost little. An attempt whose lease has ended
//! is still alive until the sweep ends it: safety rests on the fence, not on clocks.

pub mod answer;
pub mod command;
mod comments;
pub(in crate::app) mod nudges;
pub(in crate::app) mod transaction;

use crate::{
    app::{
        App, Error, Result,
        access::lease,
        caller::{Caller as _, HolderCaller},
    },
    domain::{
        check::{Checks, pointer},
        ids::AttemptId,
        loops::Step,
        refusal::Refusal,
        settings,
    },
};
use answer::{
    AttemptHeartbeat, HeartbeatAnswer, HeartbeatOutcome, HeartbeatProblem, HeartbeatRequest,
    HeartbeatsAnswer, HeartbeatsRequest, Progress,
};
use command::HeartbeatCommand;

impl App {
    /// Renews the lease of an attempt.
    ///
    /// # Errors
    /// `not_found`, `not_your_attempt`, `lease_lost`, `invalid`; nothing is stored then.
    pub async fn heartbeat(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        request: HeartbeatRequest,
    ) -> Result<HeartbeatAnswer> {
        let HeartbeatRequest { lease, progress, checkpoint, spend, seen_comments } = request;
        let attempt_id = attempt;
        let beat =
            AttemptHeartbeat { attempt_id, lease, progress, checkpoint, spend, seen_comments };
        let mut checks = Checks::new();
        check(&mut checks, "", &beat);
        checks.finish()?;
        self.heartbeats.submit(self, command(caller, beat)).await
    }

    /// Renews the leases of many attempts; each outcome is independent.
    ///
    /// # Errors
    /// `invalid`; none is stored then.
    pub async fn heartbeat_many(
        &self,
        caller: &HolderCaller,
        request: HeartbeatsRequest,
    ) -> Result<HeartbeatsAnswer> {
        let HeartbeatsRequest { heartbeats } = request;
        let mut checks = Checks::new();
        checks.count("/heartbeats", heartbeats.len(), settings::HEARTBEATS_MAX);
        checks.finish()?;
        let mut checks = Checks::new();
        for (index, beat) in heartbeats.iter().enumerate() {
            check(&mut checks, &pointer("/heartbeats", index), beat);
        }
        checks.finish()?;
        let answers = heartbeats.into_iter().map(|beat| {
            let attempt_id = beat.attempt_id;
            let command = command(caller, beat);
            async move {
                match self.heartbeats.submit(self, command).await {
                    Ok(answer) => {
                        Ok(HeartbeatOutcome { attempt_id, answer: Some(answer), problem: None })
                    }
                    Err(Error::Refused(refusal)) => {
                        let problem = Some(problem(refusal));
                        Ok(HeartbeatOutcome { attempt_id, answer: None, problem })
                    }
                    Err(error) => Err(error),
                }
            }
        });
        let outcomes: Result<Vec<_>> =
            futures_util::future::join_all(answers).await.into_iter().collect();
        Ok(HeartbeatsAnswer { outcomes: outcomes? })
    }
}

fn problem(refusal: Refusal) -> HeartbeatProblem {
    let Refusal { code, detail, errors: _ } = refusal;
    HeartbeatProblem { code, detail, retryable: code.retryable() }
}

fn command(caller: &HolderCaller, beat: AttemptHeartbeat) -> HeartbeatCommand {
    let AttemptHeartbeat { attempt_id, lease, progress, checkpoint, spend, seen_comments } = beat;
    HeartbeatCommand {
        workspace: caller.principal().workspace,
        actor: caller.principal().actor(),
        holder: caller.holder(),
        attempt: attempt_id,
        lease_sha256: lease::hash(&lease),
        steps: progress.as_ref().map(Progress::steps).unwrap_or_default(),
        progress: progress.as_ref().and_then(Progress::shown),
        checkpoint,
        spend,
        seen: seen_comments,
    }
}

fn check(checks: &mut Checks, at: &str, beat: &AttemptHeartbeat) {
    if let Some(Progress { percent, message, step, steps }) = &beat.progress {
        let at = pointer(at, "progress");
        if let Some(percent) = percent {
            checks.range(&pointer(&at, "percent"), *percent, 0..=100);
        }
        if let Some(message) = message {
            checks.bytes(&pointer(&at, "message"), message, settings::MESSAGE_BYTES);
        }
        check_steps(checks, &at, step.as_ref(), steps);
    }
    checks.json(&pointer(at, "checkpoint"), beat.checkpoint.as_ref());
    beat.spend.check(checks, &pointer(at, "spend"));
    let seen = pointer(at, "seen_comments");
    checks.count(&seen, beat.seen_comments.len(), settings::HEARTBEAT_SEEN);
}

fn check_steps(checks: &mut Checks, at: &str, step: Option<&Step>, steps: &[Step]) {
    let list = pointer(at, "steps");
    checks.count(&list, steps.len(), settings::STEPS_MAX);
    if let Some(step) = step {
        checks.ensure(
            steps.is_empty(),
            &list,
            "stands for several; give one of `step` and `steps`",
        );
        step.check(checks, &pointer(at, "step"));
    }
    let mut before = 0;
    for (index, step) in steps.iter().enumerate().take(settings::STEPS_MAX) {
        let here = pointer(&list, index);
        step.check(checks, &here);
        let rises = step.n > before;
        checks.ensure(rises, &pointer(&here, "n"), "must be above that of the step before");
        before = step.n;
    }
}
