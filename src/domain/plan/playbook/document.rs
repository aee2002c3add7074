//! The document of a playbook: reading it strictly, and checking every template in it.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::{Map, Value};

use super::{
    Criterion, Entry, Playbook, Repeat, Task, Use, What,
    fault::{Fault, Faults},
    language::{check, check_expression},
    variable::{Variable, refused_name},
};
use crate::domain::{check::pointer, settings};

/// The fields of a task. Those of `TaskSpec`, but what only a brief says.
pub const TASK_FIELDS: [&str; 22] = [
    "approval",
    "attempt_timeout_seconds",
    "budget",
    "capabilities",
    "criteria",
    "description",
    "estimate",
    "finish_within_seconds",
    "input",
    "labels",
    "lease_seconds",
    "max_attempts",
    "max_rework",
    "needs",
    "not_before",
    "parent",
    "priority",
    "ref",
    "risk",
    "section",
    "start_within_seconds",
    "title",
];
const USE_FIELDS: [&str; 6] = ["needs", "parent", "ref", "use", "version", "with"];
const REPEAT_FIELDS: [&str; 3] = ["block", "for_each", "when"];
const FIELDS: [&str; 6] = ["criteria", "description", "name", "tasks", "title", "variables"];
/// Variables that every template has.
const GIVEN: [&str; 2] = ["brief", "title"];

/// Reads a document.
///
/// # Errors
/// Every fault found, with its place.
pub fn parse(document: &Value) -> Result<Playbook, Vec<Fault>> {
    let mut faults = Faults::default();
    let nothing = Map::new();
    let fields = document.as_object().unwrap_or_else(|| {
        faults.add("", "must be a map with `name`, `title` and `tasks`");
        &nothing
    });
    if !faults.is_empty() {
        return Err(faults.into_list());
    }
    known_fields(&mut faults, "", fields, &[&FIELDS]);
    let name = text(&mut faults, "", fields, "name", true);
    if !name.is_empty() && !is_name(&name) {
        faults.add("/name", NAME_RULE);
    }
    let title = text(&mut faults, "", fields, "title", true);
    if title.chars().count() > settings::TITLE_CHARS || title.contains(['\n', '\r']) {
        faults.add("/title", "must be one line of at most 500 characters");
    }
    let description = text(&mut faults, "", fields, "description", false);
    if description.len() > settings::DESCRIPTION_BYTES {
        faults.add("/description", "is longer than 64 KiB");
    }
    let variables = variables(&mut faults, fields.get("variables"));
    let known: BTreeSet<String> = variables
        .iter()
        .map(|(name, _)| name.clone())
        .chain(GIVEN.iter().map(|name| (*name).to_owned()))
        .collect();
    let mut entries = Vec::new();
    match fields.get("tasks") {
        Some(Value::Array(tasks)) if !tasks.is_empty() => {
            for (index, task) in tasks.iter().enumerate() {
                entries.extend(entry(&mut faults, &format!("/tasks/{index}"), task, &known));
            }
        }
        Some(_) | None => faults.add("/tasks", "must be a list of at least one task"),
    }
    let criteria = criteria(&mut faults, "/criteria", fields.get("criteria"), &known);
    faults.or(Playbook { name, title, description, variables, entries, criteria })
}

/// What a name of a playbook is.
pub const NAME_RULE: &str =
    "must be 1 to 100 of a-z 0-9 - and begin with a letter, for example `fix-a-bug`";

/// Whether a text is a name of a playbook.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.len() <= 100
        // The path of a trial.
        && text != "try"
}

fn known_fields(faults: &mut Faults, at: &str, fields: &Map<String, Value>, known: &[&[&str]]) {
    for name in fields.keys() {
        if faults.is_full() {
            return;
        }
        if !known.iter().any(|known| known.contains(&name.as_str())) {
            let known: Vec<&str> = known.iter().flat_map(|known| known.iter().copied()).collect();
            let detail = format!("there is no field `{name}`; there are {}", known.join(", "));
            faults.add(pointer(at, name), detail);
        }
    }
}

/// A text of a field; empty if it is absent.
fn text(
    faults: &mut Faults,
    at: &str,
    fields: &Map<String, Value>,
    name: &str,
    required: bool,
) -> String {
    match fields.get(name) {
        Some(Value::String(text)) if !required || !text.trim().is_empty() => return text.clone(),
        None | Some(Value::Null) if !required => {}
        None | Some(Value::Null) => faults.add(pointer(at, name), "is missing"),
        Some(_) => faults.add(pointer(at, name), "must be a text that is not empty"),
    }
    String::new()
}

fn variables(faults: &mut Faults, value: Option<&Value>) -> Vec<(String, Variable)> {
    let members = match value {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(members)) => members,
        Some(_) => {
            faults.add("/variables", "must be a map from names to variables");
            return Vec::new();
        }
    };
    if members.len() > settings::PLAYBOOK_VARIABLES {
        faults.add("/variables", "has more than 100 variables");
        return Vec::new();
    }
    let mut variables = Vec::new();
    for (name, declared) in members {
        let at = pointer("/variables", name);
        if let Some(detail) = refused_name(name) {
            faults.add(&at, detail);
        }
        match serde_path_to_error::deserialize::<_, Variable>(declared) {
            Ok(variable) => {
                let mut own = Faults::default();
                variable.check(&mut own, &at);
                own.into_list().into_iter().for_each(|fault| faults.push(fault));
                variables.push((name.clone(), variable));
            }
            Err(error) => {
                let place = error.path().to_string();
                let place = if place == "." { String::new() } else { pointer("", place) };
                faults.add(format!("{at}{place}"), error.into_inner().to_string());
            }
        }
    }
    variables
}

fn entry(faults: &mut Faults, at: &str, value: &Value, known: &BTreeSet<String>) -> Option<Entry> {
    let Some(fields) = value.as_object() else {
        faults.add(at, "must be a map with the fields of a task, or with `use`");
        return None;
    };
    let (repeat, known) = repeat(faults, at, fields, known);
    let block = fields.get("block").filter(|block| !block.is_null()).map(|_| {
        let block = text(faults, at, fields, "block", true);
        if block.contains("{{") || block.chars().count() > settings::REF_CHARS {
            faults.add(pointer(at, "block"), "must be a name without variables");
        }
        block
    });
    let what = if fields.contains_key("use") {
        known_fields(faults, at, fields, &[&USE_FIELDS, &REPEAT_FIELDS]);
        What::Use(used(faults, at, fields))
    } else {
        known_fields(faults, at, fields, &[&TASK_FIELDS, &REPEAT_FIELDS]);
        for name in ["ref", "title"] {
            text(faults, at, fields, name, true);
        }
        let criteria = criteria(faults, &pointer(at, "criteria"), fields.get("criteria"), &known);
        let left_out = |name: &str| name == "criteria" || REPEAT_FIELDS.contains(&name);
        let fields = fields.iter().filter(|(name, value)| !left_out(name) && !value.is_null());
        let fields = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
        What::Task(Task { fields, criteria })
    };
    let unchecked = |name: &str| {
        matches!(name, "criteria" | "use" | "version") || REPEAT_FIELDS.contains(&name)
    };
    for (name, value) in fields.iter().filter(|(name, _)| !unchecked(name)) {
        templates(faults, &|| pointer(at, name), value, &known);
    }
    Some(Entry { at: at.to_owned(), repeat, block, what })
}

fn used(faults: &mut Faults, at: &str, fields: &Map<String, Value>) -> Use {
    let prefix = text(faults, at, fields, "ref", true);
    let name = text(faults, at, fields, "use", true);
    if !name.is_empty() && !is_name(&name) {
        faults.add(pointer(at, "use"), format!("names a playbook: {NAME_RULE}"));
    }
    let version = match fields.get("version") {
        None | Some(Value::Null) => None,
        Some(version) => {
            let version = version.as_i64().and_then(|version| i32::try_from(version).ok());
            if version.is_none_or(|version| version < 0) {
                faults.add(pointer(at, "version"), "must be the number of a version");
            }
            version
        }
    };
    let with = match fields.get("with") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(with)) => with.clone(),
        Some(_) => {
            faults.add(pointer(at, "with"), "must be a map from variables to values");
            Map::new()
        }
    };
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null()).cloned();
    Use { prefix, name, version, with, needs: given("needs"), parent: given("parent") }
}

/// How often an entry is there; and the variables in its scope.
fn repeat<'k>(
    faults: &mut Faults,
    at: &str,
    fields: &Map<String, Value>,
    known: &'k BTreeSet<String>,
) -> (Repeat, Cow<'k, BTreeSet<String>>) {
    let mut known = Cow::Borrowed(known);
    let mut repeat = Repeat::default();
    if let Some(each) = fields.get("for_each").filter(|each| !each.is_null()) {
        let at = pointer(at, "for_each");
        match each.as_object() {
            Some(each) => {
                known_fields(faults, &at, each, &[&["as", "in"]]);
                let name = text(faults, &at, each, "as", true);
                if let Some(detail) = refused_name(&name).filter(|_| !name.is_empty()) {
                    faults.add(pointer(&at, "as"), detail);
                }
                match each.get("in") {
                    Some(list @ (Value::Array(_) | Value::String(_))) => {
                        templates(faults, &|| pointer(&at, "in"), list, &known);
                        repeat.each = Some((name.clone(), list.clone()));
                    }
                    Some(_) | None => {
                        faults.add(pointer(&at, "in"), "must be a list, or `{{ }}` with one in it")
                    }
                }
                known.to_mut().extend([name, "index".to_owned()]);
            }
            None => faults.add(&at, "must be a map with `as` and `in`"),
        }
    }
    match fields.get("when") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(yes)) => repeat.when = Some(yes.to_string()),
        Some(Value::String(condition)) => {
            if let Err(detail) = check_expression(condition, &known) {
                faults.add(pointer(at, "when"), detail);
            }
            repeat.when = Some(condition.clone());
        }
        Some(_) => faults.add(pointer(at, "when"), "must be a condition without `{{ }}`"),
    }
    (repeat, known)
}

fn criteria(
    faults: &mut Faults,
    at: &str,
    value: Option<&Value>,
    known: &BTreeSet<String>,
) -> Vec<Criterion> {
    let items = match value {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(_) => {
            faults.add(at, "must be a list of texts, or of maps with `text`");
            return Vec::new();
        }
    };
    let mut criteria = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("{at}/{index}");
        match item {
            Value::String(text) => {
                templates(faults, &|| at.clone(), item, known);
                let repeat = Repeat::default();
                criteria.push(Criterion {
                    at,
                    repeat,
                    text: text.clone(),
                    required: Value::Bool(true),
                });
            }
            Value::Object(fields) => {
                known_fields(faults, &at, fields, &[&["for_each", "required", "text", "when"]]);
                let (repeat, known) = repeat(faults, &at, fields, known);
                let text = text(faults, &at, fields, "text", true);
                let required = fields.get("required").cloned().unwrap_or(Value::Bool(true));
                for name in ["text", "required"] {
                    if let Some(value) = fields.get(name) {
                        templates(faults, &|| pointer(&at, name), value, &known);
                    }
                }
                criteria.push(Criterion { at, repeat, text, required });
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                faults.add(&at, "must be a text, or a map with `text`");
            }
        }
    }
    criteria
}

/// Checks the templates in a value. Its place is made for what is wrong only: a long name would be in the places of
/// all below it.
fn templates(
    faults: &mut Faults,
    at: &dyn Fn() -> String,
    value: &Value,
    known: &BTreeSet<String>,
) {
    if faults.is_full() {
        return;
    }
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            if let Err(detail) = check(text, known) {
                faults.add(at(), detail);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                templates(faults, &|| format!("{}/{index}", at()), item, known);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                templates(faults, &|| pointer(&at(), name), member, known);
            }
        }
    }
}
