//! The tasks of a goal that a change of its plan refers to.
//!
//! Added tasks need and go into tasks that exist, and a task gets other needs. Both are judged against
//! the goal as it is, under its lock.

use std::collections::{HashMap, HashSet};

use super::finding::FindingCode;
use crate::domain::{
    ids::TaskId,
    refusal::{Code, FieldError, Refusal},
    risk::Risk,
    settings,
    states::TaskState,
};

/// An existing task that the change names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTask {
    /// The task.
    pub task_id: TaskId,
    /// Its state.
    pub state: TaskState,
    /// Whether it is a container.
    pub container: bool,
    /// Whether its cancellation was requested.
    pub cancelling: bool,
    /// Its nesting depth: 0 without a parent.
    pub depth: usize,
    /// Least risk of approvals about it and about what it contains.
    pub risk: Option<Risk>,
}

/// A task of the goal that has not failed and was not cancelled, and its place in the order. A done one
/// counts: it can be reopened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedTask {
    /// The task.
    pub task_id: TaskId,
    /// Its name in the plan.
    pub r#ref: String,
    /// Its container, or the task whose attempt added it.
    pub parent: Option<TaskId>,
    /// The tasks it needs, met or not.
    pub needs: Vec<TaskId>,
}

/// The goal around a change of its plan.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// The tasks that the change names, by ref.
    pub known: HashMap<String, KnownTask>,
    /// Their refs, by id.
    refs: HashMap<TaskId, String>,
    /// Refs of new containers that existing tasks move into.
    pub holds: HashSet<String>,
    /// The tasks of the goal in their order. Empty if the change cannot close a circle with them.
    pub ordered: Vec<OrderedTask>,
}

impl Around {
    /// The tasks with these refs, named by a change.
    #[must_use]
    pub fn of(known: Vec<(String, KnownTask)>) -> Self {
        let refs = known.iter().map(|(name, known)| (known.task_id, name.clone())).collect();
        Self {
            known: known.into_iter().collect(),
            refs,
            holds: HashSet::new(),
            ordered: Vec::new(),
        }
    }

    /// The ref of a task that is named by its ref or its id; an unknown name as it is.
    #[must_use]
    pub fn reference(&self, name: &str) -> String {
        if self.known.contains_key(name) {
            return name.to_owned();
        }
        let named = name.parse().ok().and_then(|id: TaskId| self.refs.get(&id));
        named.map_or_else(|| name.to_owned(), Clone::clone)
    }
}

impl KnownTask {
    /// Why no task can wait for it; `None` if one can. A done task counts as met.
    #[must_use]
    pub fn cannot_be_needed(&self, name: &str) -> Option<String> {
        let state = match self.state {
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Parked
            | TaskState::Reviewing
                if self.cancelling =>
            {
                "being cancelled"
            }
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Parked
            | TaskState::Reviewing
            | TaskState::Done => return None,
            state @ (TaskState::Failed | TaskState::Cancelled) => state.as_str(),
        };
        Some(format!(
            "the task `{name}` is {state} and will not be done: leave it out, or need a task that replaces it"
        ))
    }

    /// Why no task can be put into it; `None` if one can.
    #[must_use]
    pub fn cannot_contain(&self, name: &str) -> Option<String> {
        if !self.container {
            return Some(format!(
                "the task `{name}` is no container: only its own attempt adds subtasks to it"
            ));
        }
        match self.state {
            TaskState::Waiting | TaskState::Running => None,
            // A container is never offered, parked or reviewed.
            state @ (TaskState::Ready
            | TaskState::Parked
            | TaskState::Reviewing
            | TaskState::Done
            | TaskState::Failed
            | TaskState::Cancelled) => Some(format!(
                "the container `{name}` is {state} and takes no more tasks: leave `parent` out"
            )),
        }
    }
}

/// Refuses tasks beyond the most that a goal can have. `total`: the tasks that it has.
///
/// # Errors
/// `plan_invalid`.
pub fn check_growth(at: &str, total: usize, more: usize) -> Result<(), Refusal> {
    let most = settings::GOAL_TASKS;
    let grown = total.saturating_add(more);
    if grown <= most {
        return Ok(());
    }
    let detail = format!(
        "the goal has {total} tasks and would have {grown}; at most {most} are allowed: post another goal"
    );
    let errors = vec![FieldError::new(at, &detail).coded(FindingCode::TooMany.as_str())];
    Err(Refusal::at(Code::PlanInvalid, detail, errors))
}
