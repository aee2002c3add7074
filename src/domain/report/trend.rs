//! The period of a report, divided into buckets of equal length.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{check::Checks, span::Span};

/// The period of a report without `from`, in days before `to`.
pub const DEFAULT_DAYS: i64 = 7;
/// Longest period, in days.
pub const DAYS_MAX: i64 = 92;
/// Most buckets of a period.
pub const BUCKETS_MAX: i64 = 32;

/// Lengths of buckets, in hours: the first with which a period has no more than [`BUCKETS_MAX`].
const HOURS: [i64; 4] = [1, 6, 24, 7 * 24];

/// A period and its buckets, of which the last may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// Start of the period and of the first bucket.
    pub from: DateTime<Utc>,
    /// End of the period, exclusive.
    pub to: DateTime<Utc>,
    /// Length of a bucket.
    pub length: TimeDelta,
}

impl Buckets {
    /// The buckets of a period that is asked for, by default the last [`DEFAULT_DAYS`] days. Reports an empty period and
    /// one that is too long.
    pub fn asked(span: Span, now: DateTime<Utc>, checks: &mut Checks) -> Self {
        let (from, to) = span.past(TimeDelta::days(DEFAULT_DAYS), now, checks);
        checks.ensure(
            to.signed_duration_since(from) <= TimeDelta::days(DAYS_MAX),
            "?from",
            format!("is more than {DAYS_MAX} days before `to`"),
        );
        Self::of(from, to)
    }

    /// The buckets of a period.
    #[must_use]
    pub fn of(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        let few = |length: &TimeDelta| {
            let most = length.num_milliseconds() * BUCKETS_MAX;
            to.signed_duration_since(from).num_milliseconds() <= most
        };
        let lengths = HOURS.map(TimeDelta::hours);
        let length = lengths.into_iter().find(few).unwrap_or(TimeDelta::hours(HOURS[3]));
        Self { from, to, length }
    }

    /// Start of a bucket, counted from 0.
    #[must_use]
    pub fn start(self, bucket: i32) -> DateTime<Utc> {
        self.length.checked_mul(bucket).map_or(self.to, |after| {
            self.from.checked_add_signed(after).unwrap_or(self.to).min(self.to)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();

    fn asked(from: Option<i64>, to: Option<i64>) -> (Buckets, Vec<String>) {
        let at = |hours: i64| NOW + TimeDelta::hours(hours);
        let mut checks = Checks::new();
        let span = Span { from: from.map(at), to: to.map(at) };
        let found = Buckets::asked(span, NOW, &mut checks);
        let errors = checks.finish().err().map(|refusal| refusal.errors).unwrap_or_default();
        (found, errors.into_iter().map(|error| error.pointer).collect())
    }

    #[test]
    fn a_period_has_both_ends_and_is_not_long() {
        let (found, errors) = asked(None, None);
        assert_eq!(errors, [""; 0]);
        let week = Buckets { from: NOW - TimeDelta::days(7), to: NOW, length: TimeDelta::hours(6) };
        assert_eq!(found, week);
        for (from, to, length) in
            [(-32, 0, 1), (-33, 0, 6), (-32 * 6 - 1, 0, 24), (-92 * 24, 0, 7 * 24), (-33, -1, 1)]
        {
            let (found, errors) = asked(Some(from), Some(to));
            assert_eq!(errors, [""; 0]);
            assert_eq!(found.length, TimeDelta::hours(length), "{from} {to}");
        }
        assert_eq!(asked(Some(0), Some(0)).1, ["?to"]);
        assert_eq!(asked(Some(1), None).1, ["?from"]);
        assert_eq!(asked(Some(-92 * 24 - 1), None).1, ["?from"]);
    }

    proptest! {
        /// Few buckets cover the whole period, whatever it is.
        #[test]
        fn few_buckets_cover_a_period(ms in 1..=DAYS_MAX * 86_400_000) {
            let buckets = Buckets::of(NOW, NOW + TimeDelta::milliseconds(ms));
            let last = (ms - 1) / buckets.length.num_milliseconds();
            prop_assert!(last < BUCKETS_MAX);
            let last = last as i32;
            prop_assert!(buckets.start(last) < buckets.to);
            prop_assert_eq!(buckets.start(last + 1), buckets.to);
            prop_assert_eq!(buckets.start(0), NOW);
        }
    }
}
