//! The plan document: the flat JSON in which a model or a planning agent gives its plan.
//!
//! [`schema`] is strict, as servers with structured output accept it: every field is required, what may be
//! absent is nullable, no object has further properties, and nothing refers to itself. Bounds are not in the
//! schema, because such servers refuse the words for them; [`read`] and the check of the plan hold them.
//!
//! Reading forgives what leaves no doubt: a missing nullable field is null, a missing list is empty, a number
//! as a ref is its text, a list of tasks stands for the object around it. It invents nothing: a field it does
//! not know, or a value of another type, is a finding with its place.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::{Map, Value, json};

use super::{
    ApprovalPoints, CriterionSpec, TaskSpec,
    finding::{Finding, FindingCode},
};
use crate::domain::{
    budget::ask::Estimate, check::pointer, number, risk::Risk, settings, words::Words as _,
};

/// JSON Pointer of the list of tasks in a plan document.
pub const TASKS: &str = "/tasks";
/// The most findings that reading returns.
const MOST: usize = 50;
/// The most places of a text at which a document is looked for.
const STARTS: usize = 64;
/// How often the bytes of a text are read, at most: each of these places may begin what goes on to the end.
const READS: usize = 1;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let text = |about: &str| json!({"type": "string", "description": about});
    let texts =
        |about: &str| json!({"type": "array", "items": {"type": "string"}, "description": about});
    let fields = json!({
        "ref": text("A short name of the task, unique in the plan, such as `api`."),
        "title": text("The task in one line: what is made or found out."),
        "description": text("Instructions for the agent, in Markdown. May be empty."),
        "needs": texts("Refs of the tasks that must be done before this one starts; only real dependencies."),
        "parent": {
            "type": ["string", "null"],
            "description": "Ref of the task that contains this one, or null. A task that contains others is \
                            not worked on itself.",
        },
        "capabilities": texts("The capabilities that one agent needs to do it; empty: any agent."),
        "criteria": texts("Conditions under which it is done, each checkable. Empty only for a task that contains others."),
        "estimate": {
            "type": "array",
            "description": "The expected use of the task by unit, such as `wall_ms` (its duration in milliseconds), \
                            `usd_micros` or `output_tokens`. Empty if unknown.",
            "items": {
                "type": "object",
                "properties": {
                    "unit": text("The unit."),
                    "amount": {"type": "integer", "description": "A whole number of the unit."},
                },
                "required": ["unit", "amount"],
                "additionalProperties": false,
            },
        },
        "priority": {"type": ["integer", "null"], "description": "0 (lowest) to 9, or null: as the goal."},
        "risk": {
            "type": ["string", "null"],
            "enum": Risk::ALL.iter().map(|risk| json!(risk)).chain([Value::Null]).collect::<Vec<_>>(),
            "description": "The least risk of approvals about it, or null.",
        },
        "approval": {
            "type": "string",
            "enum": APPROVALS.map(|(word, _)| word),
            "description": "Where a person must agree: before the task starts, to its result, both, or nowhere.",
        },
    });
    json!({
        "type": "object",
        "properties": {
            "tasks": {"type": "array", "items": object(fields), "description": "The tasks, in a sensible order."},
            "notes": texts("What a person should know about the plan: assumptions, open questions. May be empty."),
        },
        "required": ["tasks", "notes"],
        "additionalProperties": false,
    })
});

const APPROVALS: [(&str, ApprovalPoints); 4] = [
    ("none", ApprovalPoints { start: false, result: false }),
    ("start", ApprovalPoints { start: true, result: false }),
    ("result", ApprovalPoints { start: false, result: true }),
    ("both", ApprovalPoints { start: true, result: true }),
];

fn object(fields: Value) -> Value {
    let names: Vec<Value> =
        fields.as_object().into_iter().flat_map(Map::keys).map(|name| json!(name)).collect();
    json!({"type": "object", "properties": fields, "required": names, "additionalProperties": false})
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> &'static Value {
    &SCHEMA
}

/// The document of these tasks. Settings that it has no field for (budget, input, labels, times and limits of
/// attempts) are left out, and a range is its `want`.
#[must_use]
pub fn write(tasks: &[TaskSpec]) -> Value {
    let task = |task: &TaskSpec| {
        let criteria: Vec<&str> =
            task.criteria.iter().map(|criterion| criterion.text.as_str()).collect();
        let estimate = task
            .estimate
            .iter()
            .map(|(unit, estimate)| json!({"unit": unit, "amount": estimate.range().want}));
        let approval = APPROVALS.iter().find(|(_, points)| *points == task.approval);
        json!({
            "ref": task.r#ref,
            "title": task.title,
            "description": task.description,
            "needs": task.needs,
            "parent": task.parent,
            "capabilities": task.capabilities,
            "criteria": criteria,
            "estimate": estimate.collect::<Vec<_>>(),
            "priority": task.priority,
            "risk": task.risk,
            "approval": approval.map_or("none", |(word, _)| *word),
        })
    };
    json!({"tasks": tasks.iter().map(task).collect::<Vec<_>>(), "notes": []})
}

/// The tasks of a document.
///
/// # Errors
/// Every place that is no part of a plan, at most 50; the values themselves are checked with the plan.
pub fn read(value: &Value) -> Result<Vec<TaskSpec>, Vec<Finding>> {
    let mut reader = Reader { findings: Vec::new() };
    let tasks = reader.document(value);
    if reader.findings.is_empty() { Ok(tasks) } else { Err(reader.findings) }
}

/// The notes of a document, as far as they are texts.
#[must_use]
pub fn notes(value: &Value) -> Vec<String> {
    let notes = plan_of(value).and_then(|plan| plan.get("notes")?.as_array());
    let texts = notes.into_iter().flatten().filter_map(Value::as_str);
    texts.take(MOST).map(|text| text.chars().take(1_000).collect()).collect()
}

/// The tasks of a document inside a text: alone, in a fenced block, or between sentences.
///
/// # Errors
/// As [`read`]; `not_json` if the text has no JSON, `truncated` if its JSON ends too early.
pub fn read_text(text: &str) -> Result<Vec<TaskSpec>, Vec<Finding>> {
    find(text).map_err(|finding| vec![finding]).and_then(|value| read(&value))
}

/// The JSON document inside a text.
///
/// # Errors
/// `not_json` or `truncated`.
pub fn find(text: &str) -> Result<Value, Finding> {
    let mut next = 0;
    let mut left = READS.saturating_mul(text.len());
    for _ in 0..STARTS {
        let Some(start) = start_of_json(text, next).filter(|_| left > 0) else { break };
        let rest = &text[start..];
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match stream.next() {
            Some(Ok(value)) if looks_like_plan(&value) => return Ok(value),
            // Something else: the document comes after it.
            Some(Ok(_)) => next = start + stream.byte_offset().max(1),
            // The document itself: its inner parts are no plan.
            Some(Err(error)) if rest.starts_with('{') && rest.contains("\"tasks\"") => {
                return Err(syntax(&error, &text[..start]));
            }
            Some(Err(error)) => {
                next = start + 1;
                left = left.saturating_sub(place_of(&error, rest));
            }
            None => break,
        }
    }
    let detail = "there is no plan in the answer: give one JSON object with `tasks` and `notes`, and nothing else";
    Err(Finding::new(FindingCode::NotJson, "", detail))
}

/// The bytes of a text before an error.
fn place_of(error: &serde_json::Error, text: &str) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + error.column()
}

/// The next place from which an object with fields, or a list of objects, may begin.
fn start_of_json(text: &str, from: usize) -> Option<usize> {
    let mut from = from;
    loop {
        let start = from + text.get(from..)?.find(['{', '['])?;
        let within = if text[start..].starts_with('{') { '"' } else { '{' };
        if text[start + 1..].trim_start().starts_with(within) {
            return Some(start);
        }
        from = start + 1;
    }
}

fn looks_like_plan(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| item.get("title").is_some()),
        _ => plan_of(value).is_some_and(|plan| plan.contains_key("tasks")),
    }
}

fn syntax(error: &serde_json::Error, before: &str) -> Finding {
    let line = before.matches('\n').count() + error.line();
    if error.is_eof() {
        let detail = format!(
            "the JSON ends in line {line} before the plan is complete: give the whole document, shorter if \
             there is no room for it"
        );
        return Finding::new(FindingCode::Truncated, "", detail);
    }
    let detail = format!(
        "the JSON has a fault of syntax in line {line}, column {}: {error}",
        error.column()
    );
    Finding::new(FindingCode::NotJson, "", detail)
}

/// The object with the tasks: the value, or what stands under `plan` in it.
fn plan_of(value: &Value) -> Option<&Map<String, Value>> {
    let object = value.as_object()?;
    match object.get("plan") {
        Some(Value::Object(inner)) if !object.contains_key("tasks") => Some(inner),
        _ => Some(object),
    }
}

struct Reader {
    findings: Vec<Finding>,
}

impl Reader {
    fn add(&mut self, code: FindingCode, at: &str, detail: impl Into<String>) {
        if self.findings.len() < MOST {
            self.findings.push(Finding::new(code, at, detail));
        }
    }

    fn bad(&mut self, at: &str, detail: &str) {
        self.add(FindingCode::BadValue, at, detail);
    }

    fn document(&mut self, value: &Value) -> Vec<TaskSpec> {
        let list = match value {
            Value::Array(list) => list,
            _ => {
                let Some(plan) = plan_of(value) else {
                    self.bad("", "must be an object with `tasks` and `notes`");
                    return Vec::new();
                };
                self.known(plan, "", &["tasks", "notes"]);
                match plan.get("tasks") {
                    Some(Value::Array(list)) => list,
                    _ => {
                        self.bad(TASKS, "must be a list of tasks");
                        return Vec::new();
                    }
                }
            }
        };
        if list.len() > settings::PLAN_TASKS {
            let detail =
                format!("has {} tasks; at most {} are allowed", list.len(), settings::PLAN_TASKS);
            self.add(FindingCode::TooMany, TASKS, detail);
            return Vec::new();
        }
        list.iter()
            .enumerate()
            .map(|(index, task)| self.task(&pointer(TASKS, index), task))
            .collect()
    }

    fn known(&mut self, object: &Map<String, Value>, at: &str, fields: &[&str]) {
        for name in object.keys().filter(|name| !fields.contains(&name.as_str())).take(MOST) {
            let shown: String = name.chars().take(100).collect();
            let detail =
                format!("there is no field `{shown}` here; known are: {}", fields.join(", "));
            self.add(FindingCode::UnknownField, &pointer(at, &shown), detail);
        }
    }

    fn task(&mut self, at: &str, value: &Value) -> TaskSpec {
        let Some(object) = value.as_object() else {
            self.bad(at, "must be an object");
            return TaskSpec::default();
        };
        self.known(object, at, &FIELDS);
        TaskSpec {
            r#ref: self.name(object, at, "ref").unwrap_or_else(|| {
                self.bad(&pointer(at, "ref"), "is missing: every task has a ref");
                String::new()
            }),
            title: self.text(object, at, "title"),
            description: self.text(object, at, "description"),
            needs: self.names(object, at, "needs"),
            parent: self.name(object, at, "parent").filter(|parent| !parent.is_empty()),
            capabilities: self.names(object, at, "capabilities"),
            criteria: self.criteria(object, at),
            estimate: self.estimate(object, at),
            priority: self.priority(object, at),
            risk: self.word(object, at, "risk"),
            approval: self.approval(object, at),
            ..TaskSpec::default()
        }
    }

    fn text(&mut self, object: &Map<String, Value>, at: &str, name: &str) -> String {
        match object.get(name) {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(_) => {
                self.bad(&pointer(at, name), "must be text");
                String::new()
            }
        }
    }

    /// A ref: text, or a whole number as its text.
    fn name(&mut self, object: &Map<String, Value>, at: &str, name: &str) -> Option<String> {
        match object.get(name) {
            None | Some(Value::Null) => None,
            Some(value) => {
                let found = one_name(value);
                if found.is_none() {
                    self.bad(&pointer(at, name), "must be text");
                }
                Some(found.unwrap_or_default())
            }
        }
    }

    fn list<'a>(&mut self, object: &'a Map<String, Value>, at: &str, name: &str) -> &'a [Value] {
        match object.get(name) {
            Some(Value::Array(list)) => list,
            None | Some(Value::Null) => &[],
            Some(_) => {
                self.bad(&pointer(at, name), "must be a list");
                &[]
            }
        }
    }

    fn names(&mut self, object: &Map<String, Value>, at: &str, name: &str) -> Vec<String> {
        let list = self.list(object, at, name);
        let at = pointer(at, name);
        let mut names = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            match one_name(value) {
                Some(text) => names.push(text),
                None => self.bad(&pointer(&at, index), "must be text"),
            }
        }
        names
    }

    fn criteria(&mut self, object: &Map<String, Value>, at: &str) -> Vec<CriterionSpec> {
        let list = self.list(object, at, "criteria");
        let at = pointer(at, "criteria");
        let mut criteria = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let text = value.as_str().or_else(|| value.get("text")?.as_str());
            let required = value.get("required").and_then(Value::as_bool).unwrap_or(true);
            match text {
                Some(text) => criteria.push(CriterionSpec {
                    text: text.to_owned(),
                    required,
                    satisfied: false,
                    ..CriterionSpec::default()
                }),
                None => self.bad(&pointer(&at, index), "must be text"),
            }
        }
        criteria
    }

    /// A list of units with amounts, or an object of amounts by unit.
    fn estimate(&mut self, object: &Map<String, Value>, at: &str) -> BTreeMap<String, Estimate> {
        let mut found = BTreeMap::new();
        if let Some(Value::Object(units)) = object.get("estimate") {
            let at = pointer(at, "estimate");
            for (unit, amount) in units {
                self.amount(&pointer(&at, unit), unit, amount, &mut found);
            }
            return found;
        }
        let list = self.list(object, at, "estimate");
        let at = pointer(at, "estimate");
        for (index, item) in list.iter().enumerate() {
            let at = pointer(&at, index);
            let Some(entry) = item.as_object() else {
                self.bad(&at, "must be an object with `unit` and `amount`");
                continue;
            };
            self.known(entry, &at, &["unit", "amount"]);
            let Some(Value::String(unit)) = entry.get("unit") else {
                self.bad(&pointer(&at, "unit"), "must be the name of a unit");
                continue;
            };
            if found.contains_key(unit) {
                self.bad(&pointer(&at, "unit"), "is listed twice");
            }
            self.amount(
                &pointer(&at, "amount"),
                unit,
                entry.get("amount").unwrap_or(&Value::Null),
                &mut found,
            );
        }
        found
    }

    fn amount(
        &mut self,
        at: &str,
        unit: &str,
        amount: &Value,
        found: &mut BTreeMap<String, Estimate>,
    ) {
        match whole(amount) {
            Some(amount) => {
                found.insert(unit.to_owned(), Estimate::Exact(amount));
            }
            // Unknown: as if it were not listed.
            None if amount.is_null() => {}
            None => self.bad(at, "must be a whole number"),
        }
    }

    fn priority(&mut self, object: &Map<String, Value>, at: &str) -> Option<i16> {
        let value = object.get("priority").filter(|value| !value.is_null())?;
        let priority = whole(value).and_then(|number| i16::try_from(number).ok());
        if priority.is_none() {
            self.bad(&pointer(at, "priority"), "must be a whole number from 0 to 9, or null");
        }
        priority
    }

    fn word(&mut self, object: &Map<String, Value>, at: &str, name: &str) -> Option<Risk> {
        let value = object.get(name).filter(|value| !value.is_null())?;
        let word = value.as_str().and_then(|text| text.parse().ok());
        if word.is_none() {
            let words: Vec<&str> = Risk::ALL.iter().map(|risk| risk.as_str()).collect();
            self.bad(&pointer(at, name), &format!("must be one of {}, or null", words.join(", ")));
        }
        word
    }

    fn approval(&mut self, object: &Map<String, Value>, at: &str) -> ApprovalPoints {
        let Some(value) = object.get("approval").filter(|value| !value.is_null()) else {
            return ApprovalPoints::default();
        };
        let found = APPROVALS.iter().find(|(word, _)| value.as_str() == Some(*word));
        if found.is_none() {
            let words = APPROVALS.map(|(word, _)| word).join(", ");
            self.bad(&pointer(at, "approval"), &format!("must be one of {words}"));
        }
        found.map(|(_, points)| *points).unwrap_or_default()
    }
}

const FIELDS: [&str; 11] = [
    "ref",
    "title",
    "description",
    "needs",
    "parent",
    "capabilities",
    "criteria",
    "estimate",
    "priority",
    "risk",
    "approval",
];

fn one_name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| number::whole(value.as_f64()?))
}

#[cfg(test)]
mod tests;
