//! Reads that wait for a change.
//!
//! A waiting reader holds no connection. It reads one small row, and only after a change in its
//! workspace since its last read ([`crate::app::wake`] notifies it). It pauses between two reads
//! however much changes, so a thousand readers beside a busy fleet cost a bounded number of reads
//! and not one each per commit.

use std::{pin::pin, time::Duration};

use crate::{
    app::{App, Result},
    domain::{access::credential::Credential, ids::WorkspaceId},
};

/// Minimum time between two reads of one reader.
const PAUSE: Duration = Duration::from_millis(100);

impl App {
    /// Returns when `seen` reports the expected state, when `wait` is over, or when the service
    /// stops. After a wait the key or session of the waiting caller is authenticated again, so that
    /// one that ended meanwhile reads nothing.
    ///
    /// # Errors
    /// Those of `seen`; `unauthenticated`.
    pub(in crate::app) async fn wait_until<F, Fut>(
        &self,
        (workspace, presented): (WorkspaceId, Credential<'_>),
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
        let mut waited = false;
        let mut over = pin!(tokio::time::sleep(wait));
        // Created before the first read, so no change is missed in between.
        let mut reader = self.wake.place(self, workspace).reader();
        while !seen().await? {
            waited = true;
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
        if waited {
            self.prove(presented).await?;
        }
        Ok(())
    }
}
