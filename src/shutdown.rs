//! Graceful stop.
//!
//! The first SIGINT or SIGTERM *begins* the stop: the service reports that it is not ready. After
//! the notice of [`Drain`] (none by default) long polls are answered at once, no new work is
//! accepted, and running work completes. At the deadline, or on a second signal, the stop is
//! *forced*: remaining work is cancelled. That is safe, because every acknowledged change is
//! committed.
//!
//! Background work is spawned here, so that a stop can wait for all of it.

use std::{future::Future, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Duration of a stop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Drain {
    /// Time of normal service with a failing readiness check, for load balancers that poll it.
    pub notice: Duration,
    /// Time for running work afterwards.
    pub patience: Duration,
}

/// The stop of the process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    forced: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// A stop that begins at the first signal and is forced by the second.
    ///
    /// # Errors
    /// When the system refuses signal handlers.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let asked = shutdown.clone();
        // Not tracked: it runs until the process ends.
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                };
                if asked.is_begun() {
                    tracing::warn!(signal = name, "stopping at once");
                    asked.forced.cancel();
                } else {
                    tracing::info!(signal = name, "stopping; a second signal stops at once");
                    asked.begin();
                }
            }
        });
        Ok(shutdown)
    }

    /// Begins the stop.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Whether the stop has begun.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Returns when the stop has begun.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Returns `wait` after the stop has begun.
    pub async fn after(&self, wait: Duration) {
        self.begun().await;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Forces the stop, and begins it.
    pub fn force(&self) {
        self.begun.cancel();
        self.forced.cancel();
    }

    /// Returns when the stop is forced.
    pub async fn forced(&self) {
        self.forced.cancelled().await;
    }

    /// Returns `patience` after the stop has begun, which forces it, or when it is forced.
    pub async fn deadline(&self, patience: Duration) {
        self.begun().await;
        tokio::select! {
            () = tokio::time::sleep(patience) => self.forced.cancel(),
            () = self.forced() => {}
        }
    }

    /// Spawns work that ends by itself soon after [`Shutdown::begun`]; a forced stop cancels it.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let forced = self.forced.clone();
        self.tasks.spawn(async move {
            if forced.run_until_cancelled(work).await.is_none() {
                tracing::warn!(name, "cut off");
            }
        });
    }

    /// Spawns work that may be cancelled at any await once the stop has begun.
    pub fn spawn_until_begun(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let begun = self.begun.clone();
        self.spawn(name, async move {
            let _ = begun.run_until_cancelled(work).await;
        });
    }

    /// Returns when all spawned work has ended.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn work_is_waited_for_and_cut_off_when_forced() {
        let shutdown = Shutdown::default();
        shutdown.spawn_until_begun("idle", std::future::pending());
        shutdown.spawn("stubborn", std::future::pending());
        let mut finished = pin!(shutdown.finished());
        shutdown.begin();
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert!(poll!(finished.as_mut()).is_pending());
        }
        shutdown.force();
        finished.await;
        assert!(shutdown.is_begun());
    }

    #[tokio::test]
    async fn the_deadline_counts_from_the_beginning() {
        let shutdown = Shutdown::default();
        let mut deadline = pin!(shutdown.deadline(Duration::ZERO));
        assert!(poll!(deadline.as_mut()).is_pending(), "nothing has begun");
        shutdown.begin();
        deadline.await;
        assert_eq!(poll!(pin!(shutdown.forced())), Poll::Ready(()));
    }

    #[tokio::test]
    async fn a_second_signal_is_sooner_than_the_deadline() {
        let shutdown = Shutdown::default();
        let mut deadline = pin!(shutdown.deadline(Duration::from_secs(3600)));
        shutdown.begin();
        assert!(poll!(deadline.as_mut()).is_pending());
        shutdown.force();
        assert_eq!(poll!(deadline), Poll::Ready(()));
    }
}
