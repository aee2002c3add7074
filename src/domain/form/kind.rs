//! The kind of a field, derived from its keywords in one place, so that the check of a form and the
//! check of an answer agree.

use std::cmp::Ordering;

use serde_json::Number;

use super::{Field, FieldType, Format};

/// The kind of a field, with its bounds or values.
#[derive(Debug)]
pub(super) enum Kind<'f> {
    /// Free text.
    Text { least: Option<u64>, most: Option<u64>, format: Option<Format> },
    /// A number.
    Number(Bounds<'f>),
    /// A whole number.
    Integer(Bounds<'f>),
    /// Yes or no.
    Boolean,
    /// One of the values.
    One { values: Vec<&'f str> },
    /// Some of the values.
    Some { values: Vec<&'f str>, least: Option<u64>, most: Option<u64> },
}

/// The least and the greatest of a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'f> {
    pub(super) least: Option<&'f Number>,
    pub(super) most: Option<&'f Number>,
}

impl Bounds<'_> {
    /// Whether a whole number lies within the bounds.
    pub(super) fn hold_a_whole_number(self) -> bool {
        let (Some(least), Some(most)) = (self.least, self.most) else { return true };
        match order(least, most) {
            Ordering::Greater => false,
            Ordering::Equal => is_whole(least),
            // Neither bound is whole, so both are small enough for exact rounding.
            Ordering::Less if is_whole(least) || is_whole(most) => true,
            Ordering::Less => float(least).ceil() <= float(most).floor(),
        }
    }
}

impl Field {
    /// Its kind.
    pub(super) fn asks(&self) -> Kind<'_> {
        let bounds = Bounds { least: self.minimum.as_ref(), most: self.maximum.as_ref() };
        match self.kind {
            FieldType::Number => Kind::Number(bounds),
            FieldType::Integer => Kind::Integer(bounds),
            FieldType::Boolean => Kind::Boolean,
            FieldType::Array => {
                let values = self.items.iter().flat_map(|items| {
                    let plain = items.r#enum.iter().flatten().map(String::as_str);
                    plain.chain(items.any_of.iter().flatten().map(|one| one.value.as_str()))
                });
                Kind::Some { values: values.collect(), least: self.min_items, most: self.max_items }
            }
            FieldType::String if self.r#enum.is_some() || self.one_of.is_some() => {
                let plain = self.r#enum.iter().flatten().map(String::as_str);
                let titled = self.one_of.iter().flatten().map(|one| one.value.as_str());
                Kind::One { values: plain.chain(titled).collect() }
            }
            FieldType::String => {
                Kind::Text { least: self.min_length, most: self.max_length, format: self.format }
            }
        }
    }
}

/// Whether a number is whole. As in JSON Schema, `1.0` is.
pub(super) fn is_whole(number: &Number) -> bool {
    whole(number).is_some() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

/// The exact order of two numbers: large whole numbers are not rounded to doubles.
pub(super) fn order(a: &Number, b: &Number) -> Ordering {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(a), None) => beside(a, float(b)),
        (None, Some(b)) => beside(b, float(a)).reverse(),
        (None, None) => float(a).total_cmp(&float(b)),
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i128()
}

/// JSON has no number that is not finite; zero has one sign.
fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(0.0) + 0.0
}

/// The order of a whole number and a double. JSON integers are below 2^100.
#[expect(clippy::cast_possible_truncation, reason = "larger doubles return before")]
fn beside(whole: i128, float: f64) -> Ordering {
    const BEYOND: f64 = (1_u128 << 100) as f64;
    if float >= BEYOND {
        return Ordering::Less;
    }
    if float <= -BEYOND {
        return Ordering::Greater;
    }
    let fraction = float.fract();
    let rest = 0.0_f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal);
    whole.cmp(&(float.trunc() as i128)).then(rest)
}
