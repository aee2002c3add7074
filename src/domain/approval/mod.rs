//! Approvals: what is put before people, and what they may decide about it.
//!
//! Whoever decides names the hash of what was read. So one approves exactly what one saw: when the
//! payload was revised in between, the decision is refused and nothing is done. A decision may bring
//! edits, which are checked like the original and become its next revision; what was approved is
//! always the revision that the approval shows.

pub mod excluded;
pub mod review;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Value, json};

use super::{
    canonical,
    check::Checks,
    refusal::{Code, Refusal},
    states::{ApprovalKind, ApprovalState},
    words::words,
};

words! {
    /// How much harm a wrong decision could do, as the asker sees it.
    pub enum Risk {
        /// Easily undone.
        Low => "low",
        /// Worth a look; what is assumed when nothing is said.
        Medium => "medium",
        /// Hard to undo, or seen outside.
        High => "high",
        /// Not to be undone.
        Critical => "critical",
    }
}

words! {
    /// What a person decides.
    pub enum Verdict {
        /// Yes; with `payload`: yes, in this form.
        Approve => "approve",
        /// No; needs a reason.
        Reject => "reject",
        /// The answer to a question of kind `input`.
        Answer => "answer",
        /// Will not answer a question of kind `input`; the task goes on without.
        Decline => "decline",
    }
}

impl Verdict {
    /// What becomes of the approval.
    #[must_use]
    pub fn state(self) -> ApprovalState {
        match self {
            Self::Approve => ApprovalState::Approved,
            Self::Reject | Self::Decline => ApprovalState::Rejected,
            Self::Answer => ApprovalState::Answered,
        }
    }
}

/// SHA-256 of a payload in its canonical form: RFC 8785, integers with all their digits. An approval
/// without a payload has the hash of `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$",
         example = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b")]
pub struct PayloadHash(pub [u8; 32]);

impl PayloadHash {
    /// That of a payload.
    #[must_use]
    pub fn of(payload: Option<&Value>) -> Self {
        Self(canonical::sha256(payload.unwrap_or(&Value::Null)))
    }
}

impl std::fmt::Display for PayloadHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl Serialize for PayloadHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PayloadHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| {
            D::Error::custom(
                "must be the 64 hexadecimal digits of `payload_sha256`, as it was read",
            )
        })
    }
}

/// What is decided, apart from the hash of what was read.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<&'a str>,
    /// The answer.
    pub answer: Option<&'a Value>,
    /// The payload in the form that is approved.
    pub payload: Option<&'a Value>,
}

/// Whether something can be said about an approval of a kind: which verdicts it takes, and what goes
/// with them.
pub fn check_decision(checks: &mut Checks, kind: ApprovalKind, said: Said<'_>) {
    let Said { verdict, reason, answer, payload } = said;
    let question = kind == ApprovalKind::Input;
    match verdict {
        Verdict::Approve => {
            let detail = "a question is decided with `answer`, `decline` or `reject`";
            checks.ensure(!question, "/decision", detail);
        }
        Verdict::Answer => {
            checks.ensure(question, "/decision", "only a question of kind `input` is answered");
            checks.ensure(answer.is_some(), "/answer", "must be given");
        }
        Verdict::Decline => {
            let detail = "only a question of kind `input` is declined; use `reject`";
            checks.ensure(question, "/decision", detail);
        }
        Verdict::Reject => {
            let told = reason.is_some_and(|reason| !reason.trim().is_empty());
            checks.ensure(told, "/reason", "must say why: whoever goes on needs to know");
        }
    }
    let answers = answer.is_none() || verdict == Verdict::Answer;
    checks.ensure(answers, "/answer", "belongs to the decision `answer` alone");
    let edits = payload.is_none() || verdict == Verdict::Approve;
    checks.ensure(edits, "/payload", "belongs to the decision `approve` alone");
}

/// Whether what was read is what would be decided.
///
/// # Errors
/// `payload_changed`.
pub fn same_payload(read: PayloadHash, now: PayloadHash) -> Result<(), Refusal> {
    if read == now {
        return Ok(());
    }
    let detail = format!(
        "the payload is not the one with this hash any more, or never was: read the approval again, \
         and decide with its `payload_sha256`, now {now}"
    );
    Err(Refusal::new(Code::PayloadChanged, detail))
}

/// Whether a payload may take the place of another in an approval of a kind. Plans are checked as
/// plans in addition, by whoever applies them.
pub fn check_revision(
    checks: &mut Checks,
    kind: ApprovalKind,
    before: Option<&Value>,
    after: &Value,
) {
    match kind {
        // An agent's question is its own business. A plan is checked as one, and is as large as plans
        // may be.
        ApprovalKind::Action | ApprovalKind::Input => checks.json("/payload", Some(after)),
        ApprovalKind::Plan => {}
        ApprovalKind::Budget => check_raise(checks, before.unwrap_or(&Value::Null), after),
        ApprovalKind::Start | ApprovalKind::Result => {
            let detail =
                "cannot be edited: what is approved is the task, or what an agent handed in";
            checks.add("/payload", detail);
        }
    }
}

/// Only what is proposed may change, and it must still be a raise.
fn check_raise(checks: &mut Checks, before: &Value, after: &Value) {
    let proposed = after["proposed"].as_i64();
    let limit = before["short"]["limit"].as_i64().unwrap_or_default();
    let above = proposed.is_some_and(|proposed| proposed > limit);
    checks.ensure(above, "/payload/proposed", format!("must be a number above {limit}"));
    let rest = json!({"short": before["short"], "proposed": after["proposed"]});
    checks.ensure(*after == rest, "/payload", "only `proposed` may be changed");
}
