//! The holder of an attempt: the agent that claimed the task, or the operator who took it over.
//!
//! An operator is identified by the key of the takeover: another key of the same person is another
//! holder. A rotation of the key hands its attempts to the new key.

use crate::domain::ids::{AgentId, KeyId};

/// The only writer of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    /// The agent that claimed the task, with any of its keys.
    Agent(AgentId),
    /// The operator's key that took the task over.
    Key(KeyId),
}

impl Holder {
    /// The agent; `None` if a person holds the attempt.
    #[must_use]
    pub const fn agent(self) -> Option<AgentId> {
        match self {
            Self::Agent(agent) => Some(agent),
            Self::Key(_) => None,
        }
    }

    /// The person's key; `None` if an agent holds the attempt.
    #[must_use]
    pub const fn key(self) -> Option<KeyId> {
        match self {
            Self::Agent(_) => None,
            Self::Key(key) => Some(key),
        }
    }

    /// From the two columns `agent_id` and `held_by_key`; `None` unless exactly one is set.
    #[must_use]
    pub const fn of(agent: Option<AgentId>, key: Option<KeyId>) -> Option<Self> {
        match (agent, key) {
            (Some(agent), None) => Some(Self::Agent(agent)),
            (None, Some(key)) => Some(Self::Key(key)),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}
