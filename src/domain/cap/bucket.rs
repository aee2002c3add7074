//! Token buckets: how much per second, and how much at once.
//!
//! A bucket holds up to [`Quota::burst`] tokens and gains [`Quota::per_second`] tokens each second. A
//! request passes while the bucket holds a token, and then takes all that it needs; the bucket may owe
//! the rest. So a request of any size passes at some time, and no key gets more than its rate over time.

use std::time::Duration;

/// Seconds of the rate that a full bucket holds.
pub const BURST_SECONDS: u64 = 5;
/// The largest rate in tokens per second: a bucket counts millionths in 64 bits.
pub const LARGEST_RATE: u64 = 1_000_000_000;
const MICROS: i64 = 1_000_000;
/// The most tokens that one request takes: keeps the debt within 64 bits.
const LARGEST_CHARGE: u64 = 1_000_000_000;

/// The size of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    per_second: i64,
}

impl Quota {
    /// A bucket that gains `per_second` tokens each second: 1 to [`LARGEST_RATE`].
    #[must_use]
    pub fn per_second(per_second: u64) -> Self {
        let per_second = per_second.clamp(1, LARGEST_RATE);
        Self { per_second: i64::try_from(per_second).unwrap_or(i64::MAX) }
    }

    /// The most tokens it holds.
    #[must_use]
    pub fn burst(self) -> u64 {
        self.per_second.unsigned_abs() * BURST_SECONDS
    }

    fn full(self) -> i64 {
        self.per_second * BURST_SECONDS.cast_signed() * MICROS
    }
}

/// A bucket. Time is a duration since any fixed moment.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Millionths of a token; negative: owed.
    micros: i64,
    at: Duration,
}

/// What a bucket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Whole tokens; 0 while the bucket owes.
    pub remaining: u64,
    /// Whole seconds, rounded up, until a request passes; 0: now.
    pub passes_in: u64,
    /// Whole seconds, rounded up, until the bucket is full.
    pub full_in: u64,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(quota: Quota, now: Duration) -> Self {
        Self { micros: quota.full(), at: now }
    }

    /// Takes `amount` tokens if the bucket holds at least one. Returns whether it did.
    #[must_use]
    pub fn take(&mut self, quota: Quota, now: Duration, amount: u64) -> bool {
        self.refill(quota, now);
        if self.micros < MICROS {
            return false;
        }
        let amount = i64::try_from(amount.min(LARGEST_CHARGE)).unwrap_or(i64::MAX);
        self.micros = self.micros.saturating_sub(amount.saturating_mul(MICROS));
        true
    }

    /// What it holds now.
    #[must_use]
    pub fn level(&mut self, quota: Quota, now: Duration) -> Level {
        self.refill(quota, now);
        let seconds = |missing: i64| {
            let missing = u64::try_from(missing).unwrap_or_default();
            missing.div_ceil(quota.per_second.unsigned_abs() * MICROS.unsigned_abs())
        };
        Level {
            remaining: u64::try_from(self.micros / MICROS).unwrap_or_default(),
            passes_in: seconds(MICROS.saturating_sub(self.micros)),
            full_in: seconds(quota.full().saturating_sub(self.micros)),
        }
    }

    fn refill(&mut self, quota: Quota, now: Duration) {
        let elapsed = now.saturating_sub(self.at).as_micros();
        let gained = i64::try_from(elapsed).unwrap_or(i64::MAX).saturating_mul(quota.per_second);
        self.micros = self.micros.saturating_add(gained).min(quota.full());
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_bucket_holds_its_burst_and_then_its_rate() {
        let quota = Quota::per_second(10);
        let mut bucket = Bucket::full(quota, Duration::ZERO);
        for _ in 0..50 {
            assert!(bucket.take(quota, Duration::ZERO, 1));
        }
        assert!(!bucket.take(quota, Duration::ZERO, 1));
        let level = bucket.level(quota, Duration::ZERO);
        assert_eq!(level, Level { remaining: 0, passes_in: 1, full_in: 5 });
        assert!(bucket.take(quota, Duration::from_millis(100), 1));
        assert!(!bucket.take(quota, Duration::from_millis(199), 1));
    }

    #[test]
    fn a_request_larger_than_the_burst_passes_and_is_paid_off() {
        let quota = Quota::per_second(1);
        let mut bucket = Bucket::full(quota, Duration::ZERO);
        assert!(bucket.take(quota, Duration::ZERO, 25));
        assert_eq!(bucket.level(quota, Duration::ZERO).passes_in, 21);
        assert!(!bucket.take(quota, Duration::from_secs(20), 1));
        assert!(bucket.take(quota, Duration::from_secs(21), 1));
    }

    proptest! {
        /// Over any time a key gets no more than burst, rate and one request.
        #[test]
        fn nobody_gets_more_than_the_rate(
            rate in 1_u64..1000,
            steps in prop::collection::vec((0_u64..200_000, 1_u64..50), 1..200),
        ) {
            let quota = Quota::per_second(rate);
            let mut bucket = Bucket::full(quota, Duration::ZERO);
            let (mut now, mut taken, mut largest) = (Duration::ZERO, 0, 0);
            for (micros, amount) in steps {
                now += Duration::from_micros(micros);
                if bucket.take(quota, now, amount) {
                    taken += amount;
                    largest = largest.max(amount);
                }
                let gained = u128::from(rate) * now.as_micros() / 1_000_000 + 1;
                prop_assert!(u128::from(taken) <= u128::from(quota.burst() + largest) + gained);
            }
        }

        /// `passes_in` is enough.
        #[test]
        fn who_waits_as_told_passes(rate in 1_u64..1000, amount in 0_u64..100_000) {
            let quota = Quota::per_second(rate);
            let mut bucket = Bucket::full(quota, Duration::ZERO);
            prop_assert!(bucket.take(quota, Duration::ZERO, amount));
            let wait = Duration::from_secs(bucket.level(quota, Duration::ZERO).passes_in);
            prop_assert!(bucket.take(quota, wait, 1));
        }
    }
}
