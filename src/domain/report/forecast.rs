//! When a limit will be used up if everything goes on as in the last day.
//!
//! The rate is what was used below the limit's node in the last 24 hours, whenever the attempts
//! were started. It knows nothing of what is planned: it is for people who want to know whether to
//! look closer. Once a limit is used up the answer is the present, whatever the rate.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

/// Over how many hours the rate is measured.
pub const HOURS: i64 = 24;
/// Only attempts that were started in this time are looked at: an attempt runs for thirty days at
/// most, so all others ended before the time in which the rate is measured.
pub const LOOK_BACK: Duration = Duration::from_secs(31 * 24 * 3600);

/// Milliseconds over which the rate is measured.
const MEASURED_MS: i128 = HOURS as i128 * 3_600_000;
/// Instants from this year on cannot be written as RFC 3339 has it, and interest nobody.
const YEARS_END: i32 = 10_000;

/// How a limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// The limit.
    pub limit: i64,
    /// What is used of it.
    pub used: i64,
    /// What was used in the last 24 hours.
    pub burned: i64,
    /// When the limit begins anew; none: never.
    pub ends_at: Option<DateTime<Utc>>,
}

impl Course {
    /// What is used per hour, rounded.
    #[must_use]
    pub fn burn_per_hour(self) -> i64 {
        let (whole, rest) = (self.burned / HOURS, self.burned % HOURS);
        // No overflow: a 24th is far from the end.
        if rest.abs() * 2 >= HOURS { whole + rest.signum() } else { whole }
    }

    /// When all of it is used; none: not at this rate, or not before it begins anew.
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
        // A limit is used up when the last of it is, so a part of a millisecond counts as one.
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
        /// At the instant that is told, and not a millisecond earlier, the limit is used up.
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
