//! A goal in memory: its tasks, what happens to them, and a plan applied to them.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::random::Random;
use crate::domain::{
    ids::TaskId,
    outline::Ordering,
    plan::{
        TaskSpec,
        diff::{Origin, Present, Replanned, Wanted, replan, wanted, written_refs},
        new_goal::{PlanSource, draft},
    },
    refusal::Refusal,
    states::{Planner, TaskState},
    task::edit::Standing,
};

pub const PRIORITY: i16 = 5;

/// The tasks of a brief, as a new plan has them.
pub fn read(brief: &str) -> Result<Vec<Wanted>, Refusal> {
    let source = PlanSource { brief: brief.to_owned(), ..PlanSource::default() };
    let draft = draft(&source)?;
    Ok(wanted(Planner::Outline, draft.tasks, &written_refs(brief, Ordering::Auto)))
}

/// Tasks given as such.
pub fn given(tasks: Vec<TaskSpec>) -> Vec<Wanted> {
    wanted(Planner::Tasks, tasks, &HashSet::new())
}

#[derive(Debug, Clone, Default)]
pub struct Goal {
    pub tasks: Vec<Present>,
    made: u128,
}

impl Goal {
    pub fn of(plan: &[Wanted]) -> Self {
        let mut goal = Self::default();
        let found = replan(&[], plan, PRIORITY).expect("a checked plan");
        goal.apply(&found);
        goal
    }

    pub fn task(&self, name: &str) -> &Present {
        self.tasks.iter().find(|task| task.spec.r#ref == name).expect("the goal has the task")
    }

    pub fn set(&mut self, name: &str, state: TaskState, standing: Standing) {
        for task in self.tasks.iter_mut().filter(|task| task.spec.r#ref == name) {
            (task.state, task.standing) = (state, standing);
        }
        self.settle();
    }

    fn add(&mut self, spec: TaskSpec) {
        self.made += 1;
        let state = if spec.done { TaskState::Done } else { TaskState::Waiting };
        let standing = if spec.done { Standing::Ended(state) } else { Standing::Waits };
        let priority = spec.priority.or(Some(PRIORITY));
        self.tasks.push(Present {
            task_id: TaskId(Uuid::from_u128(self.made)),
            spec: TaskSpec { priority, done: false, ..spec },
            state,
            standing,
            container: false,
            cancelling: false,
            approved: false,
            tried: false,
            attempts_used: 0,
            reworks: 0,
            origin: Origin::Beside,
        });
    }

    /// What the service writes.
    pub fn apply(&mut self, found: &Replanned) {
        self.apply_unsettled(found);
        self.settle();
    }

    /// The same without what follows for the states: that reads every pair of tasks.
    pub fn apply_unsettled(&mut self, found: &Replanned) {
        let containers: HashSet<&str> =
            found.add.iter().filter_map(|(_, spec)| spec.parent.as_deref()).collect();
        let containers: HashSet<&str> =
            containers.into_iter().chain(found.holds.iter().map(String::as_str)).collect();
        for (_, spec) in &found.add {
            // A container is done when its children are.
            let container = containers.contains(spec.r#ref.as_str());
            self.add(TaskSpec { done: spec.done && !container, ..spec.clone() });
            if let Some(task) = self.tasks.last_mut() {
                task.container = container;
            }
        }
        for edit in &found.edit {
            let task = self.tasks.iter_mut().find(|task| task.task_id == edit.task_id).unwrap();
            task.spec = edit.after.clone();
            if let Some(parent) = &edit.parent {
                task.spec.parent.clone_from(parent);
            }
            if edit.done {
                (task.state, task.standing) = (TaskState::Done, Standing::Ended(TaskState::Done));
            }
        }
        for task in &mut self.tasks {
            if found.cancel.contains(&task.task_id) {
                task.state = TaskState::Cancelled;
                task.standing = Standing::Ended(task.state);
                task.origin = Origin::Closed;
            }
        }
        let base: HashMap<&str, &TaskSpec> =
            found.document.iter().map(|spec| (spec.r#ref.as_str(), spec)).collect();
        for task in &mut self.tasks {
            let name = task.spec.r#ref.clone();
            task.origin = match (base.get(name.as_str()), &task.origin) {
                (Some(base), _) => Origin::Plan {
                    said: Box::new((*base).clone()),
                    base: found.held.get(&name).cloned().map(Box::new),
                    source: found.sources.get(&name).unwrap_or(&name).clone(),
                },
                (None, Origin::Plan { .. }) if task.state == TaskState::Done => Origin::Former,
                (None, Origin::Plan { .. }) => Origin::Closed,
                (None, other) => other.clone(),
            };
        }
        let order: HashMap<&str, usize> =
            found.document.iter().enumerate().map(|(at, spec)| (spec.r#ref.as_str(), at)).collect();
        self.tasks
            .sort_by_key(|task| order.get(task.spec.r#ref.as_str()).copied().unwrap_or(usize::MAX));
    }

    fn met(&self, task: &Present) -> bool {
        let done = |name: &String| self.task(name).state == TaskState::Done;
        let open = task
            .spec
            .parent
            .as_deref()
            .is_none_or(|name| self.task(name).standing == Standing::Open);
        open && task.spec.needs.iter().all(done)
    }

    /// Opens, offers and ends what follows from the states of the others.
    pub fn settle(&mut self) {
        loop {
            let mut moves = Vec::new();
            for (at, task) in self.tasks.iter().enumerate() {
                let children = self
                    .tasks
                    .iter()
                    .filter(|child| child.spec.parent.as_ref() == Some(&task.spec.r#ref));
                let mut children =
                    children.filter(|child| child.state != TaskState::Cancelled).peekable();
                let over =
                    task.container && children.peek().is_some() && children.all(Present::finished);
                let next = match (task.state, task.container) {
                    _ if task.finished() => continue,
                    (_, true) if over => (TaskState::Done, Standing::Ended(TaskState::Done)),
                    (TaskState::Waiting, true) if self.met(task) => {
                        (TaskState::Running, Standing::Open)
                    }
                    (TaskState::Waiting, true) => (TaskState::Waiting, Standing::Closed),
                    (TaskState::Waiting, false) if self.met(task) => {
                        (TaskState::Ready, Standing::Offered)
                    }
                    (TaskState::Ready, false) if !self.met(task) => {
                        (TaskState::Waiting, Standing::Waits)
                    }
                    _ => continue,
                };
                if next != (task.state, task.standing) {
                    moves.push((at, next));
                }
            }
            if moves.is_empty() {
                return;
            }
            for (at, next) in moves {
                (self.tasks[at].state, self.tasks[at].standing) = next;
            }
        }
    }

    /// Some of what is ready is begun, done, or fails.
    pub fn work(&mut self, random: &mut Random) {
        for _ in 0..random.below(12) {
            let ready: Vec<usize> = (0..self.tasks.len())
                .filter(|at| {
                    self.tasks[*at].standing == Standing::Offered
                        || self.tasks[*at].standing == Standing::Held
                })
                .collect();
            if ready.is_empty() {
                return;
            }
            let at = ready[random.below(ready.len())];
            let next = match random.below(10) {
                0..6 => (TaskState::Done, Standing::Ended(TaskState::Done)),
                6..9 => (TaskState::Running, Standing::Held),
                _ => (TaskState::Reviewing, Standing::Reviewed),
            };
            (self.tasks[at].state, self.tasks[at].standing) = next;
            self.settle();
        }
    }
}
