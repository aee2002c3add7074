//! The request body of a decision.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    access::person::Person,
    approval::{
        PayloadHash, Said, Verdict, check_decision,
        review::{self, Choice, FeedbackPoint, Waiver, check_said},
    },
    check::Checks,
    refusal::Refusal,
    settings,
    states::{ApprovalKind, ApprovalState},
};

/// A decision, or a vote, on an approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// `approve` or `reject`; for the kind `input`: `answer`, `decline` or `reject`.
    pub decision: Verdict,
    /// The `payload_sha256` that you read. If the payload was revised meanwhile, nothing is decided
    /// and the refusal is `payload_changed`.
    #[schema(example = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b")]
    pub payload_sha256: PayloadHash,
    /// Reason of the decision; required to reject. Shown to the next attempt. At most 16 KiB.
    #[serde(default)]
    #[schema(example = "the migration has no down script")]
    pub reason: Option<String>,
    /// Answer to an approval of kind `input`: in the format of its `answer_schema`, or any JSON
    /// without one; at most 256 KiB.
    #[serde(default)]
    #[schema(example = json!("use the staging account"))]
    pub answer: Option<Value>,
    /// With `approve`: an edited payload to approve instead. Checked like the original, and stored
    /// as its next revision: the tasks of a plan, the payload of an action, `proposed` of a budget.
    #[serde(default)]
    #[schema(example = json!({"command": "drop table users_old cascade"}))]
    pub payload: Option<Value>,
    /// The approver whom you represent, by a delegation of the approval's policy. Absent: yourself,
    /// or the only approver who delegated to you.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "alice@example.com")]
    pub in_place_of: Option<Person>,
    /// With `approve` of a result: every required criterion without evidence, each with the reason
    /// for the waiver. None may be missing, and no other may be named.
    #[serde(default)]
    pub waive: Vec<Waiver>,
    /// With `reject` of a result: feedback for the next attempt, point by point; at most 500
    /// points.
    #[serde(default)]
    pub feedback: Vec<FeedbackPoint>,
    /// Only for an admin: decides alone, although excluded or no approver, because nobody else can.
    /// Refused while somebody else can. The approval and its journal row show it. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nobody_else: bool,
    /// Next step of a task that reached its maximum of rejected results; required if the approval
    /// has `choices`.
    #[serde(default)]
    pub choice: Option<Choice>,
}

impl DecisionRequest {
    /// A verdict on a payload, without further fields.
    #[must_use]
    pub fn new(decision: Verdict, payload_sha256: PayloadHash) -> Self {
        Self {
            decision,
            payload_sha256,
            reason: None,
            answer: None,
            payload: None,
            in_place_of: None,
            waive: Vec::new(),
            feedback: Vec::new(),
            nobody_else: false,
            choice: None,
        }
    }

    pub(super) fn check(&self, kind: ApprovalKind) -> std::result::Result<(), Refusal> {
        let mut checks = Checks::new();
        let Self {
            decision,
            payload_sha256: _,
            reason,
            answer,
            payload,
            in_place_of: _,
            waive: _,
            feedback: _,
            nobody_else: _,
            choice: _,
        } = self;
        let said = Said {
            verdict: *decision,
            reason: reason.as_deref(),
            answer: answer.as_ref(),
            payload: payload.as_ref(),
        };
        check_decision(&mut checks, kind, said);
        check_review(&mut checks, kind, self);
        if let Some(reason) = reason {
            checks.bytes("/reason", reason, settings::MESSAGE_BYTES);
        }
        checks.json("/answer", answer.as_ref());
        checks.finish()
    }

    /// Whether the verdict approves or answers.
    pub(in crate::app) fn approves(&self) -> bool {
        self.decision.state() != ApprovalState::Rejected
    }

    /// The reason of the decision; empty if none was given.
    pub(in crate::app) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

/// Checks the fields about a result.
fn check_review(checks: &mut Checks, kind: ApprovalKind, request: &DecisionRequest) {
    let said = review::Said {
        verdict: request.decision,
        waive: &request.waive,
        feedback: &request.feedback,
        choice: request.choice.as_ref(),
    };
    check_said(checks, kind, said);
}
