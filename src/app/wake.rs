//! Hints that something changed.
//!
//! Polling is the truth: whoever waits looks again after a while in any case, which is also how a
//! change made by another process is seen. A hint makes it look at once. When the service stops,
//! nobody waits any longer: who still does is answered with what there is.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// How long a waiter goes without looking when nothing hints.
const LOOK_AGAIN: Duration = Duration::from_millis(1000);

/// Hints, shared by the whole process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wake {
    ready: Arc<watch::Sender<u64>>,
    changed: Arc<watch::Sender<u64>>,
    supervisor: Arc<Notify>,
    stop: CancellationToken,
}

impl Default for Wake {
    fn default() -> Self {
        Self {
            ready: Arc::new(watch::Sender::new(0)),
            changed: Arc::new(watch::Sender::new(0)),
            supervisor: Arc::new(Notify::new()),
            stop: CancellationToken::new(),
        }
    }
}

/// Waits for one kind of hint. Made before looking, it misses none that comes after.
#[derive(Debug)]
pub struct Waiter {
    hints: watch::Receiver<u64>,
    stop: CancellationToken,
}

impl Waiter {
    /// Returns when there was a hint since the last look, or after a second at most.
    pub async fn look_again(&mut self) {
        // The sender lives as long as the process; a closed channel is just no hint.
        let _ = tokio::time::timeout(LOOK_AGAIN, self.hints.changed()).await;
    }

    /// As [`Waiter::look_again`], but not beyond `end`. False when there is nothing to wait for any
    /// more: `end` has come, or the service stops.
    pub async fn look_again_before(&mut self, end: Instant) -> bool {
        let now = Instant::now();
        if now >= end || self.stop.is_cancelled() {
            return false;
        }
        let patience = LOOK_AGAIN.min(end - now);
        let stopped = self.stop.clone();
        let hint = tokio::time::timeout(patience, self.hints.changed());
        // A last look after a stop costs little and finds what came together with it.
        let _ = stopped.run_until_cancelled(hint).await;
        true
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

    /// The supervisor has something to do.
    pub fn supervisor(&self) {
        self.supervisor.notify_one();
    }

    /// Waits for ready tasks.
    #[must_use]
    pub fn wait_ready(&self) -> Waiter {
        Waiter { hints: self.ready.subscribe(), stop: self.stop.clone() }
    }

    /// Waits for changes of goals and approvals.
    #[must_use]
    pub fn wait_changed(&self) -> Waiter {
        Waiter { hints: self.changed.subscribe(), stop: self.stop.clone() }
    }

    /// The service stops: from now on nobody waits.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns when the supervisor should look.
    pub async fn supervisor_called(&self) {
        self.supervisor.notified().await;
    }
}
