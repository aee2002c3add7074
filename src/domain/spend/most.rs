//! The largest total of spend, and what may be added to a total or taken from it.
//!
//! No total may pass [`TOTAL_MAX`]: a number that stops at its end no longer equals the sum of its
//! entries, and no later correction mends it. One entry is bounded by
//! [`settings::AMOUNT_MAX`](crate::domain::settings::AMOUNT_MAX), a thousandth of that, so only
//! invented amounts get there. Millionths need no bound: each entry adds less than one unit of them,
//! and nine million million entries would be needed.
//!
//! A total that many transactions raise is stored in [`PARTS`] parts. A part that would pass
//! [`PART_MAX`] is levelled with the others, so a total is refused only if it would truly pass the
//! most, and never because one part was hit more often.

use std::fmt::Display;

use super::{FRACTIONS, UnitSpend};
use crate::domain::refusal::{Code, Refusal};

/// Largest total of a node, an attempt or a limit in one unit.
pub const TOTAL_MAX: i64 = 1_000_000_000_000_000_000;
/// Number of parts of a total.
pub const PARTS: usize = 8;
/// Largest part of a total that is not levelled with the others.
pub const PART_MAX: i64 = TOTAL_MAX / PARTS as i64;

/// The amount that still fits into a total.
#[must_use]
pub fn room(total: i128) -> i64 {
    let room = i128::from(TOTAL_MAX) - total;
    i64::try_from(room.clamp(0, i128::from(TOTAL_MAX))).unwrap_or(TOTAL_MAX)
}

/// The parts of a total after `rise`, as equal as can be. Each is at most [`PART_MAX`].
///
/// # Errors
/// The amount that still fits, if `rise` does not.
pub fn level(parts: &[i64; PARTS], rise: i64) -> Result<[i64; PARTS], i64> {
    let total: i128 = parts.iter().copied().map(i128::from).sum();
    let after = total + i128::from(rise);
    if rise > 0 && after > i128::from(TOTAL_MAX) {
        return Err(room(total));
    }
    let count = PARTS as i128;
    let (each, more) = (after.div_euclid(count), after.rem_euclid(count));
    let mut level = [0; PARTS];
    for (part, index) in level.iter_mut().zip(0..) {
        *part = i64::try_from(each + i128::from(index < more)).unwrap_or(i64::MAX);
    }
    Ok(level)
}

/// Whether the spend of an attempt stays at zero or above when `amount` is added.
///
/// # Errors
/// The most that can be taken, in whole units.
pub fn correct(spend: UnitSpend, amount: i64) -> Result<(), i64> {
    let left = millionths(spend);
    if left + i128::from(amount) * i128::from(FRACTIONS) >= 0 || amount >= 0 {
        return Ok(());
    }
    let most = left.max(0) / i128::from(FRACTIONS);
    Err(i64::try_from(most).unwrap_or(i64::MAX))
}

/// The spend of an attempt in millionths of the unit.
#[must_use]
pub fn millionths(spend: UnitSpend) -> i128 {
    let whole = i128::from(spend.entries) + i128::from(spend.reported);
    whole * i128::from(FRACTIONS) + i128::from(spend.fraction)
}

/// The refusal of spend that would take a total past [`TOTAL_MAX`].
#[must_use]
pub fn beyond(whose: impl Display, unit: &str, fits: i64) -> Refusal {
    Refusal::new(
        Code::Invalid,
        format!(
            "the total of `{unit}` of the {whose} would pass {TOTAL_MAX}, the most that is counted; at \
             most {fits} of it fits. Nothing was stored. Report an amount that fits, or let an operator \
             correct wrong spend with `POST /v1/attempts/{{attempt_id}}/spend/corrections`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts() -> impl Strategy<Value = [i64; PARTS]> {
        let part = prop_oneof![0..=PART_MAX, PART_MAX - 5..=PART_MAX, -1_000..1_000i64];
        prop::array::uniform8(part)
    }

    fn sum(parts: &[i64; PARTS]) -> i128 {
        parts.iter().copied().map(i128::from).sum()
    }

    proptest! {
        /// Levelling changes the total by the rise exactly, and leaves room in every part that the
        /// total has.
        #[test]
        fn levelling_adds_the_rise_and_nothing_else(
            parts in parts(), rise in prop_oneof![Just(1), 0..=TOTAL_MAX, -1_000..0i64],
        ) {
            let before = sum(&parts);
            match level(&parts, rise) {
                Ok(level) => {
                    prop_assert_eq!(sum(&level), before + i128::from(rise));
                    let (most, least) = (level.iter().max(), level.iter().min());
                    prop_assert!(most.unwrap() - least.unwrap() <= 1);
                    prop_assert!(sum(&level) > i128::from(TOTAL_MAX) || *most.unwrap() <= PART_MAX);
                }
                Err(fits) => {
                    prop_assert!(rise > fits);
                    prop_assert_eq!(before + i128::from(fits), i128::from(TOTAL_MAX));
                    prop_assert!(level(&parts, fits).is_ok());
                }
            }
        }

        /// Any sequence of rises keeps every part, and their sum, far from the ends of 64 bits.
        #[test]
        fn no_sequence_of_rises_reaches_the_end(
            rises in prop::collection::vec((0..PARTS, 1..=PART_MAX), 1..200),
        ) {
            let mut parts = [0; PARTS];
            let mut total = 0i128;
            for (slot, rise) in rises {
                if parts[slot] <= PART_MAX - rise {
                    parts[slot] += rise;
                    total += i128::from(rise);
                } else if let Ok(levelled) = level(&parts, rise) {
                    parts = levelled;
                    total += i128::from(rise);
                } else {
                    prop_assert!(total + i128::from(rise) > i128::from(TOTAL_MAX));
                }
                prop_assert_eq!(sum(&parts), total);
                prop_assert!(total <= i128::from(TOTAL_MAX));
            }
        }

        #[test]
        fn a_correction_takes_at_most_what_is_there(
            entries in -10i64..1_000, reported in 10i64..1_000, fraction in 0i64..3_000_000,
            amount in -5_000i64..5_000,
        ) {
            let spend = UnitSpend { entries, reported, fraction, reported_fraction: 0 };
            let after = millionths(UnitSpend { entries: entries + amount, ..spend });
            match correct(spend, amount) {
                Ok(()) => prop_assert!(after >= 0),
                Err(most) => {
                    prop_assert!(after < 0 && most < -amount);
                    prop_assert_eq!(correct(spend, -most), Ok(()));
                    prop_assert!(correct(spend, -most - 1).is_err());
                }
            }
        }
    }

    #[test]
    fn a_total_at_its_end_still_can_be_lowered() {
        let parts = [i64::MAX; PARTS];
        assert_eq!(level(&parts, 1), Err(0));
        assert!(level(&parts, -5).is_ok());
        let most = i64::MAX;
        let spend =
            UnitSpend { entries: most, reported: most, fraction: most, reported_fraction: most };
        assert_eq!(correct(spend, i64::MIN), Ok(()));
    }
}
