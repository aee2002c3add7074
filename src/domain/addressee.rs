//! Who is meant: one agent, or any agent with a capability.

use serde::{Deserialize, Serialize};

use super::{
    check::{Checks, pointer},
    ids::AgentId,
};

/// One agent, or every agent with a capability: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"capability": "review"}))]
pub struct Addressee {
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The capability that the agent must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "review")]
    pub capability: Option<String>,
}

impl Addressee {
    /// From two columns, of which at most one is set; `None`: nobody in particular.
    #[must_use]
    pub fn of(agent_id: Option<AgentId>, capability: Option<String>) -> Option<Self> {
        (agent_id.is_some() || capability.is_some()).then_some(Self { agent_id, capability })
    }

    /// Refuses anything but one well-formed addressee.
    pub fn check(&self, checks: &mut Checks, at: &str) {
        let one = self.agent_id.is_some() != self.capability.is_some();
        checks.ensure(one, at, "must have exactly one of `agent_id` and `capability`");
        if let Some(capability) = &self.capability {
            checks.capability(&pointer(at, "capability"), capability);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_addressee_is_one_agent_or_one_capability() {
        let agent = Some(AgentId(Uuid::nil()));
        for (agent_id, capability, good) in [
            (None, None, false),
            (agent, None, true),
            (None, Some("review"), true),
            (agent, Some("review"), false),
            (None, Some("Review it"), false),
            (None, Some(""), false),
        ] {
            let to = Addressee { agent_id, capability: capability.map(str::to_owned) };
            let mut checks = Checks::new();
            to.check(&mut checks, "/to");
            assert_eq!(checks.finish().is_ok(), good, "{to:?}");
        }
    }
}
