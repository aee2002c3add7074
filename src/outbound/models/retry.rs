//! When a call is repeated, and after which wait.

use std::time::Duration;

use super::RETRIES;
use crate::domain::planning::model::ModelError;

/// Wait before the first retry; doubled before each further one.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait that no server asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The waits of one question.
#[derive(Debug)]
pub(super) struct Waits {
    first: Duration,
    timeout: Duration,
    retries: u8,
}

impl Waits {
    pub(super) fn new(first: Duration, timeout: Duration) -> Self {
        Self { first, timeout, retries: 0 }
    }

    /// Retries so far.
    pub(super) fn retries(&self) -> u8 {
        self.retries
    }

    /// The wait before the next retry; `None`: there is none, because the failure is not of that kind,
    /// there were enough, or the time is over before. `jitter` is from 0 to 1.
    pub(super) fn after(
        &mut self,
        error: &ModelError,
        elapsed: Duration,
        jitter: f64,
    ) -> Option<Duration> {
        if !error.kind.is_retried() || self.retries >= RETRIES {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << self.retries.min(16)).min(LONGEST_WAIT);
        let wait = doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        let wait = error.retry_after.map_or(wait, |asked| asked.saturating_add(wait));
        if elapsed.saturating_add(wait) >= self.timeout {
            return None;
        }
        self.retries += 1;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{planning::model::ErrorKind, words::Words as _};

    proptest! {
        #[test]
        fn retries_are_few_and_end_before_the_time(
            kinds in prop::collection::vec(prop::sample::select(ErrorKind::ALL), 1..20),
            asked in prop::collection::vec(prop::option::of(0..100u64), 20), jitter in 0.0..=1.0f64,
            timeout in 1..200u64,
        ) {
            let timeout = Duration::from_secs(timeout);
            let mut waits = Waits::new(FIRST_WAIT, timeout);
            let mut elapsed = Duration::ZERO;
            let mut repeated = 0;
            for (kind, asked) in kinds.into_iter().zip(asked) {
                let asked = asked.map(Duration::from_secs);
                let error = ModelError { retry_after: asked, ..ModelError::new(kind, "") };
                let Some(wait) = waits.after(&error, elapsed, jitter) else {
                    if !kind.is_retried() { break; }
                    continue;
                };
                prop_assert!(kind.is_retried());
                prop_assert!(wait >= asked.unwrap_or_default(), "a server's wait is kept");
                elapsed += wait;
                repeated += 1;
                prop_assert!(elapsed < timeout);
            }
            prop_assert!(repeated <= usize::from(RETRIES));
            prop_assert_eq!(usize::from(waits.retries()), repeated);
        }
    }
}
