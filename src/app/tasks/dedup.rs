//! Dedup keys of tasks that are added to a goal. The lock of the goal orders who takes them.

use std::collections::HashMap;

use crate::{
    app::{Result, Unit},
    domain::{
        check::{Checks, pointer},
        dedup::is_held,
        ids::{GoalId, TaskId},
        plan::{TaskSpec, check_dedup, finding::FindingCode},
        refusal::{Code, Refusal},
        states::TaskState,
    },
    store,
};

/// A task of a goal that holds the key of a new one.
#[derive(Debug, Clone)]
pub(in crate::app) struct Held {
    /// Index of the new one.
    pub index: usize,
    /// The task that exists.
    pub task_id: TaskId,
    /// Its name in the plan.
    pub reference: String,
    /// Its state.
    pub state: TaskState,
}

/// Of new tasks of a locked goal, those whose key another task of it holds, in their order. `at`: JSON Pointer of
/// their list.
///
/// # Errors
/// `plan_invalid` for bad keys, and for a key that two of them have. That is refused before it is known who holds
/// the key: whether a request is valid does not depend on what the goal does meanwhile.
pub(in crate::app) async fn held(
    unit: &mut Unit,
    goal: GoalId,
    tasks: &[TaskSpec],
    at: &str,
) -> Result<Vec<Held>> {
    check_dedup(at, tasks)?;
    let keys: Vec<String> =
        tasks.iter().filter_map(|task| Some(task.dedup.as_ref()?.key.clone())).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let now = unit.now();
    let holders: HashMap<String, _> = store::dedup::of_tasks(unit.tx(), goal, &keys)
        .await?
        .into_iter()
        .filter(|holder| is_held(holder.held_until, !holder.state.is_terminal(), now))
        .map(|holder| (holder.key.clone(), holder))
        .collect();
    let held = tasks.iter().enumerate().filter_map(|(index, task)| {
        let holder = holders.get(&task.dedup.as_ref()?.key)?;
        Some(Held {
            index,
            task_id: holder.task_id,
            reference: holder.reference.clone(),
            state: holder.state,
        })
    });
    Ok(held.collect())
}

/// The subtasks that do not exist yet. Subtasks need only each other, so a need of one that exists is dropped if
/// that is done.
///
/// # Errors
/// `already_exists` if all exist; `plan_invalid` for one that needs, or goes into, one that exists and is not done.
pub(in crate::app) fn fresh_subtasks(tasks: &[TaskSpec], held: &[Held]) -> Result<Vec<TaskSpec>> {
    let by_name: HashMap<&str, &Held> = held
        .iter()
        .filter_map(|held| Some((tasks.get(held.index)?.r#ref.as_str(), held)))
        .collect();
    let mut checks = Checks::new();
    let mut fresh = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        if held.iter().any(|held| held.index == index) {
            continue;
        }
        let at = pointer("/tasks", index);
        let mut task = task.clone();
        let open =
            |name: &String| by_name.get(name.as_str()).filter(|held| held.state != TaskState::Done);
        for (number, name) in task.needs.iter().enumerate() {
            if let Some(held) = open(name) {
                let detail = format!("exists already as `{}`, which is no subtask", held.reference);
                checks.add(format!("{at}/needs/{number}"), detail);
            }
        }
        if let Some(held) = task.parent.as_ref().and_then(|name| by_name.get(name.as_str())) {
            let detail = format!("exists already as `{}`, which is no subtask", held.reference);
            checks.add(format!("{at}/parent"), detail);
        }
        task.needs.retain(|name| !by_name.contains_key(name.as_str()));
        fresh.push(task);
    }
    checks.finish_plan(FindingCode::BadValue.as_str())?;
    if fresh.is_empty() && !tasks.is_empty() {
        let names: Vec<String> = held.iter().map(|held| format!("`{}`", held.reference)).collect();
        let detail = format!(
            "all subtasks exist already as {}: there is nothing to wait for. Go on, or release the attempt",
            names.join(", ")
        );
        return Err(Refusal::new(Code::AlreadyExists, detail).into());
    }
    Ok(fresh)
}
