//! A form as inputs of a page, and the answer made from the submitted texts.
//!
//! A page submits texts. Fields and choices are identified by their index, so any name or value that an
//! agent gives them survives the round trip. A text that cannot be converted stays text, and
//! [`AnswerSchema::validate`] reports it.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::{AnswerSchema, Field, FieldType, Format, kind::Kind};

/// Texts up to this many characters get an input of one line.
const LINE: u64 = 200;
/// 2^53: above it a double no longer holds every whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A field of a form, as shown on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input<'f> {
    /// Its label.
    pub label: &'f str,
    /// Help for the person.
    pub description: Option<&'f str>,
    /// Whether it must be filled in.
    pub needed: bool,
    /// The kind of input.
    pub takes: Takes<'f>,
    /// The default as it would be submitted; empty without one.
    pub filled: Vec<String>,
}

/// The kind of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Takes<'f> {
    /// One line of text.
    Line,
    /// Text of several lines.
    Text,
    /// A date: `2026-02-28`.
    Day,
    /// A date and time with its zone.
    Instant,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// The index of one choice.
    One(Vec<Choice<'f>>),
    /// The indexes of some choices.
    Some(Vec<Choice<'f>>),
}

/// A value to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'f> {
    /// The value as the answer holds it.
    pub value: &'f str,
    /// Its label.
    pub label: &'f str,
}

impl AnswerSchema {
    /// The fields, in the order of their indexes.
    #[must_use]
    pub fn inputs(&self) -> Vec<Input<'_>> {
        let fields = self.properties.iter();
        let inputs = fields.map(|(name, field)| Input {
            label: field.title.as_deref().unwrap_or(name),
            description: field.description.as_deref(),
            needed: self.required().contains(name),
            takes: field.takes(),
            filled: field.filled(),
        });
        inputs.collect()
    }

    /// The answer made of the submitted texts, keyed by the indexes of their fields. Fields without
    /// text are left out.
    #[must_use]
    pub fn fill(&self, given: &BTreeMap<usize, Vec<&str>>) -> Value {
        let mut answer = Map::new();
        for (place, (name, field)) in self.properties.iter().enumerate() {
            let texts = given.get(&place).map(Vec::as_slice).unwrap_or_default();
            if let Some(value) = field.read(texts, self.required().contains(name)) {
                answer.insert(name.clone(), value);
            }
        }
        Value::Object(answer)
    }
}

impl Field {
    fn takes(&self) -> Takes<'_> {
        match self.asks() {
            Kind::Text { format: Some(Format::Date), .. } => Takes::Day,
            Kind::Text { format: Some(Format::DateTime), .. } => Takes::Instant,
            Kind::Text { format: Some(Format::Email | Format::Uri), .. } => Takes::Line,
            Kind::Text { most: Some(most), format: None, .. } if most <= LINE => Takes::Line,
            Kind::Text { format: None, .. } => Takes::Text,
            Kind::Number(_) | Kind::Integer(_) => Takes::Number,
            Kind::Boolean => Takes::Boolean,
            Kind::One { .. } => Takes::One(self.choices()),
            Kind::Some { .. } => Takes::Some(self.choices()),
        }
    }

    fn choices(&self) -> Vec<Choice<'_>> {
        let of_items = self.items.as_ref();
        let plain = self.r#enum.iter().chain(of_items.and_then(|items| items.r#enum.as_ref()));
        let titled = self.one_of.iter().chain(of_items.and_then(|items| items.any_of.as_ref()));
        let label = |place: usize| self.enum_names.as_ref()?.get(place).map(String::as_str);
        let plain = plain.flatten().enumerate();
        let plain = plain.map(|(at, value)| Choice { value, label: label(at).unwrap_or(value) });
        let titled = titled.flatten().map(|one| Choice { value: &one.value, label: &one.title });
        plain.chain(titled).collect()
    }

    /// The default, as it would be submitted.
    fn filled(&self) -> Vec<String> {
        let Some(default) = &self.default else { return Vec::new() };
        let choices = self.choices();
        let place = |value: &str| choices.iter().position(|choice| choice.value == value);
        match (self.kind, default) {
            (FieldType::String, Value::String(text)) if choices.is_empty() => vec![text.clone()],
            (FieldType::String, Value::String(text)) => {
                place(text).iter().map(usize::to_string).collect()
            }
            (FieldType::Array, Value::Array(chosen)) => {
                let places = chosen.iter().filter_map(|value| place(value.as_str()?));
                places.map(|place| place.to_string()).collect()
            }
            (_, other) => vec![other.to_string()],
        }
    }

    /// The value of the submitted texts; `None` if the field was left empty.
    fn read(&self, texts: &[&str], required: bool) -> Option<Value> {
        let choices = self.choices();
        if self.kind == FieldType::Array {
            let chosen = texts.iter().map(|text| chosen(&choices, text)).collect::<Vec<_>>();
            // A required array may be empty.
            return (required || !chosen.is_empty()).then_some(Value::Array(chosen));
        }
        let text = match texts {
            [] => return None,
            [text] => *text,
            // A repeated field becomes a list, which `validate` refuses.
            many => return Some(Value::from(many.to_vec())),
        };
        if text.trim().is_empty() {
            return None;
        }
        Some(match self.asks() {
            Kind::Text { format: Some(_), .. } => Value::from(text.trim()),
            Kind::Text { format: None, .. } => Value::from(text),
            Kind::Number(_) | Kind::Integer(_) => {
                number(text.trim()).map_or_else(|| Value::from(text), Value::Number)
            }
            Kind::Boolean => text.parse::<bool>().map_or_else(|_| Value::from(text), Value::Bool),
            Kind::One { .. } | Kind::Some { .. } => chosen(&choices, text),
        })
    }
}

fn chosen(choices: &[Choice<'_>], text: &str) -> Value {
    let choice = text.parse::<usize>().ok().and_then(|place| choices.get(place));
    choice.map_or_else(|| Value::from(text), |choice| Value::from(choice.value))
}

/// A number that JSON keeps exactly.
fn number(text: &str) -> Option<Number> {
    let number: Number = serde_json::from_str(text).ok()?;
    let exact = !number.is_f64() || number.as_f64().is_some_and(|float| float.abs() <= EXACT);
    exact.then_some(number)
}
