//! Heartbeats: keeping a lease, saying how far one is, and hearing what to do.
//!
//! A heartbeat moves the lease (never earlier, never past the hard deadline), stores progress,
//! checkpoint and spend, and answers with a directive. It takes no lock but the attempt's and
//! writes no event, so thousands of running attempts cost little ([`batch`]). An
//! attempt whose lease ran out but which the sweeper has not ended is still alive: safety rests on
//! the fence, not on clocks.

pub(in crate::app) mod nudges;
pub(in crate::app) mod transaction;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::{
        App, Error, Result,
        access::lease,
        budgets::standing::BudgetStanding,
        caller::{Actor, Caller as _, HolderCaller},
        freezes::views::HeartbeatFreeze,
    },
    domain::{
        check::{Checks, pointer},
        ids::{AttemptId, RuleId, WorkspaceId},
        loops::{Loop, Step, Window},
        refusal::{Code, Refusal},
        settings,
        spend::{Amounts, SpendReport},
        states::Directive,
        task::holder::Holder,
    },
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
    /// The step that you have ended since the last heartbeat, so that it is noticed when you go round in
    /// circles. Only what it is recognised by is kept, and nothing of what it says.
    #[serde(skip_serializing)]
    pub step: Option<Step>,
    /// The same when you have ended several: at most 100, their numbers rising.
    #[serde(skip_serializing)]
    pub steps: Vec<Step>,
}

impl Progress {
    /// The steps, in their order.
    fn steps(&self) -> Window {
        let steps: Vec<Step> = self.steps.iter().chain(&self.step).cloned().collect();
        Window::of(&steps)
    }

    /// What people are shown; nothing when only steps were told.
    fn shown(&self) -> Option<Value> {
        let Self { percent, message, step, steps } = self;
        let silent = percent.is_none() && message.is_none();
        let only_steps = silent && (step.is_some() || !steps.is_empty());
        (!only_steps).then(|| json!(self))
    }
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
    /// `continue`; `wrap_up`: the hard deadline is near, or what was set aside for you is used and
    /// no more is to be had; `pause`: send a checkpoint and release, because an operator paused the
    /// agent or froze the work; `stop`: stop at once and
    /// release, because the task is cancelled or a limit above it is used up.
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
    /// How the attempt stands with every limit above it, the nearest first; empty: nothing is
    /// limited.
    pub budget: Vec<BudgetStanding>,
    /// The strongest freeze that the attempt is under; `null`: none.
    pub freeze: Option<HeartbeatFreeze>,
    /// What you are to think about before you go on, mostly nothing. What a rule says is told once; that
    /// your steps repeat is told with every step that does.
    pub nudges: Vec<Nudge>,
}

/// A word to whoever works on a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Nudge {
    /// What to think about.
    #[schema(example = "your last 4 steps were the same, with the same result")]
    pub text: String,
    /// The rule that says it: `GET /v1/rules/{rule_id}`; `null`: no rule, your steps repeat.
    pub rule_id: Option<RuleId>,
    /// How your steps repeat; `null`: this is about something else.
    pub r#loop: Option<Loop>,
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
pub(in crate::app) struct HeartbeatCommand {
    pub workspace: WorkspaceId,
    pub actor: Actor,
    pub holder: Holder,
    pub attempt: AttemptId,
    pub lease_sha256: [u8; 32],
    pub progress: Option<Value>,
    pub steps: Window,
    pub checkpoint: Option<Value>,
    pub spend: SpendReport,
}

impl App {
    /// Keeps the lease of an attempt.
    ///
    /// # Errors
    /// `not_found`, `not_your_attempt`, `lease_lost`, `invalid`; nothing is stored then.
    pub async fn heartbeat(
        &self,
        caller: &HolderCaller,
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
    let AttemptHeartbeat { attempt_id, lease, progress, checkpoint, spend } = beat;
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
