//! The first states of a plan's tasks.
//!
//! They follow from the plan alone. They are computed here in one pass and written in one transaction,
//! so no reader sees a part of a plan.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    TaskSpec,
    around::{Around, KnownTask},
};
use crate::domain::{ids::TaskId, states::TaskState, task};

/// A task of a plan as it is first stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstState {
    /// Index of its container in the plan.
    pub parent: Option<usize>,
    /// Its container, if that existed before the plan.
    pub within: Option<TaskId>,
    /// Whether it contains other tasks.
    pub container: bool,
    /// Its first state.
    pub state: TaskState,
    /// Unsatisfied dependencies, plus one while its container is not open.
    pub needs_unmet: i32,
    /// Children not done.
    pub children_open: i32,
    /// Its dependencies: index in the plan, and whether that task is already done.
    pub needs: Vec<(usize, bool)>,
    /// Its dependencies that existed before the plan, and whether each is done.
    pub earlier: Vec<(TaskId, bool)>,
}

/// The first states of a plan that passed [`super::check_plan`]. Unknown refs are ignored.
#[must_use]
pub fn first_states(
    tasks: &[TaskSpec],
    around: Option<&Around>,
    now: DateTime<Utc>,
) -> Vec<FirstState> {
    let by_ref: HashMap<&str, usize> =
        tasks.iter().enumerate().map(|(index, task)| (task.r#ref.as_str(), index)).collect();
    let parent = |task: &TaskSpec| by_ref.get(task.parent.as_deref()?).copied();
    let parents: Vec<Option<usize>> = tasks.iter().map(parent).collect();
    let mut children = vec![Vec::new(); tasks.len()];
    for (index, parent) in parents.iter().enumerate() {
        if let Some(parent) = *parent {
            children[parent].push(index);
        }
    }
    let order = outermost_first(&parents);
    let holds: Vec<bool> = tasks
        .iter()
        .map(|task| around.is_some_and(|around| around.holds.contains(&task.r#ref)))
        .collect();
    let done = done_flags(tasks, &children, &holds, &order);

    let mut laid: Vec<Option<FirstState>> = vec![None; tasks.len()];
    for &index in &order {
        let needs: Vec<(usize, bool)> = tasks[index]
            .needs
            .iter()
            .filter_map(|name| by_ref.get(name.as_str()))
            .map(|&needed| (needed, done[needed]))
            .collect();
        let known = |name: &str| -> Option<&KnownTask> {
            if by_ref.contains_key(name) { None } else { around?.known.get(name) }
        };
        let earlier: Vec<(TaskId, bool)> = tasks[index]
            .needs
            .iter()
            .filter_map(|name| known(name))
            .map(|known| (known.task_id, known.state == TaskState::Done))
            .collect();
        let within = tasks[index].parent.as_deref().and_then(known);
        let gate = parents[index].is_some_and(|parent| {
            laid[parent].as_ref().is_none_or(|parent| parent.state == TaskState::Waiting)
        }) || within.is_some_and(|parent| parent.state == TaskState::Waiting);
        let flags = needs.iter().map(|(_, done)| done).chain(earlier.iter().map(|(_, done)| done));
        let unmet = flags.filter(|done| !**done).count() + usize::from(gate);
        let container = !children[index].is_empty() || holds[index];
        let state = first_state(&tasks[index], container, done[index], unmet, now);
        laid[index] = Some(FirstState {
            parent: parents[index],
            within: within.map(|parent| parent.task_id),
            container,
            state,
            needs_unmet: unmet as i32,
            children_open: children[index].iter().filter(|child| !done[**child]).count() as i32,
            needs,
            earlier,
        });
    }
    laid.into_iter().flatten().collect()
}

fn first_state(
    task: &TaskSpec,
    container: bool,
    done: bool,
    unmet: usize,
    now: DateTime<Utc>,
) -> TaskState {
    if done {
        return TaskState::Done;
    }
    if unmet > 0 {
        return TaskState::Waiting;
    }
    task::freed(container, task.approval.start, task.ready_from(now), now).state()
}

fn outermost_first(parents: &[Option<usize>]) -> Vec<usize> {
    let depth = |mut index: usize| {
        let mut depth = 0;
        while let Some(parent) = parents[index] {
            depth += 1;
            index = parent;
        }
        depth
    };
    let mut order: Vec<(usize, usize)> = (0..parents.len()).map(|i| (depth(i), i)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, index)| index).collect()
}

/// A leaf is done if the plan says so, a container if all its children are. `holds`: containers that open tasks
/// move into.
fn done_flags(
    tasks: &[TaskSpec],
    children: &[Vec<usize>],
    holds: &[bool],
    order: &[usize],
) -> Vec<bool> {
    let mut done = vec![false; tasks.len()];
    for &index in order.iter().rev() {
        done[index] = match children[index].as_slice() {
            _ if holds[index] => false,
            [] => tasks[index].done,
            inner => inner.iter().all(|child| done[*child]),
        };
    }
    done
}

#[cfg(test)]
mod tests;
