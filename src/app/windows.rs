//! Opening the windows of periods that have begun.

use std::collections::BTreeSet;

use super::{Result, Unit, goals::corrupt};
use crate::{
    domain::budget::ledger::WindowKey,
    store::{
        self,
        windows::{LiveLimit, NewWindow},
    },
};

/// The windows of the moment of limits, opened where there is none yet; in the order of locks.
///
/// # Errors
/// When the database fails.
pub(super) async fn ensure(unit: &mut Unit, limits: &[LiveLimit]) -> Result<Vec<WindowKey>> {
    let (workspace, now) = (unit.workspace(), unit.now());
    let mut keys = BTreeSet::new();
    let mut missing = Vec::new();
    for limit in limits {
        let depth = limit.node.depth();
        if let Some(starts_at) = limit.starts_at {
            keys.insert(WindowKey { depth, limit: limit.limit_id, starts_at });
            continue;
        }
        let window = limit.period.window(limit.time_zone.parse().map_err(corrupt)?, now);
        let key = WindowKey { depth, limit: limit.limit_id, starts_at: window.starts_at };
        keys.insert(key);
        missing.push(NewWindow { window: key, ends_at: window.ends_at });
    }
    if !missing.is_empty() {
        store::windows::open(unit.conn(), workspace, &missing).await?;
    }
    Ok(keys.into_iter().collect())
}
