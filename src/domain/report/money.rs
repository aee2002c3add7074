//! Exact sums of spend and their decimal text.
//!
//! A spend entry has whole units and, for money, a fraction in millionths of a unit. [`Millionths`]
//! holds both as one integer, negative for corrections. Outside the program it is text: many JSON
//! parsers read numbers of this size as floats.

use std::{collections::BTreeMap, fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::domain::spend::{Amounts, MONEY};

/// Millionths per unit.
pub const PER_UNIT: i128 = 1_000_000;
/// Decimal places of a millionth of a unit.
const UNIT_PLACES: usize = 6;
/// Decimal places of a millionth of a micro-dollar, in dollars.
const DOLLAR_PLACES: usize = 12;
/// Minimum decimal places of a dollar amount.
const CENTS: usize = 2;

/// An exact amount in millionths of its unit.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Millionths(pub i128);

/// Exact amounts by unit.
pub type Sums = BTreeMap<String, Millionths>;

impl Millionths {
    /// Sums in whole units.
    #[must_use]
    pub fn whole(self) -> i64 {
        clamp(self.0.div_euclid(PER_UNIT))
    }

    /// Exact decimal in units: `12`, `0.5`.
    #[must_use]
    pub fn in_units(self) -> String {
        decimal(self.0, UNIT_PLACES, 0)
    }

    /// Exact decimal in dollars of an amount in micro-dollars, with at least two places:
    /// `47.608895`, `0.10`.
    #[must_use]
    pub fn in_dollars(self) -> String {
        decimal(self.0, DOLLAR_PLACES, CENTS)
    }
}

/// Saturating conversion to `i64`.
#[must_use]
pub fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Sums in whole units.
#[must_use]
pub fn whole(sums: &Sums) -> Amounts {
    sums.iter().map(|(unit, sum)| (unit.clone(), sum.whole())).collect()
}

/// The money among the sums, as an exact decimal in dollars.
#[must_use]
pub fn dollars(sums: &Sums) -> String {
    sums.get(MONEY).copied().unwrap_or_default().in_dollars()
}

/// `value / 10^places` with at least `least` decimal places.
fn decimal(value: i128, places: usize, least: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    let part = format!("{:0<least$}", part.trim_end_matches('0'));
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

impl fmt::Display for Millionths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Millionths {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for Millionths {
    type Error = ParseIntError;

    fn try_from(text: String) -> Result<Self, ParseIntError> {
        text.parse()
    }
}

impl From<Millionths> for String {
    fn from(amount: Millionths) -> Self {
        amount.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dollars_are_exact_and_have_cents() {
        for (millionths, want) in [
            (0, "0.00"),
            (1, "0.000000000001"),
            (47_608_895_000_000, "47.608895"),
            (100_000_000_000, "0.10"),
            (1_000_000_000_000, "1.00"),
            (1_230_000_000_000, "1.23"),
            (-500_000, "-0.0000005"),
            (-1_500_000_000_000, "-1.50"),
            (i128::MAX, "170141183460469231731687303.715884105727"),
        ] {
            assert_eq!(Millionths(millionths).in_dollars(), want);
        }
    }

    #[test]
    fn units_are_exact_and_as_short_as_they_can_be() {
        for (millionths, want) in
            [(0, "0"), (12_000_000, "12"), (10_000_000, "10"), (500_000, "0.5"), (-1, "-0.000001")]
        {
            assert_eq!(Millionths(millionths).in_units(), want);
        }
    }

    #[test]
    fn whole_units_are_rounded_down() {
        for (millionths, want) in [
            (1_999_999, 1),
            (2_000_000, 2),
            (-1, -1),
            (-1_000_000, -1),
            (i128::MAX, i64::MAX),
            (i128::MIN, i64::MIN),
        ] {
            assert_eq!(Millionths(millionths).whole(), want);
        }
    }

    proptest! {
        /// The digits without the point are the number, and the places are those of its unit.
        #[test]
        fn a_decimal_is_the_number(value in any::<i128>(), places in 1_usize..20) {
            let text = decimal(value, places, 0);
            let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
            let digits = format!("{whole}{part:0<places$}");
            prop_assert_eq!(digits.parse::<i128>().unwrap(), value);
            prop_assert!(!part.ends_with('0'));
        }

        #[test]
        fn what_is_written_is_read_again(value in any::<i128>()) {
            let text = serde_json::to_string(&Millionths(value)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Millionths>(&text).unwrap(), Millionths(value));
        }
    }
}
