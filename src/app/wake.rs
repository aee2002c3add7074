//! Hints that something changed.
//!
//! Polling is the truth: whoever waits looks again after a while in any case, which is also how a
//! change made by another process is seen. A hint makes it look at once.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// How long a waiter goes without looking when nothing hints.
const LOOK_AGAIN: Duration = Duration::from_millis(1000);

/// Hints, shared by the whole process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wake {
    ready: Arc<watch::Sender<u64>>,
    changed: Arc<watch::Sender<u64>>,
    stopping: Arc<watch::Sender<bool>>,
}

impl Default for Wake {
    fn default() -> Self {
        Self {
            ready: Arc::new(watch::Sender::new(0)),
            changed: Arc::new(watch::Sender::new(0)),
            stopping: Arc::new(watch::Sender::new(false)),
        }
    }
}

/// Waits for one kind of hint. Made before looking, it misses none that comes after.
#[derive(Debug)]
pub struct Waiter(watch::Receiver<u64>);

impl Waiter {
    /// Returns when there was a hint since the last look, or after a second at most.
    pub async fn look_again(&mut self) {
        // The sender lives as long as the process; a closed channel is just no hint.
        let _ = tokio::time::timeout(LOOK_AGAIN, self.0.changed()).await;
    }
}

impl Wake {
    /// Tasks became ready.
    pub fn ready(&self) {
        self.ready.send_modify(|count| *count += 1);
    }

    /// Goals or approvals changed.
    pub fn changed(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Ends every wait: the service stops.
    pub fn stop_waiting(&self) {
        self.stopping.send_replace(true);
        self.ready();
        self.changed();
    }

    /// Whether waits should end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits for ready tasks.
    #[must_use]
    pub fn wait_ready(&self) -> Waiter {
        Waiter(self.ready.subscribe())
    }

    /// Waits for changes of goals and approvals.
    #[must_use]
    pub fn wait_changed(&self) -> Waiter {
        Waiter(self.changed.subscribe())
    }
}
