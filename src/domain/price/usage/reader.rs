//! Reads counts of a provider's usage object by name, and knows which numbers nobody read.
//!
//! A name is a JSON Pointer within the object. One count has several names: providers and adapters
//! send it in different places, sometimes in two at once.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::domain::{check::Checks, price::decimal::Decimal, settings};

/// Names of one count; messages use the first.
pub(super) type Names = &'static [&'static str];

/// Keys under which a caller may have left the usage object of a whole response.
const WRAPPERS: [&str; 3] = ["usage", "usageMetadata", "usage_metadata"];

/// Reads the counts of one object and reports faults.
pub(super) struct Reader<'a> {
    checks: &'a mut Checks,
    map: &'a Map<String, Value>,
    at: String,
    /// Names that were read, or that are known to add nothing.
    known: BTreeSet<String>,
    /// Names with a reported fault.
    faulty: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// A reader of `tokens` at the JSON Pointer `at`. An object that holds the usage object alone
    /// stands for it.
    pub(super) fn new(checks: &'a mut Checks, tokens: &'a Map<String, Value>, at: &str) -> Self {
        let wrapped = WRAPPERS.iter().filter(|_| tokens.len() == 1);
        let inside = wrapped.filter_map(|key| Some((key, tokens.get(*key)?.as_object()?))).next();
        let (map, at) = match inside {
            Some((key, map)) => (map, format!("{at}/{key}")),
            None => (tokens, at.to_owned()),
        };
        Self { checks, map, at, known: BTreeSet::new(), faulty: BTreeSet::new() }
    }

    /// A count under any of its names; `None` if it is omitted or null under all of them. Zero under
    /// one name yields to another, since adapters fill in what they do not know.
    pub(super) fn count(&mut self, names: Names) -> Option<i64> {
        let mut found: Option<(&str, i64)> = None;
        for name in names {
            let Some(count) = self.number(name) else { continue };
            let Some((first, before)) = found.filter(|(_, before)| *before != 0) else {
                found = Some((name, count));
                continue;
            };
            if count != 0 && count != before {
                self.fault(name, format!("is {count}, but its synonym `{first}` is {before}"));
            }
        }
        found.map(|(_, count)| count)
    }

    /// A count that the object must have.
    pub(super) fn required(&mut self, names: Names) -> i64 {
        let count = self.count(names);
        self.present(count, names)
    }

    /// `count`, or zero with a fault.
    pub(super) fn present(&mut self, count: Option<i64>, names: Names) -> i64 {
        if count.is_none()
            && let Some(name) = names.first()
        {
            self.fault(name, "is missing");
        }
        count.unwrap_or(0)
    }

    /// Marks names whose numbers are part of counts read elsewhere.
    pub(super) fn known(&mut self, names: Names) {
        self.known.extend(names.iter().map(|name| (*name).to_owned()));
    }

    /// Marks one name whose number is part of a count read elsewhere.
    pub(super) fn know(&mut self, name: String) {
        self.known.insert(name);
    }

    /// Items of a list with their names; empty if it is omitted.
    pub(super) fn items(&self, name: &str) -> Vec<(String, &'a Value)> {
        let map = self.map;
        let list = map.get(name.trim_start_matches('/')).and_then(Value::as_array);
        let items = list.into_iter().flatten().enumerate();
        items.map(|(index, item)| (format!("{name}/{index}"), item)).collect()
    }

    /// The count under one name.
    fn number(&mut self, name: &str) -> Option<i64> {
        let value = self.find(name);
        self.value(name, value)
    }

    /// The count in the value that was found under a name; `None` if there is none.
    pub(super) fn value(&mut self, name: &str, value: Option<&Value>) -> Option<i64> {
        self.known.insert(name.to_owned());
        let count = match value? {
            Value::Null => return None,
            Value::Number(number) => Decimal::from_number(number)
                .and_then(|number| number.exact(0, settings::AMOUNT_MAX))
                .ok(),
            Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
        };
        if count.is_none() {
            let most = settings::AMOUNT_MAX;
            self.fault(name, format!("must be a whole number from 0 to {most}"));
        }
        // The fault is reported; reading on with zero finds further faults.
        Some(count.unwrap_or(0))
    }

    /// The value under a name; `None` if it, or anything on the way to it, is omitted or null.
    fn find(&mut self, name: &str) -> Option<&'a Value> {
        let (parents, key) = name.rsplit_once('/')?;
        let mut map = self.map;
        let mut place = String::new();
        for parent in parents.split('/').skip(1) {
            place = format!("{place}/{parent}");
            map = match map.get(parent)? {
                Value::Null => return None,
                Value::Object(inside) => inside,
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    self.fault(&place, "must be an object");
                    return None;
                }
            };
        }
        map.get(key).filter(|value| !value.is_null())
    }

    /// `whole - parts`, never below zero; reports parts that exceed the whole.
    pub(super) fn rest(&mut self, whole: i64, parts: i64, names: &str) -> i64 {
        if parts > whole {
            let detail = format!("{names}: the parts are {parts}, and the whole is {whole}");
            self.checks.add(&self.at, detail);
        }
        (whole - parts).max(0)
    }

    /// Reports a fault of a name, once.
    pub(super) fn fault(&mut self, name: &str, detail: impl Into<String>) {
        if self.faulty.insert(name.to_owned()) {
            self.checks.add(format!("{}{name}", self.at), detail);
        }
    }

    /// JSON Pointers of all numbers other than zero that were not read.
    pub(super) fn unread(self) -> Vec<String> {
        let mut found = Vec::new();
        for (key, value) in self.map {
            collect(value, crate::domain::check::pointer("", key), &self.known, &mut found);
        }
        found.into_iter().map(|name| format!("{}{name}", self.at)).collect()
    }
}

fn collect(value: &Value, name: String, known: &BTreeSet<String>, found: &mut Vec<String>) {
    match value {
        Value::Number(number) if number.as_f64() != Some(0.0) && !known.contains(&name) => {
            found.push(name);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{name}/{index}"), known, found);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                collect(value, crate::domain::check::pointer(&name, key), known, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
