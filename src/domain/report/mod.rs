//! Spend reports: grouping, range and arithmetic.
//!
//! Guarantees:
//! - Exact sums. Amounts are added in millionths of their unit ([`money`]); only the sum is rounded
//!   to whole units or written as a decimal.
//! - No overflow: sums saturate.
//! - A report above [`ROWS_MAX`] is refused with advice on how to narrow it. A truncated report
//!   would look complete.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{
    check::Checks,
    span::{FROM_TO, Span},
    words::words,
};
use money::Millionths;

pub mod bottleneck;
pub mod estimate;
pub mod forecast;
pub mod money;
pub mod open_work;
pub mod performance;
pub mod share;
pub mod trend;

/// Most rows of a report returned in one answer.
pub const ROWS_MAX: usize = 10_000;
/// Most rows of a billing export.
pub const EXPORT_ROWS_MAX: usize = 50_000;
/// Longest range of a billing export, in days.
pub const EXPORT_DAYS_MAX: i64 = 92;

words! {
    /// Dimension of a spend report: one row per value.
    pub enum GroupBy {
        /// One row per agent with spend.
        Agent => "agent",
        /// One row per model name, as agents reported it.
        Model => "model",
        /// One row per goal.
        Goal => "goal",
        /// One row per task.
        Task => "task",
        /// One row per project.
        Project => "project",
        /// One row per set of required capabilities.
        Capability => "capability",
        /// One row per calendar day in the report's time zone.
        Day => "day",
    }
}

impl GroupBy {
    /// Whether spend may lack a value in this dimension: a goal without a project, an entry without
    /// a model, a goal or task that was pruned.
    #[must_use]
    pub const fn may_be_none(self) -> bool {
        match self {
            Self::Model | Self::Project | Self::Goal | Self::Task => true,
            Self::Agent | Self::Capability | Self::Day => false,
        }
    }
}

/// Position of a row in its report; the paging cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// First sort key: the money of the row, descending. Constant in reports by day.
    pub rank: Millionths,
    /// Second sort key: prefix of the group's key, plus a digest for long keys.
    pub key: String,
}

/// Both ends of the range of an export. Reports what [`Span::check`] does, a missing end, and a range over
/// [`EXPORT_DAYS_MAX`].
pub fn whole(span: Span, checks: &mut Checks) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    checks.ensure(span.from.is_some(), "?from", "must be given");
    checks.ensure(span.to.is_some(), "?to", "must be given");
    span.check(checks, FROM_TO);
    let (from, to) = (span.from?, span.to?);
    checks.ensure(
        to.signed_duration_since(from) <= TimeDelta::days(EXPORT_DAYS_MAX),
        "?to",
        format!("is more than {EXPORT_DAYS_MAX} days after `from`: export it in parts"),
    );
    Some((from, to))
}

/// Reports an unknown time zone.
pub fn check_time_zone(checks: &mut Checks, at: &str, name: &str) {
    checks.ensure(
        name.parse::<Tz>().is_ok(),
        at,
        "unknown time zone; use an IANA name such as `Europe/Vienna` or `UTC`",
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
    fn an_export_has_both_ends_and_is_not_long() {
        for (from, to, want) in [
            (None, None, ["?from", "?to"].as_slice()),
            (Some(0), None, &["?to"]),
            (Some(0), Some(92), &[]),
            (Some(0), Some(93), &["?to"]),
            (Some(1), Some(0), &["?to"]),
        ] {
            let found = refused(|checks| {
                whole(span(from, to), checks);
            });
            assert_eq!(found, want, "{from:?} {to:?}");
        }
    }
}
