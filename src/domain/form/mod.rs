//! Forms: what a person is asked to fill in, and whether an answer fits.
//!
//! An approval of kind `input` asks for an answer. It says what answers there are by a list of
//! options, or by an [`AnswerSchema`]: the restricted JSON Schema that MCP knows as
//! `requestedSchema` of an elicitation, in the words of MCP's specification of 2026-07-28 (those of
//! 2025-11-25 and 2025-06-18 are part of it). So every MCP client can show the form, and an agent's
//! author who knows MCP has nothing to learn.
//!
//! Guaranteed: a form that passes [`AnswerSchema::check`] can be answered, is flat, and does not ask
//! for a secret in any way that its words show; an answer that passes [`AnswerSchema::validate`]
//! fits the form by the rules of JSON Schema; and a form is given back as the JSON that it was read
//! from. The names of an object have no order in JSON: fields are shown by name.
//!
//! Stricter than JSON Schema, for the sake of people: an answer has no members beyond the form's
//! fields (a slip in a name would go unseen), nothing is chosen twice, and `format` is checked, not
//! only noted. `pattern` is refused: drafts of MCP had it, the standard has not, so clients would
//! not show it and people would guess in vain.
//!
//! People without a program of their own fill a form in on a page: [`AnswerSchema::inputs`] says what to
//! show, and [`AnswerSchema::fill`] makes the answer of what comes back.
//!
//! Options are sugar: [`AnswerSchema::of_options`] makes the form with one required field, `choice`.
//! There is one way to check an answer, and to show a form, whichever way it was asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use super::words::words;

mod answer;
mod check;
mod fill;
mod formats;
mod kind;
mod secrets;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use check::check_options;
pub use fill::{Choice, Input, Takes};
pub use secrets::asked_secret;

/// Most fields of a form.
pub const FIELDS_MAX: usize = 50;
/// Most values of a field to choose from.
pub const VALUES_MAX: usize = 200;
/// How many options there are: from two to twenty.
pub const OPTIONS: std::ops::RangeInclusive<usize> = 2..=20;
/// The field that a list of options stands for.
pub const CHOICE: &str = "choice";

words! {
    /// What a form is: always an object.
    pub enum FormType {
        /// An object with one member for each field.
        Object => "object",
    }
}

words! {
    /// What a field takes.
    pub enum FieldType {
        /// Text, or one of several texts with `enum` or `oneOf`.
        String => "string",
        /// A number.
        Number => "number",
        /// A whole number; `1.0` is one.
        Integer => "integer",
        /// `true` or `false`.
        Boolean => "boolean",
        /// Some of several texts, which `items` lists.
        Array => "array",
    }
}

words! {
    /// What a text has to be.
    pub enum Format {
        /// An address such as `octocat@github.com`.
        Email => "email",
        /// A URI with its scheme, such as `https://example.com/a`.
        Uri => "uri",
        /// A day that exists, such as `2026-02-28`.
        Date => "date",
        /// A day and a time with its zone, such as `2026-02-28T09:30:00Z`.
        DateTime => "date-time",
    }
}

/// What a person is asked to fill in: the restricted JSON Schema of MCP's elicitation
/// (`requestedSchema`), flat and without secrets.
///
/// Do not ask for passwords, keys, tokens, card numbers and the like: such a form is refused. Ask
/// where the secret is kept, and read it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "type": "object",
    "properties": {
        "environment": {
            "type": "string", "title": "Deploy to",
            "oneOf": [
                {"const": "staging", "title": "Staging"},
                {"const": "production", "title": "Production, with customers on it"}
            ],
            "default": "staging"
        },
        "not_before": {"type": "string", "format": "date-time"},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2},
        "notify": {
            "type": "array", "maxItems": 2,
            "items": {"type": "string", "enum": ["email", "chat", "pager"]}
        },
        "run_migrations": {"type": "boolean", "description": "They lock a table for a minute."}
    },
    "required": ["environment", "run_migrations"]
}))]
pub struct AnswerSchema {
    /// The dialect of JSON Schema; taken and given back, but every dialect means the same here.
    #[serde(
        rename = "$schema",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schema(example = "https://json-schema.org/draft/2020-12/schema")]
    pub dialect: Option<String>,
    /// Always `object`.
    #[serde(rename = "type")]
    pub kind: FormType,
    /// The fields by name; 1 to 50.
    pub properties: BTreeMap<String, Field>,
    /// The fields that must be filled in; default: none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub required: Option<Vec<String>>,
}

/// One field of a form. Which keywords it may have follows from its `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "type": "string", "title": "Release name", "minLength": 1, "maxLength": 40
}))]
pub struct Field {
    /// What it takes.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// What people read instead of the field's name; one line.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(max_length = 200)]
    pub title: Option<String>,
    /// What people should know to fill it in.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Of text: at least so many characters.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub min_length: Option<u64>,
    /// Of text: at most so many characters.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub max_length: Option<u64>,
    /// Of text: what it has to be.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub format: Option<Format>,
    /// Of numbers: the least.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<f64>)]
    pub minimum: Option<Number>,
    /// Of numbers: the greatest.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<f64>)]
    pub maximum: Option<Number>,
    /// Of text: the values to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(min_items = 1, max_items = 200)]
    pub r#enum: Option<Vec<String>>,
    /// With `enum`: what people read instead of each value. MCP will drop it; use `oneOf`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub enum_names: Option<Vec<String>>,
    /// Of text: the values to choose from, with titles.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(min_items = 1, max_items = 200)]
    pub one_of: Option<Vec<Titled>>,
    /// Of arrays: the values to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub items: Option<Items>,
    /// Of arrays: at least so many are chosen.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub min_items: Option<u64>,
    /// Of arrays: at most so many are chosen.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub max_items: Option<u64>,
    /// What is filled in already when the form is shown. It is not taken for a field left out.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub default: Option<Value>,
}

/// What an array may hold: `type` and `enum`, or `anyOf`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"type": "string", "enum": ["email", "chat", "pager"]}))]
pub struct Items {
    /// With `enum`: always `string`.
    #[serde(
        rename = "type",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    pub kind: Option<FieldType>,
    /// The values to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(min_items = 1, max_items = 200)]
    pub r#enum: Option<Vec<String>>,
    /// The values to choose from, with titles.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(min_items = 1, max_items = 200)]
    pub any_of: Option<Vec<Titled>>,
}

/// A value to choose and what people read instead of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"const": "production", "title": "Production, with customers on it"}))]
pub struct Titled {
    /// What the answer holds.
    #[serde(rename = "const")]
    pub value: String,
    /// What people read.
    pub title: String,
}

/// A member that is there. `null` is not the same as left out: no keyword of a form may be `null`,
/// and a form is given back as it was read.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl AnswerSchema {
    /// The form that a list of options stands for: one required field, [`CHOICE`], whose values
    /// are the options in their order. Check them with [`check_options`].
    #[must_use]
    pub fn of_options(labels: &[String]) -> Self {
        let choice = Field { r#enum: Some(labels.to_vec()), ..Field::of(FieldType::String) };
        Self {
            dialect: None,
            kind: FormType::Object,
            properties: BTreeMap::from([(CHOICE.to_owned(), choice)]),
            required: Some(vec![CHOICE.to_owned()]),
        }
    }

    /// The names of the fields that must be filled in.
    fn required(&self) -> &[String] {
        self.required.as_deref().unwrap_or_default()
    }
}

impl Field {
    /// A field of a type, with nothing more said about it.
    #[must_use]
    pub const fn of(kind: FieldType) -> Self {
        Self {
            kind,
            title: None,
            description: None,
            min_length: None,
            max_length: None,
            format: None,
            minimum: None,
            maximum: None,
            r#enum: None,
            enum_names: None,
            one_of: None,
            items: None,
            min_items: None,
            max_items: None,
            default: None,
        }
    }
}
