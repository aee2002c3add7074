//! One text for one JSON value, so that it can be hashed.
//!
//! The canonical form is that of RFC 8785 (JSON Canonicalization Scheme): no white space, the keys of
//! objects in the order of their UTF-16 code units, strings with the fewest escapes, numbers as
//! ECMAScript writes them. With one difference: integers that a double cannot hold keep all their
//! digits. The scheme rounds them, and then two payloads that differ in the last digit of an id
//! would have one hash, which is what a hash is to prevent.
//!
//! A value keeps its form when it is stored in the database and read again: `1.0` and `1` are one
//! number there, and here.

use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

/// The canonical form of a value.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value);
    text
}

/// SHA-256 of the canonical form.
#[must_use]
pub fn sha256(value: &Value) -> [u8; 32] {
    Sha256::digest(canonical(value)).into()
}

fn write(text: &mut String, value: &Value) {
    match value {
        // Strings escape only what must be escaped, and in the same way.
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
        Value::Number(number) => write_number(text, number),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(text, item);
            }
            text.push(']');
        }
        Value::Object(fields) => write_object(text, fields),
    }
}

fn write_object(text: &mut String, fields: &Map<String, Value>) {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    text.push('{');
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&Value::from(key.as_str()).to_string());
        text.push(':');
        write(text, value);
    }
    text.push('}');
}

fn write_number(text: &mut String, number: &Number) {
    match (number.is_f64(), number.as_f64()) {
        (true, Some(double)) => text.push_str(ryu_js::Buffer::new().format_finite(double)),
        (true | false, _) => text.push_str(&number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_examples_of_the_scheme_come_out_as_printed() {
        let value: Value = serde_json::from_str(
            r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
                "literals": [null, true, false]}"#,
        )
        .unwrap();
        assert_eq!(
            canonical(&value),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        let keys = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6,
                          "\u{f6}": 7});
        // Six of the keys are those of the scheme's own example, in its order.
        let values: String = canonical(&keys)
            .split(',')
            .filter_map(|part| part.chars().rev().find(char::is_ascii_digit))
            .collect();
        assert_eq!(values, "2467153");
    }

    #[test]
    fn numbers_that_are_equal_are_written_alike_and_others_are_not() {
        assert_eq!(canonical(&json!([1.0, -0.0, 1e16])), "[1,0,10000000000000000]");
        let neighbours = [json!(9_007_199_254_740_992_u64), json!(9_007_199_254_740_993_u64)];
        assert_ne!(sha256(&neighbours[0]), sha256(&neighbours[1]));
        assert_eq!(canonical(&json!(u64::MAX)), "18446744073709551615");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Whether both mean the same, numbers by what they are and not by how they are kept.
    fn same(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => {
                let exact = |number: &Number| number.as_i128();
                match (exact(one), exact(other)) {
                    (Some(one), Some(other)) => one == other,
                    (Some(_) | None, _) => one.as_f64() == other.as_f64(),
                }
            }
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| same(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
            }
            (one, other) => one == other,
        }
    }

    proptest! {
        // So no two values that differ have the same form.
        #[test]
        fn the_form_is_json_that_means_the_same_and_its_own_form(value in any_json()) {
            let text = canonical(&value);
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert!(same(&read, &value), "{read} {value}");
            prop_assert_eq!(canonical(&read), text);
        }
    }
}
