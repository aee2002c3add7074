//! The critical path: how long the rest of a goal takes at least, were everybody there at once.
//!
//! It is the longest chain of what is still to be done. A task comes after everything it needs, after
//! the container that it is in has opened, and, when it contains others or waits for subtasks of its own,
//! ends after the last of them. What has ended takes no time and is left out.

use std::collections::HashMap;

use crate::domain::{ids::TaskId, report::money::clamp};

/// A task that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// The task.
    pub task: TaskId,
    /// What contains it, or added it.
    pub parent: Option<TaskId>,
    /// Whether it only contains others: its children begin after it, and it takes no time itself.
    pub container: bool,
    /// How long it still takes, in milliseconds.
    pub rest_ms: i64,
    /// What it needs.
    pub needs: Vec<TaskId>,
}

/// The length of the longest chain, in milliseconds. A cycle, which plans cannot have, takes no time.
#[must_use]
pub fn critical_path(tasks: &[Rest]) -> i64 {
    let index: HashMap<TaskId, usize> =
        tasks.iter().enumerate().map(|(index, rest)| (rest.task, index)).collect();
    // Each task has two points, its beginning and its end; an edge says which point is not before which,
    // and how much later it is at least.
    let (begins, ends) = (|task: usize| 2 * task, |task: usize| 2 * task + 1);
    let mut edges: Vec<Vec<(usize, i64)>> = vec![Vec::new(); 2 * tasks.len()];
    for (at, rest) in tasks.iter().enumerate() {
        let takes = if rest.container { 0 } else { rest.rest_ms.max(0) };
        edges[begins(at)].push((ends(at), takes));
        for need in rest.needs.iter().filter_map(|need| index.get(need)) {
            edges[ends(*need)].push((begins(at), 0));
        }
        let Some(parent) = rest.parent.and_then(|parent| index.get(&parent).copied()) else {
            continue;
        };
        if tasks[parent].container {
            edges[begins(parent)].push((begins(at), 0));
            edges[ends(at)].push((ends(parent), 0));
        } else {
            // What is left of a task that waits for its subtasks comes after them.
            edges[ends(at)].push((begins(parent), 0));
        }
    }
    longest(&edges)
}

fn longest(edges: &[Vec<(usize, i64)>]) -> i64 {
    let mut before = vec![0_usize; edges.len()];
    for (to, _) in edges.iter().flatten() {
        before[*to] += 1;
    }
    let mut open: Vec<usize> = (0..edges.len()).filter(|point| before[*point] == 0).collect();
    let mut at = vec![0_i128; edges.len()];
    while let Some(point) = open.pop() {
        for (to, takes) in &edges[point] {
            at[*to] = at[*to].max(at[point] + i128::from(*takes));
            before[*to] -= 1;
            if before[*to] == 0 {
                open.push(*to);
            }
        }
    }
    clamp(at.into_iter().max().unwrap_or_default())
}
