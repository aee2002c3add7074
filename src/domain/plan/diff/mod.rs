//! What a new plan of a goal changes: the diff between its present tasks and the tasks of the new plan.
//!
//! # Theory of operation
//!
//! Three things are compared: what the last applied plan said about a task (its *base*), what the new plan says,
//! and the task as it is. A value changes if the new plan says something else than the base, and the task is not so
//! already. So an edit by hand stays until the plan itself changes there, and the same plan again changes nothing,
//! whatever happened to its tasks.
//!
//! 1. [`matching`] says which task of the new plan is which task of the goal: by a ref that somebody wrote, else by
//!    title and place, else by place alone.
//! 2. [`places`] says where the tasks are then: what contains them and what they need. An existing task stays a task
//!    or a container. So what a plan puts below a task that has work of its own stands beside that task, and its
//!    order is kept by needs.
//! 3. [`fields`] says which values change, and which cannot change now ([`Standing::may_change`]).
//!
//! Criteria of the goal follow by the same three ([`criteria`]).
//!
//! Finished tasks never change. What is not from the plan is not touched unless the new plan names it by ref.
//! The work is bounded by a sort of both plans and a constant number of comparisons of titles per gap.

mod circle;
pub mod criteria;
mod fields;
mod matching;
mod names;
mod places;
mod written;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{TaskSpec, finding::FindingCode};
use crate::domain::{
    check::{Checks, pointer},
    ids::TaskId,
    refusal::Refusal,
    states::{Planner, TaskState},
    task::edit::{Standing, TaskField},
    words::words,
};
use criteria::{CriterionEntry, Followed};
use fields::Compared;
use places::{Content, Places};
pub use written::written_refs;

words! {
    /// Why a task is added, kept, changed or cancelled.
    pub enum DiffReason {
        /// The goal has no such task.
        New => "new",
        /// The goal had such a task, which has ended or was taken out of the plan; its ref is in use.
        Again => "again",
        /// The plan says the same as before.
        Unchanged => "unchanged",
        /// It has ended, and what has ended is not changed.
        Finished => "finished",
        /// It is worked on or decided, and what the plan changes cannot change meanwhile.
        InProgress => "in_progress",
        /// The plan says other work, values or needs.
        Edited => "edited",
        /// Only its place in the plan, or its needs.
        Moved => "moved",
        /// The plan says that it is done.
        Ticked => "ticked",
        /// The new plan leaves it out.
        Removed => "removed",
        /// It is not from the plan, and needs, or is in, a task that is cancelled.
        NeedsRemoved => "needs_removed",
    }
}

/// One value of a task before and after. Long texts are cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldChange {
    /// Name of the value, as in the task: `title`, `needs`, `parent`, `section`, `done`, ...
    #[schema(example = "title")]
    pub field: String,
    /// The present value.
    #[schema(value_type = Value, example = "Write the parser")]
    pub before: Value,
    /// The value that the plan says.
    #[schema(value_type = Value, example = "Write the streaming parser")]
    pub after: Value,
}

/// One task of a diff.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiffEntry {
    /// Id of the task; `null` for an added one that does not exist yet.
    pub task_id: Option<TaskId>,
    /// Its name in the goal. It is that of the document, unless another task of the goal has it.
    #[schema(example = "T003")]
    pub r#ref: String,
    /// Title of the task, as it is before the change.
    #[schema(example = "Write the parser")]
    pub title: String,
    /// Why, as a word for programs.
    pub reason: DiffReason,
    /// Why, for people. Empty if the word says it all.
    pub text: String,
    /// The values that change, or that the plan would change if they could change now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
}

/// Number of tasks per part of a diff.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiffCounts {
    /// Tasks that are created.
    pub added: usize,
    /// Tasks that stay as they are.
    pub kept: usize,
    /// Tasks that are edited.
    pub changed: usize,
    /// Tasks that are cancelled, or asked to stop.
    pub cancelled: usize,
}

/// What a new plan changes in a goal. Each task of the goal's plan and of the new one is in it once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanDiff {
    /// Number of tasks per list.
    pub counts: DiffCounts,
    /// Tasks that are created, in the order of the new plan.
    pub add: Vec<DiffEntry>,
    /// Tasks that are edited, in the order of the new plan.
    pub change: Vec<DiffEntry>,
    /// Tasks that are no longer wanted. What runs is asked to stop, and a result that arrives first counts.
    pub cancel: Vec<DiffEntry>,
    /// Tasks that stay as they are, with the reason where the plan says otherwise.
    pub keep: Vec<DiffEntry>,
    /// The criteria of the goal that the plan has, in its order, and behind them those that are removed. Empty if the planner
    /// says nothing about criteria, as `tasks`, `llm` and `agent` do: then all stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<CriterionEntry>,
}

impl PlanDiff {
    /// Whether the plan changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty()
            && self.change.is_empty()
            && self.cancel.is_empty()
            && !self.criteria.iter().any(CriterionEntry::changes)
    }
}

/// What a task of the goal has to do with its plans.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A task of the last applied plan.
    Plan {
        /// What that plan said about it, with the names of the goal.
        said: Box<TaskSpec>,
        /// The same with the values before those that could not change then; `None`: all could.
        base: Option<Box<TaskSpec>>,
        /// Its ref in the document of that plan.
        source: String,
    },
    /// A done task that an earlier plan had and the last one left out.
    Former,
    /// Added beside the plan: by hand, or by an agent.
    Beside,
    /// Made by the service to verify the goal, or cancelled by a plan: no plan names it.
    Closed,
}

/// A task of the goal as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// The task.
    pub task_id: TaskId,
    /// Its values; `ref`, `parent` and `needs` with the names of the goal.
    pub spec: TaskSpec,
    /// Its state.
    pub state: TaskState,
    /// How far it is.
    pub standing: Standing,
    /// Whether it is a container.
    pub container: bool,
    /// Whether its cancellation was requested.
    pub cancelling: bool,
    /// Whether a person approved its start.
    pub approved: bool,
    /// Whether an attempt was ever started.
    pub tried: bool,
    /// Number of counted attempts.
    pub attempts_used: i32,
    /// Number of rejected results.
    pub reworks: i32,
    /// What it has to do with the plans of the goal.
    pub origin: Origin,
}

impl Present {
    /// Whether it has ended.
    #[must_use]
    pub const fn finished(&self) -> bool {
        self.state.is_terminal()
    }

    /// What a new plan is compared with; the task as it is for one that is not from the plan.
    fn base(&self) -> &TaskSpec {
        match &self.origin {
            Origin::Plan { said, base, .. } => base.as_ref().unwrap_or(said),
            Origin::Former | Origin::Beside | Origin::Closed => &self.spec,
        }
    }

    /// What the last plan said; the task as it is for one that is not from the plan.
    fn said(&self) -> &TaskSpec {
        match &self.origin {
            Origin::Plan { said, .. } => said,
            Origin::Former | Origin::Beside | Origin::Closed => &self.spec,
        }
    }

    const fn planned(&self) -> bool {
        match self.origin {
            Origin::Plan { .. } => true,
            Origin::Former | Origin::Beside | Origin::Closed => false,
        }
    }
}

/// What the ref of a task in a new plan means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// It is the name of the task in the goal: the plan was compared before.
    Goal,
    /// It is the identity of the task: somebody chose it for programs.
    Given,
    /// Somebody wrote it, and may have numbered the tasks anew since.
    Written,
    /// It follows from the position of the task in the document.
    Derived,
}

/// A task of the new plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its values, with the names of the document.
    pub spec: TaskSpec,
    /// What its ref means.
    pub naming: Naming,
}

/// The tasks of a plan by `planner`. `written`: refs that the document of an outline writes.
#[must_use]
pub fn wanted(planner: Planner, tasks: Vec<TaskSpec>, written: &HashSet<String>) -> Vec<Wanted> {
    let naming = |spec: &TaskSpec| match planner {
        Planner::Tasks | Planner::Playbook => Naming::Given,
        Planner::Llm | Planner::Agent => Naming::Written,
        Planner::Outline if written.contains(&spec.r#ref) => Naming::Written,
        Planner::Outline => Naming::Derived,
    };
    tasks.into_iter().map(|spec| Wanted { naming: naming(&spec), spec }).collect()
}

/// The edit of a task that exists.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedEdit {
    /// The task.
    pub task_id: TaskId,
    /// The values that differ afterwards.
    pub fields: Vec<TaskField>,
    /// Its values afterwards.
    pub after: TaskSpec,
    /// Its new container, by name; the inner `None`: none.
    pub parent: Option<Option<String>>,
    /// Whether the heading above it changes.
    pub section: bool,
    /// Whether the plan says that it is done.
    pub done: bool,
}

/// A new plan as it is applied to a goal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replanned {
    /// What changes, for people.
    pub diff: PlanDiff,
    /// The tasks to create, with the names of the goal; each with its place in the new plan.
    pub add: Vec<(usize, TaskSpec)>,
    /// Added containers that tasks of the goal move into, by name.
    pub holds: HashSet<String>,
    /// The edits of existing tasks.
    pub edit: Vec<PlannedEdit>,
    /// The tasks to cancel.
    pub cancel: Vec<TaskId>,
    /// Failed and cancelled tasks that the new plan leaves out: they no longer count against the goal.
    pub drop: Vec<TaskId>,
    /// The plan as it is stored, with the names of the goal.
    pub document: Vec<TaskSpec>,
    /// The base of tasks with values that could not change now, by name: the next plan tries them again.
    pub held: BTreeMap<String, TaskSpec>,
    /// Refs of the document where the goal has another name for the task, by that name.
    pub sources: BTreeMap<String, String>,
    /// The criteria of the goal. [`replan`] leaves them out: they are compared by [`criteria::follow`].
    pub criteria: Followed,
}

impl Replanned {
    /// Sets what becomes of the criteria of the goal.
    pub fn follow(&mut self, criteria: Followed) {
        self.diff.criteria.clone_from(&criteria.entries);
        self.criteria = criteria;
    }
}

/// Compares a new plan, which passed [`super::check_plan`], with the tasks of a goal. `present`: all tasks of the
/// goal, those of the last plan in the order of that plan. `priority`: that of the goal.
///
/// # Errors
/// `plan_invalid` if a task would wait for one that will not be done, or for itself through tasks that stay.
pub fn replan(present: &[Present], wanted: &[Wanted], priority: i16) -> Result<Replanned, Refusal> {
    let pairs = matching::pairs(present, wanted);
    let names = names::names(present, wanted, &pairs);
    let places = Places::of(present, wanted, &pairs, &names)?;
    let mut work = Work { present, wanted, pairs: &pairs, names: &names, places: &places };
    let mut found = Replanned::default();
    let mut checks = Checks::new();
    for index in 0..wanted.len() {
        match pairs[index] {
            None => work.add(&mut found, index),
            Some(at) => work.compare(&mut found, index, at, priority),
        }
        if names[index] != wanted[index].spec.r#ref {
            found.sources.insert(names[index].clone(), wanted[index].spec.r#ref.clone());
        }
    }
    work.leave(&mut found);
    work.check_needs(&mut checks, &found);
    checks.finish_plan(FindingCode::BadValue.as_str())?;
    circle::check(present, &names, &found)?;
    let PlanDiff { counts, add, change, cancel, keep, criteria: _ } = &mut found.diff;
    *counts = DiffCounts {
        added: add.len(),
        kept: keep.len(),
        changed: change.len(),
        cancelled: cancel.len(),
    };
    Ok(found)
}

struct Work<'a> {
    present: &'a [Present],
    wanted: &'a [Wanted],
    pairs: &'a [Option<usize>],
    names: &'a [String],
    places: &'a Places,
}

impl Work<'_> {
    /// A task of the new plan with the names of the goal. `parent` is that of the document.
    fn named(&self, index: usize) -> TaskSpec {
        TaskSpec {
            r#ref: self.names[index].clone(),
            parent: self.places.parents[index].map(|parent| self.names[parent].clone()),
            needs: self.places.needs[index].clone(),
            ..self.wanted[index].spec.clone()
        }
    }

    fn add(&mut self, found: &mut Replanned, index: usize) {
        let spec = self.named(index);
        let asked = &self.wanted[index].spec.r#ref;
        let taken = spec.r#ref != *asked && self.wanted[index].naming != Naming::Derived;
        let held = self.places.content.get(&index).copied();
        let reason = if taken { DiffReason::Again } else { DiffReason::New };
        let text = if taken {
            format!("the goal has another task `{asked}`, so this one is named `{}`", spec.r#ref)
        } else if held == Some(Content::Nothing) {
            "what it contains stays where it is, so nothing is left to do in it".to_owned()
        } else {
            String::new()
        };
        found.diff.add.push(DiffEntry {
            task_id: None,
            r#ref: spec.r#ref.clone(),
            title: spec.title.clone(),
            reason,
            text,
            changes: Vec::new(),
        });
        found.document.push(spec.clone());
        let done = match held {
            None => spec.done,
            Some(Content::Added) => false,
            Some(Content::Nothing) => true,
            Some(Content::Moved) => {
                found.holds.insert(spec.r#ref.clone());
                false
            }
        };
        let parent = self.places.homes[index].clone();
        found.add.push((index, TaskSpec { parent, done, ..spec }));
    }

    fn compare(&mut self, found: &mut Replanned, index: usize, at: usize, priority: i16) {
        let task = &self.present[at];
        let wish = self.named(index);
        let entry = |reason, text, changes| DiffEntry {
            task_id: Some(task.task_id),
            r#ref: task.spec.r#ref.clone(),
            title: task.spec.title.clone(),
            reason,
            text,
            changes,
        };
        if task.finished() {
            let text = fields::note_of_finished(task, &wish);
            found.diff.keep.push(entry(DiffReason::Finished, text, Vec::new()));
            found.document.push(wish);
            return;
        }
        let going = &self.places.cancelled;
        let moved = self.places.moved[index].as_ref();
        let Compared { edit, changes, held, said, base } =
            fields::compare(task, wish, moved, going, priority);
        if !held.is_empty() {
            found.held.insert(task.spec.r#ref.clone(), base);
        }
        found.document.push(said);
        let text = fields::in_words(task, &held);
        match edit {
            Some(edit) => {
                found.diff.change.push(entry(fields::reason(&edit), text, changes));
                found.edit.push(edit);
            }
            None if held.is_empty() => {
                found.diff.keep.push(entry(DiffReason::Unchanged, text, Vec::new()));
            }
            None => found.diff.keep.push(entry(DiffReason::InProgress, text, held)),
        }
    }

    /// The tasks of the goal that the new plan does not have.
    fn leave(&mut self, found: &mut Replanned) {
        let taken: HashSet<usize> = self.pairs.iter().flatten().copied().collect();
        for (at, task) in self.present.iter().enumerate() {
            let name = task.spec.r#ref.as_str();
            let entry = |reason, text: &str| DiffEntry {
                task_id: Some(task.task_id),
                r#ref: name.to_owned(),
                title: task.spec.title.clone(),
                reason,
                text: text.to_owned(),
                changes: Vec::new(),
            };
            if self.places.cancelled.contains(name) {
                let running = match task.standing {
                    Standing::Held if task.cancelling => "it was asked to stop before",
                    Standing::Held => {
                        "its agent is asked to stop; a result that arrives first counts"
                    }
                    Standing::Waits
                    | Standing::Offered
                    | Standing::AsksToStart
                    | Standing::Short
                    | Standing::Rests
                    | Standing::Reviewed
                    | Standing::Closed
                    | Standing::Open
                    | Standing::Failed
                    | Standing::Ended(_) => "",
                };
                let (reason, text) = match self.places.because.get(name) {
                    None => (DiffReason::Removed, running.to_owned()),
                    Some(other) => {
                        let text =
                            format!("it is not from the plan, and cannot go on without `{other}`");
                        (DiffReason::NeedsRemoved, text)
                    }
                };
                found.diff.cancel.push(entry(reason, &text));
                found.cancel.push(task.task_id);
                continue;
            }
            if taken.contains(&at) || !task.planned() {
                continue;
            }
            if !task.finished() {
                let text = "the plan leaves it out; it goes on for what is worked on inside it";
                found.diff.keep.push(entry(DiffReason::InProgress, text));
                found.document.push(task.said().clone());
                if let Origin::Plan { base: Some(base), .. } = &task.origin {
                    found.held.insert(name.to_owned(), (**base).clone());
                }
                continue;
            }
            let text = if task.state == TaskState::Done {
                "the plan leaves it out; it is done and stays"
            } else {
                found.drop.push(task.task_id);
                "the plan leaves it out; it no longer counts against the goal"
            };
            found.diff.keep.push(entry(DiffReason::Finished, text));
        }
    }

    /// Refuses new needs that will not be met.
    fn check_needs(&self, checks: &mut Checks, found: &Replanned) {
        let by_name: HashMap<&str, &Present> =
            self.present.iter().map(|task| (task.spec.r#ref.as_str(), task)).collect();
        let places: HashMap<&str, usize> =
            self.names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let added = found.add.iter().map(|(_, spec)| spec);
        let edited = found.edit.iter().filter(|edit| edit.fields.contains(&TaskField::Needs));
        for spec in added.chain(edited.map(|edit| &edit.after)) {
            let before = by_name.get(spec.r#ref.as_str()).map(|task| &task.spec.needs);
            let before: HashSet<&String> = before.into_iter().flatten().collect();
            let new = |name: &&String| !before.contains(name);
            for name in spec.needs.iter().filter(new) {
                let Some(needed) = by_name.get(name.as_str()) else { continue };
                let ended = needed.finished() && needed.state != TaskState::Done;
                if !ended && !needed.cancelling {
                    continue;
                }
                let Some(at) = places.get(spec.r#ref.as_str()) else { continue };
                let state = if ended { needed.state.as_str() } else { "being cancelled" };
                let detail = format!(
                    "the task `{name}` is {state} and will not be done: retry it first, or take it out of \
                     the plan and need a task that replaces it"
                );
                checks.add(pointer(&pointer("/tasks", *at), "needs"), detail);
            }
        }
    }
}

#[cfg(test)]
mod tests;
