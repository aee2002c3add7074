//! The decision that a person sends.

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

/// A decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// `approve` or `reject`; for a question of kind `input`: `answer`, `decline` or `reject`.
    pub decision: Verdict,
    /// The `payload_sha256` of what you read: you decide exactly that. When the payload was revised
    /// meanwhile, nothing is decided, and the answer is `payload_changed`.
    #[schema(example = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b")]
    pub payload_sha256: PayloadHash,
    /// Why; needed to reject. The next attempt reads it. At most 16 KiB.
    #[serde(default)]
    #[schema(example = "the migration has no down script")]
    pub reason: Option<String>,
    /// The answer to a question: what its `answer_schema` asks for, else any JSON, at most 256 KiB.
    #[serde(default)]
    #[schema(example = json!("use the staging account"))]
    pub answer: Option<Value>,
    /// With `approve`: yes, in this form. Checked like the original, and its next revision from then
    /// on: the tasks of a plan, what an agent wants to do, `proposed` of a budget.
    #[serde(default)]
    #[schema(example = json!({"command": "drop table users_old cascade"}))]
    pub payload: Option<Value>,
    /// The approver in whose place you vote, by a delegation of the approval's policy. Left out: your
    /// own, or that of the only one who lets you.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "alice@example.com")]
    pub in_place_of: Option<Person>,
    /// With `approve` of a result: the required criteria for which there is no evidence, each with why
    /// it is let go. All of them must be named, and no other.
    #[serde(default)]
    pub waive: Vec<Waiver>,
    /// With `reject` of a result: what the next attempt is told, point by point. At most 500.
    #[serde(default)]
    pub feedback: Vec<FeedbackPoint>,
    /// What becomes of a task whose results were rejected as often as may be: needed when the approval
    /// has `choices`.
    #[serde(default)]
    pub choice: Option<Choice>,
}

impl DecisionRequest {
    /// A verdict about a payload, and nothing else.
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

    /// Whether it says yes, or answers.
    pub(in crate::app) fn approves(&self) -> bool {
        self.decision.state() != ApprovalState::Rejected
    }

    /// What became of it, in words.
    pub(in crate::app) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

/// Notes what a decision says about a result that does not go together.
fn check_review(checks: &mut Checks, kind: ApprovalKind, request: &DecisionRequest) {
    let said = review::Said {
        verdict: request.decision,
        waive: &request.waive,
        feedback: &request.feedback,
        choice: request.choice.as_ref(),
    };
    check_said(checks, kind, said);
}
