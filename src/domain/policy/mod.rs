//! Approval policies: who decides what, how many must agree, in which order, and what happens when
//! they do not.
//!
//! A policy is matched when an approval is created ([`matching`]), and the approval keeps a copy:
//! later edits affect later approvals only. Stages run one after the other; each needs a quorum of
//! its approvers ([`panel`]). A stage can time out, with the effect that the policy states
//! ([`expiry`]).
//!
//! Decisions:
//! - **A person counts once in a stage**, for themselves or as a delegate. Otherwise a delegation
//!   would let one person fill a quorum of two.
//! - **An escalation is a round of its own**: its approvers vote alone. Earlier votes are kept and
//!   shown, but do not count in the new round.
//! - **The clock runs per stage**: each stage and each escalation has its full time.
//! - **A revision restarts the approval**: votes were for the exact text, so it begins at the first
//!   stage with a new clock.
//! - **Delegations belong to the policy**, and so to administrators: an approver named by an
//!   administrator cannot appoint a substitute alone. They are copied with the policy and do not
//!   chain.
//! - An excluded person is no approver and cannot be represented.
//! - A vote after the time limit, but before the supervisor acted on it, counts.

pub mod able;
mod check;
pub mod expiry;
pub mod linked;
pub mod matching;
pub mod panel;
pub mod replay;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    access::person::Person,
    approval::{Risk, Verdict},
    ids::ProjectId,
    states::ApprovalKind,
    words::words,
};

words! {
    /// Effect of a stage that times out.
    pub enum OnExpiry {
        /// Same effect as a rejection; the approval is `expired`.
        Reject => "reject",
        /// The next approvers of the escalation chain are asked.
        Escalate => "escalate",
        /// The approval is `expired`, and its subject is cancelled.
        CancelTask => "cancel_task",
        /// The approval stays pending; reminders continue.
        Wait => "wait",
        /// The policy's `default` is decided.
        Default => "default",
    }
}

/// Approvals that a policy covers: all given conditions must hold. An omitted condition matches
/// anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ApprovalPolicyMatch)]
pub struct PolicyMatch {
    /// Kinds of approval; empty: all kinds.
    #[schema(max_items = 6)]
    pub kinds: Vec<ApprovalKind>,
    /// Only approvals about a task that requires at least one of these capabilities, or about a
    /// plan with such a task. Empty: all.
    #[schema(example = json!(["deploy"]), max_items = 32)]
    pub capabilities: Vec<String>,
    /// Minimum risk: as stated by the requester, and at least the floor of the approval.
    pub risk_at_least: Option<Risk>,
    /// Only approvals in goals of this project.
    pub project_id: Option<ProjectId>,
    /// Minimum cost: the `estimate` of a task, the sum of a plan's estimates, or the rise of a
    /// limit. An unknown cost does not match.
    pub cost_at_least: Option<CostAtLeast>,
}

/// Minimum cost for a policy to match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicyCost)]
pub struct CostAtLeast {
    /// Unit of the amount, for example `usd_micros`.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// Minimum amount, in whole units.
    #[schema(example = 5_000_000, minimum = 1)]
    pub amount: i64,
}

/// A group of approvers, and how many of them must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicyStage)]
pub struct PolicyStage {
    /// People who may vote; empty: any operator. At most 20.
    #[serde(default)]
    #[schema(example = json!(["alice@example.com", "bob@example.com", "carol@example.com"]), max_items = 20)]
    pub approvers: Vec<Person>,
    /// Number of approvers who must agree, at most the number of approvers. Default: 1.
    #[serde(default = "one")]
    #[schema(example = 2, minimum = 1, maximum = 20)]
    pub quorum: u32,
}

/// Approvers asked after the previous ones timed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicyEscalation)]
pub struct Escalation {
    /// People who may vote in this round, instead of the previous ones; 1 to 20.
    #[schema(example = json!(["head@example.com"]), min_items = 1, max_items = 20)]
    pub approvers: Vec<Person>,
    /// Number of approvers who must agree. Default: 1.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 20)]
    pub quorum: u32,
    /// Time limit of this round, in seconds; at most 30 days.
    #[schema(example = 3600, minimum = 1, maximum = 2_592_000)]
    pub expires_after_seconds: u32,
}

/// A delegate who may vote for an approver during a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicyDelegation)]
pub struct Delegation {
    /// Approver who is represented. Must be an approver of this policy.
    pub delegator: Person,
    /// Person who may vote for the approver. The approver may still vote; the first vote of the two
    /// counts.
    pub delegate: Person,
    /// Start of the delegation. Default: immediately.
    #[serde(default)]
    pub from: Option<DateTime<Utc>>,
    /// End of the delegation, exclusive. Default: unlimited.
    #[serde(default)]
    pub until: Option<DateTime<Utc>>,
}

impl Delegation {
    fn is_on(&self, now: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// Decision made by the service after a timeout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicyDefault)]
pub struct PolicyDefault {
    /// `approve` or `reject`; required for every kind but `input`.
    #[serde(default)]
    pub decision: Option<Verdict>,
    /// Answer to an approval of kind `input`. Without it, or if it does not match the
    /// `answer_schema`, the question is declined.
    #[serde(default)]
    #[schema(example = json!({"choice": "staging"}))]
    pub answer: Option<Value>,
}

/// An approval policy: the approvals it covers, and who decides them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicySpec, example = json!({
    "name": "deploys need two", "priority": 10,
    "match": {"kinds": ["action"], "capabilities": ["deploy"], "risk_at_least": "high"},
    "stages": [{"approvers": ["alice@example.com", "bob@example.com", "carol@example.com"], "quorum": 2}],
    "veto": true, "expires_after_seconds": 14400, "on_expiry": "escalate",
    "escalation": [{"approvers": ["head@example.com"], "expires_after_seconds": 3600}],
    "escalation_ends": "reject", "remind_every_seconds": 1800}))]
pub struct PolicySpec {
    /// Name, one line, unique among the policies in force.
    #[schema(example = "deploys need two", min_length = 1, max_length = 200)]
    pub name: String,
    /// Precedence: of several matching policies the highest priority applies, and of equal ones the
    /// oldest.
    #[serde(default)]
    #[schema(minimum = -1000, maximum = 1000)]
    pub priority: i32,
    /// Approvals covered. Default: all.
    #[serde(default)]
    pub r#match: PolicyMatch,
    /// Stages in order, 1 to 5; each must agree before the next one is asked.
    #[schema(min_items = 1, max_items = 5)]
    pub stages: Vec<PolicyStage>,
    /// Whether a single rejection rejects. Otherwise the approval is rejected once the quorum is
    /// out of reach; where any operator may vote, once as many rejected as must agree.
    #[serde(default)]
    pub veto: bool,
    /// Whether otherwise excluded people may decide: the requester, the owner of the agent, the
    /// person it works for, and the authors of the work under review.
    #[serde(default)]
    pub allow_self: bool,
    /// Time limit of each stage, in seconds; at most 30 days. Default: none.
    #[serde(default)]
    #[schema(example = 14400, minimum = 1, maximum = 2_592_000)]
    pub expires_after_seconds: Option<u32>,
    /// Effect of the time limit. Required with `expires_after_seconds`, invalid without it.
    #[serde(default)]
    pub on_expiry: Option<OnExpiry>,
    /// Decision for `default` in `on_expiry` or `escalation_ends`. Required with either, invalid
    /// without.
    #[serde(default)]
    pub default: Option<PolicyDefault>,
    /// Interval of the event `approval.reminded`, in seconds; at most 20 events a stage. Default:
    /// no reminders.
    #[serde(default)]
    #[schema(example = 1800, minimum = 1, maximum = 2_592_000)]
    pub remind_every_seconds: Option<u32>,
    /// Approvers asked in turn after a stage timed out, 1 to 5 rounds. Required with `on_expiry`
    /// `escalate`, invalid without it.
    #[serde(default)]
    #[schema(max_items = 5)]
    pub escalation: Vec<Escalation>,
    /// Effect of the last round's timeout: any value but `escalate`. Required with `escalation`,
    /// invalid without it.
    #[serde(default)]
    pub escalation_ends: Option<OnExpiry>,
    /// Delegations between people; at most 50.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub delegations: Vec<Delegation>,
}

const fn one() -> u32 {
    1
}

/// Stage and escalation that a pending approval has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StagePosition {
    /// Ordinal of the stage, from 1.
    pub stage: i16,
    /// Number of escalations in this stage.
    pub escalation: i16,
}

impl StagePosition {
    /// Start of every approval.
    pub const FIRST: Self = Self { stage: 1, escalation: 0 };

    /// Start of the next stage.
    #[must_use]
    pub const fn next_stage(self) -> Self {
        Self { stage: self.stage + 1, escalation: 0 }
    }

    fn escalated(self) -> Self {
        Self { escalation: self.escalation + 1, ..self }
    }
}

impl PolicySpec {
    /// Approvers and quorum at a position. No approvers: any operator.
    #[must_use]
    pub fn approvers(&self, place: StagePosition) -> (&[Person], u32) {
        if let Some(escalation) = self.escalation_at(place) {
            return (&escalation.approvers, escalation.quorum);
        }
        let index = usize::try_from(place.stage - 1).unwrap_or_default();
        self.stages.get(index).map_or((&[], 1), |stage| (&stage.approvers, stage.quorum))
    }

    /// Time limit at a position, in seconds; `None`: unlimited.
    #[must_use]
    pub fn seconds(&self, place: StagePosition) -> Option<u32> {
        let escalated = self.escalation_at(place).map(|level| level.expires_after_seconds);
        escalated.or(self.expires_after_seconds)
    }

    /// Whether this is the last stage.
    #[must_use]
    pub fn is_last(&self, place: StagePosition) -> bool {
        usize::try_from(place.stage).is_ok_and(|stage| stage >= self.stages.len())
    }

    pub(in crate::domain) fn escalation_at(&self, place: StagePosition) -> Option<&Escalation> {
        let index = usize::try_from(place.escalation).ok()?.checked_sub(1)?;
        self.escalation.get(index)
    }

    /// All approvers of all stages and escalations.
    fn named(&self) -> BTreeSet<&Person> {
        let stages = self.stages.iter().flat_map(|stage| &stage.approvers);
        stages.chain(self.escalation.iter().flat_map(|level| &level.approvers)).collect()
    }
}
