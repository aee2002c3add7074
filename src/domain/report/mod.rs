//! Reports on spend: what they are grouped by, what they cover, and their arithmetic.
//!
//! What is guaranteed:
//! - Nothing is rounded on the way. Amounts are summed in millionths of their unit ([`money`]), and
//!   only the sum is brought to whole units or written as a decimal.
//! - No sum overflows: one that does not fit stays at the largest number there is.
//! - A report that is too large to be given in one piece is refused and says what to narrow,
//!   because half a report looks like a whole one.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{check::Checks, words::words};
use money::Millionths;

pub mod estimate;
pub mod forecast;
pub mod money;

/// Most rows of a report that is given in one piece.
pub const ROWS_MAX: usize = 10_000;
/// Most rows of an export for billing tools.
pub const EXPORT_ROWS_MAX: usize = 50_000;
/// The longest time that an export for billing tools covers, in days.
pub const EXPORT_DAYS_MAX: i64 = 92;

words! {
    /// What the rows of a report stand for.
    pub enum GroupBy {
        /// A row for each agent that used something.
        Agent => "agent",
        /// A row for each model, as agents have reported it.
        Model => "model",
        /// A row for each goal.
        Goal => "goal",
        /// A row for each task.
        Task => "task",
        /// A row for each project.
        Project => "project",
        /// A row for each set of capabilities that tasks require.
        Capability => "capability",
        /// A row for each day in the time zone of the report.
        Day => "day",
    }
}

impl GroupBy {
    /// Whether something can belong to none of the groups: a goal has no project, an entry names
    /// no model.
    #[must_use]
    pub const fn may_be_none(self) -> bool {
        match self {
            Self::Model | Self::Project => true,
            Self::Agent | Self::Goal | Self::Task | Self::Capability | Self::Day => false,
        }
    }
}

/// Where a row stands in the order of its report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What comes first: the money of the row, the most first; the same for all days.
    pub rank: Millionths,
    /// What comes next: the beginning of the key, and its digest where keys are long.
    pub key: String,
}

/// A time from `from` to before `to`. An end that is left open is never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: Option<DateTime<Utc>>,
    /// Its end.
    pub to: Option<DateTime<Utc>>,
}

impl Span {
    /// Notes that it holds no instant.
    pub fn check(self, checks: &mut Checks) {
        if let (Some(from), Some(to)) = (self.from, self.to) {
            checks.ensure(from < to, "?to", "must be later than `from`");
        }
    }

    /// Both ends, for an export; notes what is missing, and that it is too long.
    pub fn whole(self, checks: &mut Checks) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        checks.ensure(self.from.is_some(), "?from", "must be given");
        checks.ensure(self.to.is_some(), "?to", "must be given");
        self.check(checks);
        let (from, to) = (self.from?, self.to?);
        checks.ensure(
            to - from <= TimeDelta::days(EXPORT_DAYS_MAX),
            "?to",
            format!("is more than {EXPORT_DAYS_MAX} days after `from`: export it in parts"),
        );
        Some((from, to))
    }
}

/// Notes that there is no time zone of this name.
pub fn check_time_zone(checks: &mut Checks, at: &str, name: &str) {
    checks.ensure(
        name.parse::<Tz>().is_ok(),
        at,
        "is no time zone; use an IANA name such as `Europe/Vienna` or `UTC`",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: Option<i64>, to: Option<i64>) -> Span {
        let at = |day: i64| DateTime::UNIX_EPOCH + TimeDelta::days(day);
        Span { from: from.map(at), to: to.map(at) }
    }

    fn refused(note: impl FnOnce(&mut Checks)) -> Vec<String> {
        let mut checks = Checks::new();
        note(&mut checks);
        let errors = checks.finish().err().map(|refusal| refusal.errors).unwrap_or_default();
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn a_time_without_an_instant_is_refused() {
        for (from, to, want) in [
            (None, None, [""; 0].as_slice()),
            (Some(3), None, &[]),
            (None, Some(3), &[]),
            (Some(3), Some(4), &[]),
            (Some(3), Some(3), &["?to"]),
            (Some(4), Some(3), &["?to"]),
        ] {
            assert_eq!(refused(|checks| span(from, to).check(checks)), want, "{from:?} {to:?}");
        }
    }

    #[test]
    fn an_export_has_both_ends_and_is_not_long() {
        for (from, to, want) in [
            (None, None, ["?from", "?to"].as_slice()),
            (Some(0), None, &["?to"]),
            (Some(0), Some(92), &[]),
            (Some(0), Some(93), &["?to"]),
            (Some(1), Some(0), &["?to"]),
        ] {
            let found = refused(|checks| {
                span(from, to).whole(checks);
            });
            assert_eq!(found, want, "{from:?} {to:?}");
        }
    }
}
