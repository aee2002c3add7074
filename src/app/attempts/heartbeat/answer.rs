//! Heartbeats as the API has them: what an agent reports, and the directive it gets.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::budgets::standing::BudgetStanding,
    domain::{
        freeze::FreezeMode,
        ids::{AttemptId, FreezeId, RuleId},
        loops::{Loop, Step, Window},
        refusal::Code,
        spend::{Amounts, SpendReport},
        states::Directive,
    },
    store::freezes::Over,
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
    pub(super) fn steps(&self) -> Window {
        let steps: Vec<Step> = self.steps.iter().chain(&self.step).cloned().collect();
        Window::of(&steps)
    }

    /// What people are shown; nothing when only steps were told.
    pub(super) fn shown(&self) -> Option<Value> {
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

/// A hint to the holder of an attempt, from an intervention rule or from loop detection.
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

/// The freeze over an attempt, in the answer to its heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeartbeatFreeze {
    /// Id of the freeze: `GET /v1/freezes/{freeze_id}`.
    pub id: FreezeId,
    /// Extent of the stop: `drain`, `pause` or `stop`.
    pub mode: FreezeMode,
    /// Number of the freeze's last change.
    #[schema(example = 7, minimum = 1)]
    pub generation: i64,
    /// Reason given by the operator who set it.
    #[schema(example = "the staging keys leaked")]
    pub reason: String,
}

impl From<Over> for HeartbeatFreeze {
    fn from(over: Over) -> Self {
        let Over { freeze_id, mode, generation, reason } = over;
        Self { id: freeze_id, mode, generation, reason }
    }
}
