//! Edits of many tasks at once, by a new plan of their goal.
//!
//! What may change is decided before ([`crate::domain::plan::diff`]); what an edit does to the state of a task
//! follows the rules of single edits ([`super::edit`]). The statements are few however many tasks change.
//!
//! The caller holds the locks of the goal and of all its tasks.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    cascade,
    change::Change,
    create::numbered,
    edit::{Decided, Written, columns, hold_back, settle},
    weigh,
};
use crate::{
    app::{Error, Result, Unit},
    domain::{
        budget::ask::Estimates,
        ids::TaskId,
        journal::{Kind, NewRow},
        plan::TaskSpec,
        task::{
            Next, TaskFacts,
            edit::{self, EditedTask, TaskField},
        },
    },
    store::{
        self,
        tasks::{
            edit::{Editable, Edited},
            links::NewCriterion,
            replan::PlannedTexts,
        },
    },
};

/// An edit of a task with the ids of the goal.
#[derive(Debug, Clone)]
pub(in crate::app) struct TaskEdit {
    /// The task.
    pub task_id: TaskId,
    /// The values that change.
    pub fields: Vec<TaskField>,
    /// Further values that change, for the journal: `section`, `parent`, `done`.
    pub others: Vec<&'static str>,
    /// Its values before.
    pub before: TaskSpec,
    /// Its values afterwards.
    pub after: TaskSpec,
    /// Needs that it loses.
    pub without: Vec<TaskId>,
    /// Needs that it gets.
    pub with: Vec<TaskId>,
    /// Its new container.
    pub parent: Option<Option<TaskId>>,
    /// Whether a person approved its start.
    pub approved: bool,
    /// Whether the plan says that it is done.
    pub done: bool,
}

const SHOWN: [TaskField; 6] = [
    TaskField::Title,
    TaskField::Description,
    TaskField::Input,
    TaskField::Estimate,
    TaskField::Capabilities,
    TaskField::Criteria,
];

impl TaskEdit {
    fn has(&self, field: TaskField) -> bool {
        self.fields.contains(&field)
    }

    /// Whether something changes that the approval of its start shows.
    fn shown(&self) -> bool {
        SHOWN.into_iter().any(|field| self.has(field))
    }
}

/// Edits tasks; returns the containers that tasks moved out of.
///
/// # Errors
/// `workspace_full` and the like never: nothing is created.
pub(in crate::app) async fn edit(unit: &mut Unit, edits: &[TaskEdit]) -> Result<Vec<TaskId>> {
    if edits.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<TaskId> = edits.iter().map(|edit| edit.task_id).collect();
    let facts: HashMap<TaskId, TaskFacts> = store::tasks::lock(unit.tx(), &ids)
        .await?
        .into_iter()
        .map(|facts| (facts.task_id, facts))
        .collect();
    let stored = store::tasks::replan::editable(unit.tx(), &ids).await?;
    let works = edits.iter().filter(|edit| edit::changes_work(&edit.fields) || edit.done);
    let works: Vec<TaskId> = works.map(|edit| edit.task_id).collect();
    store::attempts::withdraw(unit.tx(), &works).await?;
    let left = connect(unit, edits).await?;
    let unmet = store::tasks::replan::unmet(unit.tx(), &ids).await?;
    let start = move_starts(unit, edits, &facts).await?;
    let mut planned = Vec::with_capacity(edits.len());
    for edit in edits {
        let found = facts.get(&edit.task_id).zip(stored.get(&edit.task_id));
        let Some((facts, stored)) = found else {
            return Err(Error::Corrupt("a planned task that its goal does not have".into()));
        };
        record(unit, facts, edit);
        let unmet = unmet.get(&edit.task_id).copied();
        let written = effect(unit, facts, stored, edit, unmet, start);
        planned.push((edit, facts, stored, written));
    }
    let asked = edits.iter().filter(|edit| edit.approved && edit.shown());
    let asked: Vec<TaskId> = asked.map(|edit| edit.task_id).collect();
    store::tasks::edit::approve_start_again(unit.tx(), &asked).await?;
    let open = planned.iter().filter(|(edit, ..)| !edit.done);
    let open: Vec<Decided<'_>> =
        open.map(|(_, facts, stored, written)| (*facts, *stored, *written)).collect();
    // Before the needs: a task with unmet needs is in no other state.
    hold_back(unit, &open).await?;
    write(unit, &planned).await?;
    settle(unit, &open).await?;
    finish(unit, edits).await?;
    Ok(left)
}

/// Writes new start times of the tasks; returns that of their goal.
async fn move_starts(
    unit: &mut Unit,
    edits: &[TaskEdit],
    facts: &HashMap<TaskId, TaskFacts>,
) -> Result<Option<DateTime<Utc>>> {
    let now = unit.now();
    let moved: Vec<&TaskEdit> =
        edits.iter().filter(|edit| edit.has(TaskField::NotBefore)).collect();
    let goal = moved.first().and_then(|edit| facts.get(&edit.task_id)).map(|facts| facts.goal_id);
    let Some(goal) = goal else { return Ok(None) };
    let own =
        moved.iter().map(|edit| (edit.task_id, edit.after.not_before.filter(|time| *time > now)));
    store::tasks::starts::set_own(unit.tx(), &own.collect::<Vec<_>>()).await?;
    Ok(store::tasks::starts::of_goal(unit.tx(), goal).await?)
}

/// Writes needs and containers; returns the containers that tasks moved out of.
async fn connect(unit: &mut Unit, edits: &[TaskEdit]) -> Result<Vec<TaskId>> {
    let without =
        edits.iter().flat_map(|edit| edit.without.iter().map(|need| (edit.task_id, *need)));
    store::tasks::replan::disconnect(unit.tx(), &Vec::from_iter(without)).await?;
    let with = edits.iter().flat_map(|edit| edit.with.iter().map(|need| (edit.task_id, *need)));
    store::tasks::replan::connect(unit.tx(), &Vec::from_iter(with)).await?;
    let done: Vec<TaskId> =
        edits.iter().filter(|edit| edit.done).map(|edit| edit.task_id).collect();
    if !done.is_empty() {
        // What is done waits for nothing.
        store::tasks::replan::disconnect_unmet(unit.tx(), &done).await?;
    }
    let moves: Vec<(TaskId, Option<TaskId>)> =
        edits.iter().filter_map(|edit| Some((edit.task_id, edit.parent?))).collect();
    Ok(store::tasks::replan::reparent(unit.tx(), &moves).await?)
}

/// What an edit does beside its values.
fn effect(
    unit: &Unit,
    facts: &TaskFacts,
    stored: &Editable,
    edit: &TaskEdit,
    unmet: Option<i32>,
    start: Option<DateTime<Utc>>,
) -> Written {
    let now = unit.now();
    let standing = edit::standing(facts, stored.short_limit.is_some());
    let needs_unmet = unmet.unwrap_or(stored.needs_unmet);
    let ready_from = if edit.has(TaskField::NotBefore) {
        // A time that has passed holds nothing back.
        let later = edit.after.not_before.max(start).filter(|time| *time > now);
        later.unwrap_or(stored.ready_from.min(now))
    } else {
        stored.ready_from
    };
    let edited = EditedTask {
        standing,
        needs_unmet,
        ready_from,
        shown: edit.shown(),
        approved: edit.approved && edit.shown(),
        priced: edit.has(TaskField::Estimate) || edit.has(TaskField::Capabilities),
    };
    let effect = edit::effect(edited, now);
    let (estimate, criteria) = (edit.has(TaskField::Estimate), edit.has(TaskField::Criteria));
    Written { needs_unmet, ready_from, standing, effect, estimate, criteria }
}

async fn write(
    unit: &mut Unit,
    planned: &[(&TaskEdit, &TaskFacts, &Editable, Written)],
) -> Result<()> {
    let now = unit.now();
    let values: Vec<(TaskId, Edited)> = planned
        .iter()
        .map(|(edit, facts, stored, written)| {
            (edit.task_id, columns(facts, stored, &edit.after, *written, now))
        })
        .collect();
    let mut keys: Vec<String> =
        values.iter().map(|(_, edited)| edited.capability_key.clone()).collect();
    keys.sort_unstable();
    keys.dedup();
    store::tasks::know_capability_sets(unit.tx(), &keys).await?;
    store::tasks::replan::write(unit.tx(), &values).await?;
    let texts = planned.iter().map(|(edit, ..)| PlannedTexts {
        task_id: edit.task_id,
        title: edit.after.title.clone(),
        description: edit.after.description.clone(),
        section: edit.after.section.clone(),
        labels: json!(edit.after.labels),
        input: edit.after.input.clone(),
        estimate: (!edit.after.estimate.is_empty()).then(|| json!(edit.after.estimate)),
    });
    store::tasks::replan::write_texts(unit.tx(), &Vec::from_iter(texts)).await?;
    let weighed = planned.iter().filter(|(.., written)| written.estimate);
    let weighed: Vec<(&TaskFacts, &Estimates)> =
        weighed.map(|(edit, facts, ..)| (*facts, &edit.after.estimate)).collect();
    weigh::again(unit, &weighed).await?;
    let checked: Vec<&TaskEdit> =
        planned.iter().filter(|(.., written)| written.criteria).map(|(edit, ..)| *edit).collect();
    if checked.is_empty() {
        return Ok(());
    }
    let ids: Vec<TaskId> = checked.iter().map(|edit| edit.task_id).collect();
    store::tasks::replan::drop_criteria(unit.tx(), &ids).await?;
    let criteria: Vec<NewCriterion> = checked
        .iter()
        .flat_map(|edit| numbered(edit.task_id, &edit.after.criteria, None))
        .collect();
    if !criteria.is_empty() {
        store::tasks::links::insert_criteria(unit.tx(), &criteria).await?;
    }
    Ok(())
}

/// Ends the tasks that the plan says are done.
async fn finish(unit: &mut Unit, edits: &[TaskEdit]) -> Result<()> {
    let done: Vec<TaskId> =
        edits.iter().filter(|edit| edit.done).map(|edit| edit.task_id).collect();
    if done.is_empty() {
        return Ok(());
    }
    let facts = store::tasks::lock(unit.tx(), &done).await?;
    let reason = || "the plan says that it is done".to_owned();
    let changes = facts.into_iter().map(|task| Change::of_task(task, Next::Done, reason()));
    cascade::apply(unit, changes.collect()).await
}

fn record(unit: &mut Unit, facts: &TaskFacts, edit: &TaskEdit) {
    let fields = edit.fields.iter().map(|field| field.as_str());
    let changed: Vec<&str> = fields.chain(edit.others.iter().copied()).collect();
    let mut data = json!({"changed": changed});
    if edit.has(TaskField::Priority) {
        data["priority"] = json!(edit.after.priority);
        data["priority_before"] = json!(edit.before.priority);
    }
    // As a single edit records it: needs have no order, and what is after one edit is before the next.
    let bound = |task: &TaskSpec| {
        let mut needs = task.needs.clone();
        needs.sort_unstable();
        TaskSpec {
            needs,
            parent: None,
            section: None,
            approval: Default::default(),
            risk: None,
            done: false,
            dedup: None,
            ..task.clone()
        }
    };
    let row = NewRow::new(Kind::TaskUpdated).goal(facts.goal_id).task(facts.task_id);
    unit.record(row.before(&bound(&edit.before)).after(&bound(&edit.after)).data(data));
}
