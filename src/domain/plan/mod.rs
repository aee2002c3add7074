//! Plans: what a planner proposes, and what makes it sound.
//!
//! A plan is a flat list of tasks that name each other by `ref`. It is checked as a whole before
//! anything is written: every error is listed, and a cycle is spelt out. Containment takes part in
//! the order (a container starts before its children and ends after them), so a task that needs
//! its own container is a cycle like any other.

pub mod cycle;
pub mod first_states;
pub mod new_goal;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    budget::{
        BudgetNode, BudgetSpec,
        ask::{Estimate, check_estimates},
    },
    check::{Checks, pointer},
    refusal::Refusal,
    settings,
};
use cycle::find_cycle;

/// One condition of success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CriterionSpec {
    /// What must be true.
    #[schema(example = "`cargo test` passes", min_length = 1)]
    pub text: String,
    /// Whether the task can be completed without evidence for it. Default true: it cannot.
    #[serde(default = "yes")]
    pub required: bool,
}

fn yes() -> bool {
    true
}

/// When a person must be asked about a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalPoints {
    /// Before it is first offered to an agent.
    pub start: bool,
    /// Before its result is accepted.
    pub result: bool,
}

/// One task of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Its name in the plan, unique there: `needs` and `parent` name it.
    #[schema(example = "api", min_length = 1, max_length = 200)]
    pub r#ref: String,
    /// One line.
    #[schema(example = "Write the REST endpoints", min_length = 1, max_length = 500)]
    pub title: String,
    /// Markdown: what to do, for the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Refs of the tasks that must be done first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["schema"]))]
    pub needs: Vec<String>,
    /// Ref of the task that contains it. A task that is somebody's parent is a container: it is
    /// never offered to an agent and is done when its children are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What an agent must be able to do to claim it; empty: any agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["rust"]))]
    pub capabilities: Vec<String>,
    /// 0 (lowest) to 9; default: the goal's. Each point outranks five minutes of waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9)]
    pub priority: Option<i16>,
    /// Conditions of success. Completing needs evidence for each required one; with a review of the
    /// result, whoever accepts it may waive one by its number instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<CriterionSpec>,
    /// Expected spend by unit: what is set aside from every budget above the task before it starts.
    /// A number must be there as a whole; `{"want", "min"}` takes less when less is left.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"usd_micros": {"want": 250000, "min": 50000}, "tool_calls": 20}))]
    pub estimate: BTreeMap<String, Estimate>,
    /// What all its attempts together may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSpec>,
    /// JSON for the agent, handed over with the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<serde_json::Value>,
    /// Free words, such as a story tag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// When a person must be asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub approval: ApprovalPoints,
    /// Not offered before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// How often it is tried before a failure is final; default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub max_attempts: Option<i32>,
    /// When so many of its results were rejected it is not sent back again, and a person chooses what
    /// becomes of it; default 3. A rejection costs no try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 20)]
    pub max_rework: Option<i32>,
    /// How long its agent may stay silent, in seconds; default 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub lease_seconds: Option<u32>,
    /// Fails when nobody has claimed it within so many seconds of being ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub start_within_seconds: Option<u32>,
    /// Hard limit of one attempt in seconds; default four hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub attempt_timeout_seconds: Option<u32>,
    /// Fails when all attempts together take longer than this since it was first ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub finish_within_seconds: Option<u32>,
    /// The heading that it stands under in the brief.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Done before muster was asked: a ticked box. It is recorded as done, without an attempt.
    #[serde(default, skip_serializing_if = "is_default")]
    pub done: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Whose plan is checked: the pointers name its list.
#[derive(Debug, Clone, Copy)]
pub struct PlanContext<'a> {
    /// JSON Pointer of the list of tasks.
    pub at: &'a str,
    /// Refs that exist already and may not be used again.
    pub taken: &'a std::collections::HashSet<String>,
}

/// The tasks of an edited plan, sound by themselves.
///
/// # Errors
/// `invalid` when it is no list of tasks, `plan_invalid`.
pub fn read(document: &serde_json::Value, at: &str) -> Result<Vec<TaskSpec>, Refusal> {
    let tasks: Vec<TaskSpec> = serde_json::from_value(document.clone())
        .map_err(|error| Refusal::invalid_at(at, format!("is no list of tasks: {error}")))?;
    check_plan(&tasks, PlanContext { at, taken: &HashSet::new() })?;
    Ok(tasks)
}

/// Checks a plan as a whole.
///
/// # Errors
/// `plan_invalid` with every error found: sizes, unknown or double refs, a cycle spelt out.
pub fn check_plan(tasks: &[TaskSpec], context: PlanContext<'_>) -> Result<(), Refusal> {
    let PlanContext { at, taken } = context;
    let mut checks = Checks::new();
    checks.ensure(!tasks.is_empty(), at, "must have at least one task");
    checks.count(at, tasks.len(), settings::PLAN_TASKS);
    let edges: usize = tasks.iter().map(|task| task.needs.len()).sum();
    checks.ensure(
        edges <= settings::PLAN_DEPENDENCIES,
        at,
        format!("has {edges} dependencies; at most {} are allowed", settings::PLAN_DEPENDENCIES),
    );
    checks.finish_plan()?;

    let mut checks = Checks::new();
    let mut by_ref: HashMap<&str, usize> = HashMap::with_capacity(tasks.len());
    for (index, task) in tasks.iter().enumerate() {
        let here = pointer(at, index);
        check_task(&mut checks, &here, task);
        let at_ref = pointer(&here, "ref");
        if let Some(first) = by_ref.insert(&task.r#ref, index) {
            let detail = format!("the ref `{}` is already that of task {first}", task.r#ref);
            checks.add(&at_ref, detail);
        }
        if taken.contains(&task.r#ref) {
            checks.add(&at_ref, format!("the goal has a task `{}` already", task.r#ref));
        }
    }
    let parents: HashSet<&str> = tasks.iter().filter_map(|task| task.parent.as_deref()).collect();
    for (index, task) in tasks.iter().enumerate() {
        if parents.contains(task.r#ref.as_str()) {
            check_container(&mut checks, &pointer(at, index), task);
        }
        check_links(&mut checks, &pointer(at, index), task, &by_ref);
    }
    checks.finish_plan()?;

    let mut checks = Checks::new();
    check_order(&mut checks, at, tasks, &by_ref);
    checks.finish_plan()
}

fn check_task(checks: &mut Checks, at: &str, task: &TaskSpec) {
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
    checks.count(&pointer(at, "criteria"), task.criteria.len(), settings::TASK_CRITERIA);
    for (index, criterion) in task.criteria.iter().enumerate() {
        let at = pointer(&pointer(&pointer(at, "criteria"), index), "text");
        checks.ensure(!criterion.text.trim().is_empty(), &at, "must not be empty");
        checks.bytes(&at, &criterion.text, settings::MESSAGE_BYTES);
    }
    check_estimates(checks, &pointer(at, "estimate"), &task.estimate);
    if let Some(budget) = &task.budget {
        budget.check(checks, &pointer(at, "budget"), BudgetNode::Task);
    }
    checks.json(&pointer(at, "input"), task.input.as_ref());
    checks.count(&pointer(at, "labels"), task.labels.len(), settings::TASK_LABELS);
    for (index, label) in task.labels.iter().enumerate() {
        checks.line(&pointer(&pointer(at, "labels"), index), label, 100);
    }
    if let Some(section) = &task.section {
        checks.chars(&pointer(at, "section"), section, settings::TITLE_CHARS);
    }
    check_bounds(checks, at, task);
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

/// A container is never offered and has no attempts: what belongs to those would be dropped without
/// a word, so it is refused.
fn check_container(checks: &mut Checks, at: &str, task: &TaskSpec) {
    let given = [
        ("approval", task.approval != ApprovalPoints::default()),
        ("budget", task.budget.is_some()),
        ("criteria", !task.criteria.is_empty()),
        ("start_within_seconds", task.start_within_seconds.is_some()),
        ("finish_within_seconds", task.finish_within_seconds.is_some()),
    ];
    for (name, given) in given {
        let detail =
            "belongs to a task that agents work on, and this one contains others; set it on those";
        checks.ensure(!given, &pointer(at, name), detail);
    }
}

/// Notes a lease out of bounds.
pub fn check_lease(checks: &mut Checks, at: &str, seconds: u32) {
    let least = settings::LEASE_MIN.as_secs() as u32;
    let most = settings::LEASE_MAX.as_secs() as u32;
    checks.range(at, seconds, least..=most);
}

/// Notes an instant outside the years 2000 to 2999, which is a slip and not a time.
pub fn check_instant(checks: &mut Checks, at: &str, instant: DateTime<Utc>) {
    use chrono::Datelike as _;
    checks.range(at, instant.year(), 2000..=2999);
}

fn check_links(checks: &mut Checks, at: &str, task: &TaskSpec, known: &HashMap<&str, usize>) {
    let mut seen = std::collections::HashSet::new();
    for (index, need) in task.needs.iter().enumerate() {
        let at = pointer(&pointer(at, "needs"), index);
        if !known.contains_key(need.as_str()) {
            checks.add(&at, format!("there is no task with the ref `{need}`"));
        }
        checks.ensure(seen.insert(need), &at, "is listed twice");
    }
    if let Some(parent) = &task.parent
        && !known.contains_key(parent.as_str())
    {
        checks.add(pointer(at, "parent"), format!("there is no task with the ref `{parent}`"));
    }
}

/// Each task is two points, its start and its end; containment and needs are arrows between them.
fn check_order(checks: &mut Checks, at: &str, tasks: &[TaskSpec], by_ref: &HashMap<&str, usize>) {
    let start = |task: usize| 2 * task;
    let end = |task: usize| 2 * task + 1;
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); 2 * tasks.len()];
    for (index, task) in tasks.iter().enumerate() {
        after[start(index)].push(end(index));
        for need in &task.needs {
            if let Some(&needed) = by_ref.get(need.as_str()) {
                after[end(needed)].push(start(index));
            }
        }
        if let Some(&parent) = task.parent.as_ref().and_then(|name| by_ref.get(name.as_str())) {
            after[start(parent)].push(start(index));
            after[end(index)].push(end(parent));
        }
    }
    if let Some(points) = find_cycle(&after) {
        let mut refs: Vec<&str> = points.iter().map(|p| tasks[p / 2].r#ref.as_str()).collect();
        refs.dedup();
        if refs.len() > 1 && refs.first() == refs.last() {
            refs.pop();
        }
        let shown = refs.iter().chain(refs.first()).copied().collect::<Vec<_>>().join(" -> ");
        let where_ = by_ref.get(refs[0]).map_or_else(|| at.to_owned(), |i| pointer(at, i));
        checks.add(where_, format!("the tasks need each other in a circle: {shown}"));
        return;
    }
    check_nesting(checks, at, tasks, by_ref);
}

fn check_nesting(checks: &mut Checks, at: &str, tasks: &[TaskSpec], by_ref: &HashMap<&str, usize>) {
    for index in 0..tasks.len() {
        let mut depth = 0;
        let mut here = index;
        while let Some(&parent) =
            tasks[here].parent.as_ref().and_then(|name| by_ref.get(name.as_str()))
        {
            depth += 1;
            here = parent;
            if depth > settings::NESTING {
                let detail = format!("is nested deeper than {} levels", settings::NESTING);
                return checks.add(pointer(&pointer(at, index), "parent"), detail);
            }
        }
    }
}
