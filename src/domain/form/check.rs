//! The check of a form: it can be shown and answered, and asks for no secret.

use std::collections::BTreeSet;

use super::{
    AnswerSchema, FIELDS_MAX, Field, FieldType, Items, OPTIONS, Titled, VALUES_MAX,
    kind::{Kind, order},
    secrets,
};
use crate::domain::{
    check::{Checks, pointer},
    settings,
};
use std::cmp::Ordering;

/// The most characters of a field's name.
const FIELD_NAME_CHARS: usize = 100;
/// The most characters of a field's description.
const DESCRIPTION_CHARS: usize = 2_000;
/// The greatest `minLength` that a person can be expected to type.
const MIN_LENGTH_MAX: u64 = 10_000;

/// Checks a list of options: 2 to 20 different lines of text.
pub fn check_options(checks: &mut Checks, at: &str, labels: &[String]) {
    let (least, most) = (OPTIONS.start(), OPTIONS.end());
    let count = labels.len();
    checks.ensure(
        OPTIONS.contains(&count),
        at,
        format!("has {count} options; must have from {least} to {most}"),
    );
    check_values(checks, at, labels.iter().take(*most).map(String::as_str));
}

impl AnswerSchema {
    /// Checks the form. Unknown keywords and types were refused when it was read.
    pub fn check(&self, checks: &mut Checks, at: &str) {
        if let Some(dialect) = &self.dialect {
            checks.line(&pointer(at, "$schema"), dialect, settings::NAME_CHARS);
        }
        if let Ok(whole) = serde_json::to_value(self) {
            checks.json(at, Some(&whole));
        }
        self.check_fields(checks, &pointer(at, "properties"));
        self.check_required(checks, &pointer(at, "required"));
    }

    fn check_fields(&self, checks: &mut Checks, at: &str) {
        checks.count(at, self.properties.len(), FIELDS_MAX);
        let detail = "must have at least one field; for yes or no use a `boolean`";
        checks.ensure(!self.properties.is_empty(), at, detail);
        for (name, field) in self.properties.iter().take(FIELDS_MAX) {
            let here = pointer(at, name);
            checks.line(&here, name, FIELD_NAME_CHARS);
            field.check(checks, &here);
            secrets::check_field(checks, &here, name, field);
        }
    }

    fn check_required(&self, checks: &mut Checks, at: &str) {
        checks.count(at, self.required().len(), FIELDS_MAX);
        let mut seen = BTreeSet::new();
        for (index, name) in self.required().iter().enumerate().take(FIELDS_MAX) {
            let here = pointer(at, index);
            let known = self.properties.contains_key(name);
            checks.ensure(known, &here, format!("there is no field `{name}` in `properties`"));
            checks.ensure(seen.insert(name), &here, "is listed twice");
        }
    }
}

impl Field {
    fn check(&self, checks: &mut Checks, at: &str) {
        if let Some(title) = &self.title {
            checks.line(&pointer(at, "title"), title, settings::NAME_CHARS);
        }
        if let Some(description) = &self.description {
            checks.chars(&pointer(at, "description"), description, DESCRIPTION_CHARS);
        }
        self.check_keywords(checks, at);
        self.check_sources(checks, at);
        self.check_reachable(checks, at);
        // A default must be a valid answer, because it is submitted as shown.
        if let Some(default) = &self.default {
            self.check_value(checks, &pointer(at, "default"), default);
        }
    }

    /// Refuses keywords that have no effect on the field's type.
    fn check_keywords(&self, checks: &mut Checks, at: &str) {
        let asks = self.asks();
        let text = matches!(asks, Kind::Text { .. });
        let number = matches!(asks, Kind::Number(_) | Kind::Integer(_));
        let array = matches!(asks, Kind::Some { .. });
        let string = matches!(self.kind, FieldType::String);
        let keywords = [
            ("minLength", self.min_length.is_some(), text, "free text"),
            ("maxLength", self.max_length.is_some(), text, "free text"),
            ("format", self.format.is_some(), text, "free text"),
            ("minimum", self.minimum.is_some(), number, "`number` and `integer`"),
            ("maximum", self.maximum.is_some(), number, "`number` and `integer`"),
            ("enum", self.r#enum.is_some(), string, "`string`; in an `array` put it into `items`"),
            ("enumNames", self.enum_names.is_some(), self.r#enum.is_some(), "`enum`"),
            (
                "oneOf",
                self.one_of.is_some(),
                string,
                "`string`; in an `array` use `anyOf` in `items`",
            ),
            ("items", self.items.is_some(), array, "`array`"),
            ("minItems", self.min_items.is_some(), array, "`array`"),
            ("maxItems", self.max_items.is_some(), array, "`array`"),
        ];
        for (keyword, given, fits, only) in keywords {
            let good = fits || !given;
            checks.ensure(good, &pointer(at, keyword), format!("is only for {only}"));
        }
    }

    /// Checks the values to choose from.
    fn check_sources(&self, checks: &mut Checks, at: &str) {
        let both = self.r#enum.is_some() && self.one_of.is_some();
        checks.ensure(!both, at, "has `enum` and `oneOf`; give one of them");
        if let Some(values) = &self.r#enum {
            check_plain(checks, &pointer(at, "enum"), values);
        }
        if let Some(values) = &self.one_of {
            check_titled(checks, &pointer(at, "oneOf"), values);
        }
        if let (Some(values), Some(names)) = (&self.r#enum, &self.enum_names) {
            let here = pointer(at, "enumNames");
            let detail = format!("has {} names for {} values", names.len(), values.len());
            checks.ensure(names.len() == values.len(), &here, detail);
            check_values(checks, &here, names.iter().take(VALUES_MAX).map(String::as_str));
        }
        match (&self.items, self.kind) {
            (Some(items), _) => items.check(checks, &pointer(at, "items")),
            (None, FieldType::Array) => checks.add(
                at,
                "needs `items` with the values to choose from, such as \
                 `{\"type\": \"string\", \"enum\": [\"a\", \"b\"]}`",
            ),
            (
                None,
                FieldType::String | FieldType::Number | FieldType::Integer | FieldType::Boolean,
            ) => {}
        }
    }

    /// Checks that at least one value is valid.
    fn check_reachable(&self, checks: &mut Checks, at: &str) {
        match self.asks() {
            Kind::Text { least, most, format: _ } => {
                check_spread(checks, &pointer(at, "minLength"), least, most, "maxLength");
                let least = least.unwrap_or_default();
                checks.range(&pointer(at, "minLength"), least, 0..=MIN_LENGTH_MAX);
            }
            Kind::Number(bounds) => {
                let (Some(least), Some(most)) = (bounds.least, bounds.most) else { return };
                let good = order(least, most) != Ordering::Greater;
                checks.ensure(good, &pointer(at, "minimum"), "is more than `maximum`");
            }
            Kind::Integer(bounds) => {
                let good = bounds.hold_a_whole_number();
                let detail = "leaves no whole number up to `maximum`";
                checks.ensure(good, &pointer(at, "minimum"), detail);
            }
            Kind::Some { values, least, most } => {
                let here = pointer(at, "minItems");
                check_spread(checks, &here, least, most, "maxItems");
                let there = values.len() as u64;
                let good = least.is_none_or(|least| least <= there);
                checks.ensure(good, &here, format!("is more than the {there} values there are"));
            }
            Kind::One { .. } | Kind::Boolean => {}
        }
    }
}

impl Items {
    fn check(&self, checks: &mut Checks, at: &str) {
        match (self.kind, &self.r#enum, &self.any_of) {
            (Some(FieldType::String), Some(values), None) => {
                check_plain(checks, &pointer(at, "enum"), values);
            }
            (None, None, Some(values)) => check_titled(checks, &pointer(at, "anyOf"), values),
            (_, _, None) => {
                checks
                    .add(at, "must be `{\"type\": \"string\", \"enum\": [...]}`, or have `anyOf`");
            }
            (_, _, Some(_)) => checks.add(at, "must have nothing beside `anyOf`"),
        }
    }
}

fn check_plain(checks: &mut Checks, at: &str, values: &[String]) {
    check_number_of_values(checks, at, values.len());
    check_values(checks, at, values.iter().take(VALUES_MAX).map(String::as_str));
}

fn check_titled(checks: &mut Checks, at: &str, values: &[Titled]) {
    check_number_of_values(checks, at, values.len());
    let (mut consts, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for (index, Titled { value, title }) in values.iter().enumerate().take(VALUES_MAX) {
        let here = pointer(at, index);
        check_value(checks, &pointer(&here, "const"), value, &mut consts);
        check_value(checks, &pointer(&here, "title"), title, &mut titles);
    }
}

fn check_number_of_values(checks: &mut Checks, at: &str, count: usize) {
    checks.ensure(count > 0, at, "must have at least one value");
    checks.count(at, count, VALUES_MAX);
}

fn check_values<'v>(checks: &mut Checks, at: &str, values: impl Iterator<Item = &'v str>) {
    let mut seen = BTreeSet::new();
    for (index, value) in values.enumerate() {
        check_value(checks, &pointer(at, index), value, &mut seen);
    }
}

/// Values are compared without surrounding white space, because people cannot see it.
fn check_value<'v>(checks: &mut Checks, at: &str, value: &'v str, seen: &mut BTreeSet<&'v str>) {
    checks.line(at, value, settings::NAME_CHARS);
    checks.ensure(seen.insert(value.trim()), at, "is listed twice");
}

fn check_spread(checks: &mut Checks, at: &str, least: Option<u64>, most: Option<u64>, name: &str) {
    let good = most.is_none_or(|most| least.unwrap_or_default() <= most);
    checks.ensure(good, at, format!("is more than `{name}`"));
}
