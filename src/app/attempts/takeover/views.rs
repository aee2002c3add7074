//! What an operator says who takes a task from somebody.

use serde::{Deserialize, Serialize};

use crate::domain::{
    check::Checks,
    ids::{AgentId, AttemptId},
    refusal::Refusal,
    settings,
};

/// A task is to be given to somebody else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReassignRequest {
    /// The agent that is given the task next, and no other. Left out: anybody but the agent that has
    /// it now; when nobody has it, anybody at all, which takes back an earlier reassignment.
    pub agent_id: Option<AgentId>,
    /// The reason, for people and for the next holder of the task. At most 16 KiB.
    #[schema(example = "it goes round in circles")]
    pub reason: String,
    /// The attempt that you saw. When another one has the task by now, nothing happens
    /// (`precondition_failed`).
    pub attempt_id: Option<AttemptId>,
}

/// A person takes a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TakeoverRequest {
    /// Why, for people. At most 16 KiB.
    #[schema(example = "I do this one by hand")]
    pub reason: String,
    /// How long you may stay silent, 1 second to 7 days; default: 8 hours. A heartbeat prolongs it.
    #[schema(minimum = 1, maximum = 604800, example = 86400)]
    pub lease_seconds: Option<u32>,
    /// The attempt that you saw. When another one has the task by now, nothing happens
    /// (`precondition_failed`).
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
