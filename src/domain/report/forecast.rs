//! Projected exhaustion of a limit at the rate of the last 24 hours.
//!
//! The rate is the spend below the limit's node in the last 24 hours, whenever the attempts
//! started. It ignores planned work: it hints at a problem and promises nothing. An exhausted limit
//! answers with the present instant, whatever the rate.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

/// Window of the rate, in hours.
pub const HOURS: i64 = 24;
/// Age limit of the attempts considered. An attempt runs 30 days at most, so older ones ended
/// before the window of the rate.
pub const LOOK_BACK: Duration = Duration::from_secs(31 * 24 * 3600);

/// [`HOURS`] in milliseconds.
const MEASURED_MS: i128 = HOURS as i128 * 3_600_000;
/// First year that RFC 3339 cannot express.
const YEARS_END: i32 = 10_000;

/// State of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// The limit, in its unit.
    pub limit: i64,
    /// Spend against the limit so far.
    pub used: i64,
    /// Spend in the last [`HOURS`].
    pub burned: i64,
    /// Start of the next period; `None`: the limit never resets.
    pub ends_at: Option<DateTime<Utc>>,
}

impl Course {
    /// Spend per hour, rounded to the nearest.
    #[must_use]
    pub fn burn_per_hour(self) -> i64 {
        let (whole, rest) = (self.burned / HOURS, self.burned % HOURS);
        // No overflow: a 24th is far below the maximum.
        if rest.abs() * 2 >= HOURS { whole + rest.signum() } else { whole }
    }

    /// Projected instant of exhaustion; `None`: not at this rate, or not before the reset.
    #[must_use]
    pub fn exhausted_at(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let left = i128::from(self.limit) - i128::from(self.used);
        if left <= 0 {
            return Some(now);
        }
        let burned = i128::from(self.burned);
        if burned <= 0 {
            return None;
        }
        // Rounded up: the limit is exhausted only when all of it is used.
        let milliseconds = (left * MEASURED_MS + burned - 1) / burned;
        let after = TimeDelta::try_milliseconds(i64::try_from(milliseconds).ok()?)?;
        let at = now.checked_add_signed(after)?;
        let in_time = self.ends_at.is_none_or(|end| at < end) && at.year() < YEARS_END;
        in_time.then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn course(limit: i64, used: i64, burned: i64) -> Course {
        Course { limit, used, burned, ends_at: None }
    }

    #[test]
    fn the_rate_is_rounded_to_the_nearest() {
        for (burned, want) in [
            (0, 0),
            (11, 0),
            (12, 1),
            (24, 1),
            (35, 1),
            (36, 2),
            (-12, -1),
            (i64::MAX, i64::MAX / 24),
        ] {
            assert_eq!(course(0, 0, burned).burn_per_hour(), want, "{burned}");
        }
    }

    #[test]
    fn a_limit_is_used_up_when_its_rest_is() {
        let hours = |hours: i64| Some(NOW + TimeDelta::hours(hours));
        // 240 in a day are ten in an hour.
        assert_eq!(course(100, 40, 240).exhausted_at(NOW), hours(6));
        assert_eq!(course(100, 100, 240).exhausted_at(NOW), hours(0));
        assert_eq!(course(100, 140, 0).exhausted_at(NOW), hours(0));
        assert_eq!(course(100, 40, 0).exhausted_at(NOW), None);
        assert_eq!(course(100, 40, -5).exhausted_at(NOW), None);
        // Less than one in an hour is not nothing.
        assert_eq!(course(100, 40, 10).exhausted_at(NOW), hours(144));
        let ends_at = hours(6);
        assert_eq!(Course { ends_at, ..course(100, 40, 240) }.exhausted_at(NOW), None);
        assert!(Course { ends_at, ..course(100, 41, 240) }.exhausted_at(NOW).is_some());
        // Later than anybody can write down.
        assert_eq!(course(i64::MAX, 0, 1).exhausted_at(NOW), None);
    }

    proptest! {
        /// The limit is exhausted at the projected instant, and not a millisecond earlier.
        #[test]
        fn it_is_used_up_then_and_not_before(
            limit in 0..1_000_000_i64, used in 0..1_000_000_i64, burned in 1..1_000_000_i64,
        ) {
            let course = course(limit, used, burned);
            let Some(at) = course.exhausted_at(NOW) else { return Ok(()) };
            let used_by = |ms: i128| i128::from(used) * MEASURED_MS + i128::from(burned) * ms;
            let ms = i128::from((at - NOW).num_milliseconds());
            prop_assert!(used_by(ms) >= i128::from(limit) * MEASURED_MS);
            prop_assert!(ms == 0 || used_by(ms - 1) < i128::from(limit) * MEASURED_MS);
        }

        #[test]
        fn nothing_overflows(limit: i64, used: i64, burned: i64) {
            let course = course(limit, used, burned);
            let _ = (course.exhausted_at(NOW), course.burn_per_hour());
        }
    }
}
