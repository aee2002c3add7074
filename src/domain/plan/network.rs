//! A plan as a network: which leaves must end before which start, and the longest path.
//!
//! As in the order of a plan, each task is two points, its start and its end; containment and needs are edges
//! between them. Only the edge from the start of an open leaf to its end takes time. So a need of a container
//! counts for all it contains, and a container itself weighs nothing. A task that is already done takes no
//! time either and belongs to no wave.
//!
//! All is linear in tasks and dependencies. What cannot be ordered (a circle; such a plan is refused) is left
//! out of waves and paths.

use std::collections::{HashMap, HashSet};

use super::TaskSpec;

/// The network of a plan.
#[derive(Debug)]
pub struct Network {
    /// Successors of each point: `2 * task` is its start, `2 * task + 1` its end.
    after: Vec<Vec<usize>>,
    /// Predecessors of each point.
    before: Vec<Vec<usize>>,
    /// Points in an order in which each comes after its predecessors.
    order: Vec<usize>,
    /// Whether each task is an open leaf: it is worked on.
    leaf: Vec<bool>,
}

/// A task that exists, and what it is joined to, by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its container, or the task that added it.
    pub parent: Option<usize>,
    /// Whether it only groups other tasks.
    pub container: bool,
    /// The tasks that must end before it starts.
    pub needs: Vec<usize>,
}

/// A longest path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Its length.
    pub length: i64,
    /// The open leaves on it, in their order.
    pub tasks: Vec<usize>,
}

fn start(task: usize) -> usize {
    2 * task
}

fn end(task: usize) -> usize {
    2 * task + 1
}

impl Network {
    /// The network of these tasks. Unknown refs are ignored.
    #[must_use]
    pub fn of(tasks: &[TaskSpec]) -> Self {
        let by_ref: HashMap<&str, usize> =
            tasks.iter().enumerate().map(|(index, task)| (task.r#ref.as_str(), index)).collect();
        let parent = |task: &TaskSpec| by_ref.get(task.parent.as_deref()?).copied();
        let parents: Vec<Option<usize>> = tasks.iter().map(parent).collect();
        let containers: HashSet<usize> = parents.iter().copied().flatten().collect();
        let leaf = |(index, task): (usize, &TaskSpec)| !task.done && !containers.contains(&index);
        let leaf: Vec<bool> = tasks.iter().enumerate().map(leaf).collect();
        let open = with_containers(&leaf, &parents);
        let mut after = vec![Vec::new(); 2 * tasks.len()];
        for (index, task) in tasks.iter().enumerate() {
            after[start(index)].push(end(index));
            // What is done waits for nothing.
            for need in task
                .needs
                .iter()
                .filter(|_| open[index])
                .filter_map(|need| by_ref.get(need.as_str()))
            {
                after[end(*need)].push(start(index));
            }
            if let Some(parent) = parents[index] {
                if open[index] {
                    after[start(parent)].push(start(index));
                }
                after[end(index)].push(end(parent));
            }
        }
        Self::built(after, leaf)
    }

    /// The network of tasks that exist and have not ended. A task that is no container and has subtasks goes on
    /// when these have ended.
    #[must_use]
    pub fn joined(tasks: &[Link]) -> Self {
        let leaf: Vec<bool> = tasks.iter().map(|task| !task.container).collect();
        let mut after = vec![Vec::new(); 2 * tasks.len()];
        for (index, task) in tasks.iter().enumerate() {
            after[start(index)].push(end(index));
            for need in &task.needs {
                after[end(*need)].push(start(index));
            }
            let Some(parent) = task.parent else { continue };
            if leaf[parent] {
                after[end(index)].push(start(parent));
            } else {
                after[start(parent)].push(start(index));
                after[end(index)].push(end(parent));
            }
        }
        Self::built(after, leaf)
    }

    fn built(after: Vec<Vec<usize>>, leaf: Vec<bool>) -> Self {
        let mut before = vec![Vec::new(); after.len()];
        for (from, list) in after.iter().enumerate() {
            for to in list {
                before[*to].push(from);
            }
        }
        let order = ordered(&after, &before);
        Self { after, before, order, leaf }
    }

    /// The tasks that are worked on: no containers, not done.
    pub fn leaves(&self) -> impl Iterator<Item = usize> + '_ {
        self.leaf.iter().enumerate().filter(|(_, leaf)| **leaf).map(|(task, _)| task)
    }

    /// Whether every task has a place in the order.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        self.order.len() == self.after.len()
    }

    /// The open leaves by wave: those that nothing holds back, then those whose needs are all in earlier
    /// waves.
    #[must_use]
    pub fn waves(&self) -> Vec<Vec<usize>> {
        let finish = self.finishes(|_| 1, |_| 0);
        let mut waves: Vec<Vec<usize>> = Vec::new();
        // A leaf's level is bounded by the number of leaves.
        for task in self.leaves() {
            let Some(level) = finish[start(task)].and_then(|level| usize::try_from(level).ok())
            else {
                continue;
            };
            if waves.len() <= level {
                waves.resize_with(level + 1, Vec::new);
            }
            waves[level].push(task);
        }
        waves
    }

    /// The longest path by these durations. `not_before`: the earliest start of each task.
    #[must_use]
    pub fn longest(
        &self,
        duration: impl Fn(usize) -> i64,
        not_before: impl Fn(usize) -> i64,
    ) -> Path {
        let finish = self.finishes(&duration, &not_before);
        let mut best: Option<(i64, usize)> = None;
        for task in self.leaves() {
            if let Some(at) = finish[end(task)]
                && best.is_none_or(|(most, _)| at > most)
            {
                best = Some((at, end(task)));
            }
        }
        let Some((length, mut here)) = best else { return Path { length: 0, tasks: Vec::new() } };
        let mut tasks = Vec::new();
        // Each step goes to an earlier point of the order, so it ends.
        loop {
            let task = here / 2;
            if here == end(task) && self.leaf[task] {
                tasks.push(task);
                here = start(task);
                continue;
            }
            let latest = self.before[here].iter().copied().filter(|point| finish[*point].is_some());
            let Some(from) = latest.max_by_key(|point| (finish[*point], std::cmp::Reverse(*point)))
            else {
                break;
            };
            if finish[from] < finish[here] {
                break;
            }
            here = from;
        }
        tasks.reverse();
        Path { length, tasks }
    }

    /// The longest path from the start of each task to the end of the plan, its own duration included.
    #[must_use]
    pub fn remaining(&self, duration: impl Fn(usize) -> i64) -> Vec<i64> {
        let mut rest = vec![0_i64; self.after.len()];
        for point in self.order.iter().rev().copied() {
            let most = self.after[point].iter().map(|next| rest[*next]).max().unwrap_or(0);
            let task = point / 2;
            let own = if point == start(task) && self.leaf[task] { duration(task) } else { 0 };
            rest[point] = most.saturating_add(own);
        }
        (0..self.leaf.len()).map(|task| rest[start(task)]).collect()
    }

    /// When each point is reached; `None` in and after a circle.
    fn finishes(
        &self,
        duration: impl Fn(usize) -> i64,
        not_before: impl Fn(usize) -> i64,
    ) -> Vec<Option<i64>> {
        let mut at: Vec<Option<i64>> = vec![None; self.after.len()];
        for point in self.order.iter().copied() {
            let task = point / 2;
            let latest = self.before[point].iter().filter_map(|from| at[*from]).max().unwrap_or(0);
            at[point] = Some(match (self.leaf[task], point == start(task)) {
                (true, true) => latest.max(not_before(task)),
                (true, false) => latest.saturating_add(duration(task).max(0)),
                (false, _) => latest,
            });
        }
        at
    }

    /// A walk from leaf to leaf, in the order in which they end.
    #[must_use]
    pub fn walk(&self) -> Walk<'_> {
        Walk { network: self, missing: self.before.iter().map(Vec::len).collect() }
    }
}

/// A walk through a network: leaves start when all before them has ended.
#[derive(Debug)]
pub struct Walk<'a> {
    network: &'a Network,
    missing: Vec<usize>,
}

impl Walk<'_> {
    /// The leaves that can start at once.
    pub fn begin(&mut self) -> Vec<usize> {
        let roots: Vec<usize> =
            (0..self.missing.len()).filter(|point| self.missing[*point] == 0).collect();
        self.follow(roots)
    }

    /// The leaves that can start because this one has ended.
    pub fn ended(&mut self, leaf: usize) -> Vec<usize> {
        self.follow(vec![end(leaf)])
    }

    fn follow(&mut self, mut reached: Vec<usize>) -> Vec<usize> {
        let mut ready = Vec::new();
        while let Some(point) = reached.pop() {
            let task = point / 2;
            if point == start(task) && self.network.leaf[task] {
                // Its end is reached when it has been worked on.
                ready.push(task);
                continue;
            }
            for next in &self.network.after[point] {
                self.missing[*next] -= 1;
                if self.missing[*next] == 0 {
                    reached.push(*next);
                }
            }
        }
        ready.sort_unstable();
        ready
    }
}

/// The tasks that are worked on and the containers around them.
fn with_containers(leaf: &[bool], parents: &[Option<usize>]) -> Vec<bool> {
    let mut open = leaf.to_vec();
    for task in (0..leaf.len()).filter(|task| leaf[*task]) {
        let mut here = parents[task];
        while let Some(container) = here.filter(|container| !open[*container]) {
            open[container] = true;
            here = parents[container];
        }
    }
    open
}

/// The points of a graph in an order of its edges; those in and after a circle are left out.
fn ordered(after: &[Vec<usize>], before: &[Vec<usize>]) -> Vec<usize> {
    let mut missing: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (0..after.len()).filter(|point| missing[*point] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        for to in &after[order[next]] {
            missing[*to] -= 1;
            if missing[*to] == 0 {
                order.push(*to);
            }
        }
        next += 1;
    }
    order
}

#[cfg(test)]
mod tests;
