//! Valid and invalid answers.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{every_kind, read, refused, with};
use crate::domain::{
    form::{AnswerSchema, Format},
    words::Words as _,
};

fn places(form: &AnswerSchema, answer: Value) -> Vec<String> {
    let errors = form.validate(&answer).err().unwrap_or_default();
    errors.into_iter().map(|error| error.pointer).collect()
}

fn takes(field: Value, value: Value) -> bool {
    let form = with(field);
    assert!(refused(&form).is_empty(), "{form:?}");
    form.validate(&json!({"f": value})).is_ok()
}

#[test]
fn an_answer_has_the_fields_of_the_form_and_no_others() {
    let form = read(&every_kind());
    let good = json!({"text": "mona@example.com", "several": ["Blue"], "yes": true, "whole": 4.0});
    assert_eq!(places(&form, good), Vec::<String>::new());
    for nothing in [json!(null), json!([]), json!("text"), json!(1)] {
        assert_eq!(places(&form, nothing), ["/answer"]);
    }
    let bad = json!({
        "text": "x", "number": "50", "whole": 0.5, "yes": "true", "colour": "red",
        "titled": "Red", "several_titled": ["#FF0000", 7, "#FF0000"], "a/b~c": 1, "legacy": null
    });
    let want = [
        "/answer/several",
        "/answer/a~1b~0c",
        "/answer/colour",
        "/answer/legacy",
        "/answer/number",
        "/answer/several_titled/1",
        "/answer/several_titled/2",
        "/answer/several_titled",
        "/answer/text",
        "/answer/text",
        "/answer/titled",
        "/answer/whole",
        "/answer/yes",
    ];
    assert_eq!(places(&form, bad), want);
}

#[test]
fn messages_say_what_to_change() {
    let details = |field: Value, value: Value| {
        let errors = with(field).validate(&json!({"f": value})).unwrap_err();
        errors.into_iter().map(|error| error.detail).collect::<Vec<_>>()
    };
    let values: Vec<String> = (10..30).map(|n| n.to_string()).collect();
    let one = details(json!({"type": "string", "enum": values}), json!("9"));
    assert!(one[0].starts_with("must be one of `10`, `11`,") && one[0].ends_with(" and 8 more"));
    assert_eq!(
        details(json!({"type": "integer", "maximum": 3}), json!(4)),
        ["is 4; must be at most 3"]
    );
    assert_eq!(
        details(json!({"type": "string", "minLength": 2}), json!("é")),
        ["has 1 characters; at least 2 are needed"]
    );
    let unknown = with(json!({"type": "string"})).validate(&json!({"g": 1})).unwrap_err();
    assert_eq!(unknown[0].detail, "is no field of the form; its fields are `f`");
}

#[test]
fn whole_numbers_are_exact() {
    let whole = json!({"type": "integer"});
    for good in [json!(1), json!(1.0), json!(-0.0), json!(1e300), json!(u64::MAX), json!(i64::MIN)]
    {
        assert!(takes(whole.clone(), good.clone()), "{good}");
    }
    for bad in [json!(1.5), json!(1e-9), json!("1"), json!(true)] {
        assert!(!takes(whole.clone(), bad.clone()), "{bad}");
    }
    let most = |most: Value, value: Value| takes(json!({"type": "number", "maximum": most}), value);
    let large = 9_007_199_254_740_993_i64;
    assert!(most(json!(large), json!(large)));
    assert!(!most(json!(large), json!(large + 1)));
    assert!(!most(json!(large - 1), json!(large)));
    assert!(!most(json!(9_007_199_254_740_992.0), json!(large)));
    assert!(most(json!(1e300), json!(u64::MAX)));
    assert!(!most(json!(-1e300), json!(i64::MIN)));
    assert!(
        most(json!(0), json!(-0.0)) && most(json!(0.5), json!(0)) && !most(json!(0.5), json!(1))
    );
    assert!(most(json!(-1), json!(-1.5)) && !most(json!(-1.5), json!(-1)));
}

#[test]
fn lengths_are_counted_in_characters() {
    let field = json!({"type": "string", "minLength": 3, "maxLength": 3});
    assert!(takes(field.clone(), json!("日本語")));
    assert!(takes(field.clone(), json!("🦀🦀🦀")));
    assert!(!takes(field.clone(), json!("🦀")) && !takes(field, json!("abcd")));
}

#[test]
fn formats_take_what_exists() {
    let cases: [(Format, &[&str], &[&str]); 4] = [
        (
            Format::Email,
            &["octocat@github.com", "a+b@x.org", "\"a b\"@example.com"],
            &["octocat", "@x.org", "a b@x.org", "Mona <mona@x.org>", "a@b@c.org", ""],
        ),
        (
            Format::Uri,
            &["https://example.com/a?b=c#d", "mailto:a@b.c", "urn:isbn:0451450523"],
            &["example.com", "/a/b", "https://exa mple.com", "https://x/%zz", "http://[1::", ""],
        ),
        (
            Format::Date,
            &["2026-02-28", "2024-02-29", "0001-01-01"],
            &["2026-02-29", "2026-2-3", "2026-13-01", "26-01-01", "2026-01-01 ", "+2026-01-1", ""],
        ),
        (
            Format::DateTime,
            &["2026-02-28T09:30:00Z", "2026-02-28t09:30:00.123+01:00", "2024-02-29T23:59:59-12:00"],
            &[
                "2026-02-29T09:30:00Z",
                "2026-02-28",
                "2026-02-28 09:30:00Z",
                "2026-02-28T09:30:00",
                "2026-02-28T24:30:00Z",
                "2026-02-28T09:30Z",
            ],
        ),
    ];
    assert_eq!(cases.len(), Format::ALL.len());
    for (format, good, bad) in cases {
        let field = json!({"type": "string", "format": format});
        for text in good {
            assert!(takes(field.clone(), json!(text)), "{format} {text}");
        }
        for text in bad {
            assert!(!takes(field.clone(), json!(text)), "{format} {text}");
        }
    }
}

/// The verdict of a JSON Schema validator, plus the stricter rules of forms.
fn oracle(form: &Value) -> jsonschema::Validator {
    let mut form = form.clone();
    form["additionalProperties"] = json!(false);
    for field in form["properties"].as_object_mut().unwrap().values_mut() {
        if field["type"] == "array" {
            field["uniqueItems"] = json!(true);
        }
    }
    jsonschema::draft202012::options().should_validate_formats(true).build(&form).unwrap()
}

fn any_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3_i64..4).prop_map(|n| json!(n)),
        (-6_i32..7).prop_map(|n| json!(f64::from(n) / 2.0)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        (9_007_199_254_740_990_i64..9_007_199_254_740_996).prop_map(|n| json!(n)),
        (9_007_199_254_740_990_i64..9_007_199_254_740_996).prop_map(|n| json!(n as f64)),
    ]
}

fn any_field() -> impl Strategy<Value = Value> {
    let words = || prop::sample::subsequence(vec!["a", "b", "c", "dd"], 1..4);
    prop_oneof![
        (0_u64..3, 0_u64..4).prop_map(|(least, more)| {
            json!({"type": "string", "minLength": least, "maxLength": least + more})
        }),
        prop::sample::select(vec!["email", "uri", "date", "date-time"])
            .prop_map(|format| json!({"type": "string", "format": format})),
        (any_number(), any::<bool>(), any::<bool>()).prop_map(|(bound, least, whole)| {
            let kind = if whole { "integer" } else { "number" };
            json!({"type": kind, (if least { "minimum" } else { "maximum" }): bound})
        }),
        Just(json!({"type": "boolean"})),
        words().prop_map(|values| json!({"type": "string", "enum": values})),
        words().prop_map(|values| {
            let titled: Vec<_> = values.iter().map(|v| json!({"const": v, "title": v})).collect();
            json!({"type": "string", "oneOf": titled})
        }),
        (words(), 0_u64..2, 1_u64..4).prop_map(|(values, least, most)| json!({
            "type": "array", "items": {"type": "string", "enum": values},
            "minItems": least, "maxItems": most
        })),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-d]{0,4}",
        "[éß🦀]{0,4}",
        "20[0-9]{2}-[01][0-9]-[0-3][0-9]",
        "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](Z|\\+0[0-9]:00)",
        "[a-c]{1,3}@[a-c]{1,3}\\.org",
        "(https?|urn):[a-c/]{0,6}",
    ]
    .boxed();
    let several = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "dd", "e"]), 0..4);
    prop_oneof![
        4 => text.prop_map(Value::String),
        3 => any_number(),
        1 => any::<bool>().prop_map(Value::Bool),
        2 => several.prop_map(|list| json!(list)),
        1 => Just(Value::Null),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// A form accepts exactly the answers that JSON Schema accepts.
    #[test]
    fn an_answer_fits_exactly_when_json_schema_says_so(
        fields in prop::collection::btree_map("[a-c]", any_field(), 1..3),
        required in prop::sample::subsequence(vec!["a", "b", "c"], 0..3),
        answer in prop::collection::btree_map("[a-d]", any_value(), 0..3),
    ) {
        let required: Vec<_> = required.into_iter().filter(|name| fields.contains_key(*name)).collect();
        let form = json!({"type": "object", "properties": fields, "required": required});
        let answer = json!(answer);
        let fits = read(&form).validate(&answer);
        prop_assert_eq!(fits.is_ok(), oracle(&form).is_valid(&answer), "{} {} {:?}", form, answer, fits);
    }

    /// Every error points into the answer.
    #[test]
    fn places_are_pointers_under_the_answer(answer in any_value(), name in "[a-z/~]{0,3}") {
        let form = with(json!({"type": "boolean"}));
        for place in places(&form, answer.clone()) {
            prop_assert_eq!(place, "/answer");
        }
        let body = json!({"answer": {(name.clone()): answer}});
        let found = form.validate(&body["answer"]).err().unwrap_or_default();
        for error in found {
            prop_assert!(body.pointer(&error.pointer).is_some(), "{}", error.pointer);
        }
    }

    /// A default is accepted exactly if it is a valid answer.
    #[test]
    fn a_default_is_an_answer(field in any_field(), default in any_value()) {
        let mut field = field;
        field["default"] = default.clone();
        let form = with(field);
        let taken = !refused(&form).iter().any(|place| place.contains("default"));
        let sent_back = json!({"f": default});
        prop_assert_eq!(form.validate(&sent_back).is_ok(), taken);
    }
}
