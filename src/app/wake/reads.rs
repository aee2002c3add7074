//! Reads that wait for a change.
//!
//! A waiting reader holds no connection and looks at one small row at a time, and only when
//! something changed in its workspace since its last look ([`crate::app::wake`] tells). However much
//! changes, it leaves a pause between two looks, so a thousand readers beside a busy fleet cost a
//! bounded number of looks and not one each per commit.

use std::{pin::pin, time::Duration};

use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

/// The least time between two looks of one reader.
const PAUSE: Duration = Duration::from_millis(100);

impl App {
    /// Returns when `seen` says that what the reader waits for is there, when `wait` is over, or
    /// when the service stops.
    ///
    /// # Errors
    /// Whatever `seen` fails with.
    pub(in crate::app) async fn wait_until<F, Fut>(
        &self,
        workspace: WorkspaceId,
        wait: Duration,
        seen: F,
    ) -> Result<()>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<bool>>,
    {
        if wait.is_zero() {
            return Ok(());
        }
        let mut over = pin!(tokio::time::sleep(wait));
        // Taken before the first look, so no change is missed in between.
        let mut reader = self.wake.place(self, workspace).reader();
        while !seen().await? {
            let again = async {
                reader.changed().await;
                tokio::time::sleep(PAUSE).await;
            };
            tokio::select! {
                () = &mut over => break,
                () = self.wake.stopping() => break,
                () = again => {}
            }
        }
        Ok(())
    }
}
