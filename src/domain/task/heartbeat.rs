//! The effect of a heartbeat: the renewed lease, and the directive in the answer.

use chrono::{DateTime, Utc};

use super::AttemptFacts;
use crate::domain::states::{AgentState, Directive};

/// The end of the lease after a heartbeat at `now`. It never moves back, and never passes the hard
/// deadline.
#[must_use]
pub fn renewed(attempt: &AttemptFacts, now: DateTime<Utc>) -> DateTime<Utc> {
    let asked = now + chrono::TimeDelta::milliseconds(attempt.lease_ms);
    asked.min(attempt.hard_deadline).max(attempt.lease_expires_at)
}

/// The directive for the holder: an agent in state `agent`, or a person (`None`). A cancelled task
/// outranks a paused agent, which outranks the hard deadline. `wrap_up` begins in the last tenth of the
/// attempt's time, or two leases before the deadline if that is earlier, but not in the first half.
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

/// Why [`directive`] is not `continue`, for people and agents.
#[must_use]
pub const fn reason(cancelling: bool, agent: Option<AgentState>) -> &'static str {
    match agent {
        _ if cancelling => "the task is being cancelled",
        Some(AgentState::Retired) => "the agent is retired",
        Some(AgentState::Paused) => "an operator paused the agent",
        Some(AgentState::Active | AgentState::Draining) | None => {
            "the hard deadline of the attempt is near"
        }
    }
}
