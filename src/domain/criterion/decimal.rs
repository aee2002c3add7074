//! Decimal numbers of metrics: exact, with at most 18 digits on each side of the point.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

/// Most digits before the point, and most after it.
const DIGITS: usize = 18;
/// Units of one.
const ONE: i128 = 1_000_000_000_000_000_000;

/// A decimal number, sent as text: a number of JSON loses digits on its way. A whole or decimal number of JSON is
/// read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^-?[0-9]{1,18}(\\.[0-9]{1,18})?$", example = "0.85")]
pub struct Decimal(i128);

impl Decimal {
    /// Reads digits with an optional sign and point.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (digits, None),
        };
        let fraction = match fraction {
            Some(fraction) => format!("{:0<DIGITS$}", part(fraction)?),
            None => "0".repeat(DIGITS),
        };
        let whole: i128 = part(whole)?.parse().ok()?;
        let fraction: i128 = fraction.parse().ok()?;
        let units = whole * ONE + fraction;
        Some(Self(if negative { -units } else { units }))
    }
}

/// One to 18 digits.
fn part(digits: &str) -> Option<&str> {
    let good = (1..=DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    good.then_some(digits)
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        let one = ONE.unsigned_abs();
        let fraction = format!("{:0>DIGITS$}", units % one);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{fraction}", units / one)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Digits)
    }
}

struct Digits;

impl Digits {
    fn read<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
        let detail = "must be a decimal number with at most 18 digits before and after the point, such as `\"0.85\"`";
        Decimal::parse(text).ok_or_else(|| E::custom(detail))
    }
}

impl Visitor<'_> for Digits {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal number as text, such as `\"0.85\"`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
        self.read(text)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Decimal, E> {
        self.read(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Decimal, E> {
        self.read(&number.to_string())
    }

    // The shortest digits that mean this double: those that were sent.
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Decimal, E> {
        self.read(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(units in -(ONE * ONE - 1)..ONE * ONE) {
            let number = Decimal(units);
            prop_assert_eq!(Decimal::parse(&number.to_string()), Some(number));
            let json = serde_json::to_string(&number).unwrap();
            prop_assert_eq!(serde_json::from_str::<Decimal>(&json).unwrap(), number);
        }

        #[test]
        fn order_is_that_of_numbers(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000) {
            let decimal = |n: i64| {
                let sign = if n < 0 { "-" } else { "" };
                let text = format!("{sign}{}.{:03}", n.abs() / 1000, n.abs() % 1000);
                Decimal::parse(&text).unwrap()
            };
            prop_assert_eq!(decimal(a).cmp(&decimal(b)), a.cmp(&b));
        }

        #[test]
        fn nothing_panics(text in "[-+.0-9e]{0,50}") {
            let _ = Decimal::parse(&text);
        }
    }

    #[test]
    fn numbers_of_json_are_read_by_their_digits() {
        let read = |json: &str| serde_json::from_str::<Decimal>(json).map(|n| n.to_string()).ok();
        for (json, text) in [
            ("0.1", "0.1"),
            ("\"0.10\"", "0.1"),
            ("-3", "-3"),
            ("-0.0", "0"),
            ("\"-0\"", "0"),
            ("2e3", "2000"),
            ("\"999999999999999999.999999999999999999\"", "999999999999999999.999999999999999999"),
        ] {
            assert_eq!(read(json).as_deref(), Some(text), "{json}");
        }
        for bad in [
            "1e40",
            "1e-40",
            "\"1e3\"",
            "\"\"",
            "\".5\"",
            "\"5.\"",
            "\"+1\"",
            "\" 1\"",
            "null",
            "true",
            "1234567890123456789",
            "\"NaN\"",
            "\"0x1\"",
            "\"١\"",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
