//! When keys were last used.
//!
//! Every authentication notes the key and the time in memory; a duty writes them behind the requests,
//! in one statement. A process that is killed loses the uses of its last half minute: the time says
//! which keys are in use, it proves nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};

use crate::domain::ids::{KeyId, WorkspaceId};

type LastUses = HashMap<KeyId, DateTime<Utc>>;

/// Uses of keys that are not written yet.
#[derive(Debug, Clone, Default)]
pub(in crate::app) struct KeyUses(Arc<Mutex<HashMap<WorkspaceId, LastUses>>>);

impl KeyUses {
    /// Notes a use. Only keys that were authenticated are noted, so the map is as large as the table
    /// of keys at most.
    pub(super) fn note(&self, workspace: WorkspaceId, key: KeyId, at: DateTime<Utc>) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = uses.entry(workspace).or_default().entry(key).or_insert(at);
        *last = at.max(*last);
    }

    /// Takes the uses of a workspace.
    pub(in crate::app) fn take(&self, workspace: WorkspaceId) -> Vec<(KeyId, DateTime<Utc>)> {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.remove(&workspace).into_iter().flatten().collect()
    }
}
