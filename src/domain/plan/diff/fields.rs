//! Which values of a task a new plan changes.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};

use super::{DiffReason, FieldChange, PlannedEdit, Present, places::Moved};
use crate::domain::{
    criterion::{CriterionSpec, CriterionType},
    plan::TaskSpec,
    states::TaskState,
    task::{
        claim,
        edit::{Standing, TaskField, check_approved},
    },
    words::Words as _,
};

/// Characters of a text in a diff.
const SHOWN: usize = 2_000;

/// What a new plan changes of one task.
pub(super) struct Compared {
    /// The edit; `None` if nothing changes now.
    pub edit: Option<PlannedEdit>,
    /// The values that change.
    pub changes: Vec<FieldChange>,
    /// The values that cannot change now.
    pub held: Vec<FieldChange>,
    /// What the plan says about the task.
    pub said: TaskSpec,
    /// The same with the values before those that cannot change now.
    pub base: TaskSpec,
}

/// Compares an open task with what the new plan says about it. `going`: names of tasks that are cancelled.
pub(super) fn compare(
    task: &Present,
    wish: TaskSpec,
    moved: Option<&Moved>,
    going: &HashSet<String>,
    priority: i16,
) -> Compared {
    let base = normal(task.base().clone());
    let mut document = normal(wish);
    keep_unset(&mut document, &base, task);
    let mut after = task.spec.clone();
    let mut found = Compared {
        edit: None,
        changes: Vec::new(),
        held: Vec::new(),
        said: document.clone(),
        base: TaskSpec::default(),
    };
    let mut fields = Vec::new();
    for field in TaskField::ALL.iter().copied().filter(|field| *field != TaskField::Needs) {
        let wanted = in_force(&document, field, priority);
        if same(&base, &document, field) || same(&wanted, &task.spec, field) {
            continue;
        }
        let change = FieldChange {
            field: field.to_string(),
            before: shown(&task.spec, field),
            after: shown(&wanted, field),
        };
        if may_change(task, field, &wanted) {
            set(&mut after, &wanted, field);
            fields.push(field);
            found.changes.push(change);
        } else {
            set(&mut document, &base, field);
            found.held.push(change);
        }
    }
    needs(task, &base, &mut document, &mut after, going, &mut found, &mut fields);
    held_settings(&base, &mut document, &mut found.held);
    let section = document.section != base.section && document.section != task.spec.section;
    if section {
        found.changes.push(change("section", &task.spec.section, &document.section));
        after.section.clone_from(&document.section);
    }
    let parent = parent(task, &base, &mut document, moved, &mut found);
    let done = ticked(task, &base, &mut document, &mut found);
    if done && may_need(task) {
        // What is done waits for nothing: only needs that are met stay.
        fields.retain(|field| *field != TaskField::Needs);
        found.changes.retain(|change| change.field != TaskField::Needs.as_str());
        after.needs.clone_from(&task.spec.needs);
    }
    if !fields.is_empty() || section || parent.is_some() || done {
        let edit = PlannedEdit { task_id: task.task_id, fields, after, parent, section, done };
        found.edit = Some(edit);
    }
    found.base = document;
    found
}

fn change(
    field: &str,
    before: &impl serde::Serialize,
    after: &impl serde::Serialize,
) -> FieldChange {
    FieldChange { field: field.to_owned(), before: json!(before), after: json!(after) }
}

/// A task with its values as they are stored.
fn normal(task: TaskSpec) -> TaskSpec {
    let min_tier = task.min_tier;
    let criteria = task.criteria.into_iter().map(|criterion| criterion.stored(min_tier));
    TaskSpec {
        criteria: criteria.collect(),
        capabilities: claim::normal(&task.capabilities),
        ..task
    }
}

/// Settings that a plan leaves out stay as they are: it may be the goal's defaults that set them.
fn keep_unset(document: &mut TaskSpec, base: &TaskSpec, task: &Present) {
    if document.capabilities.is_empty() {
        document.capabilities.clone_from(&base.capabilities);
    }
    if document.concurrency_keys.is_empty() {
        document.concurrency_keys.clone_from(&base.concurrency_keys);
    }
    if document.touches.is_empty() {
        document.touches.clone_from(&base.touches);
    }
    keep_types(&mut document.criteria, &base.criteria);
    document.max_attempts = document.max_attempts.or(base.max_attempts);
    document.max_rework = document.max_rework.or(base.max_rework);
    document.lease_seconds = document.lease_seconds.or(base.lease_seconds);
    document.attempt_timeout_seconds =
        document.attempt_timeout_seconds.or(base.attempt_timeout_seconds);
    document.risk = document.risk.or(base.risk);
    document.approval.start |= base.approval.start;
    document.approval.result |= base.approval.result;
    if !task.planned() {
        // The base is the task itself, and a plan that names it says only what it sets.
        document.priority = document.priority.or(base.priority);
        document.not_before = document.not_before.or(base.not_before);
    }
}

/// A criterion that a plan repeats as a plain text keeps its type and its least tier: briefs and models write texts
/// alone, and a new plan must not turn what is checked into what is claimed.
fn keep_types(document: &mut [CriterionSpec], base: &[CriterionSpec]) {
    for criterion in document {
        let plain = criterion.r#type == CriterionType::Text && criterion.min_tier.is_none();
        let before = base.iter().find(|before| before.text == criterion.text);
        if let Some(before) = before.filter(|_| plain) {
            criterion.r#type = before.r#type;
            criterion.terms.clone_from(&before.terms);
            criterion.min_tier = before.min_tier;
        }
    }
}

/// The document with the value that a left out one means.
fn in_force(document: &TaskSpec, field: TaskField, priority: i16) -> TaskSpec {
    let mut wanted = TaskSpec::default();
    set(&mut wanted, document, field);
    if field == TaskField::Priority {
        wanted.priority = wanted.priority.or(Some(priority));
    }
    wanted
}

fn may_change(task: &Present, field: TaskField, wanted: &TaskSpec) -> bool {
    let shown = match field {
        TaskField::Title
        | TaskField::Description
        | TaskField::Input
        | TaskField::Estimate
        | TaskField::Capabilities
        | TaskField::Criteria => true,
        TaskField::Needs
        | TaskField::Labels
        | TaskField::Priority
        | TaskField::NotBefore
        | TaskField::MaxAttempts
        | TaskField::MaxRework
        | TaskField::Lease
        | TaskField::AttemptTimeout
        | TaskField::StartWithin
        | TaskField::FinishWithin => false,
    };
    let enough = wanted.max_attempts.is_none_or(|most| most > task.attempts_used)
        && wanted.max_rework.is_none_or(|most| most > task.reworks);
    let effective = !task.container
        || !matches!(field, TaskField::Criteria | TaskField::StartWithin | TaskField::FinishWithin);
    !task.cancelling
        && enough
        && effective
        && task.standing.may_change(field)
        && check_approved(task.standing, shown && task.approved).is_ok()
}

fn may_need(task: &Present) -> bool {
    !task.cancelling && task.standing.may_change(TaskField::Needs)
}

fn needs(
    task: &Present,
    base: &TaskSpec,
    document: &mut TaskSpec,
    after: &mut TaskSpec,
    going: &HashSet<String>,
    found: &mut Compared,
    fields: &mut Vec<TaskField>,
) {
    let set = |needs: &[String]| -> BTreeSet<String> { needs.iter().cloned().collect() };
    let (before, wish, now) = (set(&base.needs), set(&document.needs), set(&task.spec.needs));
    let mut wanted: BTreeSet<String> = if before == wish {
        now.clone()
    } else {
        // What somebody added by hand stays.
        now.iter().filter(|need| wish.contains(*need) || !before.contains(*need)).cloned().collect()
    };
    wanted.extend(wish.difference(&before).cloned());
    wanted.retain(|need| !going.contains(need));
    if wanted == now {
        return;
    }
    let wanted = Vec::from_iter(wanted);
    let change = change(TaskField::Needs.as_str(), &task.spec.needs, &wanted);
    if may_need(task) {
        after.needs = wanted;
        fields.push(TaskField::Needs);
        found.changes.push(change);
    } else {
        document.needs.clone_from(&base.needs);
        found.held.push(change);
    }
}

/// Budgets, approvals and risks of tasks that exist: a plan does not change them.
fn held_settings(base: &TaskSpec, document: &mut TaskSpec, held: &mut Vec<FieldChange>) {
    if document.budget.is_some() && document.budget != base.budget {
        held.push(change("budget", &base.budget, &document.budget));
    }
    if document.approval != base.approval {
        held.push(change("approval", &base.approval, &document.approval));
    }
    if document.risk != base.risk {
        held.push(change("risk", &base.risk, &document.risk));
    }
    if document.concurrency_keys != base.concurrency_keys {
        held.push(change("concurrency_keys", &base.concurrency_keys, &document.concurrency_keys));
    }
    if document.touches != base.touches {
        held.push(change("touches", &base.touches, &document.touches));
    }
    document.concurrency_keys.clone_from(&base.concurrency_keys);
    document.touches.clone_from(&base.touches);
    document.budget.clone_from(&base.budget);
    document.approval = base.approval;
    document.risk = base.risk;
}

fn parent(
    task: &Present,
    base: &TaskSpec,
    document: &mut TaskSpec,
    moved: Option<&Moved>,
    found: &mut Compared,
) -> Option<Option<String>> {
    let moved = moved?;
    let change = change("parent", &task.spec.parent, &moved.to);
    if moved.now && !task.cancelling {
        found.changes.push(change);
        return Some(moved.to.clone());
    }
    document.parent.clone_from(&base.parent);
    found.held.push(change);
    None
}

/// Whether the plan says that an open task is done. What a person had to approve is not got around.
fn ticked(task: &Present, base: &TaskSpec, document: &mut TaskSpec, found: &mut Compared) -> bool {
    if !document.done || base.done || task.container {
        return false;
    }
    let change = change("done", &false, &true);
    let asks = task.spec.approval.start || task.spec.approval.result;
    let free = match task.standing {
        Standing::Waits | Standing::Offered | Standing::Short => {
            !asks && !task.cancelling && !task.tried
        }
        Standing::AsksToStart
        | Standing::Rests
        | Standing::Held
        | Standing::Reviewed
        | Standing::Closed
        | Standing::Open
        | Standing::Failed
        | Standing::Ended(_) => false,
    };
    if free {
        found.changes.push(change);
    } else {
        document.done = false;
        found.held.push(change);
    }
    free
}

/// The word for an edit.
pub(super) fn reason(edit: &PlannedEdit) -> DiffReason {
    if edit.done {
        return DiffReason::Ticked;
    }
    let place = |field: &TaskField| *field == TaskField::Needs;
    if edit.fields.iter().all(place) { DiffReason::Moved } else { DiffReason::Edited }
}

/// Why values cannot change now.
pub(super) fn in_words(task: &Present, held: &[FieldChange]) -> String {
    if held.is_empty() {
        return String::new();
    }
    let named = |names: &[&str]| {
        let mut found: Vec<String> = held
            .iter()
            .filter(|change| names.is_empty() || names.contains(&change.field.as_str()))
            .map(|change| format!("`{}`", change.field))
            .collect();
        found.dedup();
        found.join(", ")
    };
    let settings = ["budget", "approval", "risk"];
    if held.iter().all(|change| settings.contains(&change.field.as_str())) {
        return format!("{} of a task that exists: a plan does not change it", named(&settings));
    }
    let why = if task.cancelling {
        "it is asked to stop"
    } else {
        match task.standing {
            Standing::Held => "an attempt works on it",
            Standing::Reviewed => "its result is under review",
            Standing::Rests => "it has begun, and waits for an answer or its subtasks",
            Standing::Open => "it is open, and its children may have begun",
            Standing::AsksToStart => "a person is asked about its start",
            Standing::Waits | Standing::Offered | Standing::Short | Standing::Closed => {
                "it was tried before, or a person approves it"
            }
            Standing::Failed | Standing::Ended(_) => "it has ended",
        }
    };
    format!("{why}: {} cannot change now; the same plan changes it later", named(&[]))
}

/// What a plan says otherwise about a finished task.
pub(super) fn note_of_finished(task: &Present, wish: &TaskSpec) -> String {
    let (base, wish) = (normal(task.base().clone()), normal(wish.clone()));
    let text = [TaskField::Title, TaskField::Description, TaskField::Input, TaskField::Criteria];
    let differs = text.iter().any(|field| !same(&base, &wish, *field));
    let back = match task.state {
        TaskState::Done => "reopen it, or give the work a ref of its own",
        TaskState::Failed => "retry it, or give the work a ref of its own",
        TaskState::Cancelled => "give the work a ref of its own to have it done",
        TaskState::Waiting
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Parked
        | TaskState::Reviewing => return String::new(),
    };
    if differs {
        return format!("the plan changes its text, and it is {}: {back}", task.state);
    }
    if base.done && !wish.done && !task.container {
        return format!("the plan says that it is not done, and it is {}: {back}", task.state);
    }
    String::new()
}

fn same(one: &TaskSpec, other: &TaskSpec, field: TaskField) -> bool {
    match field {
        TaskField::Title => one.title == other.title,
        TaskField::Description => one.description == other.description,
        TaskField::Input => one.input == other.input,
        TaskField::Capabilities => one.capabilities == other.capabilities,
        TaskField::Needs => one.needs == other.needs,
        TaskField::Estimate => one.estimate == other.estimate,
        TaskField::Criteria => one.criteria == other.criteria,
        TaskField::Labels => one.labels == other.labels,
        TaskField::Priority => one.priority == other.priority,
        TaskField::NotBefore => one.not_before == other.not_before,
        TaskField::MaxAttempts => one.max_attempts == other.max_attempts,
        TaskField::MaxRework => one.max_rework == other.max_rework,
        TaskField::Lease => one.lease_seconds == other.lease_seconds,
        TaskField::AttemptTimeout => one.attempt_timeout_seconds == other.attempt_timeout_seconds,
        TaskField::StartWithin => one.start_within_seconds == other.start_within_seconds,
        TaskField::FinishWithin => one.finish_within_seconds == other.finish_within_seconds,
    }
}

fn set(task: &mut TaskSpec, from: &TaskSpec, field: TaskField) {
    match field {
        TaskField::Title => task.title.clone_from(&from.title),
        TaskField::Description => task.description.clone_from(&from.description),
        TaskField::Input => task.input.clone_from(&from.input),
        TaskField::Capabilities => task.capabilities.clone_from(&from.capabilities),
        TaskField::Needs => task.needs.clone_from(&from.needs),
        TaskField::Estimate => task.estimate.clone_from(&from.estimate),
        TaskField::Criteria => task.criteria.clone_from(&from.criteria),
        TaskField::Labels => task.labels.clone_from(&from.labels),
        TaskField::Priority => task.priority = from.priority,
        TaskField::NotBefore => task.not_before = from.not_before,
        TaskField::MaxAttempts => task.max_attempts = from.max_attempts,
        TaskField::MaxRework => task.max_rework = from.max_rework,
        TaskField::Lease => task.lease_seconds = from.lease_seconds,
        TaskField::AttemptTimeout => task.attempt_timeout_seconds = from.attempt_timeout_seconds,
        TaskField::StartWithin => task.start_within_seconds = from.start_within_seconds,
        TaskField::FinishWithin => task.finish_within_seconds = from.finish_within_seconds,
    }
}

/// A value as a diff shows it.
fn shown(task: &TaskSpec, field: TaskField) -> Value {
    let text = |text: &str| match text.char_indices().nth(SHOWN) {
        Some((end, _)) => json!(format!("{}…", &text[..end])),
        None => json!(text),
    };
    match field {
        TaskField::Title => text(&task.title),
        TaskField::Description => text(&task.description),
        TaskField::Input => {
            let written = task.input.as_ref().map(Value::to_string).unwrap_or_default();
            if written.len() > SHOWN { text(&written) } else { json!(task.input) }
        }
        TaskField::Capabilities => json!(task.capabilities),
        TaskField::Needs => json!(task.needs),
        TaskField::Estimate => json!(task.estimate),
        TaskField::Criteria => {
            let criteria = json!(task.criteria);
            let written = criteria.to_string();
            if written.len() > SHOWN { text(&written) } else { criteria }
        }
        TaskField::Labels => json!(task.labels),
        TaskField::Priority => json!(task.priority),
        TaskField::NotBefore => json!(task.not_before),
        TaskField::MaxAttempts => json!(task.max_attempts),
        TaskField::MaxRework => json!(task.max_rework),
        TaskField::Lease => json!(task.lease_seconds),
        TaskField::AttemptTimeout => json!(task.attempt_timeout_seconds),
        TaskField::StartWithin => json!(task.start_within_seconds),
        TaskField::FinishWithin => json!(task.finish_within_seconds),
    }
}
