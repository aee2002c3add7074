//! What happens to an approval that nobody decided in time.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{OnExpiry, Place, PolicySpec};
use crate::domain::{approval::Verdict, states::ApprovalKind};

/// How often people are reminded in one stage: who ignored so many reads none.
pub const REMINDERS: i16 = 20;

/// What becomes of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Expired {
    /// It expires, with the effect of a rejection.
    Reject,
    /// It expires, and what it was about is cancelled.
    Cancel,
    /// It goes on waiting, for ever.
    Wait,
    /// Others are asked.
    Escalate(Place),
    /// This is decided.
    Default(Verdict, Option<Value>),
}

/// What becomes of an approval of a kind whose time at a place is over.
#[must_use]
pub fn expired(spec: &PolicySpec, place: Place, kind: ApprovalKind) -> Expired {
    let on_expiry = spec.on_expiry.unwrap_or(OnExpiry::Wait);
    let next = place.escalated();
    let on_expiry = match on_expiry {
        OnExpiry::Escalate if spec.escalation_at(next).is_some() => {
            return Expired::Escalate(next);
        }
        OnExpiry::Escalate => spec.escalation_ends.unwrap_or(OnExpiry::Wait),
        OnExpiry::Reject | OnExpiry::CancelTask | OnExpiry::Wait | OnExpiry::Default => on_expiry,
    };
    match on_expiry {
        OnExpiry::Reject => Expired::Reject,
        OnExpiry::CancelTask => Expired::Cancel,
        // The end of an escalation is no escalation; a policy that says so is refused.
        OnExpiry::Wait | OnExpiry::Escalate => Expired::Wait,
        OnExpiry::Default => by_default(spec, kind),
    }
}

fn by_default(spec: &PolicySpec, kind: ApprovalKind) -> Expired {
    let decision = spec.default.as_ref().and_then(|default| default.decision);
    let answer = spec.default.as_ref().and_then(|default| default.answer.clone());
    match (kind, answer, decision) {
        (ApprovalKind::Input, Some(answer), _) => Expired::Default(Verdict::Answer, Some(answer)),
        (ApprovalKind::Input, None, _) => Expired::Default(Verdict::Decline, None),
        (
            ApprovalKind::Plan
            | ApprovalKind::Start
            | ApprovalKind::Result
            | ApprovalKind::Action
            | ApprovalKind::Budget,
            _,
            Some(Verdict::Approve),
        ) => Expired::Default(Verdict::Approve, None),
        (
            ApprovalKind::Plan
            | ApprovalKind::Start
            | ApprovalKind::Result
            | ApprovalKind::Action
            | ApprovalKind::Budget,
            _,
            Some(Verdict::Reject | Verdict::Answer | Verdict::Decline) | None,
        ) => Expired::Default(Verdict::Reject, None),
    }
}

/// When the time at a place is over that begins now, and when people are first reminded.
#[must_use]
pub fn clock(
    spec: &PolicySpec,
    place: Place,
    now: DateTime<Utc>,
) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let after = |seconds: u32| now + TimeDelta::seconds(seconds.into());
    (spec.seconds(place).map(after), spec.remind_every_seconds.map(after))
}

/// When people are reminded after `reminded` times; none: never again.
#[must_use]
pub fn next_reminder(
    spec: &PolicySpec,
    reminded: i16,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let every = spec.remind_every_seconds.filter(|_| reminded < REMINDERS)?;
    Some(now + TimeDelta::seconds(every.into()))
}

/// How long after it was asked an approval that nobody votes on is over, in seconds; none: never.
#[must_use]
pub fn lifetime(spec: &PolicySpec) -> Option<i64> {
    let first = i64::from(spec.expires_after_seconds?);
    let end = match spec.on_expiry? {
        OnExpiry::Escalate => spec.escalation_ends?,
        other @ (OnExpiry::Reject | OnExpiry::CancelTask | OnExpiry::Wait | OnExpiry::Default) => {
            other
        }
    };
    let chain = spec.escalation.iter().map(|level| i64::from(level.expires_after_seconds));
    match end {
        OnExpiry::Wait | OnExpiry::Escalate => None,
        OnExpiry::Reject | OnExpiry::CancelTask | OnExpiry::Default => {
            Some(first + chain.sum::<i64>())
        }
    }
}
