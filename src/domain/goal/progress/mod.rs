//! Progress of a goal: how much is done, what is left, when it may end, and who holds it up.
//!
//! - [`weight`]: the percentage. Exact, kept with the counters of the goal.
//! - [`left`]: the longest path and the work left, computed for a goal that changed.
//! - [`eta`]: the time at which the goal may be done, from what is left and the agents online.

pub mod eta;
pub mod left;
pub mod weight;

use serde::{Deserialize, Serialize};

use crate::domain::spend::measured::Quantiles;

/// A duration in milliseconds with its spread: one in ten is shorter than `p10`, half are shorter than
/// `p50`, nine in ten are shorter than `p90`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Band {
    /// Tenth percentile.
    #[schema(example = 540_000, minimum = 0)]
    pub p10: i64,
    /// Median.
    #[schema(example = 900_000, minimum = 0)]
    pub p50: i64,
    /// 90th percentile.
    #[schema(example = 2_400_000, minimum = 0)]
    pub p90: i64,
}

impl Band {
    /// The same value thrice.
    #[must_use]
    pub const fn exact(value: i64) -> Self {
        Self { p10: value, p50: value, p90: value }
    }

    /// The spread that was measured.
    #[must_use]
    pub const fn of(measured: &Quantiles) -> Self {
        let Quantiles { p10, p50, p90, tasks: _ } = *measured;
        Self { p10, p50, p90 }
    }

    /// Each of the three values from those of both. Saturating sums keep every value in range.
    #[must_use]
    pub fn with(self, other: Self, of: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            p10: of(self.p10, other.p10),
            p50: of(self.p50, other.p50),
            p90: of(self.p90, other.p90),
        }
    }

    /// Sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, i64::saturating_add)
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.with(other, i64::max)
    }

    /// What is left after some time, never below zero.
    #[must_use]
    pub fn less(self, elapsed: i64) -> Self {
        self.with(Self::exact(elapsed.max(0)), |whole, gone| whole.saturating_sub(gone).max(0))
    }

    /// Divided by a number of parts, rounded up.
    #[must_use]
    pub fn shared(self, parts: i64) -> Self {
        let parts = parts.max(1);
        self.with(Self::exact(parts), |whole, parts| whole / parts + i64::from(whole % parts > 0))
    }
}
