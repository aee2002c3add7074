//! Approval policies: who decides what, how many of them, in which order, and what happens when
//! they do not.
//!
//! A policy is found when something is asked ([`matching`]), and a copy of it is frozen with the
//! approval: who edits the policy later changes what is asked later, never what is pending. Its stages
//! come one after the other; in each, so many of its approvers must agree ([`panel`]). Time may run
//! out, with what the policy says for that ([`expiry`]).
//!
//! What was decided:
//! - **A person counts once in a stage**, whether voting for himself or in somebody's place. Without
//!   that, a delegation would make of two people who must agree one who agrees with himself.
//! - **Escalation begins a round of its own**: the next list votes alone. What was voted before is
//!   kept and shown, but a list that was too slow does not decide together with those above it.
//! - **The clock is that of a stage**: whoever is asked next has the whole time.
//! - **A revision is asked anew**: votes were for exactly what was read, so it begins with the first
//!   stage and a new clock.
//! - **Delegations belong to the policy**, and so to administrators: nobody hands on alone what was
//!   given to him by name. They are frozen with it, and do not chain.
//! - Whoever is excluded from deciding is no approver, and gives his place to nobody.
//! - A vote after the time, but before the supervisor noticed, counts: nothing else has happened yet.

mod check;
pub mod expiry;
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
    /// What happens when nobody has decided in time.
    pub enum OnExpiry {
        /// As if it was rejected, but the approval is `expired`.
        Reject => "reject",
        /// The next people of the escalation chain are asked.
        Escalate => "escalate",
        /// The approval is `expired`, and what it was about is cancelled.
        CancelTask => "cancel_task",
        /// It goes on waiting; people are reminded.
        Wait => "wait",
        /// What the policy declares as `default` is decided.
        Default => "default",
    }
}

/// Which approvals a policy is for: those that are all that it says. What is left out matches
/// anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ApprovalPolicyMatch)]
pub struct PolicyMatch {
    /// Only of these kinds; empty: all.
    #[schema(max_items = 6)]
    pub kinds: Vec<ApprovalKind>,
    /// Only about a task that requires at least one of these, or a plan with such a task; empty: all.
    #[schema(example = json!(["deploy"]), max_items = 32)]
    pub capabilities: Vec<String>,
    /// Only with at least this risk, as the asker sees it.
    pub risk_at_least: Option<Risk>,
    /// Only in goals of this project.
    pub project_id: Option<ProjectId>,
    /// Only when it costs at least this much, as far as that is known: the `estimate` of a task, the
    /// sum of the estimates of a plan, the rise of a limit. What is not known does not match.
    pub cost_at_least: Option<CostAtLeast>,
}

/// An amount from which on a policy is for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicyCost)]
pub struct CostAtLeast {
    /// The unit.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// The amount.
    #[schema(example = 5_000_000, minimum = 1)]
    pub amount: i64,
}

/// A group of people of whom some must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicyStage)]
pub struct PolicyStage {
    /// Who may vote; empty: any operator. At most 20.
    #[serde(default)]
    #[schema(example = json!(["alice@example.com", "bob@example.com", "carol@example.com"]), max_items = 20)]
    pub approvers: Vec<Person>,
    /// How many of them must agree; no more than there are. Left out: one.
    #[serde(default = "one")]
    #[schema(example = 2, minimum = 1, maximum = 20)]
    pub quorum: u32,
}

/// People who are asked when those before them did not decide in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicyEscalation)]
pub struct Escalation {
    /// Who may vote from then on, in place of those before; one to 20.
    #[schema(example = json!(["head@example.com"]), min_items = 1, max_items = 20)]
    pub approvers: Vec<Person>,
    /// How many of them must agree. Left out: one.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 20)]
    pub quorum: u32,
    /// How long they have, in seconds; at most 30 days.
    #[schema(example = 3600, minimum = 1, maximum = 2_592_000)]
    pub expires_after_seconds: u32,
}

/// Somebody who may vote in an approver's place for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicyDelegation)]
pub struct Delegation {
    /// The approver.
    pub delegator: Person,
    /// Who may vote in the approver's place. The approver still may, too; the first vote counts.
    pub delegate: Person,
    /// From when on; left out: at once.
    #[serde(default)]
    pub from: Option<DateTime<Utc>>,
    /// Until when, this instant not included; left out: for good.
    #[serde(default)]
    pub until: Option<DateTime<Utc>>,
}

impl Delegation {
    fn is_on(&self, now: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// What is decided when nobody did in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalPolicyDefault)]
pub struct PolicyDefault {
    /// `approve` or `reject`; for every kind but `input`.
    #[serde(default)]
    pub decision: Option<Verdict>,
    /// The answer to a question of kind `input`; left out, or not fitting the question's
    /// `answer_schema`: the question is declined.
    #[serde(default)]
    #[schema(example = json!({"choice": "staging"}))]
    pub answer: Option<Value>,
}

/// A policy: which approvals it is for, and who decides these.
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
    /// One line, unique among the policies in force.
    #[schema(example = "deploys need two", min_length = 1, max_length = 200)]
    pub name: String,
    /// Of several policies that match, that with the highest priority counts; of these, the oldest.
    #[serde(default)]
    #[schema(minimum = -1000, maximum = 1000)]
    pub priority: i32,
    /// Which approvals it is for. Left out: all.
    #[serde(default)]
    pub r#match: PolicyMatch,
    /// Who must agree, one stage after the other: one to five.
    #[schema(min_items = 1, max_items = 5)]
    pub stages: Vec<PolicyStage>,
    /// Whether one rejection ends it. Without, it is rejected when so many have rejected that the
    /// quorum cannot be reached any more; where any operator may vote, when as many have rejected as
    /// must agree.
    #[serde(default)]
    pub veto: bool,
    /// Whether those may decide too who are otherwise excluded: who asked, the owner of the agent,
    /// whoever it works for, and the authors of what is under review.
    #[serde(default)]
    pub allow_self: bool,
    /// How long each stage may take, in seconds; at most 30 days. Left out: it never expires.
    #[serde(default)]
    #[schema(example = 14400, minimum = 1, maximum = 2_592_000)]
    pub expires_after_seconds: Option<u32>,
    /// What happens then; exactly with `expires_after_seconds`.
    #[serde(default)]
    pub on_expiry: Option<OnExpiry>,
    /// What is decided then; exactly with `default` in `on_expiry` or `escalation_ends`.
    #[serde(default)]
    pub default: Option<PolicyDefault>,
    /// How often an event `approval.reminded` is sent, in seconds, at most 20 times for each stage.
    #[serde(default)]
    #[schema(example = 1800, minimum = 1, maximum = 2_592_000)]
    pub remind_every_seconds: Option<u32>,
    /// Who is asked next when a stage was too slow, and after them; exactly with `on_expiry`
    /// `escalate`, one to five.
    #[serde(default)]
    #[schema(max_items = 5)]
    pub escalation: Vec<Escalation>,
    /// What happens when the last of them were too slow: anything but `escalate`. Exactly with
    /// `escalation`.
    #[serde(default)]
    pub escalation_ends: Option<OnExpiry>,
    /// Who may vote in whose place; at most 50.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub delegations: Vec<Delegation>,
}

const fn one() -> u32 {
    1
}

/// Where a pending approval stands in its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The stage, from 1.
    pub stage: i16,
    /// How often it was escalated in this stage.
    pub escalation: i16,
}

impl Place {
    /// Where everything begins.
    pub const FIRST: Self = Self { stage: 1, escalation: 0 };

    /// The next stage.
    #[must_use]
    pub const fn next_stage(self) -> Self {
        Self { stage: self.stage + 1, escalation: 0 }
    }

    fn escalated(self) -> Self {
        Self { escalation: self.escalation + 1, ..self }
    }
}

impl PolicySpec {
    /// Who may vote at a place, and how many of them must agree. No approvers: any operator.
    #[must_use]
    pub fn approvers(&self, place: Place) -> (&[Person], u32) {
        if let Some(escalation) = self.escalation_at(place) {
            return (&escalation.approvers, escalation.quorum);
        }
        let index = usize::try_from(place.stage - 1).unwrap_or_default();
        self.stages.get(index).map_or((&[], 1), |stage| (&stage.approvers, stage.quorum))
    }

    /// How long a place may take, in seconds; none: for ever.
    #[must_use]
    pub fn seconds(&self, place: Place) -> Option<u32> {
        let escalated = self.escalation_at(place).map(|level| level.expires_after_seconds);
        escalated.or(self.expires_after_seconds)
    }

    /// Whether no stage comes after this one.
    #[must_use]
    pub fn is_last(&self, place: Place) -> bool {
        usize::try_from(place.stage).is_ok_and(|stage| stage >= self.stages.len())
    }

    fn escalation_at(&self, place: Place) -> Option<&Escalation> {
        let index = usize::try_from(place.escalation).ok()?.checked_sub(1)?;
        self.escalation.get(index)
    }

    /// Everybody that it names as an approver.
    fn named(&self) -> BTreeSet<&Person> {
        let stages = self.stages.iter().flat_map(|stage| &stage.approvers);
        stages.chain(self.escalation.iter().flat_map(|level| &level.approvers)).collect()
    }
}
