//! Who holds an attempt: an agent, or a person who took its task over.
//!
//! A person is the key that took the task over. An agent holds nothing but what it claimed, and an
//! operator's key nothing but what it took over; another key of the same person is another holder.

use crate::domain::ids::{AgentId, KeyId};

/// Who may write to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    /// The agent that claimed it, with whichever of its keys.
    Agent(AgentId),
    /// The operator who took it over, with this key.
    Key(KeyId),
}

impl Holder {
    /// The agent, unless a person holds it.
    #[must_use]
    pub const fn agent(self) -> Option<AgentId> {
        match self {
            Self::Agent(agent) => Some(agent),
            Self::Key(_) => None,
        }
    }

    /// The key of the person, unless an agent holds it.
    #[must_use]
    pub const fn key(self) -> Option<KeyId> {
        match self {
            Self::Agent(_) => None,
            Self::Key(key) => Some(key),
        }
    }

    /// What is stored as two columns, of which one is empty; none when that is not so.
    #[must_use]
    pub const fn of(agent: Option<AgentId>, key: Option<KeyId>) -> Option<Self> {
        match (agent, key) {
            (Some(agent), None) => Some(Self::Agent(agent)),
            (None, Some(key)) => Some(Self::Key(key)),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}
