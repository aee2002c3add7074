//! Creating the tasks of a plan, of a subtask request, or added to a goal.
//!
//! The plan is already checked; it becomes rows, all or none. The caller holds the lock of the
//! goal, and creates the tasks' budgets with `budgets::create::of_tasks`.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, Utc};

use serde_json::json;

use super::{unblock, upward, weigh};
use crate::{
    app::{Result, Unit, caps, gates::store_gates},
    domain::{
        cap::workspace::Holding,
        criterion::EvidenceTier,
        goal::progress::weight::Weighing,
        ids::{GoalId, TaskId},
        journal::{Kind, NewRow},
        plan::{
            CriterionSpec, TaskSpec,
            around::Around,
            first_states::{FirstState, first_states},
            risks::least_risks,
        },
        risk::Risk,
        settings,
        states::TaskState,
        task::claim,
    },
    store::{
        self,
        dedup::NewKey,
        tasks::{NewTask, links::NewCriterion, moves::CountChange},
    },
};

/// Place of new tasks.
#[derive(Debug, Clone, Copy)]
pub struct InsertPoint {
    /// Their goal.
    pub goal: GoalId,
    /// Default priority.
    pub priority: i16,
    /// Position of the first task.
    pub position: i32,
    /// The task whose attempt adds them; `None` for a plan.
    pub parent: Option<TaskId>,
    /// Least risk of approvals about that task, and so about these.
    pub risk: Option<Risk>,
}

/// A new task.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// Its id.
    pub task_id: TaskId,
    /// Its first state.
    pub state: TaskState,
}

/// Creates the tasks of a checked plan; returns them in plan order. `around`: the existing tasks that
/// they need and go into.
///
/// # Errors
/// `workspace_full`.
pub async fn create_tasks(
    unit: &mut Unit,
    at: InsertPoint,
    specs: &[TaskSpec],
    around: Option<&Around>,
) -> Result<Vec<Made>> {
    let start = store::tasks::starts::of_goal(unit.tx(), at.goal).await?;
    let start = start.filter(|start| *start > unit.now());
    let laid = first_states(&starting(specs, start), around, unit.now());
    let open = laid.iter().filter(|laid| laid.state != TaskState::Done).count();
    caps::admit(unit, Holding::OpenTasks, open).await?;
    let leaves = specs.iter().zip(&laid).filter(|(_, laid)| !laid.container);
    let estimates: Vec<_> = leaves.map(|(spec, _)| &spec.estimate).collect();
    let weighing = weigh::weighing(unit, at.goal, &estimates).await?;
    let made = write(unit, at, specs, around, &laid, start, Some(&weighing)).await?;
    let now = unit.now();
    let own = specs.iter().zip(&made).filter_map(|(spec, made)| {
        let later = spec.not_before.filter(|time| *time > now)?;
        Some((made.task_id, Some(later)))
    });
    store::tasks::starts::set_own(unit.tx(), &own.collect::<Vec<_>>()).await?;
    take_keys(unit, at.goal, specs, &made).await?;
    Ok(made)
}

/// Tasks that start no earlier than their goal.
fn starting(specs: &[TaskSpec], start: Option<DateTime<Utc>>) -> Cow<'_, [TaskSpec]> {
    let Some(start) = start else { return Cow::Borrowed(specs) };
    let later =
        |spec: &TaskSpec| TaskSpec { not_before: spec.not_before.max(Some(start)), ..spec.clone() };
    specs.iter().map(later).collect()
}

/// Takes the dedup keys of new tasks. What held them before has ended, or a plan makes the work anew.
async fn take_keys(unit: &mut Unit, goal: GoalId, specs: &[TaskSpec], made: &[Made]) -> Result<()> {
    let now = unit.now();
    let keys = specs.iter().zip(made).filter_map(|(spec, made)| {
        let dedup = spec.dedup.as_ref()?;
        let held_until = dedup.held_until(now);
        Some(NewKey { key: &dedup.key, goal, task: Some(made.task_id), held_until })
    });
    let keys: Vec<NewKey<'_>> = keys.collect();
    if keys.is_empty() {
        return Ok(());
    }
    Ok(store::dedup::take_for_tasks(unit.tx(), goal, &keys).await?)
}

/// Creates tasks of the service itself, behind those of a goal. They weigh nothing. The cap of the workspace is not asked: it must
/// not refuse the end of the task before them.
pub(in crate::app) async fn create_own(
    unit: &mut Unit,
    at: InsertPoint,
    specs: &[TaskSpec],
) -> Result<Vec<Made>> {
    let laid = first_states(specs, None, unit.now());
    write(unit, at, specs, None, &laid, None, None).await
}

async fn write(
    unit: &mut Unit,
    at: InsertPoint,
    specs: &[TaskSpec],
    around: Option<&Around>,
    laid: &[FirstState],
    start: Option<DateTime<Utc>>,
    weighing: Option<&Weighing>,
) -> Result<Vec<Made>> {
    let ids: Vec<TaskId> = unit.ids(specs.len());
    let risks = least_risks(specs, at.risk, around);
    let upward = upward::of_new(unit, specs, at.parent).await?;
    let rows: Vec<NewTask> = specs
        .iter()
        .zip(laid)
        .enumerate()
        .map(|(index, (spec, laid))| NewTask {
            risk: risks[index],
            upward_ms: upward[index],
            weight: weighing
                .filter(|_| !laid.container)
                .map_or(0, |weighing| weighing.weight(&spec.estimate)),
            ..new_task(unit, at, &ids, index, spec, laid).starting(start)
        })
        .collect();

    let sets: BTreeSet<String> = rows.iter().map(|row| row.capability_key.clone()).collect();
    let sets: Vec<String> = sets.into_iter().collect();
    store::tasks::know_capability_sets(unit.tx(), &sets).await?;
    store::tasks::insert(unit.tx(), at.goal, &rows).await?;

    store_gates(unit, at.goal, &ids, specs).await?;
    let criteria = criteria(&ids, specs);
    if !criteria.is_empty() {
        store::tasks::links::insert_criteria(unit.tx(), &criteria).await?;
    }
    let edges: Vec<(TaskId, TaskId, bool)> = laid
        .iter()
        .zip(&ids)
        .flat_map(|(laid, id)| {
            let new = laid.needs.iter().map(|(need, done)| (*id, ids[*need], *done));
            new.chain(laid.earlier.iter().map(|(need, done)| (*id, *need, *done)))
        })
        .collect();
    if !edges.is_empty() {
        store::tasks::links::insert_dependencies(unit.tx(), &edges).await?;
    }
    let mut grown: BTreeMap<TaskId, i32> = BTreeMap::new();
    for laid in laid.iter().filter(|laid| laid.state != TaskState::Done) {
        if let Some(container) = laid.within {
            *grown.entry(container).or_default() += 1;
        }
    }
    if !grown.is_empty() {
        store::tasks::grow_containers(unit.tx(), &Vec::from_iter(grown)).await?;
    }
    record(unit, at, specs, &rows);
    // Tasks whose start needs an approval.
    let parked = rows.iter().filter(|row| row.state == TaskState::Parked);
    let parked: Vec<_> = parked.map(|row| (row.task_id, at.goal)).collect();
    unblock::ask_start(unit, &parked).await?;
    let change = [(at.goal, counts(&rows))];
    store::tasks::moves::count(unit.tx(), &change).await?;
    if laid.iter().any(|laid| laid.within.is_some() || !laid.earlier.is_empty()) {
        // What they need and go into has a longer rest behind it now, and they have that of their containers.
        upward::refresh(unit, at.goal).await?;
    }
    let made = rows.iter().map(|row| Made { task_id: row.task_id, state: row.state });
    Ok(made.collect())
}

fn new_task(
    unit: &Unit,
    at: InsertPoint,
    ids: &[TaskId],
    index: usize,
    spec: &TaskSpec,
    laid: &FirstState,
) -> NewTask {
    let priority = spec.priority.unwrap_or(at.priority);
    let ready_from = spec.ready_from(unit.now());
    let millis = |seconds: u32| i64::from(seconds) * 1000;
    NewTask {
        task_id: ids[index],
        parent_id: laid.parent.map(|parent| ids[parent]).or(laid.within).or(at.parent),
        reference: spec.r#ref.clone(),
        position: at.position + index as i32,
        container: laid.container,
        weight: 0,
        state: laid.state,
        priority,
        capability_key: claim::capability_key(&spec.capabilities),
        ranked_from: unit.now(),
        upward_ms: 0,
        ready_from,
        needs_unmet: laid.needs_unmet,
        children_open: laid.children_open,
        max_attempts: spec.max_attempts.unwrap_or(settings::MAX_ATTEMPTS),
        max_rework: spec.max_rework.unwrap_or(settings::MAX_REWORK),
        lease_ms: spec.lease_seconds.map(millis),
        attempt_timeout_ms: spec.attempt_timeout_seconds.map(millis),
        start_within_ms: spec.start_within_seconds.map(millis),
        finish_within_ms: spec.finish_within_seconds.map(millis),
        approve_start: spec.approval.start,
        approve_result: spec.approval.result,
        title: spec.title.clone(),
        description: spec.description.clone(),
        section: spec.section.clone(),
        labels: json!(spec.labels),
        input: spec.input.clone(),
        estimate: (!spec.estimate.is_empty()).then(|| json!(spec.estimate)),
        risk: spec.risk,
    }
}

fn criteria(ids: &[TaskId], specs: &[TaskSpec]) -> Vec<NewCriterion> {
    ids.iter()
        .zip(specs)
        .flat_map(|(id, spec)| numbered(*id, &spec.criteria, spec.min_tier))
        .collect()
}

/// The criteria of a task, numbered from 1. `min_tier`: the default of the task.
pub(super) fn numbered(
    task_id: TaskId,
    criteria: &[CriterionSpec],
    min_tier: Option<EvidenceTier>,
) -> Vec<NewCriterion> {
    let numbered = criteria.iter().zip(1i16..).map(|(criterion, number)| NewCriterion {
        task_id,
        number,
        text: criterion.text.clone(),
        required: criterion.required && !criterion.satisfied,
        satisfied: criterion.satisfied,
        r#type: criterion.r#type,
        terms: criterion.terms.clone(),
        min_tier: criterion.demanded(min_tier),
    });
    numbered.collect()
}

fn record(unit: &mut Unit, at: InsertPoint, specs: &[TaskSpec], rows: &[NewTask]) {
    for (row, spec) in rows.iter().zip(specs) {
        let about = |kind| NewRow::new(kind).goal(at.goal).task(row.task_id);
        let title: String = spec.title.chars().take(100).collect();
        unit.record(
            about(Kind::TaskCreated)
                .after(spec)
                .data(json!({"ref": row.reference, "title": title})),
        );
        unit.record(about(Kind::of_task(row.state)));
    }
}

fn counts(rows: &[NewTask]) -> CountChange {
    let total = rows.len() as i32;
    let ticked = || rows.iter().filter(|row| row.state == TaskState::Done);
    let done = ticked().count() as i32;
    CountChange {
        total,
        done,
        open: total - done,
        weight: rows.iter().map(|row| row.weight).sum(),
        weight_done: ticked().map(|row| row.weight).sum(),
        ..CountChange::default()
    }
}
