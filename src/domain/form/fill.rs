//! A form as people fill it in on a page, and the answer that this makes.
//!
//! A page sends texts. Fields are named by their place among the form's fields and values to choose by
//! their place in their list, so whatever an agent calls them, they come back as they were. What cannot be
//! made out is passed on as the text that it is: [`AnswerSchema::validate`] then says what is wrong.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::{AnswerSchema, Field, FieldType, Format, kind::Kind};

/// Longer texts get more than one line to write in.
const LINE: u64 = 200;
/// Beyond this, neighbouring whole numbers share one double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A field of a form, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input<'f> {
    /// What people read.
    pub label: &'f str,
    /// What they should know.
    pub description: Option<&'f str>,
    /// Whether it must be filled in.
    pub needed: bool,
    /// What it takes.
    pub takes: Takes<'f>,
    /// What is filled in already, as it would be sent.
    pub filled: Vec<String>,
}

/// What a field takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Takes<'f> {
    /// A line of text.
    Line,
    /// Text.
    Text,
    /// A day: `2026-02-28`.
    Day,
    /// A day and a time with its zone.
    Instant,
    /// A number.
    Number,
    /// Yes (`true`) or no (`false`).
    Boolean,
    /// The place of one of these.
    One(Vec<Choice<'f>>),
    /// The places of some of these.
    Some(Vec<Choice<'f>>),
}

/// A value to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'f> {
    /// What the answer holds.
    pub value: &'f str,
    /// What people read.
    pub label: &'f str,
}

impl AnswerSchema {
    /// The fields, in the order of their places.
    #[must_use]
    pub fn inputs(&self) -> Vec<Input<'_>> {
        let fields = self.properties.iter();
        fields
            .map(|(name, field)| Input {
                label: field.title.as_deref().unwrap_or(name),
                description: field.description.as_deref(),
                needed: self.required().contains(name),
                takes: field.takes(),
                filled: field.filled(),
            })
            .collect()
    }

    /// The answer that was filled in: the texts by the places of their fields. Fields without text are
    /// left out.
    #[must_use]
    pub fn fill(&self, given: &BTreeMap<usize, Vec<&str>>) -> Value {
        let mut answer = Map::new();
        for (place, (name, field)) in self.properties.iter().enumerate() {
            let texts = given.get(&place).map(Vec::as_slice).unwrap_or_default();
            // No choice is one, where some are asked for.
            let none = field.kind == FieldType::Array && self.required().contains(name);
            if let Some(value) = field.read(texts, none) {
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

    /// The default, as it would be sent.
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

    /// The value that texts stand for; none when nothing was filled in.
    fn read(&self, texts: &[&str], none_is_one: bool) -> Option<Value> {
        let choices = self.choices();
        if self.kind == FieldType::Array {
            let chosen = texts.iter().map(|text| chosen(&choices, text)).collect::<Vec<_>>();
            return (none_is_one || !chosen.is_empty()).then_some(Value::Array(chosen));
        }
        let text = match texts {
            [] => return None,
            [text] => *text,
            // A field is filled in once; as a list it fits no such field.
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

/// A number that can be kept exactly.
fn number(text: &str) -> Option<Number> {
    let number: Number = serde_json::from_str(text).ok()?;
    let exact = !number.is_f64() || number.as_f64().is_some_and(|float| float.abs() <= EXACT);
    exact.then_some(number)
}
