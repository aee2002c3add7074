//! Completing, failing and releasing attempts.
//!
//! All three end an attempt, so they share one batch and one transaction: the goals, tasks and
//! attempts are locked in that order, the domain judges each command under those locks, and what
//! follows is settled. A refused command stores nothing, not even its spend. The same request again
//! gets the stored answer, so an agent that never saw it may simply ask again, whatever is frozen now.

pub mod answer;
pub mod command;
pub(in crate::app) mod transaction;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::claim::command::Owner;
use crate::{
    app::{
        App, Result, Unit,
        access::lease,
        caller::{Actor, Caller as _, HolderCaller},
        error::corrupt,
        unit::locks::{find, locked},
    },
    domain::{
        freeze::{self, Act, FreezeMode},
        ids::{AttemptId, GoalId, TaskId},
        refusal::{Code, Refusal},
        states::{AttemptState, TaskState},
        task::{self, AttemptFacts, Ending, Failure, Next, TaskFacts, holder::Holder},
    },
    store::{self, attempts::results::StoredOutcome},
};
use answer::{CompleteRequest, FailRequest, FinishAnswer, ReleaseRequest};
use command::{Finish, FinishCommand, Judged};

impl App {
    /// Hands in a result.
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

    /// Gives up; the class decides whether the task is tried again.
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

    /// Gives the task back unharmed.
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

    /// Gives back a task whose claimer never heard of it.
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

fn fingerprint(verb: &str, request: &impl serde::Serialize) -> Result<[u8; 32]> {
    let body = serde_json::to_vec(request).map_err(corrupt)?;
    Ok(Sha256::new().chain_update(verb).chain_update(body).finalize().into())
}

/// Everything of a batch that is locked or was read under its locks.
#[derive(Debug)]
struct Held {
    attempts: HashMap<AttemptId, AttemptFacts>,
    tasks: HashMap<TaskId, TaskFacts>,
    outcomes: HashMap<AttemptId, StoredOutcome>,
    criteria: HashMap<TaskId, Vec<(i16, bool)>>,
    frozen: HashMap<AttemptId, FreezeMode>,
}

async fn hold(unit: &mut Unit, batch: &[FinishCommand]) -> Result<Held> {
    let ids: Vec<AttemptId> = batch.iter().map(|command| command.attempt).collect();
    let places = store::attempts::places(unit.tx(), &ids).await?;
    let goals: BTreeSet<GoalId> = places.iter().map(|place| place.goal_id).collect();
    let tasks: BTreeSet<TaskId> = places.iter().map(|place| place.task_id).collect();
    let goals: Vec<GoalId> = goals.into_iter().collect();
    let tasks: Vec<TaskId> = tasks.into_iter().collect();
    let goals = store::goals::lock(unit.tx(), &goals).await?;
    unit.know(&goals);
    let facts = store::tasks::lock(unit.tx(), &tasks).await?;
    let attempts = locked(unit, &ids).await?;
    let outcomes = store::attempts::results::outcomes(unit.tx(), &ids).await?;
    let mut criteria: HashMap<TaskId, Vec<(i16, bool)>> = HashMap::new();
    for (task, number, required) in store::attempts::results::criteria(unit.tx(), &tasks).await? {
        criteria.entry(task).or_default().push((number, required));
    }
    Ok(Held {
        attempts,
        tasks: facts.into_iter().map(|task| (task.task_id, task)).collect(),
        outcomes: outcomes.into_iter().map(|outcome| (outcome.attempt_id, outcome)).collect(),
        criteria,
        frozen: places.iter().filter_map(|place| Some((place.attempt_id, place.frozen?))).collect(),
    })
}

enum Verdict<'a> {
    /// The stored answer of the same request.
    Given(FinishAnswer),
    /// To be written.
    New(Judged<'a>),
}

fn judge<'a>(
    unit: &Unit,
    command: &'a FinishCommand,
    held: &'a Held,
) -> std::result::Result<Verdict<'a>, Refusal> {
    let attempt = find(&held.attempts, command.attempt)?;
    let task = held.tasks.get(&attempt.task_id).ok_or_else(|| Refusal::not_found("task"))?;
    task::own(attempt, command.holder, &command.lease_sha256)?;
    if let Some(answer) = answered(command, held) {
        return Ok(Verdict::Given(answer));
    }
    refuse_second_result(command, attempt.state)?;
    let ending = match &command.finish {
        Finish::Complete(request) => {
            let ending = task::complete(task, attempt, command.holder, &command.lease_sha256)?;
            let criteria = held.criteria.get(&task.task_id).map_or(&[][..], Vec::as_slice);
            request.covers(criteria, task.approve_result)?;
            ending
        }
        Finish::Fail(request) => {
            task::fence(attempt, command.holder, &command.lease_sha256)?;
            let retry_after = request.retry_after_seconds;
            let failure = Failure {
                class: request.class,
                retryable: request.retryable,
                retry_after: retry_after.map(|seconds| Duration::from_secs(seconds.into())),
            };
            task::fail(task, attempt, failure, unit.entropy().jitter(), unit.now())
        }
        Finish::Release(_) => {
            task::fence(attempt, command.holder, &command.lease_sha256)?;
            task::release(task, unit.now())
        }
    };
    freeze::admit(held.frozen.get(&command.attempt).copied(), Act::Rest)?;
    let answer = answer(attempt, ending, unit.now());
    Ok(Verdict::New(Judged { command, attempt, task, ending, answer }))
}

/// What the same request was answered before.
fn answered(command: &FinishCommand, held: &Held) -> Option<FinishAnswer> {
    let stored = held.outcomes.get(&command.attempt)?;
    if stored.request_sha256 != command.request_sha256 {
        return None;
    }
    serde_json::from_value(stored.outcome.clone()).ok()
}

/// A second result of the same attempt is another mistake than a lost lease: say so.
fn refuse_second_result(
    command: &FinishCommand,
    attempt: AttemptState,
) -> std::result::Result<(), Refusal> {
    let completed = matches!(
        attempt,
        AttemptState::Accepted | AttemptState::Submitted | AttemptState::Rejected
    );
    if completed && matches!(command.finish, Finish::Complete(_)) {
        let detail = "this attempt was already completed with another result, which stands";
        return Err(Refusal::new(Code::AlreadyCompleted, detail));
    }
    Ok(())
}

fn again(command: &FinishCommand, hash: &[u8; 32], answer: &FinishAnswer) -> Result<FinishAnswer> {
    if command.request_sha256 == *hash {
        return Ok(answer.clone());
    }
    refuse_second_result(command, answer.attempt_state)?;
    let detail = "another request ended this attempt at the same moment; its answer stands";
    Err(Refusal::new(Code::LeaseLost, detail).into())
}

fn answer(attempt: &AttemptFacts, ending: Ending, now: DateTime<Utc>) -> FinishAnswer {
    let (task_state, retry_at) = match ending.next {
        Next::Done => (TaskState::Done, None),
        Next::Review => (TaskState::Reviewing, None),
        Next::Failed(_) => (TaskState::Failed, None),
        Next::Cancelled => (TaskState::Cancelled, None),
        Next::Park => (TaskState::Parked, None),
        Next::Retry(at) if at > now => (TaskState::Waiting, Some(at)),
        Next::Retry(at) => (TaskState::Ready, Some(at)),
    };
    FinishAnswer {
        attempt_id: attempt.attempt_id,
        attempt_state: ending.attempt,
        task_id: attempt.task_id,
        task_state,
        retry_at,
    }
}
