//! Upward ranks of the tasks of a goal: the longest chain behind each, by which claims order them.
//!
//! The rules are those of [`crate::domain::plan::upward`]. New tasks get their ranks when they are written; what
//! changes the graph around existing tasks calls [`refresh`]. The caller holds the lock of the goal.

use std::collections::HashMap;

use crate::{
    app::{Result, Unit},
    domain::{
        ids::{GoalId, TaskId},
        plan::{
            TaskSpec,
            network::{Link, Network},
            upward,
        },
        spend::WALL_MS,
        task::claim,
    },
    store,
};

/// The upward ranks of new tasks among themselves, in milliseconds. `parent`: the task that goes on when they have
/// ended.
pub(super) async fn of_new(
    unit: &mut Unit,
    specs: &[TaskSpec],
    parent: Option<TaskId>,
) -> Result<Vec<i64>> {
    let unknown = specs.iter().filter(|spec| !spec.estimate.contains_key(WALL_MS));
    let mut keys: Vec<String> =
        unknown.map(|spec| claim::capability_key(&spec.capabilities)).collect();
    keys.sort_unstable();
    keys.dedup();
    let usual = if keys.is_empty() {
        HashMap::new()
    } else {
        store::tasks::order::usual_durations(unit.tx(), &keys).await?
    };
    let expected = |spec: &TaskSpec| {
        let usual = usual.get(&claim::capability_key(&spec.capabilities)).copied();
        upward::expected(Some(&spec.estimate), usual)
    };
    let durations: Vec<i64> = specs.iter().map(expected).collect();
    let behind = match parent {
        Some(parent) => store::tasks::order::upward_of(unit.tx(), parent).await?,
        None => 0,
    };
    Ok(upward::ranks(&Network::of(specs), &durations, behind))
}

/// Computes the upward ranks of the open tasks of a goal, and writes those that have changed. Reads each of
/// them once, and a goal has a bounded number.
pub(in crate::app) async fn refresh(unit: &mut Unit, goal: GoalId) -> Result<()> {
    let tasks = store::tasks::order::open_tasks(unit.tx(), goal).await?;
    let places: HashMap<TaskId, usize> =
        tasks.iter().enumerate().map(|(place, task)| (task.task_id, place)).collect();
    let links: Vec<Link> = tasks
        .iter()
        .map(|task| Link {
            parent: task.parent_id.and_then(|parent| places.get(&parent).copied()),
            container: task.container,
            needs: task.needs.iter().filter_map(|need| places.get(need).copied()).collect(),
        })
        .collect();
    let durations: Vec<i64> = tasks
        .iter()
        .map(|task| upward::expected(task.estimate.as_ref().map(|json| &json.0), task.usual))
        .collect();
    let ranks = upward::upward(&links, &durations);
    let changed: Vec<(TaskId, i64)> = tasks
        .iter()
        .zip(ranks)
        .filter(|(task, rank)| task.upward_ms != *rank)
        .map(|(task, rank)| (task.task_id, rank))
        .collect();
    Ok(store::tasks::order::set_upward(unit.tx(), &changed).await?)
}
