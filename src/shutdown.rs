//! Stopping without losing anything.
//!
//! A first SIGINT or SIGTERM *begins* the stop: the service says that it is not ready. After the
//! notice of [`Drain`] (none by default) long polls are answered with what there is, nothing new is
//! taken on, and what is in the works is finished.
//! When the deadline passes, or a second signal comes, the stop is *forced*: what is left is cut
//! off. Cutting off is safe, since everything acknowledged is committed; it is only less polite.
//!
//! Background work is spawned here, so that a stop can wait for all of it.

use std::{future::Future, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a stop takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Drain {
    /// How long requests are served as before, while the service already says that it is not ready:
    /// whoever sends them here looks only every few seconds.
    pub notice: Duration,
    /// How long is then waited for what is in the works.
    pub patience: Duration,
}

/// The stop of the process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    forced: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Begins when the process gets a signal, and is forced by the second.
    ///
    /// # Errors
    /// When the system does not let us listen for signals.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let asked = shutdown.clone();
        // Not one of the tasks that a stop waits for: it lives until the process ends.
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

    /// Returns so long after the stop has begun.
    pub async fn after(&self, wait: Duration) {
        self.begun().await;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Forces the stop, which also begins it.
    pub fn force(&self) {
        self.begun.cancel();
        self.forced.cancel();
    }

    /// Returns when the stop is forced.
    pub async fn forced(&self) {
        self.forced.cancelled().await;
    }

    /// Returns `patience` after the stop has begun, or when it is forced.
    pub async fn deadline(&self, patience: Duration) {
        self.begun().await;
        tokio::select! {
            () = tokio::time::sleep(patience) => self.forced.cancel(),
            () = self.forced() => {}
        }
    }

    /// Spawns work that ends by itself soon after [`Shutdown::begun`]; it is cut off when the stop
    /// is forced.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let forced = self.forced.clone();
        self.tasks.spawn(async move {
            if forced.run_until_cancelled(work).await.is_none() {
                tracing::warn!(name, "cut off");
            }
        });
    }

    /// Spawns work that may end at any await once the stop has begun.
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

    /// Returns when everything spawned has ended.
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
