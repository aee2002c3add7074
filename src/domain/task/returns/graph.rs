//! The tasks of one goal as a graph, as far as the rules of returning work read them.

use std::collections::HashMap;

use crate::domain::{ids::TaskId, states::TaskState};

/// A task of the goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Id of the task.
    pub task_id: TaskId,
    /// Its name in the plan.
    pub reference: String,
    /// Its state.
    pub state: TaskState,
    /// Whether it only groups other tasks.
    pub container: bool,
    /// Its container, or the task whose attempt added it.
    pub parent: Option<TaskId>,
    /// Whether an attempt at it was ever started.
    pub started: bool,
    /// Whether it was cancelled only because another task failed.
    pub lost_cause: bool,
    /// Children that have not ended.
    pub children_open: i32,
    /// Whether nothing waits for it: it is a check of criteria of the goal that are checked anew, by another
    /// task, or it made a plan.
    pub obsolete: bool,
}

/// A dependency: `task` needs `needs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The task that needs the other.
    pub task: TaskId,
    /// The needed task.
    pub needs: TaskId,
    /// Whether it is marked as satisfied.
    pub satisfied: bool,
}

/// A dependency, seen from one of its ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// Place of the task at the other end.
    pub to: usize,
    pub satisfied: bool,
}

/// The tasks of one goal with their dependencies. Tasks are named by their places, 0 to
/// [`Graph::len`].
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    places: HashMap<TaskId, usize>,
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    needs: Vec<Vec<Link>>,
    dependents: Vec<Vec<Link>>,
}

impl Graph {
    /// Joins tasks and dependencies. Ends outside of the graph are ignored.
    #[must_use]
    pub fn new(nodes: Vec<Node>, edges: &[Edge]) -> Self {
        let places: HashMap<TaskId, usize> =
            nodes.iter().enumerate().map(|(place, node)| (node.task_id, place)).collect();
        let parents: Vec<Option<usize>> =
            nodes.iter().map(|node| places.get(&node.parent?).copied()).collect();
        let mut children = vec![Vec::new(); nodes.len()];
        for (child, parent) in parents.iter().enumerate() {
            if let Some(parent) = *parent {
                children[parent].push(child);
            }
        }
        let mut needs = vec![Vec::new(); nodes.len()];
        let mut dependents = vec![Vec::new(); nodes.len()];
        for Edge { task, needs: needed, satisfied } in edges.iter().copied() {
            let (Some(&task), Some(&needed)) = (places.get(&task), places.get(&needed)) else {
                continue;
            };
            needs[task].push(Link { to: needed, satisfied });
            dependents[needed].push(Link { to: task, satisfied });
        }
        Self { nodes, places, parents, children, needs, dependents }
    }

    /// Number of tasks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn place(&self, task: TaskId) -> Option<usize> {
        self.places.get(&task).copied()
    }

    pub(super) fn node(&self, place: usize) -> &Node {
        &self.nodes[place]
    }

    pub(super) fn state(&self, place: usize) -> TaskState {
        self.nodes[place].state
    }

    pub(super) fn parent(&self, place: usize) -> Option<usize> {
        self.parents[place]
    }

    pub(super) fn children(&self, place: usize) -> &[usize] {
        &self.children[place]
    }

    pub(super) fn needs(&self, place: usize) -> &[Link] {
        &self.needs[place]
    }

    pub(super) fn dependents(&self, place: usize) -> &[Link] {
        &self.dependents[place]
    }

    /// Whether a task, or one inside it, was ever begun.
    pub(super) fn begun(&self, place: usize) -> bool {
        self.nodes[place].started || self.children[place].iter().any(|child| self.begun(*child))
    }

    /// Whether a task waits for its subtasks.
    pub(super) fn waits_for_subtasks(&self, place: usize) -> bool {
        let node = &self.nodes[place];
        !node.container && node.state == TaskState::Parked && node.children_open > 0
    }

    /// Failed tasks that have attempts of their own: the task, or those inside a container.
    pub(super) fn failed_within(&self, place: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut left = vec![place];
        while let Some(place) = left.pop() {
            if self.nodes[place].container {
                left.extend(&self.children[place]);
            } else if self.nodes[place].state == TaskState::Failed {
                found.push(place);
            }
        }
        found.sort_unstable();
        found
    }
}
