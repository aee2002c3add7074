//! Plans: the tasks that a planner proposes, and their checks.
//!
//! A plan is a flat list of tasks that name each other by `ref`. It is checked as a whole before
//! anything is written: every error is listed, and a cycle is shown. Containment is part of the order
//! (a container starts before its children and ends after them), so a task that needs its own
//! container is a cycle.

pub mod around;
pub mod bands;
pub mod cycle;
pub mod diff;
pub mod discovered;
pub mod document;
pub mod finding;
pub mod first_states;
pub mod ground;
#[cfg(test)]
mod hostile;
pub mod network;
pub mod new_goal;
pub mod numbers;
pub mod order;
pub mod playbook;
pub mod risks;
pub mod schedule;
pub mod split;
pub mod upward;
pub mod validate;
pub mod wording;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Datelike as _, Utc};
use serde::{Deserialize, Serialize};

use super::{
    budget::{
        BudgetNode, BudgetSpec,
        ask::{Estimate, check_estimates},
    },
    check::{Checks, pointer},
    criterion::{self, EvidenceTier, schema::Schemas},
    dedup::Dedup,
    gate::{
        check_names,
        resource::{Touch, check_touches},
    },
    refusal::Refusal,
    risk::Risk,
    settings,
};
use around::Around;
use finding::FindingCode;
use order::circle;

pub use super::criterion::CriterionSpec;

pub(super) fn yes() -> bool {
    true
}

/// The points at which a task waits for an approval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalPoints {
    /// Whether a person must approve before agents can first claim it. Default false.
    pub start: bool,
    /// Whether a person must approve each result before it is accepted. Default false.
    pub result: bool,
}

/// One task of a plan, as a submitter or planner gives it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Its name, unique in the goal: `needs` and `parent` of other tasks name it.
    #[schema(example = "api", min_length = 1, max_length = 200)]
    pub r#ref: String,
    /// The task in one line, for people and agents.
    #[schema(example = "Write the REST endpoints", min_length = 1, max_length = 500)]
    pub title: String,
    /// Instructions for the agent, in Markdown; at most 64 KiB. Default empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Refs of the tasks that must be done before this one is ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["schema"]))]
    pub needs: Vec<String>,
    /// Ref of its container. A task named here by another is a container: no agent claims it, and it
    /// is done when its children are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The capabilities an agent needs to claim it, at most 32; empty: any agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["rust"]))]
    pub capabilities: Vec<String>,
    /// 0 (lowest) to 9; default: the goal's. One point outranks five minutes of waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9)]
    pub priority: Option<i16>,
    /// Conditions of success, at most 200, numbered from 1. Completing needs evidence for each required
    /// one, as its type says; a person who accepts the result can waive it instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<CriterionSpec>,
    /// The least tier of the evidence that satisfies its criteria, for those that do not say it themselves. Default:
    /// as their types have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_tier: Option<EvidenceTier>,
    /// Expected spend of one attempt by unit, reserved from every budget above the task before the
    /// attempt starts. A number is reserved in full; `{"want", "min"}` takes less if less is left.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"usd_micros": {"want": 250000, "min": 50000}, "tool_calls": 20}))]
    pub estimate: BTreeMap<String, Estimate>,
    /// The task's own budget: limits over all its attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSpec>,
    /// Any JSON for the agent, returned with the claim; at most 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<serde_json::Value>,
    /// Labels of your own, at most 32; muster does not interpret them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Names of concurrency keys, at most 16. Each limits the number of running tasks with this name to its `most`; a
    /// running attempt holds one grant of each. A name means the key of the goal's project, otherwise the key of the
    /// workspace. An unknown name creates a key of the workspace with `most` 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["deploy"]), max_items = 16)]
    pub concurrency_keys: Vec<String>,
    /// Resources that each attempt holds while it runs, at most 64. Tasks with conflicting ones are not handed
    /// out at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub touches: Vec<Touch>,
    /// The points at which it waits for an approval. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub approval: ApprovalPoints,
    /// The least risk of every approval about it and about the tasks inside it, subtasks included; an
    /// agent that asks may state more, never less. A proposed plan has the risk of its riskiest task.
    /// Default: no floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// The earliest time it is ready; it waits until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// A key under which it exists once in its goal: while another task holds the key, none is added, and the answer
    /// is that task. A plan that is applied makes all its tasks; the key is theirs then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Dedup>,
    /// The number of failed or expired attempts after which it fails; default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub max_attempts: Option<i32>,
    /// The number of rejected results after which it is not sent back and a person chooses how it
    /// continues; default 3. A rejection does not count as an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 20)]
    pub max_rework: Option<i32>,
    /// The lease in seconds: an attempt without a heartbeat for this long expires. Default 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub lease_seconds: Option<u32>,
    /// It fails if no agent claims it within this many seconds of being ready. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub start_within_seconds: Option<u32>,
    /// Hard limit of one attempt, in seconds; default 14,400 (four hours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub attempt_timeout_seconds: Option<u32>,
    /// It fails if it is not done within this many seconds of first being ready, over all attempts.
    /// Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub finish_within_seconds: Option<u32>,
    /// The heading above it in the brief, set by the `outline` planner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Whether the brief marks it as parallel, set by the `outline` planner. It explains the plan; only
    /// `needs` order tasks. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parallel: bool,
    /// Whether it is already done, such as a ticked box of the brief. It becomes `done` without an
    /// attempt. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub done: bool,
}

impl TaskSpec {
    /// Time before which a task made of it `now` is not ready. A start time that has passed holds nothing
    /// back: no task is ready before it exists.
    #[must_use]
    pub fn ready_from(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.not_before.map_or(now, |time| time.max(now))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Where a plan stands in the request, and the goal it is for.
#[derive(Debug, Clone, Copy)]
pub struct PlanContext<'a> {
    /// JSON Pointer of the list of tasks.
    pub at: &'a str,
    /// Refs of the goal's existing tasks.
    pub taken: &'a HashSet<String>,
    /// The existing tasks that the plan may need and go into; `None`: it stands alone.
    pub around: Option<&'a Around>,
}

/// Reads and checks the tasks of an edited plan.
///
/// # Errors
/// `invalid` if it is no list of tasks; `plan_invalid`.
pub fn read(document: &serde_json::Value, at: &str) -> Result<Vec<TaskSpec>, Refusal> {
    let tasks: Vec<TaskSpec> = serde_json::from_value(document.clone())
        .map_err(|error| Refusal::invalid_at(at, format!("is no list of tasks: {error}")))?;
    check_plan(&tasks, PlanContext { at, taken: &HashSet::new(), around: None })?;
    Ok(tasks)
}

/// Checks a plan as a whole.
///
/// # Errors
/// `plan_invalid` with every error found: sizes, unknown or repeated refs, and the cycle if there is one.
pub fn check_plan(tasks: &[TaskSpec], context: PlanContext<'_>) -> Result<(), Refusal> {
    let PlanContext { at, taken, around } = context;
    let mut checks = Checks::new();
    if tasks.is_empty() {
        checks.add_coded(FindingCode::BadValue.as_str(), at, "must have at least one task");
    }
    checks.count(at, tasks.len(), settings::PLAN_TASKS);
    let edges: usize = tasks.iter().map(|task| task.needs.len()).sum();
    checks.ensure(
        edges <= settings::PLAN_DEPENDENCIES,
        at,
        format!("has {edges} dependencies; at most {} are allowed", settings::PLAN_DEPENDENCIES),
    );
    checks.finish_plan(FindingCode::TooMany.as_str())?;

    let mut checks = Checks::new();
    let mut schemas = Schemas::default();
    let mut by_ref: HashMap<&str, usize> = HashMap::with_capacity(tasks.len());
    for (index, task) in tasks.iter().enumerate() {
        let here = pointer(at, index);
        check_task(&mut checks, &mut schemas, &here, task);
        let at_ref = pointer(&here, "ref");
        if let Some(first) = by_ref.insert(&task.r#ref, index) {
            let code = FindingCode::DuplicateRef.as_str();
            checks.add_coded(
                code,
                &at_ref,
                format!("task {first} already has the ref `{}`", task.r#ref),
            );
        }
        if taken.contains(&task.r#ref) {
            let code = FindingCode::DuplicateRef.as_str();
            checks.add_coded(
                code,
                &at_ref,
                format!("the goal already has a task `{}`", task.r#ref),
            );
        }
    }
    check_keys(&mut checks, at, tasks);
    let parents: HashSet<&str> = tasks.iter().filter_map(|task| task.parent.as_deref()).collect();
    for (index, task) in tasks.iter().enumerate() {
        if parents.contains(task.r#ref.as_str()) {
            check_container(&mut checks, &pointer(at, index), task);
        }
        check_links(&mut checks, &pointer(at, index), task, &by_ref, around);
    }
    checks.finish_plan(FindingCode::BadValue.as_str())?;

    let mut checks = Checks::new();
    check_order(&mut checks, at, tasks, &by_ref, around);
    checks.finish_plan(FindingCode::BadValue.as_str())
}

/// Checks the values of one task that exists, as the check of a plan does.
///
/// # Errors
/// `invalid`, with every bad value.
pub fn check_values(at: &str, task: &TaskSpec, container: bool) -> Result<(), Refusal> {
    let mut checks = Checks::new();
    check_task(&mut checks, &mut Schemas::default(), at, task);
    if container {
        check_container(&mut checks, at, task);
    }
    checks.finish()
}

/// Checks the new needs of a task that exists: known, listed once, and no circle. `around.ordered` has the
/// task with these needs.
///
/// # Errors
/// `plan_invalid`, with every place.
pub fn check_new_needs(at: &str, task: &TaskSpec, around: &Around) -> Result<(), Refusal> {
    let mut checks = Checks::new();
    check_needs(&mut checks, at, task, &HashMap::new(), Some(around));
    checks.finish_plan(FindingCode::BadValue.as_str())?;
    let mut checks = Checks::new();
    if let Some(refs) = circle(&[], &around.ordered) {
        let code = FindingCode::Cycle.as_str();
        checks.add_coded(code, pointer(at, "needs"), in_a_circle(&refs));
    }
    checks.finish_plan(FindingCode::BadValue.as_str())
}

fn check_task(checks: &mut Checks, schemas: &mut Schemas, at: &str, task: &TaskSpec) {
    checks.line(&pointer(at, "ref"), &task.r#ref, settings::REF_CHARS);
    checks.line(&pointer(at, "title"), &task.title, settings::TITLE_CHARS);
    checks.bytes(&pointer(at, "description"), &task.description, settings::DESCRIPTION_BYTES);
    checks.capabilities(
        &pointer(at, "capabilities"),
        &task.capabilities,
        settings::TASK_CAPABILITIES,
    );
    if let Some(priority) = task.priority {
        checks.range(&pointer(at, "priority"), priority, 0..=settings::PRIORITY_MAX);
    }
    criterion::check(checks, schemas, &pointer(at, "criteria"), &task.criteria);
    check_estimates(checks, &pointer(at, "estimate"), &task.estimate);
    if let Some(budget) = &task.budget {
        budget.check(checks, &pointer(at, "budget"), BudgetNode::Task);
    }
    checks.json(&pointer(at, "input"), task.input.as_ref());
    checks.count(&pointer(at, "labels"), task.labels.len(), settings::TASK_LABELS);
    for (index, label) in task.labels.iter().enumerate() {
        checks.line(&format!("{at}/labels/{index}"), label, 100);
    }
    check_names(checks, &pointer(at, "concurrency_keys"), &task.concurrency_keys);
    check_touches(checks, &pointer(at, "touches"), &task.touches);
    if let Some(section) = &task.section {
        checks.chars(&pointer(at, "section"), section, settings::TITLE_CHARS);
    }
    check_bounds(checks, at, task);
}

/// Checks the dedup keys of new tasks by themselves, whatever holds them.
///
/// # Errors
/// `plan_invalid`, with every place.
pub fn check_dedup(at: &str, tasks: &[TaskSpec]) -> Result<(), Refusal> {
    let mut checks = Checks::new();
    check_keys(&mut checks, at, tasks);
    checks.finish_plan(FindingCode::BadValue.as_str())
}

/// Refuses a dedup key that two tasks of a plan have.
fn check_keys(checks: &mut Checks, at: &str, tasks: &[TaskSpec]) {
    let mut by_key: HashMap<&str, usize> = HashMap::new();
    for (index, task) in tasks.iter().enumerate() {
        let Some(dedup) = &task.dedup else { continue };
        let here = pointer(&pointer(at, index), "dedup");
        dedup.check(checks, &here);
        if let Some(first) = by_key.insert(&dedup.key, index) {
            let detail = format!("task {first} already has the key `{}`", dedup.key);
            checks.add(pointer(&here, "key"), detail);
        }
    }
}

fn check_bounds(checks: &mut Checks, at: &str, task: &TaskSpec) {
    if let Some(attempts) = task.max_attempts {
        checks.range(&pointer(at, "max_attempts"), attempts, 1..=100);
    }
    if let Some(reworks) = task.max_rework {
        checks.range(&pointer(at, "max_rework"), reworks, 1..=settings::MAX_REWORK_MOST);
    }
    if let Some(seconds) = task.lease_seconds {
        check_lease(checks, &pointer(at, "lease_seconds"), seconds);
    }
    let longest = settings::DURATION_MAX.as_secs() as u32;
    for (name, seconds) in [
        ("start_within_seconds", task.start_within_seconds),
        ("attempt_timeout_seconds", task.attempt_timeout_seconds),
        ("finish_within_seconds", task.finish_within_seconds),
    ] {
        if let Some(seconds) = seconds {
            checks.range(&pointer(at, name), seconds, 1..=longest);
        }
    }
    if let Some(instant) = task.not_before {
        check_instant(checks, &pointer(at, "not_before"), instant);
    }
}

/// A container has no attempts, so settings of attempts would have no effect: they are refused.
fn check_container(checks: &mut Checks, at: &str, task: &TaskSpec) {
    let given = [
        ("approval", task.approval != ApprovalPoints::default()),
        ("budget", task.budget.is_some()),
        ("criteria", !task.criteria.is_empty()),
        ("min_tier", task.min_tier.is_some()),
        ("concurrency_keys", !task.concurrency_keys.is_empty()),
        ("touches", !task.touches.is_empty()),
        ("start_within_seconds", task.start_within_seconds.is_some()),
        ("finish_within_seconds", task.finish_within_seconds.is_some()),
    ];
    for (name, given) in given {
        let detail = "has no effect on a container; set it on the tasks inside";
        checks.ensure(!given, &pointer(at, name), detail);
    }
}

/// Checks the bounds of a lease.
pub fn check_lease(checks: &mut Checks, at: &str, seconds: u32) {
    let least = settings::LEASE_MIN.as_secs() as u32;
    let most = settings::LEASE_MAX.as_secs() as u32;
    checks.range(at, seconds, least..=most);
}

/// Checks that a time is in the years 2000 to 2999; any other is a typing error.
pub fn check_instant(checks: &mut Checks, at: &str, instant: DateTime<Utc>) {
    checks.range(at, instant.year(), 2000..=2999);
}

fn check_links(
    checks: &mut Checks,
    at: &str,
    task: &TaskSpec,
    new: &HashMap<&str, usize>,
    around: Option<&Around>,
) {
    check_needs(checks, at, task, new, around);
    let Some(parent) = task.parent.as_deref().filter(|parent| !new.contains_key(parent)) else {
        return;
    };
    let at = pointer(at, "parent");
    match around.and_then(|around| around.known.get(parent)) {
        Some(known) => {
            if let Some(detail) = known.cannot_contain(parent) {
                checks.add(at, detail);
            }
        }
        None => checks.add_coded(FindingCode::UnknownRef.as_str(), at, unknown(parent)),
    }
}

fn check_needs(
    checks: &mut Checks,
    at: &str,
    task: &TaskSpec,
    new: &HashMap<&str, usize>,
    around: Option<&Around>,
) {
    let mut seen = HashSet::new();
    for (index, need) in task.needs.iter().enumerate() {
        let at = format!("{at}/needs/{index}");
        checks.ensure(seen.insert(need), &at, "is listed twice");
        if new.contains_key(need.as_str()) {
            continue;
        }
        match around.and_then(|around| around.known.get(need)) {
            Some(known) => {
                if let Some(detail) = known.cannot_be_needed(need) {
                    checks.add(&at, detail);
                }
            }
            None => checks.add_coded(FindingCode::UnknownRef.as_str(), &at, unknown(need)),
        }
    }
}

fn unknown(name: &str) -> String {
    format!("there is no task with the ref `{name}`")
}

fn parent_of(task: &TaskSpec, by_ref: &HashMap<&str, usize>) -> Option<usize> {
    by_ref.get(task.parent.as_deref()?).copied()
}

fn check_order(
    checks: &mut Checks,
    at: &str,
    tasks: &[TaskSpec],
    by_ref: &HashMap<&str, usize>,
    around: Option<&Around>,
) {
    let ordered = around.map_or(&[] as &[_], |around| &around.ordered);
    if let Some(refs) = circle(tasks, ordered) {
        let first = by_ref.get(refs[0]).map_or_else(|| at.to_owned(), |i| pointer(at, i));
        return checks.add_coded(FindingCode::Cycle.as_str(), first, in_a_circle(&refs));
    }
    check_nesting(checks, at, tasks, by_ref, around);
}

fn in_a_circle(refs: &[&str]) -> String {
    let shown = refs.iter().chain(refs.first()).copied().collect::<Vec<_>>().join(" -> ");
    format!("the tasks need each other in a circle: {shown}")
}

fn check_nesting(
    checks: &mut Checks,
    at: &str,
    tasks: &[TaskSpec],
    by_ref: &HashMap<&str, usize>,
    around: Option<&Around>,
) {
    for index in 0..tasks.len() {
        let mut depth = 0;
        let mut here = index;
        while let Some(parent) = parent_of(&tasks[here], by_ref) {
            depth += 1;
            here = parent;
            if depth > settings::NESTING {
                break;
            }
        }
        let outer = tasks[here].parent.as_deref();
        let known = outer.and_then(|outer| around?.known.get(outer));
        depth += known.map_or(0, |known| known.depth + 1);
        if depth > settings::NESTING {
            let detail = format!("is nested deeper than {} levels", settings::NESTING);
            let code = FindingCode::TooDeep.as_str();
            return checks.add_coded(code, format!("{at}/{index}/parent"), detail);
        }
    }
}
