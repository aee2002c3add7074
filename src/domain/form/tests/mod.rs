//! Tests of forms.

mod answer;
mod check;
mod fill;
mod secrets;

use serde_json::{Value, json};

use super::AnswerSchema;
use crate::domain::check::Checks;

fn read(form: &Value) -> AnswerSchema {
    serde_json::from_value(form.clone()).unwrap()
}

/// A form with one field, `f`.
fn with(field: Value) -> AnswerSchema {
    read(&json!({"type": "object", "properties": {"f": field}}))
}

/// The pointers of the form's errors.
fn refused(form: &AnswerSchema) -> Vec<String> {
    let mut checks = Checks::new();
    form.check(&mut checks, "/schema");
    let errors = checks.finish().map_err(|refusal| refusal.errors).err().unwrap_or_default();
    errors.into_iter().map(|error| error.pointer).collect()
}

/// One form of each kind in MCP's specification.
fn every_kind() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "text": {
                "type": "string", "title": "Display Name", "description": "Description text",
                "minLength": 3, "maxLength": 50, "format": "email", "default": "user@example.com"
            },
            "number": {
                "type": "number", "title": "Display Name", "description": "Description text",
                "minimum": 0, "maximum": 100.5, "default": 50
            },
            "whole": {"type": "integer", "minimum": -1e3, "default": 3.0},
            "yes": {"type": "boolean", "default": false},
            "colour": {"type": "string", "enum": ["Red", "Green", "Blue"], "default": "Red"},
            "legacy": {"type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"]},
            "titled": {
                "type": "string", "default": "#FF0000",
                "oneOf": [
                    {"const": "#FF0000", "title": "Red"}, {"const": "#00FF00", "title": "Green"}
                ]
            },
            "several": {
                "type": "array", "minItems": 1, "maxItems": 2, "default": ["Red", "Green"],
                "items": {"type": "string", "enum": ["Red", "Green", "Blue"]}
            },
            "several_titled": {
                "type": "array", "minItems": 1, "maxItems": 2, "default": ["#FF0000"],
                "items": {"anyOf": [
                    {"const": "#FF0000", "title": "Red"}, {"const": "#00FF00", "title": "Green"}
                ]}
            }
        },
        "required": ["text", "several"]
    })
}
