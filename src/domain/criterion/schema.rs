//! JSON Schemas of `json_schema` criteria: which are taken, and the check of a result.
//!
//! A schema comes from outside and is run by the server while a completion holds locks, so its work is bounded:
//! - It is small and flat enough, and stands alone: nothing is fetched, and `$ref` names a definition of its own.
//! - Definitions do not refer to each other in a circle, and the schema with all of them written out is small. So no
//!   few definitions multiply into endless work.
//! - Patterns are of an engine without backtracking.
//! - The product of the sizes of schema and value is bounded, for all schemas of a task together; a result beyond it is
//!   refused.
//! - The schemas of one task have few patterns together, and so have the different schemas of one request: to compile
//!   a pattern costs up to milliseconds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::domain::check::{Checks, pointer};

/// Most bytes of a schema as compact text.
const BYTES: usize = 16 << 10;
/// Deepest nesting of a schema.
const DEPTH: usize = 32;
/// Most values in a schema, with each reference replaced by its definition.
const EXPANDED: usize = 4_000;
/// Most patterns of the schemas of one task.
const PATTERNS: usize = 50;
/// Most patterns of the schemas of one request; equal schemas count once.
const REQUEST_PATTERNS: usize = 500;
/// Most schemas of a task.
const TASK_SCHEMAS: usize = 20;
/// Most bytes of a compiled pattern.
const PATTERN_BYTES: usize = 128 << 10;
/// Most work of the check of one result: for each schema its values, written out, times values of what it checks.
const WORK: usize = 10_000_000;
/// Most faults that a check lists.
const FAULTS: usize = 20;
/// The only dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Keywords that reach outside the schema, or make its work unbounded.
const REFUSED: [&str; 9] = [
    "$id",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$recursiveAnchor",
    "$vocabulary",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Members whose value is data, not a schema.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "required"];
/// Members whose value has schemas by names, which are no keywords.
const BY_NAME: [&str; 5] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// The schemas of one request that were checked so far.
#[derive(Debug, Default)]
pub struct Schemas {
    /// The good ones as text, each with the number of its patterns.
    known: HashMap<String, usize>,
    /// The patterns of the different ones.
    patterns: usize,
}

impl Schemas {
    /// Checks that the schemas of a task can be run, each with its place. `at`: the place of the list that has them.
    pub fn check_task<'a>(
        &mut self,
        checks: &mut Checks,
        at: &str,
        schemas: impl Iterator<Item = (String, &'a Value)>,
    ) {
        let (mut count, mut patterns) = (0, 0);
        for (place, schema) in schemas {
            count += 1;
            if count > TASK_SCHEMAS {
                let detail = format!("must have at most {TASK_SCHEMAS} of the type `json_schema`");
                return checks.add(at, detail);
            }
            patterns += self.check(checks, &place, schema);
        }
        let detail = format!("must have at most {PATTERNS} patterns in its schemas");
        checks.ensure(patterns <= PATTERNS, at, detail);
    }

    /// Checks that a schema can be run; returns the number of its patterns.
    fn check(&mut self, checks: &mut Checks, at: &str, schema: &Value) -> usize {
        let text = schema.to_string();
        if let Some(patterns) = self.known.get(&text) {
            return *patterns;
        }
        let Some(patterns) = form(checks, at, schema, text.len()) else { return 0 };
        self.patterns += patterns;
        if patterns > PATTERNS {
            checks.add(at, format!("must have at most {PATTERNS} patterns"));
        } else if self.patterns > REQUEST_PATTERNS {
            let detail = format!(
                "has too many patterns with the schemas before it: the different schemas of a request have at most \
                 {REQUEST_PATTERNS}"
            );
            checks.add(at, detail);
        } else if let Err(detail) = compile(schema) {
            checks.add(at, format!("is no valid JSON Schema 2020-12: {detail}"));
        } else {
            self.known.insert(text, patterns);
        }
        patterns
    }
}

/// Checks what a schema is made of, without compiling it; returns the number of its patterns. `bytes`: its length.
fn form(checks: &mut Checks, at: &str, schema: &Value, bytes: usize) -> Option<usize> {
    if !(schema.is_object() || schema.is_boolean()) {
        checks.add(at, "must be a JSON Schema: an object, `true` or `false`");
        return None;
    }
    if bytes > BYTES {
        checks.add(at, format!("must have at most {BYTES} bytes as compact JSON"));
        return None;
    }
    if depth(schema) > DEPTH {
        checks.add(at, format!("must be nested at most {DEPTH} levels deep"));
        return None;
    }
    let mut found = Keywords { checks, definitions: BTreeSet::new(), patterns: 0, refused: false };
    for group in ["$defs", "definitions"] {
        let names = schema.get(group).and_then(Value::as_object).into_iter().flatten();
        found.definitions.extend(names.map(|(name, _)| pointer(&format!("#/{group}"), name)));
    }
    found.schema(at, schema, true);
    let (refused, patterns) = (found.refused, found.patterns);
    if refused {
        return None;
    }
    match expanded(schema) {
        None => checks.add(at, "must not refer to itself, directly or through definitions"),
        Some(size) if size > EXPANDED => {
            let detail = format!(
                "must have at most {EXPANDED} values when each `$ref` is replaced by its definition"
            );
            checks.add(at, detail);
        }
        Some(_) => return Some(patterns),
    }
    None
}

struct Keywords<'a> {
    checks: &'a mut Checks,
    /// What a reference may name.
    definitions: BTreeSet<String>,
    patterns: usize,
    refused: bool,
}

impl Keywords<'_> {
    fn refuse(&mut self, at: &str, detail: impl Into<String>) {
        self.refused = true;
        self.checks.add(at, detail);
    }

    fn schema(&mut self, at: &str, schema: &Value, root: bool) {
        match schema {
            Value::Object(members) => {
                for (name, value) in members {
                    self.keyword(&pointer(at, name), name, value, root);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.schema(&pointer(at, index), item, false);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn keyword(&mut self, at: &str, name: &str, value: &Value, root: bool) {
        if REFUSED.contains(&name) {
            return self.refuse(at, format!("`{name}` is not taken here"));
        }
        if DATA.contains(&name) {
            return;
        }
        match (name, value) {
            ("$schema", Value::String(dialect)) if dialect.trim_end_matches('#') != DIALECT => {
                self.refuse(at, format!("must be `{DIALECT}`, or left out"));
            }
            ("$ref", Value::String(to)) => {
                // The validator decodes `%61` to `a`: one text must not be two definitions, or the bounds are of another.
                let known = self.definitions.contains(to) && !to.contains('%');
                if !known {
                    let detail = "must name a definition of this schema, as `#/$defs/name` without `%`; nothing is fetched";
                    self.refuse(at, detail);
                }
            }
            ("$ref", _) => self.refuse(at, "must be text"),
            ("$defs" | "definitions", _) if !root => {
                self.refuse(at, "must be at the root of the schema");
            }
            ("pattern", _) => self.patterns += 1,
            (by_name, Value::Object(members)) if BY_NAME.contains(&by_name) => {
                if by_name == "patternProperties" {
                    self.patterns += members.len();
                }
                for (member, inner) in members {
                    self.schema(&pointer(at, member), inner, false);
                }
            }
            (_, inner) => self.schema(at, inner, false),
        }
    }
}

fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    inner.map_or(0, |inner| inner + 1)
}

/// Number of values of a schema in which each reference is replaced by its definition. `None`: there is a circle.
fn expanded(schema: &Value) -> Option<usize> {
    Sizes { root: schema, known: BTreeMap::new() }.of(schema)
}

struct Sizes<'a> {
    root: &'a Value,
    /// By reference; `None` while it is being counted.
    known: BTreeMap<&'a str, Option<usize>>,
}

impl<'a> Sizes<'a> {
    fn of(&mut self, schema: &'a Value) -> Option<usize> {
        let mut size = 1usize;
        match schema {
            Value::Object(members) => {
                for (name, value) in members {
                    size = size.saturating_add(match (name.as_str(), value) {
                        ("$ref", Value::String(to)) => self.referred(to)?,
                        _ => self.of(value)?,
                    });
                }
            }
            Value::Array(items) => {
                for item in items {
                    size = size.saturating_add(self.of(item)?);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Some(size)
    }

    fn referred(&mut self, to: &'a str) -> Option<usize> {
        if let Some(known) = self.known.get(to) {
            return *known;
        }
        let Some(definition) = to.strip_prefix('#').and_then(|at| self.root.pointer(at)) else {
            return Some(1);
        };
        self.known.insert(to, None);
        let size = self.of(definition)?;
        self.known.insert(to, Some(size));
        Some(size)
    }
}

fn compile(schema: &Value) -> Result<Validator, String> {
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
    let options = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(patterns)
        .offline();
    options.build(schema).map_err(|error| error.masked().to_string())
}

/// What a check counts of a value: its values, and its text.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => 1 + text.len() / 16,
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| 1 + name.len() / 16 + size(value);
            1 + members.iter().map(member).sum::<usize>()
        }
    }
}

/// What is left of the work that the check of one result may do.
#[derive(Debug)]
pub struct Work(usize);

impl Default for Work {
    fn default() -> Self {
        Self(WORK)
    }
}

impl Work {
    /// Takes the work of checking a value by a schema, if there is so much left.
    fn take(&mut self, schema: &Value, value: &Value) -> bool {
        let needed = expanded(schema).map(|schema| schema.saturating_mul(size(value)));
        let left = needed.and_then(|needed| self.0.checked_sub(needed));
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// What is wrong with the value of a result by a schema that passed its check: JSON Pointers below `at`, and why.
/// `value`: `None` if the result has none there.
pub fn faults(
    at: &str,
    schema: &Value,
    value: Option<&Value>,
    work: &mut Work,
) -> Vec<(String, String)> {
    let Some(value) = value else {
        return vec![(at.to_owned(), "is missing".to_owned())];
    };
    if !work.take(schema, value) {
        let detail = "is too large to be checked by this schema: make it smaller, or an artifact";
        return vec![(at.to_owned(), detail.to_owned())];
    }
    let validator = match compile(schema) {
        Ok(validator) => validator,
        Err(detail) => return vec![(at.to_owned(), detail)],
    };
    let errors = validator.iter_errors(value).take(FAULTS);
    errors
        .map(|error| (format!("{at}{}", error.instance_path()), error.masked().to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refused_together(schemas: &[&Value]) -> bool {
        let mut checks = Checks::new();
        let placed = schemas.iter().map(|schema| ("/schema".to_owned(), *schema));
        Schemas::default().check_task(&mut checks, "/criteria", placed);
        checks.finish().is_err()
    }

    fn faults(at: &str, schema: &Value, value: Option<&Value>) -> Vec<(String, String)> {
        super::faults(at, schema, value, &mut Work::default())
    }

    fn refused(schema: &Value) -> bool {
        refused_together(&[schema])
    }

    #[test]
    fn ordinary_schemas_are_taken() {
        for schema in [
            json!(true),
            json!({}),
            json!({"$schema": DIALECT, "type": "object", "required": ["a"],
                   "properties": {"a": {"type": "integer", "minimum": 1}, "$ref": {"type": "string"}},
                   "additionalProperties": false}),
            json!({"$defs": {"x": {"type": "string", "pattern": "^[a-z]+$"}}, "items": {"$ref": "#/$defs/x"}}),
            json!({"definitions": {"a/b": {"type": "null"}}, "anyOf": [{"$ref": "#/definitions/a~1b"}]}),
            json!({"enum": [{"$ref": "https://example.com/x"}]}),
        ] {
            assert!(!refused(&schema), "{schema}");
        }
    }

    #[test]
    fn what_reaches_out_or_has_no_end_is_refused() {
        let mut deep = json!({});
        for _ in 0..40 {
            deep = json!({"not": deep});
        }
        let mut doubling = json!({"type": "object", "$defs": {"d0": {"type": "integer"}}});
        for level in 1..40 {
            let inner = json!({"$ref": format!("#/$defs/d{}", level - 1)});
            doubling["$defs"][format!("d{level}")] = json!({"allOf": [inner, inner]});
        }
        for schema in [
            json!(7),
            json!("{}"),
            json!({"type": "nothing"}),
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#"}),
            json!({"$ref": "#/$defs/none"}),
            json!({"$defs": {"a": {"type": "string"}, "%61": true}, "$ref": "#/$defs/%61"}),
            json!({"$ref": 1}),
            json!({"$id": "https://example.com/", "type": "object"}),
            json!({"items": {"$dynamicRef": "#x"}}),
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            json!({"$schema": "https://evil.example/meta"}),
            json!({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
            json!({"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"items": {"$ref": "#/$defs/a"}}},
                   "$ref": "#/$defs/a"}),
            json!({"unevaluatedProperties": false}),
            json!({"pattern": "(?=x)"}),
            json!({"pattern": "\\p{L}{1000}{1000}"}),
            json!({"description": "x".repeat(BYTES)}),
            deep,
            doubling,
        ] {
            assert!(refused(&schema), "{schema}");
        }
    }

    #[test]
    fn a_fault_has_its_pointer() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "array", "items": {"type": "integer"}}}});
        let value = json!({"a": [1, "two", 3, "four"]});
        let found = faults("/result", &schema, Some(&value));
        let places: Vec<&str> = found.iter().map(|(at, _)| at.as_str()).collect();
        assert_eq!(places, ["/result/a/1", "/result/a/3"]);
        assert_eq!(faults("/result/x", &schema, None).len(), 1);
        assert_eq!(faults("/result", &schema, Some(&json!({"a": [1]}))), []);
    }

    #[test]
    fn a_value_that_is_too_large_is_a_fault() {
        let inner: Vec<Value> = (0..500).map(|n| json!({"minimum": n})).collect();
        let schema = json!({"items": {"allOf": inner}});
        assert!(!refused(&schema));
        let value = json!(vec![1000; 30_000]);
        assert_eq!(faults("/result", &schema, Some(&value)).len(), 1);
    }

    #[test]
    fn the_work_for_one_result_is_bounded_however_many_schemas_there_are() {
        let schema = json!({"items": {"allOf": vec![json!({"minimum": 0}); 200]}});
        let value = json!(vec![7; 20_000]);
        let mut work = Work::default();
        let found: Vec<usize> = (0..3)
            .map(|_| super::faults("/result", &schema, Some(&value), &mut work).len())
            .collect();
        assert_eq!(found, [0, 1, 1]);
        // What is small is still checked.
        assert_eq!(super::faults("/result", &schema, Some(&json!([-1])), &mut work).len(), 20);
    }

    #[test]
    fn the_patterns_of_a_task_and_of_a_request_are_bounded() {
        let schema = |from: usize, count: usize| {
            let patterns = (from..from + count).map(|n| json!({"pattern": format!("^x{n}$")}));
            json!({"anyOf": patterns.collect::<Vec<_>>()})
        };
        let (half, other) = (schema(0, 25), schema(25, 26));
        assert!(!refused_together(&[&half, &half]));
        assert!(refused_together(&[&half, &other]));
        assert!(refused_together(&[&schema(0, 51)]));
        assert!(refused_together(&[&json!(true); 21]));
        // Equal ones count once in a request, different ones together.
        let request = |of: &dyn Fn(usize) -> Value| {
            let (mut schemas, mut checks) = (Schemas::default(), Checks::new());
            for task in 0..11 {
                let schema = of(task);
                let placed = std::iter::once(("/schema".to_owned(), &schema));
                schemas.check_task(&mut checks, "/criteria", placed);
            }
            checks.finish().is_err()
        };
        assert!(!request(&|_| schema(0, 50)));
        assert!(request(&|task| schema(task * 50, 50)));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let words = [
            "type",
            "$ref",
            "items",
            "properties",
            "allOf",
            "$defs",
            "pattern",
            "enum",
            "not",
            "a",
        ];
        let texts = ["object", "#/$defs/a", "#", "^a+$", "[", "integer", "https://x.example"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            proptest::sample::select(texts.to_vec()).prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(
                    proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
                    inner,
                    0..5
                )
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_taken_can_be_run(schema in any_json(), value in any_json()) {
            if !refused(&schema) {
                for (at, detail) in faults("/result", &schema, Some(&value)) {
                    prop_assert!(at.starts_with("/result") && !detail.is_empty());
                }
            }
        }
    }
}
