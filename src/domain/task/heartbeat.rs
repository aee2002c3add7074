//! What a heartbeat does to a lease, and what its agent is told.

use chrono::{DateTime, Utc};

use super::AttemptFacts;
use crate::domain::states::{AgentState, Directive};

/// When the lease ends after a heartbeat at `now`: never earlier than before, never later than the
/// hard deadline.
#[must_use]
pub fn renewed(attempt: &AttemptFacts, now: DateTime<Utc>) -> DateTime<Utc> {
    let asked = now + chrono::TimeDelta::milliseconds(attempt.lease_ms);
    asked.min(attempt.hard_deadline).max(attempt.lease_expires_at)
}

/// What the holder is told, an agent in a state or a person: a cancelled task outranks a paused agent, which outranks a deadline.
/// An attempt should wrap up in the last tenth of its time, but at least two leases before the end.
#[must_use]
pub fn directive(
    attempt: &AttemptFacts,
    started_at: DateTime<Utc>,
    cancelling: bool,
    agent: Option<AgentState>,
    now: DateTime<Utc>,
) -> Directive {
    if cancelling {
        return Directive::Stop;
    }
    match agent {
        Some(AgentState::Retired) => return Directive::Stop,
        Some(AgentState::Paused) => return Directive::Pause,
        Some(AgentState::Active | AgentState::Draining) | None => {}
    }
    let whole = attempt.hard_deadline - started_at;
    let margin =
        (whole / 10).max(chrono::TimeDelta::milliseconds(2 * attempt.lease_ms)).min(whole / 2);
    if attempt.hard_deadline - now <= margin { Directive::WrapUp } else { Directive::Continue }
}
