//! Heartbeats: keeping a lease, saying how far one is, and hearing what to do.
//!
//! A heartbeat moves the lease (never earlier, never past the hard deadline), stores progress,
//! checkpoint and spend, and answers with a directive. It takes no lock but the attempt's and
//! writes no event, so thousands of running attempts cost little. An attempt whose lease ran out
//! but which the sweeper has not ended is still alive: safety rests on the fence, not on clocks.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    App, Error, Result, Unit,
    caller::{AgentCaller, Caller as _},
    coalesce::Batched,
    lease,
    spend::charge,
};
use crate::{
    domain::{
        agent,
        check::{Checks, pointer},
        heartbeat,
        ids::{AgentId, AttemptId, WorkspaceId},
        refusal::{Code, Refusal},
        settings,
        spend::{Amounts, SpendReport},
        states::Directive,
        task::{self, AttemptFacts},
    },
    store::{self, attempts::Surroundings},
};

/// How far an attempt is, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Progress {
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100, example = 40)]
    pub percent: Option<u8>,
    /// What you are doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "running the tests")]
    pub message: Option<String>,
}

/// A sign of life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// The lease of the attempt, as its claim was answered.
    pub lease: String,
    /// How far you are.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// Whatever the next attempt needs to go on where you are; at most 256 KiB. Kept until the
    /// next checkpoint.
    #[serde(default)]
    pub checkpoint: Option<Value>,
    /// What was used.
    #[serde(default)]
    pub spend: SpendReport,
}

/// Signs of life of many attempts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatsRequest {
    /// At most 1,000.
    pub heartbeats: Vec<AttemptHeartbeat>,
}

/// A sign of life of one of many attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptHeartbeat {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its lease.
    pub lease: String,
    /// How far you are.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// Whatever the next attempt needs to go on.
    #[serde(default)]
    pub checkpoint: Option<Value>,
    /// What was used.
    #[serde(default)]
    pub spend: SpendReport,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeartbeatAnswer {
    /// `continue`; `wrap_up`: the hard deadline is near; `pause`: send a checkpoint and release;
    /// `stop`: stop at once and release.
    pub directive: Directive,
    /// How long you may stay silent from now on.
    #[schema(example = 60000)]
    pub lease_expires_in_ms: i64,
    /// When the lease runs out.
    pub lease_expires_at: DateTime<Utc>,
    /// No heartbeat moves the lease past this.
    pub hard_deadline: DateTime<Utc>,
    /// What the attempt has used by now, by unit; empty when this heartbeat reported nothing.
    pub attempt_spend: Amounts,
}

/// How one of many heartbeats went: `answer` or `problem`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeartbeatOutcome {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// What to do next.
    pub answer: Option<HeartbeatAnswer>,
    /// Why the heartbeat was refused: `lease_lost` means stop this work.
    pub problem: Option<HeartbeatProblem>,
}

/// Why one of many heartbeats was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeartbeatProblem {
    /// For programs; see `/problems/{code}`.
    pub code: Code,
    /// For people.
    pub detail: String,
    /// Whether the same heartbeat may succeed later.
    pub retryable: bool,
}

/// How each heartbeat went, in the order of the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeartbeatsAnswer {
    /// One for each heartbeat.
    pub outcomes: Vec<HeartbeatOutcome>,
}

/// One heartbeat in a batch.
#[derive(Debug, Clone)]
pub(super) struct HeartbeatCommand {
    workspace: WorkspaceId,
    agent: AgentId,
    attempt: AttemptId,
    lease_sha256: [u8; 32],
    progress: Option<Progress>,
    checkpoint: Option<Value>,
    spend: SpendReport,
}

impl Batched for HeartbeatCommand {
    type Context = App;
    type Group = WorkspaceId;
    type Answer = HeartbeatAnswer;
    const KIND: &'static str = "heartbeat";

    fn group(&self) -> WorkspaceId {
        self.workspace
    }

    async fn run(
        app: App,
        workspace: WorkspaceId,
        batch: Vec<Self>,
    ) -> Result<Vec<Result<HeartbeatAnswer>>> {
        let mut unit = app.begin(workspace, None).await?;
        let answers = beat(&mut unit, &batch).await?;
        app.commit(unit).await?;
        Ok(answers)
    }
}

impl App {
    /// Keeps the lease of an attempt.
    ///
    /// # Errors
    /// `not_found`, `not_your_attempt`, `lease_lost`, `invalid`; nothing is stored then.
    pub async fn heartbeat(
        &self,
        caller: &AgentCaller,
        attempt: AttemptId,
        request: HeartbeatRequest,
    ) -> Result<HeartbeatAnswer> {
        let HeartbeatRequest { lease, progress, checkpoint, spend } = request;
        let beat = AttemptHeartbeat { attempt_id: attempt, lease, progress, checkpoint, spend };
        let mut checks = Checks::new();
        check(&mut checks, "", &beat);
        checks.finish()?;
        self.heartbeats.submit(self, command(caller, beat)).await
    }

    /// Keeps the leases of many attempts. Each is judged alone.
    ///
    /// # Errors
    /// `invalid`; then none was stored.
    pub async fn heartbeat_many(
        &self,
        caller: &AgentCaller,
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

fn command(caller: &AgentCaller, beat: AttemptHeartbeat) -> HeartbeatCommand {
    let AttemptHeartbeat { attempt_id, lease, progress, checkpoint, spend } = beat;
    HeartbeatCommand {
        workspace: caller.principal().workspace,
        agent: caller.agent(),
        attempt: attempt_id,
        lease_sha256: lease::hash(&lease),
        progress,
        checkpoint,
        spend,
    }
}

fn check(checks: &mut Checks, at: &str, beat: &AttemptHeartbeat) {
    if let Some(Progress { percent, message }) = &beat.progress {
        let at = pointer(at, "progress");
        if let Some(percent) = percent {
            checks.range(&pointer(&at, "percent"), *percent, 0..=100);
        }
        if let Some(message) = message {
            checks.bytes(&pointer(&at, "message"), message, settings::MESSAGE_BYTES);
        }
    }
    checks.json(&pointer(at, "checkpoint"), beat.checkpoint.as_ref());
    beat.spend.check(checks, &pointer(at, "spend"));
}

async fn beat(unit: &mut Unit, batch: &[HeartbeatCommand]) -> Result<Vec<Result<HeartbeatAnswer>>> {
    let (workspace, now) = (unit.workspace(), unit.now());
    let ids: Vec<AttemptId> = batch.iter().map(|command| command.attempt).collect();
    let beating = store::attempts::lock_beating(unit.conn(), workspace, &ids).await?;
    let beating: HashMap<AttemptId, (AttemptFacts, Surroundings)> =
        beating.into_iter().map(|beating| (beating.0.attempt_id, beating)).collect();
    let admitted: Vec<Result<&(AttemptFacts, Surroundings)>> = batch
        .iter()
        .map(|command| {
            let beating =
                beating.get(&command.attempt).ok_or_else(|| Refusal::not_found("attempt"))?;
            task::fence(&beating.0, command.agent, &command.lease_sha256)?;
            Ok(beating)
        })
        .collect();
    let kept: Vec<(&AttemptFacts, &HeartbeatCommand)> = admitted
        .iter()
        .zip(batch)
        .filter_map(|(beating, command)| Some((&beating.as_ref().ok()?.0, command)))
        .collect();
    renew(unit, &kept).await?;
    let reports: Vec<_> = kept.iter().map(|(attempt, c)| (*attempt, &c.spend)).collect();
    let spent = charge(unit, &reports).await?;
    let unseen: Vec<AgentId> = admitted
        .iter()
        .flatten()
        .filter(|(_, around)| agent::is_to_be_noted(around.agent_seen_at, now))
        .map(|(attempt, _)| attempt.agent_id)
        .collect();
    if !unseen.is_empty() {
        store::claims::seen(unit.conn(), workspace, now, &unseen).await?;
    }
    let answers = admitted.into_iter().map(|beating| {
        let (attempt, around) = beating?;
        let spent = spent.get(&attempt.attempt_id).cloned().unwrap_or_default();
        Ok(answer(attempt, around, spent, now))
    });
    Ok(answers.collect())
}

fn answer(
    attempt: &AttemptFacts,
    around: &Surroundings,
    attempt_spend: Amounts,
    now: DateTime<Utc>,
) -> HeartbeatAnswer {
    let Surroundings { started_at, cancelling, agent_state, agent_seen_at: _ } = *around;
    let expires = heartbeat::renewed(attempt, now);
    HeartbeatAnswer {
        directive: heartbeat::directive(attempt, started_at, cancelling, agent_state, now),
        lease_expires_in_ms: (expires - now).num_milliseconds().max(0),
        lease_expires_at: expires,
        hard_deadline: attempt.hard_deadline,
        attempt_spend,
    }
}

async fn renew(unit: &mut Unit, kept: &[(&AttemptFacts, &HeartbeatCommand)]) -> Result<()> {
    if kept.is_empty() {
        return Ok(());
    }
    let (workspace, now) = (unit.workspace(), unit.now());
    let leases: BTreeMap<AttemptId, DateTime<Utc>> = kept
        .iter()
        .map(|(attempt, _)| (attempt.attempt_id, heartbeat::renewed(attempt, now)))
        .collect();
    let leases: Vec<_> = leases.into_iter().collect();
    store::attempts::renew(unit.conn(), workspace, &leases).await?;
    // Two beats of one attempt in a batch are one row: the later word wins.
    let mut reports: BTreeMap<AttemptId, store::attempts::Progress> = BTreeMap::new();
    for (attempt, command) in kept {
        if command.progress.is_none() && command.checkpoint.is_none() {
            continue;
        }
        let id = attempt.attempt_id;
        let report = reports.entry(id).or_insert(store::attempts::Progress {
            attempt_id: id,
            progress: None,
            checkpoint: None,
        });
        let progress = command.progress.as_ref().map(|progress| serde_json::json!(progress));
        report.progress = progress.or(report.progress.take());
        report.checkpoint = command.checkpoint.clone().or(report.checkpoint.take());
    }
    let reports: Vec<_> = reports.into_values().collect();
    if reports.is_empty() {
        return Ok(());
    }
    Ok(store::attempts::progress(unit.conn(), workspace, now, &reports).await?)
}
