//! The playbooks at hand: those of the workspace that were read, and the built-in ones.

use std::{collections::BTreeMap, sync::Arc};

use super::{Playbook, builtin};

/// Version of the built-in text.
pub const BUILT_IN: i32 = 0;

/// The playbooks at hand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shelf {
    stored: BTreeMap<(String, i32), Arc<Playbook>>,
    latest: BTreeMap<String, i32>,
}

impl Shelf {
    /// Puts a stored version on the shelf. `latest`: whether it is the latest of its name.
    pub fn put(&mut self, name: &str, version: i32, latest: bool, playbook: Playbook) {
        self.stored.insert((name.to_owned(), version), Arc::new(playbook));
        if latest {
            self.latest.insert(name.to_owned(), version);
        }
    }

    /// The playbook of a name and version, with its version; without one the latest. A stored playbook goes
    /// before a built-in one of its name.
    #[must_use]
    pub fn find(&self, name: &str, version: Option<i32>) -> Option<(i32, &Playbook)> {
        let version = version.or_else(|| self.latest.get(name).copied()).unwrap_or(BUILT_IN);
        if version == BUILT_IN {
            return builtin::find(name).map(|playbook| (BUILT_IN, &playbook.playbook));
        }
        let playbook = self.stored.get(&(name.to_owned(), version))?;
        Some((version, playbook))
    }
}
