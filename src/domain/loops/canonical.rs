//! The canonical form of steps, in which they are compared.
//!
//! Object keys are sorted, `1.0` is `1`, and a text that is a JSON object or array is parsed: the whole
//! action, its `arguments`, and any text in a result. The noise removed differs between actions,
//! results and errors; the parent module gives the reasons. The form is idempotent.

use serde_json::{Map, Number, Value};

use super::noise;
use crate::domain::number;

/// The depth in a step down to which text is parsed as JSON. Counted over the whole step, so that the
/// form is idempotent.
const UNPACKED: usize = 16;
/// Members of an action that identify the call, not the action. Lists are separated by spaces.
const CALL_KEYS: &str = "\
    tool_call_id tool_use_id toolCallId toolUseId call_id idempotency_key traceparent";
/// The member of an action in which function calls carry JSON as text. Other text stays text: it may be
/// the content of a file, where the order of keys matters.
const ARGUMENTS: &str = "arguments";
/// Members of a result that differ between equal results.
const VOLATILE_KEYS: &str = "\
    timestamp timestamps duration elapsed took latency nonce uptime pid";
/// Suffixes of the names of such members.
const VOLATILE_ENDINGS: &str = "\
    _at _ms _seconds _secs _time _timestamp _duration request_id trace_id span_id session_id \
    correlation_id";
/// The placeholder for the value of such a member.
const VOLATILE: &str = "<volatile>";

/// The canonical form of an action.
pub(super) fn action(action: &Value) -> Value {
    match action {
        Value::String(text) => match reads_as_json(text, 0) {
            Some(inner) => self::action(&inner),
            None => Value::String(noise::command(text)),
        },
        Value::Object(members) => {
            let kept =
                sorted(members).filter(|(key, _)| !CALL_KEYS.split(' ').any(|name| name == *key));
            Value::Object(kept.map(|(key, inner)| done_member(key, inner, 1)).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => done(action, 0),
    }
}

/// A part of an action.
fn done(from: &Value, depth: usize) -> Value {
    match from {
        Value::Null | Value::Bool(_) => from.clone(),
        Value::Number(number) => plain(number),
        Value::String(text) => Value::String(noise::argument(text)),
        Value::Array(list) => list.iter().map(|item| done(item, depth + 1)).collect(),
        Value::Object(members) => {
            let kept = sorted(members).map(|(key, inner)| done_member(key, inner, depth + 1));
            Value::Object(kept.collect())
        }
    }
}

fn done_member(key: &str, from: &Value, depth: usize) -> (String, Value) {
    let text = from.as_str().filter(|_| key == ARGUMENTS);
    let unpacked = text.and_then(|text| reads_as_json(text, depth));
    (key.to_owned(), done(unpacked.as_ref().unwrap_or(from), depth))
}

/// The canonical form of a result.
pub(super) fn result(result: &Value) -> Value {
    came(result, 0)
}

/// A part of a result.
fn came(from: &Value, depth: usize) -> Value {
    match from {
        Value::Null | Value::Bool(_) => from.clone(),
        Value::Number(number) if noise::is_instant(number) => noise::TIME.into(),
        Value::Number(number) => plain(number),
        Value::String(text) => printed(text, depth),
        Value::Array(list) => list.iter().map(|item| came(item, depth + 1)).collect(),
        Value::Object(members) => {
            let kept = sorted(members).map(|(key, inner)| match is_volatile(key, inner) {
                true => (key.clone(), VOLATILE.into()),
                false => (key.clone(), came(inner, depth + 1)),
            });
            Value::Object(kept.collect())
        }
    }
}

/// Text of a result, which may be JSON as it is or once terminal codes are removed.
fn printed(text: &str, depth: usize) -> Value {
    if let Some(inner) = reads_as_json(text, depth) {
        return came(&inner, depth);
    }
    let text = noise::result(text);
    match reads_as_json(&text, depth) {
        Some(inner) => came(&inner, depth),
        None => Value::String(text),
    }
}

/// The canonical form of an error.
pub(super) fn error(error: &str) -> String {
    noise::error(error)
}

/// Sorted, so that the order does not depend on the map's implementation.
fn sorted(members: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    members.into_iter()
}

/// Whether a number or text has a volatile name. Objects and arrays are examined member by member.
fn is_volatile(key: &str, value: &Value) -> bool {
    match value {
        Value::Object(_) | Value::Array(_) | Value::Bool(_) | Value::Null => false,
        Value::Number(_) | Value::String(_) => {
            let key = key.to_ascii_lowercase();
            VOLATILE_KEYS.split(' ').any(|name| name == key)
                || VOLATILE_ENDINGS.split(' ').any(|ending| key.ends_with(ending))
        }
    }
}

/// JSON has one kind of number: `1.0` is `1`.
fn plain(from: &Number) -> Value {
    whole(from).map_or_else(|| from.clone().into(), Value::from)
}

fn whole(from: &Number) -> Option<i64> {
    number::whole(from.as_f64().filter(|_| from.is_f64())?)
}

fn reads_as_json(text: &str, depth: usize) -> Option<Value> {
    let whole = depth < UNPACKED && text.trim_start().starts_with(['{', '[']);
    whole.then(|| serde_json::from_str(text).ok()).flatten()
}
