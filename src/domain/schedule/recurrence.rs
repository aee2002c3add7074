//! Due times of a cron expression in a time zone.
//!
//! **Changes of the clock.** The expression speaks of local times, as a clock on the wall shows them. Where clocks
//! are changed:
//! - A local time that does not exist (clocks were put forward over it) is due at the first instant after the gap.
//!   All such times of one gap, and the local time right after it, are one due time.
//! - A local time that occurs twice (clocks were put back) is due once, the first time. So `*/15 * * * *` is not
//!   due during the repeated hour.
//!
//! The search therefore runs on local times without a zone, and each found one is then placed on the line of
//! instants. That place never moves back when the local time moves on, so the order of due times is that of
//! local times, and no due time is lost or comes twice. The crate's own treatment of zones is not used: it
//! differs between expressions with one time a day and others, which nobody who reads an expression sees.

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// Longest cron expression, in bytes.
const LONGEST: usize = 200;

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It has other characters, or too many.
    #[error(
        "must be a cron expression of at most 200 ASCII characters, for example `0 9 * * MON-FRI`"
    )]
    Text,
    /// It has another number of fields.
    #[error(
        "must have five fields (minute, hour, day of month, month, day of week), for example `0 9 * * MON-FRI`, \
         or be one of @hourly, @daily, @weekly, @monthly and @yearly"
    )]
    Fields,
    /// One of its fields cannot be read.
    #[error("cannot be read: {0}")]
    Unread(String),
}

/// A cron expression: a set of local times, exact to the minute.
#[derive(Debug, Clone)]
pub struct Pattern(Cron);

impl Pattern {
    /// Reads an expression.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        if text.is_empty() || !text.is_ascii() || text.len() > LONGEST {
            return Err(Fault::Text);
        }
        let fields = text.split_ascii_whitespace().count();
        if fields != if text.starts_with('@') { 1 } else { 5 } {
            return Err(Fault::Fields);
        }
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        parser.parse(text).map(Self).map_err(|error| Fault::Unread(error.to_string()))
    }

    /// The first local time of the set after another; `None` if there is none.
    fn after(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        self.0.find_next_occurrence(&local, false).ok()
    }
}

/// The time within which a schedule is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Nothing is due before it; `None`: no such bound.
    pub starts_at: Option<DateTime<Utc>>,
    /// Nothing is due at it or after it; `None`: no such bound.
    pub ends_at: Option<DateTime<Utc>>,
}

/// A cron expression in a time zone, within bounds.
#[derive(Debug, Clone)]
pub struct Recurrence {
    /// The local times.
    pub pattern: Pattern,
    /// The zone that they are local in.
    pub zone: Tz,
    /// The time within which it is due.
    pub bounds: Bounds,
}

impl Recurrence {
    /// The first due time after an instant; `None`: there is none.
    #[must_use]
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let Bounds { starts_at, ends_at } = self.bounds;
        let before = |at: DateTime<Utc>| at.checked_sub_signed(TimeDelta::nanoseconds(1));
        let after = starts_at.and_then(before).map_or(after, |start| start.max(after));
        let due = self.unbounded(after)?;
        ends_at.is_none_or(|end| due < end).then_some(due)
    }

    fn unbounded(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut local = after.with_timezone(&self.zone).naive_local();
        // After the first few local times of a repeated hour, which were due before, the next one is later.
        loop {
            local = self.pattern.after(local)?;
            match instant(local, self.zone) {
                Some(due) if due > after => return Some(due),
                Some(_) | None => {}
            }
        }
    }

    /// The first `count` due times after an instant.
    #[must_use]
    pub fn some(&self, after: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next(after), |due| self.next(*due)).take(count).collect()
    }
}

/// The instant of a local time: the first of two, or the end of the gap that it is in. `None` outside of what
/// the tables of time zones know.
fn instant(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let found = zone.from_local_datetime(&local).earliest();
    let found = found.or_else(|| GapInfo::new(&local, &zone)?.end);
    found.map(|at| at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::{Datelike as _, Timelike as _};
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn recurrence(cron: &str, zone: &str) -> Recurrence {
        let pattern = Pattern::parse(cron).unwrap();
        Recurrence { pattern, zone: zone.parse().unwrap(), bounds: Bounds::default() }
    }

    fn times(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let some = recurrence(cron, zone).some(at(after), count);
        some.into_iter().map(|due| due.format("%m-%d %H:%M").to_string()).collect()
    }

    #[test]
    fn a_time_that_does_not_exist_is_due_after_the_gap() {
        // Berlin, 2026-03-29: 02:00 is 03:00, which is 01:00 UTC.
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            ["03-28 01:30", "03-29 01:00", "03-30 00:30"]
        );
        assert_eq!(
            times("*/20 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 4),
            ["03-29 01:00", "03-29 01:20", "03-29 01:40", "03-30 00:00"]
        );
    }

    #[test]
    fn a_time_that_occurs_twice_is_due_once() {
        // Berlin, 2026-10-25: 03:00 is 02:00 again, at 01:00 UTC.
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["10-25 00:30", "10-26 01:30"]
        );
        assert_eq!(
            times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:59:00Z", 4),
            ["10-25 00:00", "10-25 00:30", "10-25 02:00", "10-25 02:30"]
        );
        // Asked in the repeated hour, too.
        assert_eq!(
            times("*/30 * * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1),
            ["10-25 02:00"]
        );
    }

    #[test]
    fn odd_zones() {
        // Lord Howe puts its clocks forward by half an hour; Samoa left out the whole of 2011-12-30.
        assert_eq!(
            times("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2),
            ["10-03 15:30", "10-04 15:15"]
        );
        assert_eq!(
            times("0 12 30 12 *", "Pacific/Apia", "2011-01-01T00:00:00Z", 2),
            ["12-30 10:00", "12-29 22:00"]
        );
    }

    #[test]
    fn bounds_hold_and_what_is_never_due_ends() {
        let mut every = recurrence("0 * * * *", "UTC");
        every.bounds = Bounds {
            starts_at: Some(at("2026-01-01T10:00:00Z")),
            ends_at: Some(at("2026-01-01T12:00:00Z")),
        };
        let due = every.some(at("2025-01-01T00:00:00Z"), 9);
        assert_eq!(due, [at("2026-01-01T10:00:00Z"), at("2026-01-01T11:00:00Z")]);
        assert_eq!(recurrence("0 0 30 2 *", "UTC").next(at("2026-01-01T00:00:00Z")), None);
        let leap = recurrence("0 0 29 2 *", "UTC").next(at("2097-01-01T00:00:00Z"));
        assert_eq!(leap, Some(at("2104-02-29T00:00:00Z")));
    }

    #[test]
    fn what_is_read() {
        for good in ["0 9 * * MON-FRI", "@daily", "*/5 * * * *", "0 0 L * *", " 0  9 1,15 jan 7 "] {
            assert!(Pattern::parse(good).is_ok(), "{good}");
        }
        for (bad, fault) in
            [("", Fault::Text), ("é * * * *", Fault::Text), ("* * * *", Fault::Fields)]
        {
            assert_eq!(Pattern::parse(bad).unwrap_err(), fault, "{bad}");
        }
        for bad in ["* * * * * *", "@hourly 5", "@often", "60 * * * *", "* 24 * * *", "*/0 * * * *"]
        {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    /// One field as a set, and as it is written.
    fn field(
        range: std::ops::RangeInclusive<u32>,
    ) -> impl Strategy<Value = (String, BTreeSet<u32>)> {
        let all: BTreeSet<u32> = range.clone().collect();
        let (least, most) = (*range.start(), *range.end());
        let any = all.clone();
        prop_oneof![
            2 => Just(("*".to_owned(), any)),
            2 => (1..=most).prop_map(move |step| {
                let set = all.iter().copied().filter(|n| (n - least) % step == 0).collect();
                (format!("*/{step}"), set)
            }),
            3 => prop::collection::btree_set(range, 1..4).prop_map(|set| {
                let text: Vec<String> = set.iter().map(u32::to_string).collect();
                (text.join(","), set)
            }),
        ]
    }

    /// Days and months are mostly free, else the days around a change of clocks are seldom due.
    fn day(range: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = (String, BTreeSet<u32>)> {
        let all: BTreeSet<u32> = range.clone().collect();
        prop_oneof![5 => Just(("*".to_owned(), all)), 1 => field(range)]
    }

    type Field = (String, BTreeSet<u32>);

    fn matches(fields: &[Field; 5], local: NaiveDateTime) -> bool {
        let [minute, hour, date, month, weekday] = fields;
        let on_date = date.1.contains(&local.day());
        let on_weekday = weekday.1.contains(&local.weekday().num_days_from_sunday());
        // If both are restricted, one of them suffices: so cron has always read them.
        let on_day = if date.0 != "*" && weekday.0 != "*" {
            on_date || on_weekday
        } else {
            on_date && on_weekday
        };
        minute.1.contains(&local.minute())
            && hour.1.contains(&local.hour())
            && month.1.contains(&local.month())
            && on_day
    }

    /// The due times in `(from, to]`, minute by minute: at each instant the local minutes that were not reached
    /// before are due, those that were jumped over included.
    fn oracle(
        fields: &[Field; 5],
        zone: Tz,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Vec<DateTime<Utc>> {
        let minute = TimeDelta::minutes(1);
        let mut now = from - TimeDelta::days(2);
        let mut reached = now.with_timezone(&zone).naive_local();
        let mut due = Vec::new();
        while now <= to {
            let local = now.with_timezone(&zone).naive_local();
            let mut is_due = false;
            while reached < local {
                reached += minute;
                is_due |= matches(fields, reached);
            }
            if is_due && now > from {
                due.push(now);
            }
            now += minute;
        }
        due
    }

    /// Instants around which clocks were changed.
    const CHANGES: &[(&str, &str)] = &[
        ("Europe/Berlin", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T01:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("America/Havana", "2026-03-08T05:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("Asia/Kathmandu", "2026-06-01T00:00:00Z"),
        ("UTC", "2024-02-29T00:00:00Z"),
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn due_times_are_those_of_the_oracle(
            fields in (field(0..=59), field(0..=23), day(1..=31), day(1..=12), day(0..=6)),
            (zone, change) in prop::sample::select(CHANGES),
            before in 0i64..36 * 60,
        ) {
            let fields: [Field; 5] = fields.into();
            let text: Vec<&str> = fields.iter().map(|(text, _)| text.as_str()).collect();
            let found = recurrence(&text.join(" "), zone);
            let from = at(change) - TimeDelta::minutes(before);
            let to = at(change) + TimeDelta::hours(36);
            let want = oracle(&fields, found.zone, from, to);
            let due: Vec<_> = std::iter::successors(found.next(from), |due| found.next(*due))
                .take_while(|due| *due <= to)
                .collect();
            prop_assert_eq!(due, want, "{} in {}", text.join(" "), zone);
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".{0,60}", other in "[-0-9*/,#@?+LWA-Z ]{0,40}") {
            for text in [text, other] {
                if let Ok(pattern) = Pattern::parse(&text) {
                    let bounds = Bounds::default();
                    let found = Recurrence { pattern, zone: Tz::UTC, bounds };
                    let now = at("2026-01-01T00:00:00Z");
                    prop_assert!(found.next(now).is_none_or(|due| due > now));
                }
            }
        }
    }
}
