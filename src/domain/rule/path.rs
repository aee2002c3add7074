//! Critical path: minimum duration of a goal's open work with unlimited agents.
//!
//! It is the longest chain of open tasks. A task starts after everything it needs and after its
//! container opened. A task with children ends after the last of them. Ended tasks take no time and
//! are left out.

use std::collections::HashMap;

use crate::domain::{ids::TaskId, report::money::clamp};

/// An open task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Id of the task.
    pub task: TaskId,
    /// Its container, or the task that added it.
    pub parent: Option<TaskId>,
    /// Whether it only groups children, and so takes no time itself.
    pub container: bool,
    /// Remaining duration, in milliseconds.
    pub rest_ms: i64,
    /// Tasks it needs.
    pub needs: Vec<TaskId>,
}

/// Length of the longest chain, in milliseconds. A cycle, which plans cannot have, counts as zero.
#[must_use]
pub fn critical_path(tasks: &[Rest]) -> i64 {
    let index: HashMap<TaskId, usize> =
        tasks.iter().enumerate().map(|(index, rest)| (rest.task, index)).collect();
    // Two points a task, start and end. An edge `(to, delay)` keeps `to` at least `delay` later.
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
            // A task that waits for its subtasks continues after them.
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
