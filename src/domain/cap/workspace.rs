//! What one workspace may hold, so that none fills the database of the others.
//!
//! The caps are settings of the service, the same for every workspace. They are checked when something
//! is created, against what was committed before: requests that run at the same time may pass a cap
//! together, by what they add. Bytes of artifacts pass none, because they are large and share a disk with others: each
//! upload reserves its own before they arrive, one upload after the other. What runs can always go on and finish:
//! results, heartbeats and spend are never refused for a cap.

use serde::{Deserialize, Serialize};

use crate::domain::{
    refusal::{Code, Refusal},
    words::words,
};

words! {
    /// What a workspace may hold only so much of.
    pub enum Holding {
        /// Registered agents, retired ones included.
        Agents => "agents",
        /// Valid API keys.
        Keys => "keys",
        /// Tasks in no terminal state.
        OpenTasks => "open_tasks",
        /// Bytes of the workspace in the database, indexes included. An estimate from the statistics of
        /// PostgreSQL, which follow a change by a few minutes.
        StoredBytes => "stored_bytes",
        /// Bytes of artifacts, outside of the database, with those of running uploads. Each counts as at least 4 KiB,
        /// an upload without an announced length as the largest that the service takes.
        ArtifactBytes => "artifact_bytes",
    }
}

/// The caps of every workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceCaps {
    /// Registered agents.
    pub agents: u64,
    /// Valid API keys.
    pub keys: u64,
    /// Tasks in no terminal state.
    pub open_tasks: u64,
    /// Stored bytes.
    pub stored_bytes: u64,
    /// Bytes of artifacts.
    pub artifact_bytes: u64,
}

impl Default for WorkspaceCaps {
    fn default() -> Self {
        Self {
            agents: 20_000,
            keys: 100_000,
            open_tasks: 1_000_000,
            stored_bytes: 100 << 30,
            artifact_bytes: 20 << 30,
        }
    }
}

/// What a workspace holds of one thing, and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspaceUse {
    /// What is counted.
    pub name: Holding,
    /// The cap; a setting of the service.
    #[schema(example = 1_000_000)]
    pub limit: u64,
    /// What the workspace holds now.
    #[schema(example = 24)]
    pub used: u64,
}

impl WorkspaceCaps {
    /// The cap of one thing.
    #[must_use]
    pub const fn of(&self, holding: Holding) -> u64 {
        match holding {
            Holding::Agents => self.agents,
            Holding::Keys => self.keys,
            Holding::OpenTasks => self.open_tasks,
            Holding::StoredBytes => self.stored_bytes,
            Holding::ArtifactBytes => self.artifact_bytes,
        }
    }

    /// Refuses `more` beside the `used`.
    ///
    /// # Errors
    /// `workspace_full`.
    pub fn admit(&self, holding: Holding, used: u64, more: u64) -> Result<(), Refusal> {
        let limit = self.of(holding);
        if used.saturating_add(more) <= limit {
            return Ok(());
        }
        let remedy = match holding {
            Holding::Agents => "register known agents again instead of new ones",
            Holding::Keys => "revoke keys that are not used",
            Holding::OpenTasks => "wait until tasks end, or cancel goals that are not needed",
            Holding::StoredBytes => "send less text, or ask the operator of the service for more",
            Holding::ArtifactBytes => {
                "delete artifacts that are not needed, set a retention, or announce the length of the upload"
            }
        };
        let name = holding.as_str();
        let detail = format!(
            "this workspace may hold {limit} {name}, holds {used}, and the request adds {more}: {remedy}"
        );
        Err(Refusal::new(Code::WorkspaceFull, detail))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::words::Words as _;

    proptest! {
        #[test]
        fn nothing_is_admitted_beyond_the_cap(limit: u64, used: u64, more: u64) {
            for holding in Holding::ALL {
                let caps = WorkspaceCaps {
                    agents: limit, keys: limit, open_tasks: limit, stored_bytes: limit,
                    artifact_bytes: limit,
                };
                let fits = u128::from(used) + u128::from(more) <= u128::from(limit);
                prop_assert_eq!(caps.admit(*holding, used, more).is_ok(), fits);
            }
        }
    }
}
