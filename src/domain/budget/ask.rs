//! How much is set aside for an attempt before it starts.
//!
//! For each unit that is limited above it: the task's own estimate; else what nine of ten tasks like
//! it stayed within; else what the nearest budget says; else a twentieth of the tightest limit, or
//! what is left of it. An attempt counts as one of the unit `attempts`, whatever was estimated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Range, check_range};
use crate::domain::{
    check::{Checks, pointer},
    settings,
    spend::{self, ATTEMPTS},
};

/// Expected spend in one unit: a plain number that must be there as a whole, or a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Estimate {
    /// So much, or the task is not started.
    Exact(i64),
    /// As much as `want`, but less when less is left, down to `min`.
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

/// Notes estimates out of bounds.
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

/// What is known when a reservation is made.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The task's own estimates.
    pub estimates: &'a Estimates,
    /// What nine of ten tasks with the same capabilities stayed within, in this unit.
    pub usual: Option<i64>,
    /// What the nearest budget says of this unit.
    pub policy: Option<Range>,
    /// The smallest limit of this unit above the task.
    pub tightest: i64,
}

/// What an attempt asks of a unit.
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
    // Something at least, unless nothing is allowed: then nothing is what it may use.
    Range { want: tightest / 20 + i64::from(tightest % 20 > 0), min: tightest.min(1) }
}
