//! Reads that wait for a change.
//!
//! A waiting reader holds no connection and looks at one small row at a time: when a hint came
//! since its last look, or once a second. However often hints come, it leaves a pause between two
//! looks, so a thousand readers beside a busy fleet cost a bounded number of looks and not one
//! each per commit.

use std::{pin::pin, time::Duration};

use super::{App, Result};

/// The least time between two looks of one reader.
const PAUSE: Duration = Duration::from_millis(100);

impl App {
    /// Returns when `seen` says that what the reader waits for is there, when `wait` is over, or
    /// when the service stops.
    ///
    /// # Errors
    /// Whatever `seen` fails with.
    pub(super) async fn wait_until<F, Fut>(&self, wait: Duration, seen: F) -> Result<()>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<bool>>,
    {
        if wait.is_zero() {
            return Ok(());
        }
        let mut over = pin!(tokio::time::sleep(wait));
        // Made before the first look, so no hint is lost in between.
        let mut waiter = self.wake().wait_changed();
        while !seen().await? && !self.wake().is_stopping() {
            let again = async {
                waiter.look_again().await;
                if !self.wake().is_stopping() {
                    tokio::time::sleep(PAUSE).await;
                }
            };
            tokio::select! {
                () = &mut over => break,
                () = again => {}
            }
        }
        Ok(())
    }
}
