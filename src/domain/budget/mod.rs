//! Budgets: what is limited, for how long, and what follows when it is used up.
//!
//! A budget belongs to one node and has limits, each in one unit and one period. What an attempt may
//! use is set aside from every limit above it before it starts ([`ledger`]), so no limit is exceeded
//! by admission, whatever happens at the same time.
//!
//! A period is a window of time in the budget's time zone. A new window is a new row, nothing is ever
//! set back: an attempt reserves and settles in the window in which it was started.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{
    check::{Checks, pointer},
    settings, spend,
    words::words,
};

pub mod ask;
pub mod ledger;
pub mod standing;
#[cfg(test)]
mod tests;

words! {
    /// What a budget limits, from what few share to what all share: the order in which limits are
    /// locked, so that those that many wait for are held for the shortest time.
    pub enum BudgetNode {
        /// One task, over all its attempts.
        Task => "task",
        /// An agent: everything that it works on.
        Agent => "agent",
        /// A goal: all its tasks.
        Goal => "goal",
        /// A project: all its goals.
        Project => "project",
        /// The whole workspace.
        Workspace => "workspace",
    }
}

impl BudgetNode {
    /// Its place in that order: 0 to 4.
    #[must_use]
    pub const fn depth(self) -> i16 {
        match self {
            Self::Task => 0,
            Self::Agent => 1,
            Self::Goal => 2,
            Self::Project => 3,
            Self::Workspace => 4,
        }
    }
}

words! {
    /// How long a limit counts before it begins anew.
    pub enum Period {
        /// For ever.
        Lifetime => "lifetime",
        /// From midnight to midnight in the budget's time zone.
        Day => "day",
        /// From Monday to Monday.
        Week => "week",
        /// From the first of a month to the first of the next.
        Month => "month",
    }
}

words! {
    /// What becomes of tasks that a budget cannot fund any more.
    pub enum OnExhausted {
        /// They are parked, and people are asked once to raise the limit.
        ParkAndAsk => "park_and_ask",
        /// They are parked until there is room again.
        Park => "park",
        /// They are cancelled, and what needs them with them.
        Stop => "stop",
        /// Nothing: the limit refuses nothing, it only tells.
        Notify => "notify",
    }
}

words! {
    /// What money tokens cost when their model has no price.
    pub enum UnknownModel {
        /// Under a limit of money: the attempt is told to stop until there is a price. Otherwise
        /// nothing is charged.
        Refuse => "refuse",
        /// As much as the dearest model of the price book.
        AssumeMax => "assume_max",
        /// Nothing.
        Zero => "zero",
    }
}

/// A time of a limit: from `starts_at` to before `ends_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its beginning; for a lifetime the epoch.
    pub starts_at: DateTime<Utc>,
    /// Its end; none: it never ends.
    pub ends_at: Option<DateTime<Utc>>,
}

impl Period {
    /// The window that holds the instant `at`, where it is counted in the time zone `zone`.
    #[must_use]
    pub fn window(self, zone: Tz, at: DateTime<Utc>) -> Window {
        let day = at.with_timezone(&zone).date_naive();
        let first = match self {
            Self::Lifetime => return Window { starts_at: DateTime::UNIX_EPOCH, ends_at: None },
            Self::Day => Some(day),
            Self::Week => {
                day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into()))
            }
            Self::Month => day.with_day(1),
        };
        let next = first.and_then(|first| match self {
            Self::Lifetime => None,
            Self::Day => first.checked_add_days(Days::new(1)),
            Self::Week => first.checked_add_days(Days::new(7)),
            Self::Month => first.checked_add_months(Months::new(1)),
        });
        Window {
            starts_at: first.map_or(DateTime::UNIX_EPOCH, |first| beginning(zone, first)),
            ends_at: next.map(|next| beginning(zone, next)),
        }
    }
}

/// The first instant of a day. Where the clocks skip midnight, the day begins when they go on.
fn beginning(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    let midnight = day.and_time(chrono::NaiveTime::MIN);
    let first = (0..=24 * 4).find_map(|quarters| {
        let local = midnight + chrono::TimeDelta::minutes(15 * quarters);
        zone.from_local_datetime(&local).earliest()
    });
    first.map_or_else(|| midnight.and_utc(), |first| first.with_timezone(&Utc))
}

/// How much of a unit may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitSpec {
    /// `usd_micros`, `input_tokens`, `output_tokens`, `wall_ms` and `attempts` (both measured by the
    /// service), `tool_calls`, `gpu_ms` or a name of your own.
    #[schema(example = "usd_micros", min_length = 1, max_length = 40)]
    pub unit: String,
    /// For how long it counts; default: for ever.
    #[serde(default = "lifetime")]
    pub period: Period,
    /// The limit, in the unit. 0: nothing of it.
    #[schema(example = 5_000_000, minimum = 0)]
    pub amount: i64,
}

fn lifetime() -> Period {
    Period::Lifetime
}

/// What is set aside for a task: as much as `want`, but less when less is left, down to `min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// As much as is expected.
    #[schema(minimum = 0, example = 250_000)]
    pub want: i64,
    /// With less it is not worth starting.
    #[schema(minimum = 0, example = 50_000)]
    pub min: i64,
}

/// What a budget is made of: given with a goal, or for any node by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// Its limits, one for each unit and period; at most 50.
    pub limits: Vec<LimitSpec>,
    /// Where its days, weeks and months begin: an IANA name. Default `UTC`; cannot be changed later.
    #[serde(default = "utc")]
    #[schema(example = "Europe/Vienna", default = "UTC")]
    pub time_zone: String,
    /// What becomes of tasks that it cannot fund.
    #[serde(default = "park_and_ask")]
    pub on_exhausted: OnExhausted,
    /// Thresholds in percent, rising. Each is told by the event `budget.threshold`, once for every
    /// version of a limit and period.
    #[serde(default = "warnings")]
    #[schema(default = json!([50, 80, 100]))]
    pub warn_percent: Vec<i16>,
    /// Only of a goal: its whole limits, which must be for its lifetime, are set aside from the
    /// project and the workspace when it begins. Its claims then depend on its own limits alone.
    #[serde(default)]
    pub allocated: bool,
    /// What a task reserves of a unit when it has no estimate and nothing is known of tasks like
    /// it. The budget nearest to the task that says something counts; when none does, a twentieth
    /// of the tightest limit, or what is left.
    #[serde(default)]
    pub reserve: BTreeMap<String, Range>,
    /// What money tokens cost when their model has no price.
    #[serde(default = "refuse")]
    pub unknown_model: UnknownModel,
}

fn utc() -> String {
    "UTC".to_owned()
}
fn park_and_ask() -> OnExhausted {
    OnExhausted::ParkAndAsk
}
fn warnings() -> Vec<i16> {
    vec![50, 80, 100]
}
fn refuse() -> UnknownModel {
    UnknownModel::Refuse
}

/// What a limit that is used up is proposed to be raised to: half as much again, or what is used, set
/// aside and needed by those who wait, if that is more.
#[must_use]
pub fn raised(amount: i64, used: i64, reserved: i64, needed: i64) -> i64 {
    let taken = used.saturating_add(reserved).saturating_add(needed);
    amount.saturating_add(amount / 2).max(taken)
}

/// Most limits of a budget.
pub const LIMITS_MAX: usize = 50;

impl BudgetSpec {
    /// Notes everything that is wrong with the budget of a `node`.
    pub fn check(&self, checks: &mut Checks, at: &str, node: BudgetNode) {
        check_limits(checks, &pointer(at, "limits"), &self.limits);
        checks.ensure(
            self.time_zone.parse::<Tz>().is_ok(),
            &pointer(at, "time_zone"),
            "is no time zone; use an IANA name such as `Europe/Vienna` or `UTC`",
        );
        check_thresholds(checks, &pointer(at, "warn_percent"), &self.warn_percent);
        check_reserve(checks, &pointer(at, "reserve"), &self.reserve);
        if !self.allocated {
            return;
        }
        let here = pointer(at, "allocated");
        checks.ensure(node == BudgetNode::Goal, &here, "only the budget of a goal is allocated");
        checks.ensure(
            self.limits.iter().all(|limit| limit.period == Period::Lifetime),
            &here,
            "what is set aside is the limit of the goal's lifetime; give limits of no other period",
        );
    }
}

/// Notes limits out of bounds, and two for the same unit and period.
pub fn check_limits(checks: &mut Checks, at: &str, limits: &[LimitSpec]) {
    checks.count(at, limits.len(), LIMITS_MAX);
    let mut seen = BTreeSet::new();
    for (index, limit) in limits.iter().enumerate().take(LIMITS_MAX) {
        let here = pointer(at, index);
        spend::check_unit(checks, &pointer(&here, "unit"), &limit.unit);
        checks.range(&pointer(&here, "amount"), limit.amount, 0..=settings::AMOUNT_MAX);
        checks.ensure(
            seen.insert((&limit.unit, limit.period)),
            &here,
            "there is another limit for this unit and period",
        );
    }
}

/// Notes thresholds that do not rise or are out of bounds.
pub fn check_thresholds(checks: &mut Checks, at: &str, percents: &[i16]) {
    checks.count(at, percents.len(), 10);
    for (index, percent) in percents.iter().enumerate() {
        checks.range(&pointer(at, index), *percent, 1..=1000);
    }
    checks.ensure(percents.windows(2).all(|pair| pair[0] < pair[1]), at, "must rise");
}

/// Notes what cannot be reserved.
pub fn check_reserve(checks: &mut Checks, at: &str, reserve: &BTreeMap<String, Range>) {
    checks.count(at, reserve.len(), 20);
    for (unit, range) in reserve {
        let here = pointer(at, unit);
        spend::check_unit(checks, &here, unit);
        check_range(checks, &here, *range);
    }
}

/// Notes a range out of bounds.
pub fn check_range(checks: &mut Checks, at: &str, range: Range) {
    let Range { want, min } = range;
    checks.range(&pointer(at, "want"), want, 0..=settings::AMOUNT_MAX);
    checks.range(&pointer(at, "min"), min, 0..=settings::AMOUNT_MAX);
    checks.ensure(min <= want, &pointer(at, "min"), "is more than is wanted");
}
