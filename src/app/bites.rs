//! Deleting in bites: each is a transaction of its own, so nothing waits long for one, and a run is bounded by time.

use std::time::Duration;

use super::{App, Result};

/// Time after which a run deletes no more; the next one goes on.
const WITHIN: Duration = Duration::from_millis(500);

impl App {
    /// Deletes until a bite has fewer than `at_once` rows or the time is over. Returns the number of deleted rows, and
    /// whether some may be left.
    pub(in crate::app) async fn delete_in_bites<Bite>(
        &self,
        at_once: u64,
        mut bite: impl FnMut() -> Bite,
    ) -> Result<(u64, bool)>
    where
        Bite: Future<Output = Result<u64>>,
    {
        let bound = self.clock.bound(WITHIN);
        let mut deleted = 0;
        loop {
            let some = bite().await?;
            deleted += some;
            let full = some >= at_once;
            if !full || bound.is_over() {
                return Ok((deleted, full));
            }
        }
    }
}
