//! The amount to reserve for an attempt before it starts.
//!
//! For each limited unit above it, the first of: the task's own estimate; the 90th percentile of
//! finished tasks with the same capabilities; the nearest budget's `reserve`; a twentieth of the
//! tightest limit, or its rest. An attempt always reserves one of the unit `attempts`.
//!
//! The first three are about the task, not about one attempt: an attempt after the first asks only for
//! what is left of them. So a task whose estimate fits a limit never waits for the part of it that it
//! has spent itself. A task that has used its estimate up asks for nothing more, unless nothing is left
//! of the limit: its attempt would be told to stop at its first report.
//!
//! A task's own estimate precedes what was learnt. So when the rest of a limit is less than similar
//! tasks usually need, a task with a smaller estimate of its own still starts, and one with a range
//! takes the rest.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

use super::{Range, check_range};
use crate::domain::{
    check::{Checks, pointer},
    number, settings,
    spend::{self, ATTEMPTS},
};

/// Expected spend of an attempt in one unit: a number, reserved in full, or a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Estimate {
    /// Reserved in full, or the attempt does not start.
    Exact(i64),
    /// `want`, or the rest of the limit if that is at least `min`.
    Range(Range),
}

impl Estimate {
    /// As a range.
    #[must_use]
    pub const fn range(self) -> Range {
        match self {
            Self::Exact(amount) => Range { want: amount, min: amount },
            Self::Range(range) => range,
        }
    }
}

impl<'de> Deserialize<'de> for Estimate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// Reads both forms of an estimate, and names them to the author of anything else.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Estimate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or an object with `want` and `min`")
    }

    fn visit_i64<E>(self, amount: i64) -> Result<Estimate, E> {
        Ok(Estimate::Exact(amount))
    }

    fn visit_u64<E: de::Error>(self, amount: u64) -> Result<Estimate, E> {
        let exact = i64::try_from(amount).map(Estimate::Exact);
        exact.map_err(|_| E::invalid_value(Unexpected::Unsigned(amount), &self))
    }

    fn visit_f64<E: de::Error>(self, amount: f64) -> Result<Estimate, E> {
        let exact = number::whole(amount).map(Estimate::Exact);
        exact.ok_or_else(|| E::invalid_type(Unexpected::Float(amount), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Estimate, A::Error> {
        Range::deserialize(MapAccessDeserializer::new(map)).map(Estimate::Range)
    }
}

/// Expected spend by unit.
pub type Estimates = BTreeMap<String, Estimate>;

/// Checks the bounds of estimates.
pub fn check_estimates(checks: &mut Checks, at: &str, estimates: &Estimates) {
    checks.count(at, estimates.len(), 20);
    for (unit, estimate) in estimates {
        let here = pointer(at, unit);
        spend::unit::check_declared(checks, &here, unit);
        match estimate {
            Estimate::Exact(amount) => checks.range(&here, *amount, 0..=settings::AMOUNT_MAX),
            Estimate::Range(range) => check_range(checks, &here, *range),
        }
    }
}

/// The facts from which a reservation in one unit is computed.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The task's own estimates.
    pub estimates: &'a Estimates,
    /// The 90th percentile of finished tasks with the same capabilities, in this unit.
    pub usual: Option<i64>,
    /// The `reserve` entry of the nearest budget for this unit.
    pub policy: Option<Range>,
    /// The smallest limit of this unit above the task.
    pub tightest: i64,
    /// Spend of the task's earlier attempts in this unit, rounded up.
    pub used: i64,
    /// The least room of the enforced limits of this unit above the task; [`i64::MAX`] without one.
    pub left: i64,
}

/// The amount of `unit` that an attempt asks to reserve.
#[must_use]
pub fn ask(unit: &str, known: Known<'_>) -> Range {
    let Known { estimates, usual, policy, tightest, used, left } = known;
    if unit == ATTEMPTS {
        return Range { want: 1, min: 1 };
    }
    let own = estimates.get(unit).map(|estimate| estimate.range());
    let learnt = usual.map(|p90| Range { want: p90, min: p90 });
    if let Some(expected) = own.or(learnt).or(policy) {
        return rest(expected, used, left);
    }
    // At least 1, unless the limit is 0.
    Range { want: tightest / 20 + i64::from(tightest % 20 > 0), min: tightest.min(1) }
}

/// What is left of the expected spend of a task that has used some of it.
fn rest(expected: Range, used: i64, left: i64) -> Range {
    let rest = |amount: i64| amount.saturating_sub(used).max(0);
    let (want, min) = (rest(expected.want), rest(expected.min));
    let least = i64::from(expected.min > 0 && left <= 0);
    Range { want: want.max(least), min: min.max(least) }
}
