//! Canonical JSON: one text per value, to be hashed.
//!
//! The form is RFC 8785 (JSON Canonicalization Scheme): no white space, object keys sorted by UTF-16
//! code units, minimal escapes, numbers as ECMAScript prints them. One deviation: integers beyond a
//! double's precision keep all digits. RFC 8785 rounds them, so two payloads that differ in the last
//! digit of an id would share a hash.
//!
//! A value has the same canonical form after a round trip through `jsonb`: `1.0` and `1` are one
//! number in both.

use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

/// The canonical form of a value.
#[must_use]
pub fn canonical(value: &Value) -> String {
    match value {
        // serde_json escapes strings as RFC 8785 does.
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
        Value::Number(number) => canonical_number(number),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            let member = |(key, value): (&String, &Value)| {
                format!("{}:{}", Value::from(key.as_str()), canonical(value))
            };
            let members: Vec<_> = sorted.into_iter().map(member).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

/// SHA-256 of the canonical form.
#[must_use]
pub fn sha256(value: &Value) -> [u8; 32] {
    Sha256::digest(canonical(value)).into()
}

fn canonical_number(number: &Number) -> String {
    match (number.is_f64(), number.as_f64()) {
        (true, Some(double)) => ryu_js::Buffer::new().format_finite(double).to_owned(),
        (true | false, _) => number.to_string(),
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
