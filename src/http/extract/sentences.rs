//! Messages about values of the wrong shape, in the terms of JSON.
//!
//! Serde and the parsers behind it describe Rust: `expected i16`, `struct SpendReport`, `premature end
//! of input`. This module translates their messages for the authors of requests. A message that it does
//! not know comes from muster's own types, and stays as it is.

const TIME: &str = "an RFC 3339 time, for example `2030-01-01T00:00:00Z`";

/// The messages of chrono about a string that is not a time.
const NO_TIME: &[&str] = &[
    "premature end of input",
    "trailing input",
    "input contains invalid characters",
    "input is out of range",
    "input is not enough for unique date and time",
    "no possible date and time matching input",
];

/// The translation of a message about a body. `bounds` are those of the number at its place, in the API
/// document; asked for a number that its Rust type cannot hold.
#[must_use]
pub fn of(message: &str, bounds: impl Fn() -> Option<(i64, i64)>) -> String {
    let out_of_range = expectation(message, "invalid value: ")
        .is_some_and(|(_, expected)| range(expected).is_some());
    match bounds().filter(|_| out_of_range) {
        Some((least, most)) => format!("must be a whole number from {least} to {most}"),
        None => sentence(message, "field", &[]),
    }
}

/// The translation of a message about a query parameter. `others` are the parameters that another reader
/// accepts; the answer to an unknown parameter lists them too. `bounds` are those of the number in the
/// parameter, in the API document.
#[must_use]
pub fn of_query(message: &str, others: &[&str], bounds: impl Fn() -> Option<(i64, i64)>) -> String {
    let number = |end: &str, without_bounds: &str| match bounds() {
        Some((least, most)) => format!("must be a whole number from {least} to {most}{end}"),
        None => without_bounds.to_owned(),
    };
    match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            number(", in digits only", "must be a whole number, in digits only")
        }
        "number too large to fit in target type" => number("", "is too large"),
        "number too small to fit in target type" => number("", "is too small"),
        "provided string was not `true` or `false`" => "must be `true` or `false`".to_owned(),
        "unsupported value" => "must be given once".to_owned(),
        other => sentence(other, "parameter", others),
    }
}

fn sentence(message: &str, noun: &str, others: &[&str]) -> String {
    if NO_TIME.contains(&message) {
        return format!("must be {TIME}");
    }
    if message.starts_with("UUID parsing failed") {
        return "must be a UUID".to_owned();
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("the {noun} {name} is missing");
    }
    if message.starts_with("unknown field ") {
        let mut known = listed(message);
        known.extend(others.iter().map(|name| format!("`{name}`")));
        if known.is_empty() {
            return format!("unknown {noun}; none is accepted here");
        }
        return format!("unknown {noun}; the known ones are: {}", known.join(", "));
    }
    if let Some((word, _)) = expectation(message, "unknown variant ") {
        return format!("{word} is not one of: {}", listed(message).join(", "));
    }
    if let Some((_, expected)) = expectation(message, "invalid type: ") {
        return format!("must be {}", kind(expected));
    }
    if let Some((_, expected)) = expectation(message, "invalid value: ") {
        return match range(expected) {
            Some(range) => format!("must be a whole number {range}"),
            None => format!("must be {}", kind(expected)),
        };
    }
    message.to_owned()
}

/// The two parts of `{start}{sent}, expected {expected}`. The sent part may itself contain `expected`.
fn expectation<'m>(message: &'m str, start: &str) -> Option<(&'m str, &'m str)> {
    message.strip_prefix(start)?.rsplit_once(", expected ")
}

/// The names in backquotes that serde lists as expected.
fn listed(message: &str) -> Vec<String> {
    let list = message.rsplit_once("`, expected ").map_or("", |(_, list)| list);
    list.split('`').skip(1).step_by(2).map(|name| format!("`{name}`")).collect()
}

/// The expected type in the terms of JSON.
fn kind(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "a string" | "string" | "str" => "a string",
        "a boolean" | r#""true", "on" or "false""# => "`true` or `false`",
        "a sequence" => "an array",
        "a map" => "an object",
        "a formatted UUID string" | "UUID" | "a UUID string" => "a UUID",
        "unit" => "null",
        "variant identifier" | "string or map" | "a word" => "one of the allowed words",
        "an RFC 3339 formatted date and time string" | "a formatted date and time string" => TIME,
        rust if range(rust).is_some() => "a whole number",
        rust if rust.starts_with("struct ") => "an object",
        rust if rust.starts_with("enum ") => "one of the allowed words",
        plain => plain,
    }
}

/// The range of a Rust integer type.
fn range(expected: &str) -> Option<String> {
    macro_rules! ranges {
        ($($kind:ident),*) => {
            match expected {
                $(stringify!($kind) => Some(format!("from {} to {}", $kind::MIN, $kind::MAX)),)*
                _ => None,
            }
        };
    }
    ranges!(i8, i16, i32, i64, u8, u16, u32, u64, usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::{DateTime, Utc};
    use serde::Deserialize;

    use crate::{
        domain::{ids::GoalId, states::PlanState},
        http::extract::{json, query},
    };

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        small: Option<u8>,
        signed: Option<i16>,
        ratio: Option<f64>,
        text: Option<String>,
        flag: Option<bool>,
        list: Option<Vec<String>>,
        amounts: Option<BTreeMap<String, i64>>,
        at: Option<DateTime<Utc>>,
        goal: Option<GoalId>,
        state: Option<PlanState>,
        states: Vec<PlanState>,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "the test reads it from JSON and looks at errors only")]
    struct Inner {
        name: String,
    }

    fn refused(body: &str) -> (String, String) {
        let refusal = json::read::<Sample>(body.as_bytes()).unwrap_err();
        (refusal.errors[0].pointer.clone(), refusal.errors[0].detail.clone())
    }

    #[test]
    fn messages_about_bodies_use_the_terms_of_json() {
        for (body, pointer, detail) in [
            (r#"[]"#, "", "must be an object"),
            (r#"null"#, "", "must be an object"),
            (r#""x""#, "", "must be an object"),
            (r#"{"signed": "5"}"#, "/signed", "must be a whole number"),
            (r#"{"signed": 1.5}"#, "/signed", "must be a whole number"),
            (r#"{"small": 300}"#, "/small", "must be a whole number from 0 to 255"),
            (r#"{"small": -1}"#, "/small", "must be a whole number from 0 to 255"),
            (r#"{"small": 3e2}"#, "/small", "must be a whole number from 0 to 255"),
            (r#"{"ratio": "1"}"#, "/ratio", "must be a number"),
            (r#"{"text": 1}"#, "/text", "must be a string"),
            (r#"{"flag": 1}"#, "/flag", "must be `true` or `false`"),
            (r#"{"list": {}}"#, "/list", "must be an array"),
            (r#"{"amounts": []}"#, "/amounts", "must be an object"),
            (r#"{"amounts": {"a": []}}"#, "/amounts/a", "must be a whole number"),
            (r#"{"inner": ["name"]}"#, "/inner", "must be an object"),
            (r#"{"inner": {}}"#, "/inner", "the field `name` is missing"),
            (
                r#"{"inner": {"name": "a", "b": 1}}"#,
                "/inner/b",
                "unknown field; the known ones are: `name`",
            ),
            (
                r#"{"at": "2030-01-01"}"#,
                "/at",
                "must be an RFC 3339 time, for example `2030-01-01T00:00:00Z`",
            ),
            (r#"{"at": 1}"#, "/at", "must be an RFC 3339 time, for example `2030-01-01T00:00:00Z`"),
            (r#"{"goal": "1"}"#, "/goal", "must be a UUID"),
            (r#"{"goal": 1}"#, "/goal", "must be a UUID"),
            (
                r#"{"state": "x`, expected y"}"#,
                "/state",
                "`x`, expected y` is not one of: `proposed`, `applied`, `rejected`, `superseded`",
            ),
            (r#"{"state": 1}"#, "/state", "must be one of the allowed words"),
            (
                r#"{"amounts": {"usd_micros": 1e30}}"#,
                "/amounts/usd_micros",
                "this number is too large to be kept exactly",
            ),
        ] {
            assert_eq!(refused(body), (pointer.to_owned(), detail.to_owned()), "{body}");
        }
    }

    #[test]
    fn an_integer_may_be_written_as_any_number() {
        let body =
            br#"{"small": 5.0, "signed": -1e3, "amounts": {"a": 1.5e1, "b": 0.0}, "ratio": 2}"#;
        let read = json::read::<Sample>(body).unwrap();
        assert_eq!((read.small, read.signed, read.ratio), (Some(5), Some(-1000), Some(2.0)));
        let amounts = read.amounts.unwrap();
        assert_eq!((amounts["a"], amounts["b"]), (15, 0));
        let free = json::read::<serde_json::Value>(b"[5.0, 1e3]").unwrap();
        assert_eq!(free.to_string(), "[5.0,1000.0]");
    }

    #[test]
    fn messages_about_parameters_name_them() {
        for (sent, pointer, detail) in [
            ("small=abc", "?small", "must be a whole number, in digits only"),
            ("small=300", "?small", "is too large"),
            ("small=1&small=2", "?small", "must be given once"),
            ("flag=yes", "?flag", "must be `true` or `false`"),
            ("goal=1", "?goal", "must be a UUID"),
            (
                "states=applied&states=foo",
                "?states",
                "`foo` is not one of: `proposed`, `applied`, `rejected`, `superseded`",
            ),
        ] {
            let pairs = form_urlencoded::parse(sent.as_bytes()).into_owned().collect();
            let refusal = query::read::<Sample>(pairs, &[], |_| None).unwrap_err();
            let error = &refusal.errors[0];
            assert_eq!(
                (error.pointer.as_str(), error.detail.as_str()),
                (pointer, detail),
                "{sent}"
            );
        }
    }

    #[test]
    fn the_answer_to_an_unknown_parameter_lists_the_known_ones() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let pairs = || vec![("x".to_owned(), "1".to_owned())];
        let detail = |others| {
            let refusal = query::read::<Nothing>(pairs(), others, |_| None).unwrap_err();
            refusal.errors[0].detail.clone()
        };
        assert_eq!(detail(&[]), "unknown parameter; none is accepted here");
        assert_eq!(
            detail(&["limit", "cursor"]),
            "unknown parameter; the known ones are: `limit`, `cursor`"
        );
    }

    #[test]
    fn messages_of_our_own_types_are_kept() {
        let message = "99 is too long: waiting takes 0 to 60 seconds";
        assert_eq!(super::of(message, || None), message);
    }
}
