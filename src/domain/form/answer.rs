//! The check of an answer against its form.

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use super::{
    AnswerSchema, Field,
    kind::{Bounds, Kind, is_whole, order},
};
use crate::domain::{
    check::{Checks, pointer},
    refusal::FieldError,
};
use std::cmp::Ordering;

/// JSON Pointer of the answer in a request.
const ANSWER: &str = "/answer";
/// The most values that one message lists.
const LISTED: usize = 12;

impl AnswerSchema {
    /// Checks `answer` against this form, which has passed [`Self::check`].
    ///
    /// # Errors
    /// Every bad value, with JSON Pointers under `/answer`.
    pub fn validate(&self, answer: &Value) -> Result<(), Vec<FieldError>> {
        let mut checks = Checks::new();
        self.check_answer(&mut checks, answer);
        checks.finish().map_err(|refusal| refusal.errors)
    }

    fn check_answer(&self, checks: &mut Checks, answer: &Value) {
        let names = || listed(self.properties.keys().map(String::as_str));
        let Value::Object(members) = answer else {
            let detail = format!("must be an object with a member for each field: {}", names());
            return checks.add(ANSWER, detail);
        };
        for name in self.required() {
            let given = members.contains_key(name);
            checks.ensure(given, &pointer(ANSWER, name), "is missing and must be filled in");
        }
        for (name, value) in members {
            let at = pointer(ANSWER, name);
            match self.properties.get(name) {
                Some(field) => field.check_value(checks, &at, value),
                None => {
                    checks.add(at, format!("is no field of the form; its fields are {}", names()))
                }
            }
        }
    }
}

impl Field {
    /// Checks `value` against this field.
    pub(super) fn check_value(&self, checks: &mut Checks, at: &str, value: &Value) {
        if value.is_null() {
            return checks.add(at, "must not be null; leave an empty field out");
        }
        match self.asks() {
            Kind::Text { least, most, format } => {
                let Some(text) = value.as_str() else { return checks.add(at, "must be text") };
                check_count(checks, at, (text.chars().count(), "characters"), least, most);
                if let Some(format) = format.filter(|format| !format.fits(text)) {
                    checks.add(at, format.wanted());
                }
            }
            Kind::Number(bounds) => {
                let Value::Number(number) = value else {
                    return checks.add(at, "must be a number");
                };
                check_bounds(checks, at, number, bounds);
            }
            Kind::Integer(bounds) => {
                let Some(number) = value.as_number().filter(|number| is_whole(number)) else {
                    return checks.add(at, "must be a whole number");
                };
                check_bounds(checks, at, number, bounds);
            }
            Kind::Boolean => checks.ensure(value.is_boolean(), at, "must be true or false"),
            Kind::One { values } => check_choice(checks, at, value, &values),
            Kind::Some { values, least, most } => {
                let Value::Array(chosen) = value else {
                    return checks.add(at, "must be a list of values, also when it is only one");
                };
                check_chosen(checks, at, chosen, &values);
                check_count(checks, at, (chosen.len(), "values"), least, most);
            }
        }
    }
}

fn check_count(
    checks: &mut Checks,
    at: &str,
    (count, of): (usize, &str),
    least: Option<u64>,
    most: Option<u64>,
) {
    if let Some(least) = least.filter(|least| (count as u64) < *least) {
        checks.add(at, format!("has {count} {of}; at least {least} are needed"));
    }
    if let Some(most) = most.filter(|most| count as u64 > *most) {
        checks.add(at, format!("has {count} {of}; at most {most} are allowed"));
    }
}

fn check_bounds(checks: &mut Checks, at: &str, number: &Number, bounds: Bounds<'_>) {
    if let Some(least) = bounds.least.filter(|least| order(number, least) == Ordering::Less) {
        checks.add(at, format!("is {number}; must be at least {least}"));
    }
    if let Some(most) = bounds.most.filter(|most| order(number, most) == Ordering::Greater) {
        checks.add(at, format!("is {number}; must be at most {most}"));
    }
}

fn check_choice(checks: &mut Checks, at: &str, value: &Value, values: &[&str]) {
    let good = value.as_str().is_some_and(|text| values.contains(&text));
    checks.ensure(good, at, format!("must be one of {}", listed(values.iter().copied())));
}

fn check_chosen(checks: &mut Checks, at: &str, chosen: &[Value], values: &[&str]) {
    let mut seen = BTreeSet::new();
    for (index, value) in chosen.iter().enumerate() {
        let here = pointer(at, index);
        check_choice(checks, &here, value, values);
        let new = value.as_str().is_none_or(|text| seen.insert(text));
        checks.ensure(new, &here, "is chosen twice");
    }
}

/// The first names or values, for a message.
fn listed<'a>(values: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = values.len().saturating_sub(LISTED);
    let first: Vec<_> = values.take(LISTED).map(|value| format!("`{value}`")).collect();
    let first = first.join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}
