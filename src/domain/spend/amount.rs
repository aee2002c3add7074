//! Amounts as they are reported: whole numbers of a unit, or money as decimal text.
//!
//! Many calls cost less than a micro-dollar. So besides `usd_micros` a report may state `usd`: US
//! dollars as decimal text of up to twelve places, kept exactly as whole micro-dollars and millionths
//! of one. The two are one unit, and a report states only one of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::{DOLLARS, FRACTIONS, MONEY, check_unit, is_measured, unit::check_money};
use crate::domain::{
    check::{Checks, pointer},
    price::decimal::{Decimal, DecimalError, PER_ONE},
    settings,
};

/// An amount as reported: a whole number, or a decimal text of dollars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Amount {
    /// A whole number, in any notation.
    Whole(i64),
    /// Any other number, and text.
    Text(String),
}

/// Reported amounts by unit: whole numbers, and `usd` in US dollars.
pub type Reported = BTreeMap<String, Amount>;

/// A JSON value that is neither text nor a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount is a whole number, or for `usd` a decimal text such as \"0.0000004385\"")]
pub struct NotAmount;

impl TryFrom<Value> for Amount {
    type Error = NotAmount;

    fn try_from(value: Value) -> Result<Self, NotAmount> {
        match value {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Number(number) => {
                let whole = || Decimal::from_number(&number).ok()?.exact(0, i64::MAX).ok();
                let whole = number.as_i64().or_else(whole);
                Ok(whole.map_or_else(|| Self::Text(number.to_string()), Self::Whole))
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(NotAmount),
        }
    }
}

impl From<Amount> for Value {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Whole(number) => number.into(),
            Amount::Text(text) => text.into(),
        }
    }
}

impl From<i64> for Amount {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

/// Schema of amounts that agents report.
pub fn schema() -> Object {
    let amount = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::String]))
        .description(Some("A whole number of the unit; under `usd` decimal text."));
    ObjectBuilder::new()
        .additional_properties(Some(amount))
        .description(Some(
            "Amounts by unit, in whole numbers. Money is `usd_micros`, or `usd`: US dollars as decimal \
             text with up to 12 places, kept exactly and counted as `usd_micros`.",
        ))
        .examples([json!({"usd_micros": 1250, "input_tokens": 4100, "output_tokens": 320})])
        .build()
}

/// An exact amount of a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exact {
    /// Whole units.
    pub amount: i64,
    /// Millionths of a unit besides, 0 to 999,999.
    pub fraction: i32,
}

impl Exact {
    /// Whole units.
    #[must_use]
    pub const fn whole(amount: i64) -> Self {
        Self { amount, fraction: 0 }
    }

    /// From millionths; saturates.
    #[must_use]
    pub fn from_millionths(millionths: i128) -> Self {
        let unit = i128::from(FRACTIONS);
        let whole = millionths.div_euclid(unit);
        let most = if whole < 0 { i64::MIN } else { i64::MAX };
        Self {
            amount: i64::try_from(whole).unwrap_or(most),
            fraction: i32::try_from(millionths.rem_euclid(unit)).unwrap_or(0),
        }
    }

    /// In millionths.
    #[must_use]
    pub fn millionths(self) -> i128 {
        i128::from(self.amount) * i128::from(FRACTIONS) + i128::from(self.fraction)
    }
}

impl Amount {
    /// The amount of dollars, in micro-dollars.
    fn dollars(&self) -> Result<Exact, DecimalError> {
        let text = match self {
            Self::Whole(number) => Decimal::parse(&number.to_string()),
            Self::Text(text) => Decimal::parse(text),
        };
        let most = i128::from(settings::AMOUNT_MAX) * i128::from(FRACTIONS);
        text?.exact_wide(PER_ONE, most).map(Exact::from_millionths)
    }
}

/// The stored unit and amount of one reported amount; `None` if it is no amount of its unit.
#[must_use]
pub fn exact<'a>(unit: &'a str, amount: &Amount) -> Option<(&'a str, Exact)> {
    match amount {
        dollars if unit == DOLLARS => Some((MONEY, dollars.dollars().ok()?)),
        Amount::Whole(number) => Some((unit, Exact::whole(*number))),
        Amount::Text(_) => None,
    }
}

/// Whether the report states money itself.
#[must_use]
pub fn states_money(amounts: &Reported) -> bool {
    amounts.contains_key(MONEY) || amounts.contains_key(DOLLARS)
}

/// Reports malformed or measured units, wrong names of money, and what is no amount of its unit.
pub fn check_reported(checks: &mut Checks, at: &str, amounts: &Reported) {
    checks.count(at, amounts.len(), 20);
    for (unit, amount) in amounts {
        let at = pointer(at, unit);
        check_unit(checks, &at, unit);
        check_money(checks, &at, unit);
        let measured = is_measured(unit);
        let detail = "the service measures this unit; leave it out or report another unit";
        checks.ensure(!measured, &at, detail);
        match amount {
            dollars if unit == DOLLARS => {
                if let Err(error) = dollars.dollars() {
                    checks.add(&at, error.to_string());
                }
                let twice = amounts.contains_key(MONEY);
                checks.ensure(!twice, &at, "states the money twice; leave out `usd_micros`");
            }
            Amount::Whole(number) => checks.range(&at, *number, 0..=settings::AMOUNT_MAX),
            Amount::Text(_) => {
                checks.add(&at, "must be a whole number; only `usd` is decimal text");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::report::money::Millionths;

    fn read(value: Value) -> Reported {
        serde_json::from_value(value).unwrap()
    }

    fn faults(value: Value) -> Vec<String> {
        let mut checks = Checks::new();
        check_reported(&mut checks, "/amounts", &read(value));
        checks.finish().err().into_iter().flat_map(|r| r.errors).map(|e| e.pointer).collect()
    }

    fn money(value: Value) -> Option<Exact> {
        exact(DOLLARS, &Amount::try_from(value).unwrap()).map(|(unit, exact)| {
            assert_eq!(unit, MONEY);
            exact
        })
    }

    #[test]
    fn dollars_are_kept_to_the_twelfth_place() {
        for (value, amount, fraction) in [
            (json!("0.0000004385"), 0, 438_500),
            (json!("0.000000000001"), 0, 1),
            (json!("4330.2398585525"), 4_330_239_858, 552_500),
            (json!("12"), 12_000_000, 0),
            (json!(0.25), 250_000, 0),
            (json!(3), 3_000_000, 0),
            (json!("1000000000"), 1_000_000_000_000_000, 0),
            (json!("0.10"), 100_000, 0),
        ] {
            assert_eq!(money(value.clone()), Some(Exact { amount, fraction }), "{value}");
        }
        for bad in ["0.0000000000001", "-1", "1000000000.01", "", "much", "1,5"] {
            assert_eq!(money(json!(bad)), None, "{bad}");
            assert_eq!(faults(json!({"usd": bad})), ["/amounts/usd"], "{bad}");
        }
    }

    #[test]
    fn other_units_are_whole_numbers_in_any_notation() {
        let text = r#"{"a": 5.0, "b": 1e3, "c": 7, "d": 2.50e1}"#;
        let amounts: Reported = serde_json::from_str(text).unwrap();
        let exact: Vec<_> = amounts.iter().map(|(unit, a)| exact(unit, a).unwrap().1).collect();
        assert_eq!(exact, [5, 1_000, 7, 25].map(Exact::whole));
        assert_eq!(faults(serde_json::from_str(text).unwrap()), [""; 0]);
        for bad in
            [json!(1.5), json!("5"), json!(-1), json!(1_000_000_000_000_001_i64), json!(1e300)]
        {
            assert_eq!(faults(json!({"calls": bad})), ["/amounts/calls"]);
        }
        for bad in [json!(null), json!(true), json!([1]), json!({})] {
            assert!(serde_json::from_value::<Reported>(json!({"calls": bad})).is_err());
        }
        assert_eq!(faults(json!({"wall_ms": 1, "A": 1})), ["/amounts/A", "/amounts/wall_ms"]);
    }

    #[test]
    fn money_is_stated_once() {
        assert_eq!(faults(json!({"usd": "1", "usd_micros": 1})), ["/amounts/usd"]);
        assert_eq!(faults(json!({"usd_micro": 5000, "tokens": 3})), ["/amounts/usd_micro"]);
        assert_eq!(faults(json!({"cost_usd": 3})), ["/amounts/cost_usd"]);
        assert!(states_money(&read(json!({"usd": "1"}))) && states_money(&read(json!({MONEY: 1}))));
        assert!(!states_money(&read(json!({"usd_saved": 1}))));
    }

    proptest! {
        /// What is written in dollars is read again as it was.
        #[test]
        fn dollars_come_back(picos in 0..=1_000_000_000_000_000_000_000i128) {
            let text = Millionths(picos).in_dollars();
            let exact = money(json!(text)).unwrap();
            prop_assert_eq!(exact.millionths(), picos);
            prop_assert!((0..1_000_000).contains(&exact.fraction));
        }

        /// However many calls a sum is made of, it is their sum.
        #[test]
        fn sums_are_exact(calls in prop::collection::vec(0..5_000_000i128, 0..200)) {
            let stored = calls.iter().map(|picos| money(json!(Millionths(*picos).in_dollars())).unwrap());
            let (whole, millionths) = stored.fold((0, 0), |(whole, rest), exact| {
                (whole + i128::from(exact.amount), rest + i128::from(exact.fraction))
            });
            prop_assert_eq!(whole * 1_000_000 + millionths, calls.iter().sum::<i128>());
        }
    }
}
