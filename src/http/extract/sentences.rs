//! What the readers of JSON and of queries say, in the words of people who send requests.
//!
//! Serde and the types it reads speak of Rust: `expected i16`, `struct SpendReport`, `premature end
//! of input`. This is the one place that turns their messages into sentences about JSON. What it
//! does not know was written by muster's own types for the sender, and passes as it is.

const TIME: &str = "an RFC 3339 time, for example `2030-01-01T00:00:00Z`";

/// What chrono says of a text that is no time.
const NO_TIME: &[&str] = &[
    "premature end of input",
    "trailing input",
    "input contains invalid characters",
    "input is out of range",
    "input is not enough for unique date and time",
    "no possible date and time matching input",
];

/// The sentence for a message about a body.
#[must_use]
pub fn of(message: &str) -> String {
    sentence(message, "field", &[])
}

/// The sentence for a message about a parameter; `others` are read elsewhere but are allowed too.
#[must_use]
pub fn of_query(message: &str, others: &[&str]) -> String {
    let said = match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "must be a whole number, written in digits only"
        }
        "number too large to fit in target type" => "is too large",
        "number too small to fit in target type" => "is too small",
        "provided string was not `true` or `false`" => "must be `true` or `false`",
        "unsupported value" => "must be given once",
        other => return sentence(other, "parameter", others),
    };
    said.to_owned()
}

fn sentence(message: &str, noun: &str, others: &[&str]) -> String {
    if NO_TIME.contains(&message) {
        return format!("must be {TIME}");
    }
    if message.starts_with("UUID parsing failed") {
        return "must be a UUID".to_owned();
    }
    if let Some(name) = quoted(message, "missing field ") {
        return format!("the {noun} `{name}` is missing");
    }
    if quoted(message, "unknown field ").is_some() {
        let mut allowed = allowed(message);
        allowed.extend(others.iter().map(|name| format!("`{name}`")));
        if allowed.is_empty() {
            return format!("there is no such {noun}; none is taken here");
        }
        return format!("there is no such {noun}; there are: {}", allowed.join(", "));
    }
    if let Some(word) = quoted(message, "unknown variant ") {
        return format!(
            "`{word}` is none of the words allowed here: {}",
            allowed(message).join(", ")
        );
    }
    if let Some(expected) = expected(message, "invalid type: ") {
        return format!("must be {}", kind(expected));
    }
    if let Some(expected) = expected(message, "invalid value: ") {
        return match range(expected) {
            Some((least, most)) => format!("must be a whole number from {least} to {most}"),
            None => format!("must be {}", kind(expected)),
        };
    }
    message.to_owned()
}

/// The name in backquotes after `start`.
fn quoted<'m>(message: &'m str, start: &str) -> Option<&'m str> {
    let rest = message.strip_prefix(start)?.strip_prefix('`')?;
    // What was sent may have backquotes itself; what serde adds after it has none before these.
    let end = rest.rfind("`, expected ").or_else(|| rest.rfind("`, there are no "));
    end.map_or_else(|| rest.strip_suffix('`'), |end| rest.get(..end))
}

/// The names that serde lists as allowed, in their backquotes.
fn allowed(message: &str) -> Vec<String> {
    let list = message.rsplit_once("`, expected ").map_or("", |(_, list)| list);
    list.split('`').skip(1).step_by(2).map(|name| format!("`{name}`")).collect()
}

fn expected<'m>(message: &'m str, start: &str) -> Option<&'m str> {
    Some(message.strip_prefix(start)?.rsplit_once(", expected ")?.1)
}

/// What is expected, in the words of JSON.
fn kind(expected: &str) -> &str {
    if range(expected).is_some() {
        return "a whole number";
    }
    match expected {
        "f32" | "f64" => "a number",
        "a string" | "string" | "str" => "a text",
        "a boolean" | r#""true", "on" or "false""# => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "an object",
        "a formatted UUID string" | "UUID" | "a UUID string" => "a UUID",
        "unit" => "null",
        "variant identifier" | "string or map" | "a word" => "one of the words allowed here",
        "an RFC 3339 formatted date and time string" | "a formatted date and time string" => TIME,
        rust if rust.starts_with("struct ") => "an object",
        rust if rust.starts_with("enum ") => "one of the words allowed here",
        plain => plain,
    }
}

fn range(expected: &str) -> Option<(String, String)> {
    macro_rules! bounds {
        ($($kind:ident),*) => {
            match expected {
                $(stringify!($kind) => Some(($kind::MIN.to_string(), $kind::MAX.to_string())),)*
                _ => None,
            }
        };
    }
    bounds!(i8, i16, i32, i64, u8, u16, u32, u64, usize)
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
    #[expect(dead_code, reason = "only the reading of it is looked at")]
    struct Inner {
        name: String,
    }

    fn refused(body: &str) -> (String, String) {
        let refusal = json::read::<Sample>(body.as_bytes()).unwrap_err();
        (refusal.errors[0].pointer.clone(), refusal.errors[0].detail.clone())
    }

    #[test]
    fn bodies_are_refused_in_the_words_of_json() {
        for (body, pointer, detail) in [
            (r#"[]"#, "", "must be an object"),
            (r#"null"#, "", "must be an object"),
            (r#""x""#, "", "must be an object"),
            (r#"{"signed": "5"}"#, "/signed", "must be a whole number"),
            (r#"{"signed": 1.5}"#, "/signed", "must be a whole number"),
            (r#"{"small": 300}"#, "/small", "must be a whole number from 0 to 255"),
            (r#"{"small": -1}"#, "/small", "must be a whole number from 0 to 255"),
            (r#"{"ratio": "1"}"#, "/ratio", "must be a number"),
            (r#"{"text": 1}"#, "/text", "must be a text"),
            (r#"{"flag": 1}"#, "/flag", "must be `true` or `false`"),
            (r#"{"list": {}}"#, "/list", "must be a list"),
            (r#"{"amounts": []}"#, "/amounts", "must be an object"),
            (r#"{"amounts": {"a": []}}"#, "/amounts/a", "must be a whole number"),
            (r#"{"inner": ["name"]}"#, "/inner", "must be an object"),
            (r#"{"inner": {}}"#, "/inner", "the field `name` is missing"),
            (
                r#"{"inner": {"name": "a", "b": 1}}"#,
                "/inner/b",
                "there is no such field; there are: `name`",
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
                "`x`, expected y` is none of the words allowed here: `proposed`, `applied`, `rejected`, `superseded`",
            ),
            (r#"{"state": 1}"#, "/state", "must be one of the words allowed here"),
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
    fn parameters_are_refused_by_their_name() {
        for (sent, pointer, detail) in [
            ("small=abc", "?small", "must be a whole number, written in digits only"),
            ("small=300", "?small", "is too large"),
            ("small=1&small=2", "?small", "must be given once"),
            ("flag=yes", "?flag", "must be `true` or `false`"),
            ("goal=1", "?goal", "must be a UUID"),
            (
                "states=applied&states=foo",
                "?states",
                "`foo` is none of the words allowed here: `proposed`, `applied`, `rejected`, `superseded`",
            ),
        ] {
            let pairs = form_urlencoded::parse(sent.as_bytes()).into_owned().collect();
            let refusal = query::read::<Sample>(pairs, &[]).unwrap_err();
            let error = &refusal.errors[0];
            assert_eq!(
                (error.pointer.as_str(), error.detail.as_str()),
                (pointer, detail),
                "{sent}"
            );
        }
    }

    #[test]
    fn an_unknown_parameter_is_told_all_that_there_are() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let pairs = || vec![("x".to_owned(), "1".to_owned())];
        let detail =
            |others| query::read::<Nothing>(pairs(), others).unwrap_err().errors.remove(0).detail;
        assert_eq!(detail(&[]), "there is no such parameter; none is taken here");
        assert_eq!(
            detail(&["limit", "cursor"]),
            "there is no such parameter; there are: `limit`, `cursor`"
        );
    }

    #[test]
    fn what_the_types_say_themselves_is_kept() {
        assert_eq!(
            super::of("99 is too long: waiting takes 0 to 60 seconds"),
            "99 is too long: waiting takes 0 to 60 seconds"
        );
    }
}
