//! Requests for a reassignment and a takeover.

use serde::{Deserialize, Serialize};

use crate::domain::{
    check::Checks,
    ids::{AgentId, AttemptId},
    refusal::Refusal,
    settings,
};

/// A request to give a task to another agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReassignRequest {
    /// The only agent that may take the next attempt. Left out: every agent except the current
    /// holder; without a holder every agent, which undoes an earlier reassignment.
    pub agent_id: Option<AgentId>,
    /// The reason, for people and for the next holder of the task. At most 16 KiB.
    #[schema(example = "it goes round in circles")]
    pub reason: String,
    /// The current attempt as you read it. If it is no longer current, nothing changes
    /// (`precondition_failed`). Left out: no check.
    pub attempt_id: Option<AttemptId>,
}

/// A request to work on a task as a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TakeoverRequest {
    /// The reason, for people. At most 16 KiB.
    #[schema(example = "I do this one by hand")]
    pub reason: String,
    /// Length of the lease, 1 second to 7 days; default: 8 hours. A heartbeat renews it.
    #[schema(minimum = 1, maximum = 604800, example = 86400)]
    pub lease_seconds: Option<u32>,
    /// The current attempt as you read it. If it is no longer current, nothing changes
    /// (`precondition_failed`). Left out: no check.
    pub attempt_id: Option<AttemptId>,
}

impl ReassignRequest {
    /// Refuses values out of bounds.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.bytes("/reason", &self.reason, settings::MESSAGE_BYTES);
        checks.finish()
    }
}

impl TakeoverRequest {
    /// Refuses values out of bounds.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.bytes("/reason", &self.reason, settings::MESSAGE_BYTES);
        if let Some(seconds) = self.lease_seconds {
            let most = settings::TAKEOVER_TIMEOUT.as_secs() as u32;
            checks.range("/lease_seconds", seconds, 1..=most);
        }
        checks.finish()
    }
}
