//! Times of the week: cheaper nights, cheaper weekends.
//!
//! A window is stated in UTC and may pass midnight.

use chrono::{DateTime, Datelike as _, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::domain::check::{Checks, pointer};

/// A time of day, UTC, on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HourWindow {
    /// Start of the window, UTC.
    #[schema(example = "16:30:00")]
    pub from: NaiveTime,
    /// End of the window, UTC, not part of it. Before `from`: on the next day; equal to `from`: the
    /// whole day.
    #[schema(example = "00:30:00")]
    pub to: NaiveTime,
    /// Days of the week on which it applies: 1 (Monday) to 7. Empty: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<u8>,
    /// Time zone of `weekdays`: an IANA name. `null`: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekdays_in: Option<String>,
}

impl HourWindow {
    /// A window of every day.
    #[must_use]
    pub const fn daily(from: NaiveTime, to: NaiveTime) -> Self {
        Self { from, to, weekdays: Vec::new(), weekdays_in: None }
    }

    /// Whether it contains `at`.
    #[must_use]
    pub fn holds(&self, at: DateTime<Utc>) -> bool {
        self.is_within(at.time()) && self.on_day(at)
    }

    fn is_within(&self, time: NaiveTime) -> bool {
        let Self { from, to, .. } = self;
        match from < to {
            true => *from <= time && time < *to,
            false => *from <= time || time < *to,
        }
    }

    /// Refuses days and time zones that do not exist.
    pub(super) fn check(&self, checks: &mut Checks, at: &str) {
        let place = pointer(at, "weekdays");
        checks.count(&place, self.weekdays.len(), 7);
        for (index, day) in self.weekdays.iter().enumerate().take(7) {
            checks.range(&pointer(&place, index), *day, 1..=7);
        }
        let known = self.weekdays_in.as_ref().is_none_or(|zone| zone.parse::<Tz>().is_ok());
        checks.ensure(known, &pointer(at, "weekdays_in"), "is no IANA name of a time zone");
    }

    fn on_day(&self, at: DateTime<Utc>) -> bool {
        if self.weekdays.is_empty() {
            return true;
        }
        let zone = self.weekdays_in.as_ref().and_then(|zone| zone.parse::<Tz>().ok());
        let day = at.with_timezone(&zone.unwrap_or(Tz::UTC)).weekday().number_from_monday();
        self.weekdays.iter().any(|weekday| u32::from(*weekday) == day)
    }
}

/// Whether windows leave no time of any day out. A gap would begin where a window ends.
pub(super) fn cover_the_day(windows: &[&HourWindow]) -> bool {
    let daily = || windows.iter().filter(|window| window.weekdays.is_empty());
    daily().next().is_some() && daily().all(|one| daily().any(|other| other.is_within(one.to)))
}

/// A time of day in UTC: `16:30`, `16:30:00`, `16:30:00Z`, `00:30:00+08:00`. `24:00` is midnight.
pub(super) fn time_of_day(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    let (clock, east) = match text.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, TimeDelta::zero()),
        None => match text.rfind(['+', '-']) {
            Some(at) => (text.get(..at)?, offset(text.get(at..)?)?),
            None => (text, TimeDelta::zero()),
        },
    };
    let clock = if clock == "24:00" || clock == "24:00:00" { "00:00" } else { clock };
    let time = ["%H:%M:%S", "%H:%M"].iter().find_map(|f| NaiveTime::parse_from_str(clock, f).ok());
    Some(time?.overflowing_sub_signed(east).0)
}

/// Hours and minutes east of UTC: `+08:00`.
fn offset(text: &str) -> Option<TimeDelta> {
    let (sign, clock) = match text.strip_prefix('-') {
        Some(clock) => (-1, clock),
        None => (1, text.strip_prefix('+')?),
    };
    let east = NaiveTime::parse_from_str(clock, "%H:%M").ok()?;
    Some((east - NaiveTime::MIN) * sign)
}
