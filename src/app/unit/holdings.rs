//! What workspaces may hold, and what is known of what they hold.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    app::{Result, Stopwatch},
    domain::{
        cap::workspace::{Holding, WorkspaceCaps},
        ids::WorkspaceId,
    },
    store::{self, Tx},
};

/// How long an estimate of stored bytes holds. It comes from the statistics of the planner, which change
/// within minutes, and takes longer to read than most requests.
const ESTIMATE_HOLDS: Duration = Duration::from_secs(60);

/// The caps of every workspace, and what is known of their use. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::app) struct Caps {
    /// The caps.
    pub limits: WorkspaceCaps,
    estimates: Arc<Mutex<HashMap<WorkspaceId, (Stopwatch, u64)>>>,
}

impl Caps {
    /// These caps, with nothing known.
    pub fn new(limits: WorkspaceCaps) -> Self {
        Self { limits, estimates: Arc::default() }
    }

    /// What the workspace of `tx` holds of one thing.
    pub async fn used(&self, tx: &mut Tx, holding: Holding) -> Result<u64> {
        let estimated = holding == Holding::StoredBytes;
        if estimated && let Some(bytes) = self.estimate(tx.workspace) {
            return Ok(bytes);
        }
        let used = store::usage::held(tx, holding).await?.unsigned_abs();
        if estimated {
            let mut estimates = self.estimates.lock().unwrap_or_else(PoisonError::into_inner);
            estimates.insert(tx.workspace, (Stopwatch::start(), used));
        }
        Ok(used)
    }

    fn estimate(&self, workspace: WorkspaceId) -> Option<u64> {
        let estimates = self.estimates.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, bytes) = estimates.get(&workspace)?;
        (since.elapsed() < ESTIMATE_HOLDS).then_some(*bytes)
    }
}
