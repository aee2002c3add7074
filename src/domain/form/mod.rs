//! Forms: the answer schema of an approval of kind `input`, and the check of answers.
//!
//! An agent describes the answers it expects by a list of options or by an [`AnswerSchema`]: the
//! restricted JSON Schema that MCP names `requestedSchema` of an elicitation (specification of
//! 2026-07-28, which includes those of 2025-11-25 and 2025-06-18). So every MCP client can show the
//! form, and authors who know MCP learn nothing new.
//!
//! Guarantees: a form that passes [`AnswerSchema::check`] is flat, can be answered, and does not ask
//! for a secret in words that `secrets` knows. An answer that passes [`AnswerSchema::validate`] is
//! valid by JSON Schema. A form is returned as the JSON it was read from. Fields are shown in the
//! order of their names, because members of a JSON object have no order.
//!
//! Stricter than JSON Schema: an answer has no members beyond the form's fields (a misspelt name would
//! go unnoticed), no value is chosen twice, and `format` is enforced. `pattern` is refused: drafts of
//! MCP had it, the standard does not, so clients would not show it to people.
//!
//! On a link's page, [`AnswerSchema::inputs`] describes the fields, and [`AnswerSchema::fill`] reads
//! the submitted texts.
//!
//! A list of options is a short form: [`AnswerSchema::of_options`] makes the form with one required
//! field, `choice`. So there is one way to check and show an answer.

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

/// The most fields of a form.
pub const FIELDS_MAX: usize = 50;
/// The most values of a field with choices.
pub const VALUES_MAX: usize = 200;
/// The number of options in a list of options.
pub const OPTIONS: std::ops::RangeInclusive<usize> = 2..=20;
/// The name of the field made from a list of options.
pub const CHOICE: &str = "choice";

words! {
    /// The type of a form: always an object with one member per field.
    pub enum FormType {
        /// An object with one member per field.
        Object => "object",
    }
}

words! {
    /// The type of a field: `string` (text, or one value of `enum` or `oneOf`), `number`, `integer`
    /// (`1.0` is one), `boolean`, or `array` (some of the values that `items` lists).
    pub enum FieldType {
        /// Text, or one value of `enum` or `oneOf`.
        String => "string",
        /// A number.
        Number => "number",
        /// A whole number; `1.0` is one.
        Integer => "integer",
        /// `true` or `false`.
        Boolean => "boolean",
        /// Some of the values that `items` lists.
        Array => "array",
    }
}

words! {
    /// The format of a text: an `email` address, a `uri` with scheme, a `date` such as `2026-02-28`, or
    /// a `date-time` with zone such as `2026-02-28T09:30:00Z`.
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

/// The form of an answer: the restricted JSON Schema of MCP's elicitation (`requestedSchema`), flat
/// and without secrets.
///
/// A form that asks for a password, key, token or card number is refused. Ask where the secret is
/// stored, and read it there.
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
    /// The dialect of JSON Schema. Accepted and returned, but without effect.
    #[serde(
        rename = "$schema",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schema(example = "https://json-schema.org/draft/2020-12/schema")]
    pub dialect: Option<String>,
    /// Always `object`: an answer has one member per field.
    #[serde(rename = "type")]
    pub kind: FormType,
    /// The fields by name; 1 to 50.
    pub properties: BTreeMap<String, Field>,
    /// The names of the fields that must be filled in; default: none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub required: Option<Vec<String>>,
}

/// One field of a form. Its `type` determines the keywords it may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "type": "string", "title": "Release name", "minLength": 1, "maxLength": 40
}))]
pub struct Field {
    /// The type of its value: text, number, yes or no, or a choice.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// The label shown instead of the field's name; one line.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(max_length = 200)]
    pub title: Option<String>,
    /// Help for the person who fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// For text: the least number of characters.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub min_length: Option<u64>,
    /// For text: the greatest number of characters.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub max_length: Option<u64>,
    /// For text: the format it must have.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub format: Option<Format>,
    /// For numbers: the least value, included.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<f64>)]
    pub minimum: Option<Number>,
    /// For numbers: the greatest value, included.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<f64>)]
    pub maximum: Option<Number>,
    /// For text: the values to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(min_items = 1, max_items = 200)]
    pub r#enum: Option<Vec<String>>,
    /// With `enum`: one label per value, in the same order. Deprecated by MCP: use `oneOf`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub enum_names: Option<Vec<String>>,
    /// For text: the values to choose from, with labels.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(min_items = 1, max_items = 200)]
    pub one_of: Option<Vec<Titled>>,
    /// For arrays: the values to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub items: Option<Items>,
    /// For arrays: the least number of chosen values.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub min_items: Option<u64>,
    /// For arrays: the greatest number of chosen values.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub max_items: Option<u64>,
    /// The value prefilled when the form is shown. It does not replace a missing field in an answer.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub default: Option<Value>,
}

/// The values of an array: `type` and `enum`, or `anyOf`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"type": "string", "enum": ["email", "chat", "pager"]}))]
pub struct Items {
    /// With `enum`: always `string`; left out with `anyOf`.
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
    /// The values to choose from, with labels.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(min_items = 1, max_items = 200)]
    pub any_of: Option<Vec<Titled>>,
}

/// A value to choose from, with its label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"const": "production", "title": "Production, with customers on it"}))]
pub struct Titled {
    /// The value as the answer holds it.
    #[serde(rename = "const")]
    pub value: String,
    /// The label shown instead of the value; one line.
    pub title: String,
}

/// Reads a member that is present, and so refuses `null`: no keyword of a form may be `null`, and a
/// form is returned as it was read.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl AnswerSchema {
    /// The form of a list of options: one required field, [`CHOICE`], whose values are the options in
    /// their order. The caller checks them with [`check_options`].
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
    /// A field of a type, without other keywords.
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
