//! The amount to reserve for an attempt before it starts.
//!
//! For each limited unit above it, the first of: the task's own estimate; the 90th percentile of
//! finished tasks with the same capabilities; the nearest budget's `reserve`; a twentieth of the
//! tightest limit, or its rest. An attempt always reserves one of the unit `attempts`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Range, check_range};
use crate::domain::{
    check::{Checks, pointer},
    settings,
    spend::{self, ATTEMPTS},
};

/// Expected spend of an attempt in one unit: a number, reserved in full, or a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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

/// Expected spend by unit.
pub type Estimates = BTreeMap<String, Estimate>;

/// Checks the bounds of estimates.
pub fn check_estimates(checks: &mut Checks, at: &str, estimates: &Estimates) {
    checks.count(at, estimates.len(), 20);
    for (unit, estimate) in estimates {
        let here = pointer(at, unit);
        spend::check_unit(checks, &here, unit);
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
}

/// The amount of `unit` that an attempt asks to reserve.
#[must_use]
pub fn ask(unit: &str, known: Known<'_>) -> Range {
    let Known { estimates, usual, policy, tightest } = known;
    if unit == ATTEMPTS {
        return Range { want: 1, min: 1 };
    }
    if let Some(estimate) = estimates.get(unit) {
        return estimate.range();
    }
    if let Some(p90) = usual {
        return Range { want: p90, min: p90 };
    }
    if let Some(range) = policy {
        return range;
    }
    // At least 1, unless the limit is 0.
    Range { want: tightest / 20 + i64::from(tightest % 20 > 0), min: tightest.min(1) }
}
