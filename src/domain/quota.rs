//! Quota windows: how much an account may use per window of its provider.
//!
//! A subscription allows so many tokens or calls per window. The provider counts; the service counts along, from
//! reported spend and started attempts, and gives no tasks to the agents of an account whose window is nearly used
//! up. It stops before the end (`stop_percent`), because running attempts use more. That is no promise: what
//! attempts use is never refused, and a provider may count otherwise. It then says so in a failure of the class
//! `rate_limited`.
//!
//! A window without an `anchor` begins with the first use after the end of the last one, as subscriptions have
//! it. With an anchor the windows follow one another without a gap, and one of them ends at that instant.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    budget::ask::Estimates,
    check::Checks,
    plan::check_instant,
    refusal::Refusal,
    settings,
    spend::{ATTEMPTS, unit::check_declared},
};

/// Share of the amount from which on nothing is given, unless a window says otherwise.
pub const STOP_PERCENT: i32 = 95;
/// The largest amount of a window.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;
/// The shortest and the longest window, in seconds: a minute, and a year.
pub const SECONDS: std::ops::RangeInclusive<i32> = 60..=31_622_400;

/// A quota window to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewQuotaWindow {
    /// Name of the account. Agents with this `account` share the window.
    #[schema(example = "claude-max-1", min_length = 1, max_length = 200)]
    pub account: String,
    /// What is counted: a unit of spend, or `attempts` for started attempts. Agents may report a unit of their
    /// own, such as `calls`.
    #[schema(example = "output_tokens")]
    pub unit: String,
    /// What the provider allows per window, in that unit.
    #[schema(example = 2_000_000, minimum = 1)]
    pub amount: i64,
    /// Length of a window in seconds.
    #[schema(example = 18_000, minimum = 60, maximum = 31_622_400)]
    pub window_seconds: i32,
    /// An instant at which a window ends; windows of this length follow one another. Absent: a window begins
    /// with the first use after the end of the last one.
    #[serde(default)]
    pub resets_at: Option<DateTime<Utc>>,
    /// Share of the amount, in percent, from which on the agents of the account are given no tasks until the
    /// window ends. Default 95.
    #[serde(default = "stop")]
    #[schema(example = 95, minimum = 1, maximum = 100)]
    pub stop_percent: i32,
}

fn stop() -> i32 {
    STOP_PERCENT
}

impl NewQuotaWindow {
    /// Refuses values out of bounds.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.line("/account", &self.account, settings::NAME_CHARS);
        if self.unit != ATTEMPTS {
            check_declared(&mut checks, "/unit", &self.unit);
        }
        checks.range("/amount", self.amount, 1..=AMOUNT_MAX);
        checks.range("/window_seconds", self.window_seconds, SECONDS);
        if let Some(instant) = self.resets_at {
            check_instant(&mut checks, "/resets_at", instant);
        }
        checks.range("/stop_percent", self.stop_percent, 1..=100);
        checks.finish()
    }
}

/// What a task with these estimates is expected to use of a window in `unit`.
#[must_use]
pub fn expected(unit: &str, estimates: Option<&Estimates>) -> i64 {
    if unit == ATTEMPTS {
        return 1;
    }
    let estimate = estimates.and_then(|estimates| estimates.get(unit));
    estimate.map_or(0, |estimate| estimate.range().want)
}

/// A window and what of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What is allowed per window.
    pub amount: i64,
    /// Length of a window, in seconds.
    pub window_seconds: i32,
    /// An end of a window; `None`: windows begin with their first use.
    pub anchor: Option<DateTime<Utc>>,
    /// Share of the amount, in percent, from which on nothing is given.
    pub stop_percent: i32,
    /// Used in the window that ends at `ends_at`.
    pub used: i64,
    /// End of the last window with use.
    pub ends_at: Option<DateTime<Utc>>,
}

impl Quota {
    /// Used in the present window.
    #[must_use]
    pub fn used_at(&self, now: DateTime<Utc>) -> i64 {
        match self.ends_at {
            Some(end) if end > now => self.used,
            Some(_) | None => 0,
        }
    }

    /// End of the present window; `None`: none has begun.
    #[must_use]
    pub fn end_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.ends_at.filter(|end| *end > now).or_else(|| self.anchor.map(|_| self.next_end(now)))
    }

    fn next_end(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let length = i64::from(self.window_seconds.max(*SECONDS.start()));
        let seconds = match self.anchor {
            None => return now + TimeDelta::seconds(length),
            Some(anchor) => (now - anchor).num_milliseconds().div_euclid(length * 1000) + 1,
        };
        self.anchor.unwrap_or(now) + TimeDelta::seconds(seconds * length)
    }

    /// The window after a use of `amount` now.
    #[must_use]
    pub fn charge(&self, amount: i64, now: DateTime<Utc>) -> Self {
        let used = self.used_at(now).saturating_add(amount.max(0));
        let ends_at = self.ends_at.filter(|end| *end > now).unwrap_or_else(|| self.next_end(now));
        Self { used, ends_at: Some(ends_at), ..*self }
    }

    /// Whether so much of the present window is used that nothing is given.
    #[must_use]
    pub fn is_nearly_used_up(&self, now: DateTime<Utc>) -> bool {
        let stop = i128::from(self.amount) * i128::from(self.stop_percent);
        i128::from(self.used_at(now)) * 100 >= stop
    }

    /// Whether a task that is expected to use `expected` may be given.
    ///
    /// An unused window admits a task with an expected use above the whole amount, alone: it counts as the whole
    /// amount. Otherwise such a task would wait for ever. So a window keeps a task only after its own begin, and no longer
    /// than to its end.
    #[must_use]
    pub fn admits(&self, expected: i64, now: DateTime<Utc>) -> bool {
        self.admits_beside(0, expected, now)
    }

    /// The same, after tasks that are expected to use `given` were given in the same step.
    #[must_use]
    pub fn admits_beside(&self, given: i64, expected: i64, now: DateTime<Utc>) -> bool {
        let left = self.amount.saturating_sub(self.used_at(now));
        let wanted = given.saturating_add(expected.min(self.amount));
        !self.is_nearly_used_up(now) && wanted <= left
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn quota(anchor: Option<i64>) -> Quota {
        Quota {
            amount: 1_000,
            window_seconds: 600,
            anchor: anchor.map(at),
            stop_percent: STOP_PERCENT,
            used: 0,
            ends_at: None,
        }
    }

    #[test]
    fn a_window_without_an_anchor_begins_with_its_first_use() {
        let unused = quota(None);
        assert_eq!((unused.used_at(at(0)), unused.end_at(at(0))), (0, None));
        let used = unused.charge(400, at(50)).charge(100, at(649));
        assert_eq!((used.used_at(at(649)), used.end_at(at(649))), (500, Some(at(650))));
        assert_eq!((used.used_at(at(650)), used.end_at(at(650))), (0, None));
        assert_eq!(used.charge(1, at(700)).end_at(at(700)), Some(at(1300)));
    }

    #[test]
    fn anchored_windows_follow_one_another() {
        let quota = quota(Some(100));
        for (now, end) in
            [(-501, -500), (-500, 100), (0, 100), (99, 100), (100, 700), (5_000, 5_500)]
        {
            assert_eq!(quota.end_at(at(now)), Some(at(end)), "{now}");
            assert_eq!(quota.charge(1, at(now)).ends_at, Some(at(end)), "{now}");
        }
    }

    #[test]
    fn nothing_is_given_near_the_end_or_when_it_does_not_fit() {
        let used = quota(None).charge(949, at(0));
        assert!(used.admits(51, at(0)) && !used.admits(52, at(0)));
        assert!(used.admits_beside(50, 1, at(0)) && !used.admits_beside(50, 2, at(0)));
        assert!(!used.charge(1, at(0)).admits(0, at(0)));
        assert!(used.charge(1, at(0)).admits(1_000, at(600)));
    }

    #[test]
    fn an_unused_window_admits_one_task_that_exceeds_it() {
        let unused = quota(None);
        assert!(unused.admits(1_001, at(0)) && unused.admits(i64::MAX, at(0)));
        assert!(!unused.admits_beside(1, 1_001, at(0)), "not beside another");
        assert!(!unused.admits_beside(1_000, 1, at(0)), "nothing beside it");
        let used = unused.charge(1, at(0));
        assert!(!used.admits(1_001, at(599)), "nor in what is left of a window");
        assert_eq!(used.end_at(at(599)), Some(at(600)), "it waits for the end");
        assert!(used.admits(1_001, at(600)), "and is given in the next");
    }

    proptest! {
        /// The use of a window is the sum of what was charged within it, and it ends when its length is over.
        #[test]
        fn a_window_holds_what_was_used_in_it(
            anchor in prop::option::of(-1_000i64..1_000),
            uses in prop::collection::vec((0i64..900, 0i64..500), 1..40),
        ) {
            let mut quota = quota(anchor);
            let mut all: Vec<(i64, i64)> = Vec::new();
            let mut now = 0;
            for (pause, amount) in uses {
                now += pause;
                quota = quota.charge(amount, at(now));
                all.push((now, amount));
                let end = quota.end_at(at(now)).unwrap();
                prop_assert!(end > at(now) && end <= at(now + 600));
                // With an anchor, the window began one length before its end; else with a use in it.
                let begun = all.iter().filter(|(when, _)| at(*when) >= end - TimeDelta::seconds(600));
                prop_assert_eq!(quota.used_at(at(now)), begun.map(|(_, amount)| amount).sum::<i64>());
            }
        }
    }
}
