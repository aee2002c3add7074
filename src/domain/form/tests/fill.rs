//! Forms as inputs, and their submitted texts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{every_kind, read, with};
use crate::domain::form::{AnswerSchema, Choice, Takes};

/// The answer of the texts, by the indexes of the fields.
fn fill(form: &AnswerSchema, texts: &[(usize, &[&str])]) -> Value {
    let given: BTreeMap<usize, Vec<&str>> =
        texts.iter().map(|(place, texts)| (*place, texts.to_vec())).collect();
    form.fill(&given)
}

/// A form submitted with its defaults.
fn untouched(form: &AnswerSchema) -> Value {
    let inputs = form.inputs();
    let given = inputs.iter().enumerate();
    let texts = |filled: &[String]| filled.iter().map(String::clone).collect::<Vec<_>>();
    let given: Vec<(usize, Vec<String>)> =
        given.map(|(place, input)| (place, texts(&input.filled))).collect();
    let given = given.iter().map(|(at, texts)| (*at, texts.iter().map(String::as_str).collect()));
    form.fill(&given.collect())
}

#[test]
fn a_form_sent_as_it_is_shown_has_its_defaults() {
    let form = read(&every_kind());
    let answer = untouched(&form);
    assert_eq!(
        answer,
        json!({
            "text": "user@example.com", "number": 50, "whole": 3.0, "yes": false, "colour": "Red",
            "titled": "#FF0000", "several": ["Red", "Green"], "several_titled": ["#FF0000"],
        })
    );
    form.validate(&answer).unwrap();
}

#[test]
fn fields_are_shown_as_what_they_take() {
    let takes = |field: Value| format!("{:?}", with(field).inputs()[0].takes);
    let text = |more: Value| {
        let mut field = json!({"type": "string"});
        field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        takes(field)
    };
    assert_eq!(text(json!({})), "Text");
    assert_eq!(text(json!({"maxLength": 40})), "Line");
    assert_eq!(text(json!({"format": "date"})), "Day");
    assert_eq!(text(json!({"format": "date-time"})), "Instant");
    assert_eq!(text(json!({"format": "uri"})), "Line");
    assert_eq!(takes(json!({"type": "integer"})), "Number");
    assert_eq!(takes(json!({"type": "boolean"})), "Boolean");
    let legacy = with(json!({"type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"]}));
    let choices = [("r", "Red"), ("g", "Green")].map(|(value, label)| Choice { value, label });
    assert_eq!(legacy.inputs()[0].takes, Takes::One(choices.to_vec()));
    assert!(!legacy.inputs()[0].needed);
}

#[test]
fn what_is_empty_is_left_out_and_what_makes_no_sense_is_refused() {
    let form = read(&every_kind());
    // colour, legacy, number, several, several_titled, text, titled, whole, yes
    let answer = fill(&form, &[(2, &[" "]), (5, &[""]), (8, &[""])]);
    assert_eq!(answer, json!({"several": []}), "what must be chosen is a choice of none");
    let wrong: &[(usize, &[&str])] = &[
        (0, &["3"]),
        (1, &["0", "1"]),
        (2, &["many"]),
        (3, &["1", "7"]),
        (5, &["nobody"]),
        (6, &["-1"]),
        (7, &["1e30"]),
        (8, &["perhaps"]),
    ];
    let errors = form.validate(&fill(&form, wrong)).unwrap_err();
    let places: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    let names = ["colour", "legacy", "number", "several/1", "text", "titled", "whole", "yes"];
    assert_eq!(places, names.map(|name| format!("/answer/{name}")));
}

proptest! {
    #[test]
    fn whatever_a_field_is_called_and_offers_comes_back(
        names in proptest::collection::btree_set(".{1,12}", 1..6),
        values in proptest::collection::btree_set(".{0,12}", 1..6), pick in any::<prop::sample::Index>(),
    ) {
        let values: Vec<&String> = values.iter().collect();
        let place = pick.index(values.len());
        let field = json!({"type": "string", "enum": values});
        let properties: serde_json::Map<String, Value> =
            names.iter().map(|name| (name.clone(), field.clone())).collect();
        let form = read(&json!({"type": "object", "properties": properties}));
        let text = place.to_string();
        let given = (0..names.len()).map(|at| (at, vec![text.as_str()])).collect();
        let want: serde_json::Map<String, Value> =
            names.iter().map(|name| (name.clone(), json!(values[place]))).collect();
        prop_assert_eq!(form.fill(&given), Value::Object(want));
    }

    #[test]
    fn numbers_are_kept_as_they_were_written(number in any::<i64>(), text in "[0-9.eE+-]{0,8}") {
        let form = with(json!({"type": "integer"}));
        prop_assert_eq!(fill(&form, &[(0, &[&number.to_string()])]), json!({"f": number}));
        let filled = fill(&form, &[(0, &[&text])]);
        let known = filled.get("f").is_none_or(|value| value.is_number() || *value == json!(text));
        prop_assert!(known, "{filled}");
    }
}
