//! Timeouts of approvals.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{OnExpiry, PolicySpec, StagePosition};
use crate::domain::{approval::Verdict, states::ApprovalKind};

/// Most reminders in one stage; people who ignored 20 will not read more.
pub const REMINDERS: i16 = 20;

/// Effect of a timeout.
#[derive(Debug, Clone, PartialEq)]
pub enum Expired {
    /// The approval expires, with the effect of a rejection.
    Reject,
    /// The approval expires, and its subject is cancelled.
    Cancel,
    /// The approval stays pending, without a limit.
    Wait,
    /// The approvers at this position are asked.
    Escalate(StagePosition),
    /// This verdict is decided, with this answer.
    Default(Verdict, Option<Value>),
}

/// Effect of a timeout at a position.
#[must_use]
pub fn expired(spec: &PolicySpec, place: StagePosition, kind: ApprovalKind) -> Expired {
    let next = place.escalated();
    if spec.on_expiry == Some(OnExpiry::Escalate) && spec.escalation_at(next).is_some() {
        return Expired::Escalate(next);
    }
    match final_effect(spec) {
        Some(OnExpiry::Reject) => Expired::Reject,
        Some(OnExpiry::CancelTask) => Expired::Cancel,
        // An escalation cannot end in an escalation: such a policy is refused.
        Some(OnExpiry::Wait | OnExpiry::Escalate) | None => Expired::Wait,
        Some(OnExpiry::Default) => by_default(spec, kind),
    }
}

/// Effect of the timeout once nobody is left to ask.
fn final_effect(spec: &PolicySpec) -> Option<OnExpiry> {
    match spec.on_expiry? {
        OnExpiry::Escalate => spec.escalation_ends,
        other @ (OnExpiry::Reject | OnExpiry::CancelTask | OnExpiry::Wait | OnExpiry::Default) => {
            Some(other)
        }
    }
}

fn by_default(spec: &PolicySpec, kind: ApprovalKind) -> Expired {
    let default = spec.default.as_ref();
    if kind.takes(Verdict::Answer) {
        let answer = default.and_then(|default| default.answer.clone());
        let verdict = if answer.is_some() { Verdict::Answer } else { Verdict::Decline };
        return Expired::Default(verdict, answer);
    }
    let approve = default.and_then(|default| default.decision) == Some(Verdict::Approve);
    Expired::Default(if approve { Verdict::Approve } else { Verdict::Reject }, None)
}

/// Time limit and first reminder of a position entered now.
#[must_use]
pub fn clock(
    spec: &PolicySpec,
    place: StagePosition,
    now: DateTime<Utc>,
) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let after = |seconds: u32| now + TimeDelta::seconds(seconds.into());
    (spec.seconds(place).map(after), spec.remind_every_seconds.map(after))
}

/// Next reminder after `reminded` of them; `None`: none.
#[must_use]
pub fn next_reminder(
    spec: &PolicySpec,
    reminded: i16,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let every = spec.remind_every_seconds.filter(|_| reminded < REMINDERS)?;
    Some(now + TimeDelta::seconds(every.into()))
}

/// Seconds until an approval without votes is over; `None`: it never is.
#[must_use]
pub fn lifetime(spec: &PolicySpec) -> Option<i64> {
    let first = i64::from(spec.expires_after_seconds?);
    let chain = spec.escalation.iter().map(|level| i64::from(level.expires_after_seconds));
    match final_effect(spec)? {
        OnExpiry::Wait | OnExpiry::Escalate => None,
        OnExpiry::Reject | OnExpiry::CancelTask | OnExpiry::Default => {
            Some(first + chain.sum::<i64>())
        }
    }
}
