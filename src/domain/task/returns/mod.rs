//! Work that comes back: retries of failed tasks, and reopened tasks.
//!
//! The rules decide over all tasks of a goal, whose rows are locked. They say which tasks come back,
//! what each of them has to wait for, and which others have to wait again. Every task that comes back
//! is `waiting` first; the caller frees those that wait for nothing.
//!
//! - A task comes back only if nothing that it needs, and no container around it, stays failed or
//!   cancelled.
//! - What was cancelled because another task failed comes back with that task. What somebody cancelled stays
//!   cancelled, with everything that cannot be done without it.
//! - A container comes back with a task inside it.
//! - A dependent of a reopened task waits again if it was never begun. A dependent that was begun goes
//!   on: its dependency stays satisfied.

pub mod graph;
pub mod reopen;
pub mod retry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use graph::{Graph, Link};

use crate::domain::{
    ids::TaskId,
    refusal::{Code, Refusal},
    states::TaskState,
};

/// Why a task comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It failed and is tried again.
    Retried,
    /// It was done and is done again.
    Reopened,
    /// It comes back with another task: it was cancelled because of that one, or contains it.
    Restored,
}

/// A task that comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Return {
    /// The task.
    pub task_id: TaskId,
    /// Its state before: `done`, `failed` or `cancelled`.
    pub from: TaskState,
    /// Why it comes back.
    pub cause: Cause,
    /// Its dependencies that are not done, plus one while its container is not open.
    pub needs_unmet: i32,
}

/// A task that was not begun and has to wait for more than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The task.
    pub task_id: TaskId,
    /// By how many its unmet needs rise.
    pub more_needs: i32,
    /// Whether it was offered, asked about or open, and waits again.
    pub waits_again: bool,
}

/// The change of a parent's counts of children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoreChildren {
    /// By how many its open children rise.
    pub open: i32,
    /// By how many its failed and cancelled children fall.
    pub failed: i32,
}

/// Everything that changes when work comes back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Returns {
    /// Tasks that come back.
    pub tasks: Vec<Return>,
    /// Tasks that have to wait for more.
    pub held: Vec<Held>,
    /// Dependencies that are no longer satisfied: the task, and the task it needs.
    pub undone: Vec<(TaskId, TaskId)>,
    /// Parents whose children come back.
    pub parents: Vec<(TaskId, MoreChildren)>,
    /// Dependents that were begun and go on.
    pub begun: Vec<TaskId>,
}

impl Returns {
    /// The tasks that come back for a cause.
    pub fn of(&self, cause: Cause) -> impl Iterator<Item = TaskId> {
        self.tasks.iter().filter(move |task| task.cause == cause).map(|task| task.task_id)
    }

    /// The dependents that were not begun and wait again.
    pub fn waiting_again(&self) -> impl Iterator<Item = TaskId> {
        self.held.iter().filter(|held| held.waits_again).map(|held| held.task_id)
    }
}

/// Tasks that come back, by place.
type Back = BTreeMap<usize, Cause>;

/// What keeps a task from coming back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    /// It needs this task, which has ended otherwise.
    Need(usize),
    /// This container of it has ended otherwise.
    Container(usize),
    /// The task whose attempt added it does not wait for it.
    Parent(usize),
}

/// What keeps a task from coming back together with others; `None`: nothing.
fn obstacle(graph: &Graph, place: usize, comes_back: impl Fn(usize) -> bool) -> Option<Obstacle> {
    let lost = |to: usize| {
        matches!(graph.state(to), TaskState::Failed | TaskState::Cancelled) && !comes_back(to)
    };
    if let Some(link) = graph.needs(place).iter().find(|link| lost(link.to)) {
        return Some(Obstacle::Need(link.to));
    }
    let parent = graph.parent(place)?;
    match graph.node(parent).container {
        true if graph.state(parent).is_terminal() && !comes_back(parent) => {
            Some(Obstacle::Container(parent))
        }
        false if !graph.waits_for_subtasks(parent) => Some(Obstacle::Parent(parent)),
        true | false => None,
    }
}

fn refuse(graph: &Graph, obstacle: Obstacle) -> Refusal {
    let detail = match obstacle {
        Obstacle::Need(place) => {
            let node = graph.node(place);
            let (name, state) = (&node.reference, node.state);
            format!("it needs the task `{name}`, which is {state}; {}", way_back(state))
        }
        Obstacle::Container(place) => {
            let node = graph.node(place);
            let (name, state) = (&node.reference, node.state);
            format!("the task `{name}`, which contains it, is {state}; {}", way_back(state))
        }
        Obstacle::Parent(place) => {
            let node = graph.node(place);
            format!(
                "it is a subtask of `{}`, which goes on without it and is {}; that task may add \
                 subtasks again, or can itself be retried or reopened once it has ended",
                node.reference, node.state
            )
        }
    };
    Refusal::new(Code::WrongState, detail)
}

fn way_back(state: TaskState) -> &'static str {
    match state {
        TaskState::Failed => "retry that one first",
        TaskState::Cancelled => "post the work again, in a new goal or as new tasks",
        TaskState::Waiting
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Parked
        | TaskState::Reviewing
        | TaskState::Done => "wait for it",
    }
}

/// Everything that changes when these tasks come back.
fn changes(graph: &Graph, back: &Back) -> Returns {
    let mut held = Holding::default();
    let mut returns = Returns::default();
    let mut begun = BTreeSet::new();
    for &place in back.keys().filter(|place| graph.state(**place) == TaskState::Done) {
        for link in graph.dependents(place).iter().filter(|link| link.satisfied) {
            if back.contains_key(&link.to) {
                continue;
            }
            if graph.begun(link.to) {
                begun.insert(link.to);
                continue;
            }
            returns.undone.push((graph.node(link.to).task_id, graph.node(place).task_id));
            held.hold(graph, back, link.to);
        }
    }
    returns.begun = begun.into_iter().map(|place| graph.node(place).task_id).collect();
    let mut parents: BTreeMap<usize, MoreChildren> = BTreeMap::new();
    for (&place, &cause) in back {
        let node = graph.node(place);
        let is_open =
            |link: &&Link| graph.state(link.to) != TaskState::Done || back.contains_key(&link.to);
        let unmet = graph.needs(place).iter().filter(is_open);
        let undone = unmet.clone().filter(|link| link.satisfied);
        returns.undone.extend(undone.map(|link| (node.task_id, graph.node(link.to).task_id)));
        let closed = graph.parent(place).is_some_and(|parent| {
            let waits = graph.state(parent) == TaskState::Waiting;
            let closes = back.contains_key(&parent) || held.closed.contains(&parent);
            graph.node(parent).container && (waits || closes)
        });
        returns.tasks.push(Return {
            task_id: node.task_id,
            from: node.state,
            cause,
            needs_unmet: unmet.count() as i32 + i32::from(closed),
        });
        if let Some(parent) = graph.parent(place) {
            let more = parents.entry(parent).or_default();
            more.open += 1;
            more.failed += i32::from(node.state != TaskState::Done);
        }
    }
    returns.held = held.into_held(graph);
    returns.parents =
        parents.into_iter().map(|(place, more)| (graph.node(place).task_id, more)).collect();
    returns
}

/// Tasks that have to wait for more, by place.
#[derive(Debug, Default)]
struct Holding {
    more_needs: BTreeMap<usize, i32>,
    /// Containers that close again.
    closed: BTreeSet<usize>,
}

impl Holding {
    /// One more need of a task that was not begun. An open container closes, and each open task inside
    /// it waits for it.
    fn hold(&mut self, graph: &Graph, back: &Back, place: usize) {
        *self.more_needs.entry(place).or_default() += 1;
        let opened = graph.node(place).container && graph.state(place) == TaskState::Running;
        if !opened || !self.closed.insert(place) {
            return;
        }
        for &child in graph.children(place) {
            if !graph.state(child).is_terminal() && !back.contains_key(&child) {
                self.hold(graph, back, child);
            }
        }
    }

    fn into_held(self, graph: &Graph) -> Vec<Held> {
        let held = self.more_needs.into_iter().map(|(place, more_needs)| {
            let waits_again = match graph.state(place) {
                TaskState::Ready | TaskState::Running | TaskState::Parked => true,
                TaskState::Waiting
                | TaskState::Reviewing
                | TaskState::Done
                | TaskState::Failed
                | TaskState::Cancelled => false,
            };
            Held { task_id: graph.node(place).task_id, more_needs, waits_again }
        });
        held.collect()
    }
}
