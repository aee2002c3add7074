//! Approvals: verdicts, the hash of the payload, and the checks of a decision.
//!
//! A decision names the hash of the payload that the person read. So people approve exactly what they
//! saw: if the payload was revised in between, the decision is refused and changes nothing. A decision
//! may edit the payload. The edit is checked like the original and becomes the next revision; the
//! approval always shows the revision that was decided.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Value, json};

pub mod excluded;
pub mod floor;
pub mod kind;
pub mod review;

pub use super::risk::Risk;
use super::{
    canonical,
    check::Checks,
    refusal::{Code, Refusal},
    states::{ApprovalKind, ApprovalState},
    words::words,
};
use kind::Edit;

words! {
    /// A person's decision. `approve`: yes, with `payload` in that form; `reject`: no, with a reason.
    /// For approvals of kind `input`: `answer` them, or `decline`, and the task continues without an
    /// answer.
    pub enum Verdict {
        /// Yes; with `payload`: yes, in this form.
        Approve => "approve",
        /// No; needs a reason.
        Reject => "reject",
        /// The answer to an approval of kind `input`.
        Answer => "answer",
        /// No answer to an approval of kind `input`; the task continues without.
        Decline => "decline",
    }
}

impl Verdict {
    /// The state of an approval decided so.
    #[must_use]
    pub fn state(self) -> ApprovalState {
        match self {
            Self::Approve => ApprovalState::Approved,
            Self::Reject | Self::Decline => ApprovalState::Rejected,
            Self::Answer => ApprovalState::Answered,
        }
    }
}

/// SHA-256 of a payload in canonical form (RFC 8785, integers with all digits), as 64 hexadecimal
/// digits. Changes with each revision of the payload. An approval without payload has the hash of
/// `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$",
         example = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b")]
pub struct PayloadHash(pub [u8; 32]);

impl PayloadHash {
    /// The hash of a payload; `None` is hashed as `null`.
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
            D::Error::custom("must be the 64 hexadecimal digits of the approval's `payload_sha256`")
        })
    }
}

/// A decision without its hash.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason or a remark.
    pub reason: Option<&'a str>,
    /// The answer.
    pub answer: Option<&'a Value>,
    /// The edited payload that is approved.
    pub payload: Option<&'a Value>,
}

/// Checks that the kind takes the verdict, and that the verdict has the members it needs and no other.
pub fn check_decision(checks: &mut Checks, kind: ApprovalKind, said: Said<'_>) {
    let Said { verdict, reason, answer, payload } = said;
    if !kind.takes(verdict) {
        let takes: Vec<String> =
            kind.traits().verdicts.iter().map(|verdict| format!("`{verdict}`")).collect();
        let detail = format!("for the kind `{kind}` must be one of {}", takes.join(", "));
        checks.add("/decision", detail);
    }
    let answers = verdict == Verdict::Answer;
    checks.ensure(!answers || answer.is_some(), "/answer", "must be given");
    checks.ensure(answers || answer.is_none(), "/answer", "is only for the decision `answer`");
    let blank = reason.is_none_or(|reason| reason.trim().is_empty());
    let detail = "must be given: the next attempt and the goal's submitter read it";
    checks.ensure(verdict != Verdict::Reject || !blank, "/reason", detail);
    let edits = payload.is_none() || verdict == Verdict::Approve;
    checks.ensure(edits, "/payload", "is only for the decision `approve`");
}

/// Compares the hash that the person read with that of the present payload.
///
/// # Errors
/// `payload_changed` if they differ: read the approval again.
pub fn same_payload(read: PayloadHash, now: PayloadHash) -> Result<(), Refusal> {
    if read == now {
        return Ok(());
    }
    let detail = format!(
        "the payload has another hash: read the approval again and decide with its \
         `payload_sha256`, now {now}"
    );
    Err(Refusal::new(Code::PayloadChanged, detail))
}

/// Checks that `after` may replace the payload `before`. The caller checks plans as plans.
pub fn check_revision(
    checks: &mut Checks,
    kind: ApprovalKind,
    before: Option<&Value>,
    after: &Value,
) {
    match kind.traits().edit {
        Edit::Json => checks.json("/payload", Some(after)),
        Edit::Plan => {}
        Edit::Raise => check_raise(checks, before.unwrap_or(&Value::Null), after),
        Edit::Fixed => {
            checks.add("/payload", "cannot be edited: it shows the task or the submitted result");
        }
    }
}

fn check_raise(checks: &mut Checks, before: &Value, after: &Value) {
    let proposed = after["proposed"].as_i64();
    let limit = before["short"]["limit"].as_i64().unwrap_or_default();
    let above = proposed.is_some_and(|proposed| proposed > limit);
    checks.ensure(above, "/payload/proposed", format!("must be a number above {limit}"));
    let rest = json!({"short": before["short"], "proposed": after["proposed"]});
    checks.ensure(*after == rest, "/payload", "may differ in `proposed` only");
}
