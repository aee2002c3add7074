//! Shares of counts, with the interval in which the true share lies.

use serde::{Deserialize, Serialize};

use crate::domain::routing::compare::{self, Interval};

/// How many of some, as a share with its 95 % interval (Wilson).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MeasuredShare {
    /// How many.
    #[schema(example = 9, minimum = 0)]
    pub count: i64,
    /// Of how many.
    #[schema(example = 10, minimum = 0)]
    pub of: i64,
    /// The share; `null` of nothing.
    pub share: Option<Interval>,
}

impl MeasuredShare {
    /// The share of `count` in `of`.
    #[must_use]
    pub fn new(count: i64, of: i64) -> Self {
        Self { count, of, share: compare::share(count, of) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(count: i64, of: i64) -> Interval {
        MeasuredShare::new(count, of).share.unwrap()
    }

    /// Values of the formula, computed apart from it.
    #[test]
    fn the_interval_is_that_of_wilson() {
        for (count, of, low, high) in [
            (8, 10, 0.490_162, 0.943_318),
            (0, 10, 0.0, 0.277_533),
            (10, 10, 0.722_467, 1.0),
            (1, 1, 0.206_549, 1.0),
            (50, 100, 0.403_832, 0.596_168),
        ] {
            let found = share(count, of);
            assert!((found.low - low).abs() < 1e-6, "{count} of {of}: {found:?}");
            assert!((found.high - high).abs() < 1e-6, "{count} of {of}: {found:?}");
        }
        assert_eq!(MeasuredShare::new(0, 0).share, None);
    }

    proptest! {
        /// The interval lies between 0 and 1, holds the share, is that of the rest mirrored, and narrows with
        /// more of the same.
        #[test]
        fn the_interval_holds_the_share((count, of) in (1..1_000_000_i64).prop_flat_map(|of| (0..=of, Just(of)))) {
            let found = share(count, of);
            prop_assert_eq!(found.estimate, count as f64 / of as f64);
            prop_assert!(0.0 <= found.low && found.low <= found.estimate, "{:?}", found);
            prop_assert!(found.estimate <= found.high && found.high <= 1.0, "{:?}", found);
            let rest = share(of - count, of);
            prop_assert!((rest.low - (1.0 - found.high)).abs() < 1e-9);
            prop_assert!((rest.high - (1.0 - found.low)).abs() < 1e-9);
            let more = share(count * 4, of * 4);
            prop_assert!(more.high - more.low < found.high - found.low);
        }

        /// Of the true shares within the interval the observed one is no surprise, at its ends just so: the
        /// distance is 1.96 deviations of the true share.
        #[test]
        fn at_its_ends_the_observed_share_is_as_far_as_is_allowed(
            (count, of) in (1..10_000_i64).prop_flat_map(|of| (0..=of, Just(of))),
        ) {
            let found = share(count, of);
            for end in [found.low, found.high] {
                if end > 1e-9 && end < 1.0 - 1e-9 {
                    let deviation = (end * (1.0 - end) / of as f64).sqrt();
                    let distance = (found.estimate - end).abs() / deviation;
                    prop_assert!((distance - 1.96).abs() < 1e-3, "{}", distance);
                }
            }
        }
    }
}
