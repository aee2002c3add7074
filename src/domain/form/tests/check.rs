//! Valid and invalid forms, and their round trip through JSON.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{every_kind, read, refused, with};
use crate::domain::{
    check::Checks,
    form::{AnswerSchema, check_options},
};

/// Reads a malformed form and returns the place and reason.
fn unreadable(form: Value) -> (String, String) {
    let read: Result<AnswerSchema, _> = serde_path_to_error::deserialize(form);
    let error = read.unwrap_err();
    (error.path().to_string(), error.into_inner().to_string())
}

#[test]
fn every_kind_of_the_standard_is_read_and_given_back_verbatim() {
    let form = every_kind();
    assert_eq!(refused(&read(&form)), Vec::<String>::new());
    assert_eq!(serde_json::to_value(read(&form)).unwrap(), form);
    let bare = json!({"type": "object", "properties": {"f": {"type": "string"}}, "required": []});
    assert_eq!(serde_json::to_value(read(&bare)).unwrap(), bare);
}

#[test]
fn what_the_standard_does_not_have_is_refused_with_its_place() {
    let field = |field: Value| json!({"type": "object", "properties": {"f": field}});
    for (form, place, part) in [
        (field(json!({"type": "object"})), "properties.f", "object"),
        (field(json!({"type": "object", "properties": {}})), "properties.f", "properties"),
        (field(json!({"type": "null"})), "properties.f", "null"),
        (field(json!({"type": ["string"]})), "properties.f", "string"),
        (field(json!({"type": "string", "pattern": "a"})), "properties.f", "pattern"),
        (field(json!({"type": "string", "format": "password"})), "properties.f.format", "password"),
        (field(json!({"title": "no type"})), "properties.f", "type"),
        (field(json!({"type": "string", "title": null})), "properties.f.title", "null"),
        (field(json!({"type": "integer", "minimum": "1"})), "properties.f.minimum", "1"),
        (field(json!({"type": "string", "minLength": -1})), "properties.f.minLength", "-1"),
        (field(json!({"type": "integer", "enum": [1]})), "properties.f.enum[0]", "1"),
        (
            field(json!({"type": "array", "items": {"type": "object"}})),
            "properties.f.items",
            "object",
        ),
        (json!({"type": "array", "properties": {}}), "type", "array"),
        (json!({"type": "object"}), ".", "properties"),
        (
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
            "additionalProperties",
            "additionalProperties",
        ),
    ] {
        let (at, why) = unreadable(form.clone());
        assert!(at.starts_with(place) && why.contains(part), "{form}: {at}: {why}");
    }
}

#[test]
fn what_is_wrong_with_a_form_is_named_with_its_place() {
    for (field, places) in [
        (json!({"type": "string", "title": " "}), vec!["title"]),
        (json!({"type": "string", "title": "a\nb"}), vec!["title"]),
        (json!({"type": "string", "description": "d".repeat(2001)}), vec!["description"]),
        (json!({"type": "string", "minimum": 1, "minItems": 1}), vec!["minimum", "minItems"]),
        (json!({"type": "integer", "minLength": 1, "format": "date"}), vec!["minLength", "format"]),
        (json!({"type": "boolean", "enum": ["a"]}), vec!["enum"]),
        (json!({"type": "string", "enum": ["a"], "maxLength": 3}), vec!["maxLength"]),
        (json!({"type": "string", "enumNames": ["A"]}), vec!["enumNames"]),
        (json!({"type": "string", "enum": ["a"], "enumNames": ["A", "B"]}), vec!["enumNames"]),
        (json!({"type": "string", "enum": []}), vec!["enum"]),
        (json!({"type": "string", "enum": ["a", "b", "a"]}), vec!["enum/2"]),
        (json!({"type": "string", "enum": ["a", "a "]}), vec!["enum/1"]),
        (json!({"type": "string", "enum": ["", "a\nb"]}), vec!["enum/0", "enum/1"]),
        (json!({"type": "string", "oneOf": []}), vec!["oneOf"]),
        (
            json!({"type": "string", "oneOf": [
                {"const": "a", "title": "A"}, {"const": "a", "title": "A"}
            ]}),
            vec!["oneOf/1/const", "oneOf/1/title"],
        ),
        (
            json!({"type": "string", "enum": ["a"], "oneOf": [{"const": "b", "title": "B"}]}),
            vec![""],
        ),
        (json!({"type": "array"}), vec![""]),
        (json!({"type": "array", "items": {}}), vec!["items"]),
        (json!({"type": "array", "items": {"type": "string"}}), vec!["items"]),
        (json!({"type": "array", "items": {"enum": ["a"]}}), vec!["items"]),
        (json!({"type": "array", "items": {"type": "integer", "enum": ["a"]}}), vec!["items"]),
        (
            json!({"type": "array", "items":
                {"type": "string", "anyOf": [{"const": "a", "title": "A"}]}}),
            vec!["items"],
        ),
        (json!({"type": "array", "items": {"anyOf": []}}), vec!["items/anyOf"]),
        (json!({"type": "string", "items": {"type": "string", "enum": ["a"]}}), vec!["items"]),
        (json!({"type": "string", "minLength": 4, "maxLength": 3}), vec!["minLength"]),
        (json!({"type": "string", "minLength": 10_001}), vec!["minLength"]),
        (json!({"type": "number", "minimum": 1.5, "maximum": 1}), vec!["minimum"]),
        (json!({"type": "integer", "minimum": 1.2, "maximum": 1.8}), vec!["minimum"]),
        (json!({"type": "integer", "minimum": 1.5, "maximum": 1.5}), vec!["minimum"]),
        (
            json!({"type": "array", "minItems": 2, "maxItems": 1,
                "items": {"type": "string", "enum": ["a", "b"]}}),
            vec!["minItems"],
        ),
        (
            json!({"type": "array", "minItems": 3, "items": {"type": "string", "enum": ["a", "b"]}}),
            vec!["minItems"],
        ),
        (json!({"type": "string", "default": 1}), vec!["default"]),
        (json!({"type": "string", "default": null}), vec!["default"]),
        (json!({"type": "string", "maxLength": 2, "default": "abc"}), vec!["default"]),
        (json!({"type": "string", "format": "date", "default": "2026-02-29"}), vec!["default"]),
        (json!({"type": "integer", "default": 1.5}), vec!["default"]),
        (json!({"type": "number", "maximum": 1, "default": 2}), vec!["default"]),
        (json!({"type": "boolean", "default": "true"}), vec!["default"]),
        (json!({"type": "string", "enum": ["a"], "default": "b"}), vec!["default"]),
        (
            json!({"type": "array", "items": {"type": "string", "enum": ["a"]}, "default": ["a", "b"]}),
            vec!["default/1"],
        ),
    ] {
        let base = "/schema/properties/f";
        let want: Vec<String> = places
            .iter()
            .map(|place| if place.is_empty() { base.into() } else { format!("{base}/{place}") })
            .collect();
        assert_eq!(refused(&with(field.clone())), want, "{field}");
    }
}

#[test]
fn a_form_is_neither_empty_nor_endless_and_requires_what_it_has() {
    let form = |count: usize| {
        let fields: serde_json::Map<_, _> =
            (0..count).map(|n| (format!("f{n}"), json!({"type": "string"}))).collect();
        read(&json!({"type": "object", "properties": fields}))
    };
    assert_eq!(refused(&form(0)), ["/schema/properties"]);
    assert_eq!(refused(&form(51)), ["/schema/properties"]);
    assert!(refused(&form(50)).is_empty());
    let values: Vec<String> = (0..201).map(|n| n.to_string()).collect();
    let many = with(json!({"type": "string", "enum": values}));
    assert_eq!(refused(&many), ["/schema/properties/f/enum"]);
    let required = json!({
        "type": "object", "properties": {"f": {"type": "string"}, "": {"type": "string"}},
        "required": ["f", "g", "f"], "$schema": ""
    });
    assert_eq!(
        refused(&read(&required)),
        ["/schema/$schema", "/schema/properties/", "/schema/required/1", "/schema/required/2"]
    );
    let text = "x".repeat(199);
    let values: Vec<String> = (0..200).map(|n| format!("{n:03}{}", &text[3..])).collect();
    let fields: serde_json::Map<_, _> =
        (0..50).map(|n| (format!("f{n}"), json!({"type": "string", "enum": values}))).collect();
    let large = read(&json!({"type": "object", "properties": fields}));
    assert_eq!(refused(&large), ["/schema"]);
}

#[test]
fn options_are_a_form_with_one_choice() {
    let labels =
        |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>();
    let places = |list: &[String]| {
        let mut checks = Checks::new();
        check_options(&mut checks, "/options", list);
        let errors = checks.finish().map_err(|refusal| refusal.errors).err().unwrap_or_default();
        errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
    };
    let two = labels(&["Retry", "Rotate the API key"]);
    assert!(places(&two).is_empty());
    let form = AnswerSchema::of_options(&two);
    let want = json!({
        "type": "object", "required": ["choice"],
        "properties": {"choice": {"type": "string", "enum": ["Retry", "Rotate the API key"]}}
    });
    assert_eq!(serde_json::to_value(&form).unwrap(), want);
    assert!(refused(&form).is_empty());
    assert!(form.validate(&json!({"choice": "Retry"})).is_ok());
    assert_eq!(form.validate(&json!({})).unwrap_err()[0].pointer, "/answer/choice");
    assert_eq!(places(&labels(&["one"])), ["/options"]);
    assert_eq!(places(&labels(&["a", "", "a"])), ["/options/1", "/options/2"]);
    let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
    assert_eq!(places(&many), ["/options"]);
    assert!(places(&many[1..]).is_empty());
}

fn any_field() -> impl Strategy<Value = Value> {
    // Of few letters, as the names: a title may not ask for a secret, such as a PIN.
    let word = || "[b-d]{1,8}";
    let set = || prop::collection::btree_set("[a-z]{1,6}", 1..5);
    let titled = |values: std::collections::BTreeSet<String>| -> Vec<Value> {
        values.iter().map(|v| json!({"const": v, "title": format!("The {v}")})).collect()
    };
    prop_oneof![
        (word(), 0_u64..9, 9_u64..99).prop_map(|(title, least, most)| json!({
            "type": "string", "title": title, "minLength": least, "maxLength": most
        })),
        prop::sample::select(vec!["email", "uri", "date", "date-time"])
            .prop_map(|format| json!({"type": "string", "format": format})),
        (any::<i64>(), any::<f64>()).prop_map(|(a, b)| {
            let (least, most) =
                if (a as f64) < b { (json!(a), json!(b)) } else { (json!(b), json!(a)) };
            json!({"type": "number", "minimum": least, "maximum": most})
        }),
        any::<i32>()
            .prop_map(|least| json!({"type": "integer", "minimum": least, "default": least})),
        any::<bool>().prop_map(|yes| json!({"type": "boolean", "default": yes})),
        set().prop_map(|values| json!({"type": "string", "enum": values})),
        set().prop_map(move |values| json!({"type": "string", "oneOf": titled(values)})),
        set().prop_map(|values| json!({
            "type": "array", "items": {"type": "string", "enum": values}, "minItems": 1
        })),
        set().prop_map(move |values| json!({"type": "array", "items": {"anyOf": titled(values)}})),
    ]
}

proptest! {
    /// A form survives the round trip through JSON, and a form within the rules is accepted.
    #[test]
    fn a_form_goes_round(
        fields in prop::collection::btree_map("[b-d]{1,8}", any_field(), 1..8), all in any::<bool>(),
    ) {
        let required: Vec<_> = fields.keys().cloned().collect();
        let mut form = json!({"type": "object", "properties": fields});
        if all {
            form["required"] = json!(required);
        }
        prop_assert_eq!(refused(&read(&form)), Vec::<String>::new());
        prop_assert_eq!(serde_json::to_value(read(&form)).unwrap(), form);
    }

    /// An unknown keyword is refused at every level.
    #[test]
    fn an_unknown_keyword_is_refused(
        field in any_field(), keyword in "x-[a-z]{1,8}", place in 0_usize..2,
    ) {
        let mut form = json!({"type": "object", "properties": {"f": field}});
        let place = ["", "/properties/f"][place];
        form.pointer_mut(place).unwrap()[&keyword] = json!(1);
        let (_, why) = unreadable(form);
        prop_assert!(why.contains(&keyword), "{}", why);
    }

    /// Any nested value is refused.
    #[test]
    fn a_form_is_flat(inner in any_field()) {
        let nested = json!({"type": "object", "properties": {"inner": inner}});
        unreadable(json!({"type": "object", "properties": {"f": nested}}));
        unreadable(json!({"type": "object", "properties": {"f": {"type": "array", "items": nested}}}));
    }
}
