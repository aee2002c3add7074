//! Budgets: limits on a node, their periods, and the effect of exhaustion.
//!
//! A budget belongs to one node and has limits, each in one unit and one period. Before an attempt
//! starts, its expected spend is reserved from every limit above it ([`ledger`]). So admission never
//! exceeds a limit, even under concurrency.
//!
//! A period is a window of time in the budget's time zone. A new window is a new row and no row is
//! reset: an attempt reserves and settles in the window in which it started.

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
pub mod lineage;
pub mod shown;
pub mod standing;
#[cfg(test)]
mod tests;

words! {
    /// The node that a budget limits: a task over all its attempts, an agent over all its attempts, a
    /// goal over all its tasks, a project over all its goals, or the workspace.
    // From least to most shared. Limits are locked in this order, so the contended ones are held for
    // the shortest time.
    pub enum BudgetNode {
        /// One task, over all its attempts.
        Task => "task",
        /// One agent, over all its attempts.
        Agent => "agent",
        /// One goal, over all its tasks.
        Goal => "goal",
        /// One project, over all its goals.
        Project => "project",
        /// The whole workspace.
        Workspace => "workspace",
    }
}

impl BudgetNode {
    /// Its position in the order of locks: 0 (task) to 4 (workspace).
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
    /// The period of a limit: `lifetime` never renews; `day` (from midnight), `week` (from Monday) and
    /// `month` (from the first) renew in the budget's time zone.
    pub enum Period {
        /// Never renews.
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
    /// The effect on tasks that the budget cannot fund. `park_and_ask`: they are parked and one
    /// approval asks to raise the limit; `park`: they are parked until there is room; `stop`: they are
    /// cancelled, with the tasks that need them; `notify`: none, the limit only reports.
    pub enum OnExhausted {
        /// Parks them and asks people once to raise the limit.
        ParkAndAsk => "park_and_ask",
        /// Parks them until there is room.
        Park => "park",
        /// Cancels them, and the tasks that need them.
        Stop => "stop",
        /// No effect: the limit refuses nothing and only reports.
        Notify => "notify",
    }
}

words! {
    /// The cost in money of tokens whose model has no price. `refuse`: none is charged, and under a
    /// limit in `usd_micros` the attempt gets the directive `stop` until there is a price;
    /// `assume_max`: as the most expensive model of the price book; `zero`: none.
    pub enum UnknownModel {
        /// Charges nothing; under a limit in money the attempt must stop until there is a price.
        Refuse => "refuse",
        /// Charges as the most expensive model of the price book.
        AssumeMax => "assume_max",
        /// Charges nothing.
        Zero => "zero",
    }
}

/// One window of a limit: from `starts_at` to before `ends_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its start; for a lifetime the epoch.
    pub starts_at: DateTime<Utc>,
    /// Its end; `None`: it never ends.
    pub ends_at: Option<DateTime<Utc>>,
}

impl Period {
    /// The window around the time `at`, in the time zone `zone`.
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

/// The first instant of a day. If a clock change skips midnight, the first time after it.
fn beginning(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    let midnight = day.and_time(chrono::NaiveTime::MIN);
    let first = (0..=24 * 4).find_map(|quarters| {
        let local = midnight + chrono::TimeDelta::minutes(15 * quarters);
        zone.from_local_datetime(&local).earliest()
    });
    first.map_or_else(|| midnight.and_utc(), |first| first.with_timezone(&Utc))
}

/// One limit of a budget: an amount of one unit per period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitSpec {
    /// `usd_micros`, `input_tokens`, `output_tokens`, `wall_ms` and `attempts` (both measured by the
    /// service), `tool_calls`, `gpu_ms` or a name of your own.
    #[schema(example = "usd_micros", min_length = 1, max_length = 40)]
    pub unit: String,
    /// The period after which the limit renews; default `lifetime`: never.
    #[serde(default = "lifetime")]
    pub period: Period,
    /// The most that may be used per period, in the unit. 0: none.
    #[schema(example = 5_000_000, minimum = 0)]
    pub amount: i64,
}

fn lifetime() -> Period {
    Period::Lifetime
}

/// The amount of one unit to reserve for an attempt: `want`, or the rest of the limit if that is at
/// least `min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The expected amount, in the unit.
    #[schema(minimum = 0, example = 250_000)]
    pub want: i64,
    /// The least amount with which an attempt starts, at most `want`.
    #[schema(minimum = 0, example = 50_000)]
    pub min: i64,
}

/// Amounts to reserve, by unit.
pub type Ranges = BTreeMap<String, Range>;

/// The settings of a budget: given with a goal or task, or for any node by an operator, who may change
/// them later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// Its limits, at most 50, one per unit and period.
    pub limits: Vec<LimitSpec>,
    /// The time zone of its days, weeks and months: an IANA name. Default `UTC`; never changes.
    #[serde(default = "utc")]
    #[schema(example = "Europe/Vienna", default = "UTC")]
    pub time_zone: String,
    /// The effect on tasks that it cannot fund. Default `park_and_ask`.
    #[serde(default = "park_and_ask")]
    pub on_exhausted: OnExhausted,
    /// Rising thresholds in percent of each limit, at most 10. Passing one raises the event
    /// `budget.threshold`, once per period and version of the limit.
    #[serde(default = "warnings")]
    #[schema(default = json!([50, 80, 100]))]
    pub warn_percent: Vec<i16>,
    /// For a goal with lifetime limits only: reserves its whole limits from the project and the
    /// workspace when the goal starts. Its claims then depend on its own limits alone. Default false.
    #[serde(default)]
    pub allocated: bool,
    /// What a task is expected to use per unit if it has no estimate and no similar task has finished;
    /// its first attempt reserves all of it, a later one what is left of it. The nearest budget with an entry counts; without one, a twentieth of the tightest limit, or
    /// its rest.
    #[serde(default)]
    pub reserve: BTreeMap<String, Range>,
    /// The cost in money of tokens whose model has no price. Default `refuse`.
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

/// The raise proposed for an exhausted limit: to one and a half times its amount, or to the sum of the
/// used, reserved and needed amounts if that is more.
#[must_use]
pub fn raised(amount: i64, used: i64, reserved: i64, needed: i64) -> i64 {
    let taken = used.saturating_add(reserved).saturating_add(needed);
    amount.saturating_add(amount / 2).max(taken)
}

/// The most limits of a budget.
pub const LIMITS_MAX: usize = 50;

impl BudgetSpec {
    /// Checks the budget of a `node`.
    pub fn check(&self, checks: &mut Checks, at: &str, node: BudgetNode) {
        check_limits(checks, &pointer(at, "limits"), &self.limits);
        checks.ensure(
            self.time_zone.parse::<Tz>().is_ok(),
            &pointer(at, "time_zone"),
            "must be an IANA time zone such as `Europe/Vienna` or `UTC`",
        );
        check_thresholds(checks, &pointer(at, "warn_percent"), &self.warn_percent);
        check_reserve(checks, &pointer(at, "reserve"), &self.reserve);
        if !self.allocated {
            return;
        }
        let here = pointer(at, "allocated");
        checks.ensure(node == BudgetNode::Goal, &here, "is only for the budget of a goal");
        let lifetime = self.limits.iter().all(|limit| limit.period == Period::Lifetime);
        checks.ensure(lifetime, &here, "needs limits of the period `lifetime` only");
    }
}

/// Checks limits: their bounds, and that each unit and period occurs once.
pub fn check_limits(checks: &mut Checks, at: &str, limits: &[LimitSpec]) {
    checks.count(at, limits.len(), LIMITS_MAX);
    let mut seen = BTreeSet::new();
    for (index, limit) in limits.iter().enumerate().take(LIMITS_MAX) {
        let here = pointer(at, index);
        spend::unit::check_declared(checks, &pointer(&here, "unit"), &limit.unit);
        checks.range(&pointer(&here, "amount"), limit.amount, 0..=settings::AMOUNT_MAX);
        checks.ensure(
            seen.insert((&limit.unit, limit.period)),
            &here,
            "another limit has this unit and period",
        );
    }
}

/// Checks thresholds: their bounds, and that they rise.
pub fn check_thresholds(checks: &mut Checks, at: &str, percents: &[i16]) {
    checks.count(at, percents.len(), 10);
    for (index, percent) in percents.iter().enumerate() {
        checks.range(&pointer(at, index), *percent, 1..=1000);
    }
    checks.ensure(percents.windows(2).all(|pair| pair[0] < pair[1]), at, "must rise");
}

/// Checks the amounts to reserve by unit.
pub fn check_reserve(checks: &mut Checks, at: &str, reserve: &BTreeMap<String, Range>) {
    checks.count(at, reserve.len(), 20);
    for (unit, range) in reserve {
        let here = pointer(at, unit);
        spend::unit::check_declared(checks, &here, unit);
        check_range(checks, &here, *range);
    }
}

/// Checks the bounds of a range.
pub fn check_range(checks: &mut Checks, at: &str, range: Range) {
    let Range { want, min } = range;
    checks.range(&pointer(at, "want"), want, 0..=settings::AMOUNT_MAX);
    checks.range(&pointer(at, "min"), min, 0..=settings::AMOUNT_MAX);
    checks.ensure(min <= want, &pointer(at, "min"), "is more than `want`");
}
