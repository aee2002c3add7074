//! Time ranges that a caller asks for.

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use super::check::Checks;

/// A half-open time range `[from, to)`. A missing end is unbounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Inclusive start.
    pub from: Option<DateTime<Utc>>,
    /// Exclusive end.
    pub to: Option<DateTime<Utc>>,
}

/// Where the ends of a range are in the request: pointers of the start and of the end.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a>(pub &'a str, pub &'a str);

/// The ends of most reports.
pub const FROM_TO: Ends<'_> = Ends("?from", "?to");

impl Span {
    /// Reports an end that is refused by [`check_year`], and an empty range.
    pub fn check(self, checks: &mut Checks, at: Ends<'_>) {
        let Ends(from_at, to_at) = at;
        for (end, place) in [(self.from, from_at), (self.to, to_at)] {
            if let Some(end) = end {
                check_year(checks, place, end);
            }
        }
        if let (Some(from), Some(to)) = (self.from, self.to) {
            let start = from_at.trim_start_matches(['?', '/']);
            checks.ensure(from < to, to_at, format!("must be later than `{start}`"));
        }
    }

    /// Both ends, by default now and `length` before the end.
    #[must_use]
    pub fn or_last(self, length: TimeDelta, now: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let to = self.to.unwrap_or(now);
        (self.from.or_else(|| to.checked_sub_signed(length)).unwrap_or(to), to)
    }

    /// The same for a report of the past. Reports what [`Self::check`] does, and a start without an end that is not
    /// before now.
    pub fn past(
        self,
        length: TimeDelta,
        now: DateTime<Utc>,
        checks: &mut Checks,
    ) -> (DateTime<Utc>, DateTime<Utc>) {
        self.check(checks, FROM_TO);
        let (from, to) = self.or_last(length, now);
        checks.ensure(self.to.is_some() || from < to, FROM_TO.0, "must be earlier than now");
        (from, to)
    }
}

/// Reports a time outside the years 1970 to 9999. Within them, a time with days added or subtracted is one that the
/// database can store, and no calculation overflows.
pub fn check_year(checks: &mut Checks, at: &str, time: DateTime<Utc>) {
    let known = (1970..=9999).contains(&time.year());
    checks.ensure(known, at, "must be a time in the years 1970 to 9999");
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    const FIRST: DateTime<Utc> = DateTime::<Utc>::MIN_UTC;
    const LAST: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;

    fn at(day: i64) -> DateTime<Utc> {
        NOW + TimeDelta::days(day)
    }

    fn refused(note: impl FnOnce(&mut Checks)) -> Vec<String> {
        let mut checks = Checks::new();
        note(&mut checks);
        let errors = checks.finish().err().map(|refusal| refusal.errors).unwrap_or_default();
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn a_range_without_an_instant_or_of_no_known_year_is_refused() {
        for (from, to, want) in [
            (None, None, [""; 0].as_slice()),
            (Some(at(3)), None, &[]),
            (None, Some(at(3)), &[]),
            (Some(at(3)), Some(at(4)), &[]),
            (Some(at(3)), Some(at(3)), &["?to"]),
            (Some(at(4)), Some(at(3)), &["?to"]),
            (Some(FIRST), None, &["?from"]),
            (Some(LAST), None, &["?from"]),
            (None, Some(FIRST), &["?to"]),
            (None, Some(LAST), &["?to"]),
            (Some(FIRST), Some(LAST), &["?from", "?to"]),
        ] {
            let found = refused(|checks| Span { from, to }.check(checks, FROM_TO));
            assert_eq!(found, want, "{from:?} {to:?}");
        }
    }

    #[test]
    fn a_range_has_both_ends_by_default_and_none_overflows() {
        let week = TimeDelta::days(7);
        for (from, to, want, errors) in [
            (None, None, (at(-7), NOW), [""; 0].as_slice()),
            (Some(at(-1)), None, (at(-1), NOW), &[]),
            (None, Some(at(9)), (at(2), at(9)), &[]),
            (Some(at(0)), None, (at(0), NOW), &["?from"]),
            (None, Some(FIRST), (FIRST, FIRST), &["?to"]),
            (None, Some(LAST), (LAST - week, LAST), &["?to"]),
        ] {
            let mut found = None;
            let refused = refused(|checks| {
                found = Some(Span { from, to }.past(week, NOW, checks));
            });
            assert_eq!(
                (found, refused),
                (Some(want), errors.iter().map(|e| (*e).into()).collect())
            );
        }
    }
}
