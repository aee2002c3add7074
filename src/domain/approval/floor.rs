//! The floor of an approval's risk, so that its asker does not choose its deciders.
//!
//! Policies match on the risk, and the asker states it. An approval therefore has at least the risk of
//! its task and of every [rule](FloorRule) that covers it. The asker may go higher, never lower.
//!
//! A floor that is hard to judge holds: a text is searched in everything the pointer shows, names of
//! members included, so that a text does not escape by being wrapped in a list; and a pattern that does
//! not compile any more matches everything. A floor that holds too often costs a question; one that
//! does not hold lets a single person decide what needed two.

use std::cmp::Reverse;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{
    canonical::canonical,
    check::{Checks, pointer},
    ids::{ProjectId, RiskFloorId, TaskId},
    refusal::Refusal,
    risk::Risk,
    settings,
    states::ApprovalKind,
    words::words,
};

words! {
    /// What set the floor of an approval's risk.
    pub enum FloorSource {
        /// The task, the plan's riskiest task, or what contains the task.
        Task => "task",
        /// A rule of `/v1/risk-floors`.
        Rule => "rule",
    }
}

/// The highest floor that applied to an approval: why its risk is at least this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RiskFloor {
    /// The least risk of the approval.
    pub risk: Risk,
    /// What set it: the `task`, or a `rule`.
    pub source: FloorSource,
    /// Id of the task or of the rule (`GET /v1/risk-floors/{floor_id}`, until it is deleted); `null`: a
    /// task of a plan that is not applied.
    pub id: Option<Uuid>,
    /// The `ref` of the task, or the name of the rule when it applied.
    #[schema(example = "destructive SQL")]
    pub name: String,
}

/// A rule for the least risk of approvals. All its conditions must hold; without any, it is the floor of
/// the workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RiskFloorSpec)]
pub struct FloorSpec {
    /// Its name, unique in the workspace; shown with the approvals whose risk it sets.
    #[schema(example = "destructive SQL", min_length = 1, max_length = 200)]
    pub name: String,
    /// The least risk of the approvals that it covers.
    #[schema(example = "high")]
    pub risk: Risk,
    /// Only approvals of this kind; left out: all kinds.
    #[serde(default)]
    pub kind: Option<ApprovalKind>,
    /// Only approvals about a task that requires this capability, or about a plan with such a task; left
    /// out: all.
    #[serde(default)]
    #[schema(example = "deploy")]
    pub capability: Option<String>,
    /// Only approvals in goals of this project; left out: all.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// Conditions on the payload; all must hold. Left out: any payload, and none.
    #[serde(default)]
    #[schema(max_items = 8)]
    pub payload: Vec<PayloadCondition>,
}

/// A condition on the payload of an approval, with either `matches` or `equals`. It does not hold if the
/// payload has nothing at the pointer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadCondition {
    /// The place in the payload: a JSON Pointer (RFC 6901), at most 500 characters. Empty: the whole
    /// payload. In lists it counts from 0.
    #[schema(example = "/command", max_length = 500)]
    pub pointer: String,
    /// A regular expression in the syntax of the Rust crate `regex`, at most 500 characters. It holds if
    /// it matches anywhere in the text at the pointer; `(?i)` ignores case, `^` and `$` anchor it. A list
    /// or object at the pointer holds if any text in it matches, names of members included. Numbers,
    /// `true`, `false` and `null` are texts as JSON prints them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "(?i)\\b(drop|truncate)\\b", max_length = 500)]
    pub matches: Option<String>,
    /// The value at the pointer, any JSON of at most 16 KiB; `1` and `1.0` are the same.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
}

/// Keeps a given `null` apart from an absent field.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A rule in force.
#[derive(Debug, Clone, PartialEq)]
pub struct FloorRule {
    /// Its id; of equal risk, the oldest rule is the reason.
    pub floor_id: RiskFloorId,
    /// Its content.
    pub spec: FloorSpec,
}

/// The task of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorTask {
    /// Its id; `None` for a task of a plan that is not applied.
    pub task_id: Option<TaskId>,
    /// Its ref.
    pub reference: String,
    /// Its least risk.
    pub risk: Option<Risk>,
}

/// The subject of an approval, as floors see it.
#[derive(Debug, Clone, PartialEq)]
pub struct FloorSubject<'a> {
    /// Kind of the approval.
    pub kind: ApprovalKind,
    /// Project of the goal.
    pub project: Option<ProjectId>,
    /// Capabilities required by the task, or by the tasks of the plan.
    pub capabilities: Vec<String>,
    /// The task, or the tasks of the plan.
    pub tasks: Vec<FloorTask>,
    /// The payload.
    pub payload: Option<&'a Value>,
}

/// The highest floor of an approval. Of equal ones the task's comes first, then the oldest rule's.
#[must_use]
pub fn floor(subject: &FloorSubject<'_>, rules: &[FloorRule]) -> Option<RiskFloor> {
    let of_task = highest_task(&subject.tasks);
    let least = of_task.as_ref().map(|floor| floor.risk);
    let mut higher: Vec<&FloorRule> =
        rules.iter().filter(|rule| Some(rule.spec.risk) > least).collect();
    // The riskiest first, so that the payload is searched no further than needed.
    higher.sort_by_key(|rule| (Reverse(rule.spec.risk), rule.floor_id));
    let rule = higher.into_iter().find(|rule| rule.spec.covers(subject));
    rule.map(|rule| RiskFloor {
        risk: rule.spec.risk,
        source: FloorSource::Rule,
        id: Some(rule.floor_id.0),
        name: rule.spec.name.clone(),
    })
    .or(of_task)
}

/// The risk of an approval: the stated one, and at least that of its floor.
#[must_use]
pub fn effective(stated: Risk, floor: Option<&RiskFloor>) -> Risk {
    floor.map_or(stated, |floor| stated.max(floor.risk))
}

/// The floor after a revision of the payload: the higher of both, so a revision never lowers it.
#[must_use]
pub fn raise(before: Option<RiskFloor>, found: Option<RiskFloor>) -> Option<RiskFloor> {
    let risk = |floor: &Option<RiskFloor>| floor.as_ref().map(|floor| floor.risk);
    if risk(&found) > risk(&before) { found } else { before }
}

fn highest_task(tasks: &[FloorTask]) -> Option<RiskFloor> {
    // `max_by_key` returns the last of equal ones; the first task is the reason.
    let (task, risk) = tasks
        .iter()
        .rev()
        .filter_map(|task| Some((task, task.risk?)))
        .max_by_key(|(_, risk)| *risk)?;
    Some(RiskFloor {
        risk,
        source: FloorSource::Task,
        id: task.task_id.map(|id| id.0),
        name: task.reference.clone(),
    })
}

/// The tasks of a proposed plan, and the capabilities that they require. What is no task is skipped.
#[must_use]
pub fn tasks_of_plan(payload: &Value) -> (Vec<FloorTask>, Vec<String>) {
    let mut tasks = Vec::new();
    let mut capabilities = Vec::new();
    for task in payload.as_array().into_iter().flatten() {
        let risk = task["risk"].as_str().and_then(|risk| risk.parse().ok());
        let reference = task["ref"].as_str().unwrap_or_default().to_owned();
        tasks.push(FloorTask { task_id: None, reference, risk });
        let required = task["capabilities"].as_array().into_iter().flatten();
        capabilities.extend(required.filter_map(Value::as_str).map(str::to_owned));
    }
    (tasks, capabilities)
}

impl FloorSpec {
    /// Whether all conditions hold.
    #[must_use]
    pub fn covers(&self, subject: &FloorSubject<'_>) -> bool {
        let Self { name: _, risk: _, kind, capability, project_id, payload } = self;
        kind.is_none_or(|kind| kind == subject.kind)
            && capability.as_ref().is_none_or(|wanted| subject.capabilities.contains(wanted))
            && project_id.is_none_or(|project| subject.project == Some(project))
            && payload.iter().all(|condition| condition.holds(subject.payload))
    }

    /// Refuses a rule that is too large, and patterns and pointers that are none.
    ///
    /// # Errors
    /// `invalid`, with every fault.
    pub fn check(&self) -> Result<(), Refusal> {
        let Self { name, risk: _, kind: _, capability, project_id: _, payload } = self;
        let mut checks = Checks::new();
        checks.line("/name", name, settings::NAME_CHARS);
        if let Some(capability) = capability {
            checks.capability("/capability", capability);
        }
        checks.count("/payload", payload.len(), settings::FLOOR_CONDITIONS);
        for (index, condition) in payload.iter().enumerate().take(settings::FLOOR_CONDITIONS) {
            condition.check(&mut checks, &pointer("/payload", index));
        }
        checks.finish()
    }
}

impl PayloadCondition {
    fn holds(&self, payload: Option<&Value>) -> bool {
        let Self { pointer, matches, equals } = self;
        let Some(value) = payload.and_then(|payload| payload.pointer(pointer)) else {
            return false;
        };
        let equal = |wanted: &Value| canonical(value) == canonical(wanted);
        let found = |pattern: &String| match compile(pattern) {
            Ok(pattern) => any_text(value, &pattern),
            Err(_) => true,
        };
        equals.as_ref().is_none_or(equal) && matches.as_ref().is_none_or(found)
    }

    fn check(&self, checks: &mut Checks, at: &str) {
        let Self { pointer: place, matches, equals } = self;
        let here = pointer(at, "pointer");
        checks.chars(&here, place, settings::FLOOR_CHARS);
        let detail = "must be empty or a JSON Pointer: it starts with `/`, and `~` is written `~0`, \
                      `/` in a name `~1`";
        checks.ensure(is_pointer(place), &here, detail);
        match (matches, equals) {
            (Some(_), Some(_)) => {
                checks.add(at, "has both `matches` and `equals`; make it two conditions");
            }
            (None, None) => checks.add(at, "must have `matches` or `equals`"),
            (Some(pattern), None) => check_pattern(checks, &pointer(at, "matches"), pattern),
            (None, Some(value)) => {
                let here = pointer(at, "equals");
                checks.bytes(&here, &value.to_string(), settings::MESSAGE_BYTES);
            }
        }
    }
}

fn check_pattern(checks: &mut Checks, at: &str, pattern: &str) {
    checks.chars(at, pattern, settings::FLOOR_CHARS);
    checks.ensure(!pattern.is_empty(), at, "must not be empty; `.` matches any text");
    // A longer one is refused already, and is not worth the time.
    if pattern.chars().count() > settings::FLOOR_CHARS {
        return;
    }
    if let Err(error) = compile(pattern) {
        checks.add(at, explain(&error));
    }
}

/// The reason of a refused pattern, in one line.
fn explain(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            "is too large when compiled; use fewer or smaller repetitions".to_owned()
        }
        error => {
            // The first lines of a syntax error repeat the pattern.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let reason = last.trim().trim_start_matches("error: ");
            format!("is no regular expression: {reason}")
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(settings::FLOOR_PATTERN_BYTES).build()
}

fn is_pointer(text: &str) -> bool {
    let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escaped
}

fn any_text(value: &Value, pattern: &Regex) -> bool {
    match value {
        Value::String(text) => pattern.is_match(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => pattern.is_match(&canonical(value)),
        Value::Array(items) => items.iter().any(|item| any_text(item, pattern)),
        Value::Object(members) => {
            members.iter().any(|(name, member)| pattern.is_match(name) || any_text(member, pattern))
        }
    }
}

#[cfg(test)]
mod tests;
