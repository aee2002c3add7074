//! Facts about a task or goal, and the judgement of a condition over them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::{Closing, When};
use crate::domain::{
    budget::ask::Estimates,
    loops::{Pattern, same_error},
    spend::Amounts,
    states::FailureClass,
};

/// Use of one limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Share {
    /// Unit of the limit.
    pub unit: String,
    /// The limit.
    pub limit: i64,
    /// Spend against it in its current period.
    pub used: i64,
    /// Start of the current period.
    pub starts_at: DateTime<Utc>,
}

/// Failure of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// Class of the failure.
    pub class: FailureClass,
    /// Message of the reporter.
    pub message: String,
}

/// Facts about a task or goal. Facts that the condition does not read may stay at their defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Its own limits.
    pub shares: Vec<Share>,
    /// Failed and expired attempts.
    pub failures: i64,
    /// The last two failures with a reason, latest first.
    pub last_failures: Vec<Failure>,
    /// Last new report of its running attempt; `None`: no attempt runs.
    pub progressed_at: Option<DateTime<Utc>>,
    /// Deadline.
    pub due: Option<DateTime<Utc>>,
    /// Length of its critical path, in milliseconds.
    pub critical_path_ms: i64,
    /// Spend by unit.
    pub used: Amounts,
    /// Its own estimates.
    pub estimates: Estimates,
    /// Rejected results.
    pub rework: i64,
    /// Subtasks it waits for, ended ones included; 0 when it waits for none.
    pub subtasks: i64,
    /// Required capabilities.
    pub capabilities: Vec<String>,
    /// Loops of its running attempt.
    pub loops: Vec<Pattern>,
    /// Loops ever found in its attempts.
    pub loops_found: i64,
}

/// Finding of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Severity: higher is worse. An answer counts until the measure rises above the answered one.
    pub measure: i64,
    /// Description, for people.
    pub detail: String,
}

impl Finding {
    /// Whether it is worse than `last`, the closing and measure of the rule's last intervention.
    #[must_use]
    pub fn is_news(&self, last: Option<(Closing, i64)>) -> bool {
        last.is_none_or(|(closing, measure)| !closing.is_an_answer() || self.measure > measure)
    }
}

impl When {
    /// Finding of the condition; `None` when it does not hold.
    #[must_use]
    pub fn judge(&self, facts: &Facts, now: DateTime<Utc>) -> Option<Finding> {
        match self {
            Self::BudgetUsed { of: _, percent, unit } => {
                budget_used(facts, *percent, unit.as_deref())
            }
            Self::Failures { count } => {
                let failures = facts.failures;
                found(failures >= *count, failures, || format!("{failures} attempts failed"))
            }
            Self::SameFailure {} => same_failure(facts),
            Self::NoProgress { seconds } => {
                let since = facts.progressed_at?;
                let silent = now - since;
                let text = || format!("no progress for {}", span(silent));
                found(silent >= TimeDelta::seconds(*seconds), since.timestamp_millis(), text)
            }
            Self::DeadlineSlack { below_seconds } => slack(facts, *below_seconds, now),
            Self::CostOverEstimate { percent, unit } => cost(facts, *percent, unit.as_deref()),
            Self::ReworkOver { count } => {
                let rework = facts.rework;
                found(rework > *count, rework, || format!("{rework} results were rejected"))
            }
            Self::SubtasksOver { count } => {
                let subtasks = facts.subtasks;
                found(subtasks > *count, subtasks, || format!("it has {subtasks} subtasks"))
            }
            Self::RiskyCapability { capabilities } => {
                let risky = facts.capabilities.iter().find(|one| capabilities.contains(one))?;
                found(true, 0, || format!("it requires `{risky}`"))
            }
            Self::Looping { patterns } => {
                let wanted = |one: &&Pattern| patterns.is_empty() || patterns.contains(one);
                let pattern = facts.loops.iter().find(wanted)?;
                found(true, facts.loops_found, || format!("its steps repeat: {pattern}"))
            }
        }
    }
}

fn found(holds: bool, measure: i64, detail: impl FnOnce() -> String) -> Option<Finding> {
    holds.then(|| Finding { measure, detail: detail() })
}

/// `part` in percent of `whole`; a positive part of zero saturates.
fn percent_of(part: i64, whole: i64) -> i64 {
    if part <= 0 {
        return 0;
    }
    let percent = (i128::from(part) * 100).checked_div(i128::from(whole.max(0)));
    percent.map_or(i64::MAX, |percent| i64::try_from(percent).unwrap_or(i64::MAX))
}

/// A later period outranks any share of an earlier one, so each period is judged anew.
fn budget_used(facts: &Facts, percent: i64, unit: Option<&str>) -> Option<Finding> {
    let shares = facts.shares.iter().filter(|share| unit.is_none_or(|unit| share.unit == unit));
    let measured = shares.map(|share| (percent_of(share.used, share.limit), share));
    let worst = measured
        .filter(|(used, _)| *used >= percent)
        .max_by_key(|(used, share)| (share.starts_at, *used));
    let (used, share) = worst?;
    let period = share.starts_at.timestamp() / 3600;
    found(true, period * 1_000_000 + used.min(999_999), || {
        format!("{used} % of its limit of {} {} is used", share.limit, share.unit)
    })
}

fn same_failure(facts: &Facts) -> Option<Finding> {
    let [last, before, ..] = facts.last_failures.as_slice() else { return None };
    let same = last.class == before.class && same_error(&last.message, &before.message);
    let said: String = last.message.chars().take(200).collect();
    found(same, facts.failures, || {
        format!("the last two failures are the same: {} {said}", last.class)
    })
}

fn slack(facts: &Facts, below_seconds: i64, now: DateTime<Utc>) -> Option<Finding> {
    let due = facts.due?;
    let path = facts.critical_path_ms;
    // A duration has no `i64::MIN` milliseconds.
    let slack = (due - now).num_milliseconds().saturating_sub(path).max(-i64::MAX);
    let late = slack < below_seconds.saturating_mul(1_000);
    let [left, path] = [slack, path].map(|ms| span(TimeDelta::milliseconds(ms)));
    found(late, slack.saturating_neg() / 1_000, || {
        format!("its slack is {left}: the remaining work takes at least {path}")
    })
}

fn cost(facts: &Facts, percent: i64, unit: Option<&str>) -> Option<Finding> {
    let estimates =
        facts.estimates.iter().filter(|(name, _)| unit.is_none_or(|unit| *name == unit));
    let over = estimates.filter_map(|(name, estimate)| {
        let (used, want) = (facts.used.get(name).copied()?, estimate.range().want);
        let over = i128::from(used) * 100 > i128::from(want) * i128::from(percent);
        over.then(|| (percent_of(used, want), name, used, want))
    });
    let (share, name, used, want) = over.max()?;
    found(true, share, || format!("it used {used} {name}; {want} were expected"))
}

/// A duration, for people.
fn span(length: TimeDelta) -> String {
    let seconds = length.num_seconds();
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    match seconds {
        0..120 => format!("{sign}{seconds} s"),
        120..7_200 => format!("{sign}{} min", seconds / 60),
        7_200.. => format!("{sign}{} h", seconds / 3_600),
    }
}
