//! Reads that wait for a change.
//!
//! A waiting reader holds no connection. It reads one small row, and only after a change in its
//! workspace since its last read ([`crate::app::wake`] notifies it). It pauses between two reads
//! however much changes, so a thousand readers beside a busy fleet cost a bounded number of reads
//! and not one each per commit. Few read at a time, by turns of workspaces: a thousand waits that end
//! together do not stand in the way of others.

use std::{pin::pin, time::Duration};

use crate::{
    app::{App, Result},
    domain::{access::credential::Credential, ids::WorkspaceId},
    turns::Turn,
};

/// Minimum time between two reads of one reader.
const PAUSE: Duration = Duration::from_millis(100);
/// Waiting readers of a process that read at a time.
pub(in crate::app) const AT_ONCE: usize = 4;

impl App {
    /// Returns when `seen` reports the expected state, when `wait` is over, or when the service
    /// stops. After a wait the key or session of the waiting caller is authenticated again, so that
    /// one that ended meanwhile reads nothing.
    ///
    /// Returns the turn of the reader, which holds it until it has read what it answers.
    ///
    /// # Errors
    /// Those of `seen`; `unauthenticated`.
    pub(in crate::app) async fn wait_until<F, Fut>(
        &self,
        (workspace, presented): (WorkspaceId, Credential<'_>),
        wait: Duration,
        seen: F,
    ) -> Result<Option<Turn<WorkspaceId>>>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<bool>>,
    {
        if wait.is_zero() {
            return Ok(None);
        }
        let mut waited = false;
        let mut over = pin!(tokio::time::sleep(wait));
        // Created before the first read, so no change is missed in between.
        let mut reader = self.wake.place(self, workspace).reader();
        let mut turn = self.readers.take(workspace).await;
        while !seen().await? {
            drop(turn);
            waited = true;
            let again = async {
                reader.changed().await;
                tokio::time::sleep(PAUSE).await;
            };
            let is_over = tokio::select! {
                () = &mut over => true,
                () = self.wake.stopping() => true,
                () = again => false,
            };
            turn = self.readers.take(workspace).await;
            if is_over {
                break;
            }
        }
        if waited {
            self.prove(presented).await?;
        }
        Ok(Some(turn))
    }
}
