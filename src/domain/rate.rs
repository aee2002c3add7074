//! Rates: how many attempts may start per minute, of tasks that require a capability.
//!
//! A rate is a debt that falls with time. Each start adds [`START`]; each microsecond takes
//! `starts_per_minute` away; the debt never exceeds `burst` starts. So within any time `t` at most
//! `burst + t * starts_per_minute` attempts start, however the starts are spread over batches and servers. In
//! contrast, a count per minute would let twice as many start around the turn of a minute. All numbers are
//! whole: two servers compute the same.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{check::Checks, refusal::Refusal};

/// What one start adds to the debt: microseconds of a minute.
pub const START: i64 = 60_000_000;
/// Most starts per minute of a rate.
pub const STARTS_MAX: i32 = 60_000;
/// Most starts at once of a rate.
pub const BURST_MAX: i32 = 10_000;

/// A rate to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRate {
    /// The capability. Every task that requires it counts, whatever else it requires.
    #[schema(example = "claude", min_length = 1, max_length = 100)]
    pub capability: String,
    /// Attempts that may start per minute, evenly spread.
    #[schema(example = 30, minimum = 1, maximum = 60_000)]
    pub starts_per_minute: i32,
    /// Attempts that may start at once after a pause; default 1. In no 60 seconds more than
    /// `starts_per_minute + burst - 1` attempts start.
    #[serde(default = "one")]
    #[schema(example = 5, minimum = 1, maximum = 10_000)]
    pub burst: i32,
}

fn one() -> i32 {
    1
}

impl NewRate {
    /// Refuses values out of bounds.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.capability("/capability", &self.capability);
        check_bounds(&mut checks, Some(self.starts_per_minute), Some(self.burst));
        checks.finish()
    }
}

/// Refuses numbers of a rate out of bounds.
pub fn check_bounds(checks: &mut Checks, starts: Option<i32>, burst: Option<i32>) {
    if let Some(starts) = starts {
        checks.range("/starts_per_minute", starts, 1..=STARTS_MAX);
    }
    if let Some(burst) = burst {
        checks.range("/burst", burst, 1..=BURST_MAX);
    }
}

/// How much of a rate is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Starts per minute, at least 1.
    pub starts_per_minute: i32,
    /// Starts at once, at least 1.
    pub burst: i32,
    /// Starts that still count, times [`START`], as of `debt_at`.
    pub debt: i64,
    /// Time of the debt.
    pub debt_at: DateTime<Utc>,
}

impl Pace {
    /// A rate without starts.
    #[must_use]
    pub const fn new(starts_per_minute: i32, burst: i32, now: DateTime<Utc>) -> Self {
        Self { starts_per_minute, burst, debt: 0, debt_at: now }
    }

    fn most(self) -> i64 {
        i64::from(self.burst.clamp(1, BURST_MAX)) * START
    }

    fn speed(self) -> i64 {
        i64::from(self.starts_per_minute.clamp(1, STARTS_MAX))
    }

    fn debt_now(self, now: DateTime<Utc>) -> i64 {
        let elapsed = (now - self.debt_at).num_microseconds().unwrap_or(i64::MAX);
        // After as many microseconds as the largest debt, nothing of any debt is left.
        let elapsed = elapsed.clamp(0, i64::from(BURST_MAX) * START);
        (self.debt.clamp(0, self.most()) - elapsed * self.speed()).max(0)
    }

    /// Number of attempts that may start now.
    #[must_use]
    pub fn free(self, now: DateTime<Utc>) -> u32 {
        u32::try_from((self.most() - self.debt_now(now)) / START).unwrap_or_default()
    }

    /// The rate after `starts` starts now. The caller starts no more than are free.
    #[must_use]
    pub fn take(self, starts: u32, now: DateTime<Utc>) -> Self {
        let debt = self.debt_now(now) + i64::from(starts).saturating_mul(START);
        Self { debt: debt.min(self.most()), debt_at: self.debt_at.max(now), ..self }
    }

    /// Earliest time at which an attempt may start, not before `debt_at`.
    #[must_use]
    pub fn free_at(self) -> DateTime<Utc> {
        let excess = self.debt.clamp(0, self.most()) - (self.most() - START);
        let wait = (excess.max(0) + self.speed() - 1) / self.speed();
        self.debt_at + TimeDelta::microseconds(wait)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(1_800_000_000_000_000 + micros).unwrap()
    }

    #[test]
    fn starts_are_spread_evenly_after_the_burst() {
        let mut pace = Pace::new(60, 3, at(0));
        assert_eq!(pace.free(at(0)), 3);
        pace = pace.take(3, at(0));
        assert_eq!((pace.free(at(0)), pace.free_at()), (0, at(1_000_000)));
        assert_eq!(pace.free(at(999_999)), 0);
        assert_eq!(pace.free(at(1_000_000)), 1);
        assert_eq!(pace.free(at(i64::from(u32::MAX) * 1_000_000)), 3);
    }

    #[test]
    fn a_clock_that_goes_back_frees_nothing() {
        let pace = Pace::new(60, 1, at(0)).take(1, at(5_000_000));
        assert_eq!(pace.free(at(0)), 0);
        assert_eq!(pace.take(0, at(0)).free_at(), at(6_000_000));
    }

    proptest! {
        /// Whatever claims come when, no window has more starts than the rate allows, and a start is free
        /// exactly from `free_at` on.
        #[test]
        fn no_window_has_more_than_the_rate(
            starts in 1i32..=STARTS_MAX,
            burst in 1i32..50,
            steps in prop::collection::vec((0i64..3_000_000, 0u32..20), 1..60),
        ) {
            let mut pace = Pace::new(starts, burst, at(0));
            let mut taken: Vec<(i64, u32)> = Vec::new();
            let mut now = 0;
            for (pause, wanted) in steps {
                now += pause;
                let given = wanted.min(pace.free(at(now)));
                pace = pace.take(given, at(now));
                taken.push((now, given));
                let free_at = pace.free_at();
                prop_assert!(free_at <= at(now) || pace.free(free_at - TimeDelta::microseconds(1)) == 0);
                prop_assert!(pace.free(free_at.max(at(now))) > 0);
            }
            for (index, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0i64;
                for (to, given) in &taken[index..] {
                    sum += i64::from(*given);
                    let most = i64::from(burst) * START + (to - from) * i64::from(starts);
                    prop_assert!(sum * START <= most);
                }
            }
        }

        /// A claim that always takes what is free gets all that the rate promises, but for the fraction.
        #[test]
        fn nothing_is_lost(starts in 1i32..1_000, burst in 1i32..20, minutes in 1i64..5) {
            let mut pace = Pace::new(starts, burst, at(0));
            let (mut sum, mut now) = (0i64, at(0));
            while now < at(minutes * START) {
                let free = pace.free(now);
                pace = pace.take(free, now);
                sum += i64::from(free);
                now = pace.free_at();
            }
            prop_assert!(sum >= i64::from(burst) + i64::from(starts) * minutes - 1);
        }
    }
}
