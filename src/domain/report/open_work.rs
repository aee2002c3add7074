//! The open work of a workspace as one network: what waits behind a task, and how long all of it takes.
//!
//! How long: list scheduling with the agents that are online, the longest rest of a plan first, as the forecast of
//! a plan does it ([`crate::domain::plan::schedule`]). Durations are the expected ones. It is no promise, but two
//! forecasts with the same assumptions can be compared: with the present agents, and with one more.
//!
//! Assumptions: people answer and budgets are raised at once; a running task takes what is left of it; nothing fails;
//! gates, rates and quota windows are not counted. What no agent online can do, and what waits behind
//! that, is left out, and so is what needs a task that failed.
//!
//! Bounds: [`TASKS_MAX`] tasks, [`MORE_MAX`] forecasts with one more agent, and [`WORK`] steps for all of them.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{
    ids::TaskId,
    plan::{
        ground::{AgentGroup, Fleet},
        network::{Link, Network},
        schedule::{Job, Shop, WORK},
    },
};

/// Most open tasks.
pub const TASKS_MAX: usize = 10_000;
/// Most needs of open tasks.
pub const NEEDS_MAX: usize = 100_000;
/// Most sets of capabilities for which one more agent is tried.
pub const MORE_MAX: usize = 10;

/// A task that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTask {
    /// The task.
    pub task_id: TaskId,
    /// Its container, or the task that added it.
    pub parent: Option<TaskId>,
    /// Whether it only groups others.
    pub container: bool,
    /// The capabilities that it requires.
    pub capabilities: Vec<String>,
    /// What is left of its expected duration, in milliseconds.
    pub duration_ms: i64,
    /// Its earliest start, in milliseconds from now.
    pub not_before_ms: i64,
}

/// How long the open work takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Makespan {
    /// Number of tasks that can be done.
    pub tasks: i64,
    /// Milliseconds until the last of them ends.
    pub ms: i64,
}

/// The open tasks of a workspace and what joins them.
#[derive(Debug)]
pub struct OpenWork {
    tasks: Vec<OpenTask>,
    links: Vec<Link>,
    index: HashMap<TaskId, usize>,
    /// Tasks that need one that is not among the open ones: it failed.
    stuck: Vec<bool>,
    /// The tasks that need a task, whether that one is open or failed.
    dependents: HashMap<TaskId, Vec<usize>>,
    /// The subtasks of each task.
    children: Vec<Vec<usize>>,
}

impl OpenWork {
    /// The work of these tasks. `needs`: unsatisfied needs, each of a task and the one that it needs.
    #[must_use]
    pub fn new(tasks: Vec<OpenTask>, needs: &[(TaskId, TaskId)]) -> Self {
        let index: HashMap<TaskId, usize> =
            tasks.iter().enumerate().map(|(index, task)| (task.task_id, index)).collect();
        let parent = |task: &OpenTask| index.get(&task.parent?).copied();
        let mut links: Vec<Link> = tasks
            .iter()
            .map(|task| Link { parent: parent(task), container: task.container, needs: Vec::new() })
            .collect();
        let mut stuck = vec![false; tasks.len()];
        let mut dependents: HashMap<TaskId, Vec<usize>> = HashMap::new();
        for (task, needed) in needs {
            let Some(task) = index.get(task).copied() else { continue };
            dependents.entry(*needed).or_default().push(task);
            match index.get(needed) {
                Some(needed) => links[task].needs.push(*needed),
                None => stuck[task] = true,
            }
        }
        let mut children = vec![Vec::new(); tasks.len()];
        for (task, link) in links.iter().enumerate() {
            if let Some(parent) = link.parent {
                children[parent].push(task);
            }
        }
        Self { tasks, links, index, stuck, dependents, children }
    }

    /// Number of tasks that cannot go on before these have ended: those of them that are open, and all behind them.
    /// Containers do not count.
    #[must_use]
    pub fn behind(&self, blocked: impl IntoIterator<Item = TaskId>) -> i64 {
        // Two points of each task: it cannot start, and it cannot end.
        let mut starts = vec![false; self.tasks.len()];
        let mut ends = vec![false; self.tasks.len()];
        let mut ahead: Vec<(usize, bool)> = Vec::new();
        for task in blocked {
            match self.index.get(&task) {
                Some(task) => ahead.push((*task, true)),
                None => ahead.extend(self.dependents_of(task).map(|task| (task, true))),
            }
        }
        while let Some((task, start)) = ahead.pop() {
            let seen = if start { &mut starts[task] } else { &mut ends[task] };
            if std::mem::replace(seen, true) {
                continue;
            }
            let own = &self.tasks[task];
            if start {
                ahead.push((task, false));
                if own.container {
                    ahead.extend(self.children[task].iter().map(|child| (*child, true)));
                }
                continue;
            }
            ahead.extend(self.dependents_of(own.task_id).map(|next| (next, true)));
            if let Some(parent) = self.links[task].parent {
                // A container ends later; a task goes on after its subtasks.
                ahead.push((parent, !self.tasks[parent].container));
            }
        }
        let held = |(task, ends): &(&OpenTask, &bool)| **ends && !task.container;
        count(self.tasks.iter().zip(&ends).filter(held).count())
    }

    fn dependents_of(&self, task: TaskId) -> impl Iterator<Item = usize> + '_ {
        self.dependents.get(&task).into_iter().flatten().copied()
    }

    /// The makespan with these agents, and with one more of each of the sets of capabilities, as far as the bounds
    /// allow. `None`: too many kinds of tasks.
    #[must_use]
    pub fn with_one_more(
        &self,
        groups: &[AgentGroup],
        sets: &[Vec<String>],
    ) -> Option<(Makespan, Vec<Makespan>)> {
        let kinds: BTreeSet<&[String]> =
            self.tasks.iter().map(|task| task.capabilities.as_slice()).collect();
        let steps = kinds.len().saturating_mul(self.tasks.len()).max(1);
        let schedules = WORK / steps;
        let more = schedules.checked_sub(1)?.min(MORE_MAX);
        let with = |set: &Vec<String>| {
            let mut groups = groups.to_vec();
            groups.push(AgentGroup {
                capabilities: set.iter().cloned().collect(),
                agents: 1,
                online: 1,
                slots: 1,
            });
            self.makespan(&groups)
        };
        Some((self.makespan(groups), sets.iter().take(more).map(with).collect()))
    }

    /// How long what these agents can do takes them.
    #[must_use]
    pub fn makespan(&self, groups: &[AgentGroup]) -> Makespan {
        let fleet = Fleet::of(groups);
        let doable = self.doable(&fleet);
        // Containers stay: what is behind one that cannot end is not doable anyway.
        let mut places = vec![None; self.tasks.len()];
        let kept: Vec<usize> = (0..self.tasks.len())
            .filter(|task| doable[*task] || self.tasks[*task].container)
            .collect();
        for (place, task) in kept.iter().enumerate() {
            places[*task] = Some(place);
        }
        let link = |task: &usize| {
            let Link { parent, container, needs } = &self.links[*task];
            Link {
                parent: parent.and_then(|parent| places[parent]),
                container: *container,
                needs: needs.iter().filter_map(|need| places[*need]).collect(),
            }
        };
        let links: Vec<Link> = kept.iter().map(link).collect();
        let network = Network::joined(&links);
        let jobs: Vec<Job<'_>> = kept
            .iter()
            .enumerate()
            .filter(|(_, task)| doable[**task])
            .map(|(place, task)| {
                let task = &self.tasks[*task];
                Job {
                    task: place,
                    capabilities: &task.capabilities,
                    duration: task.duration_ms,
                    not_before: task.not_before_ms,
                }
            })
            .collect();
        let tasks = count(jobs.len());
        let shop = Shop::new(&network, kept.len(), jobs, &fleet);
        Makespan { tasks, ms: shop.duration(0).unwrap_or_default() }
    }

    /// The tasks that agents with slots can do, with all that comes before them.
    fn doable(&self, fleet: &Fleet<'_>) -> Vec<bool> {
        let network = Network::joined(&self.links);
        let mut able: HashMap<&[String], bool> = HashMap::new();
        for task in &self.tasks {
            able.entry(&task.capabilities).or_insert_with(|| {
                let groups = fleet.online(task.capabilities.iter().map(String::as_str));
                fleet.some(&groups).next().is_some()
            });
        }
        let mut doable = vec![false; self.tasks.len()];
        let mut walk = network.walk();
        let mut ahead = walk.begin();
        while let Some(task) = ahead.pop() {
            let can = able.get(self.tasks[task].capabilities.as_slice());
            if self.stuck[task] || self.held(task) || can != Some(&true) {
                continue;
            }
            doable[task] = true;
            ahead.extend(walk.ended(task));
        }
        doable
    }

    /// Whether one of the containers around a task needs a task that failed.
    fn held(&self, task: usize) -> bool {
        let mut around = self.links[task].parent;
        // Parents make no circle; the bound makes it certain.
        for _ in 0..self.tasks.len() {
            let Some(parent) = around else { return false };
            if self.tasks[parent].container && self.stuck[parent] {
                return true;
            }
            around = self.links[parent].parent;
        }
        false
    }
}

fn count(tasks: usize) -> i64 {
    i64::try_from(tasks).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn id(n: usize) -> TaskId {
        TaskId(Uuid::from_u128(n as u128 + 1))
    }

    fn task(n: usize, capability: &str, duration_ms: i64) -> OpenTask {
        OpenTask {
            task_id: id(n),
            parent: None,
            container: false,
            capabilities: vec![capability.to_owned()],
            duration_ms,
            not_before_ms: 0,
        }
    }

    fn agents(capability: &str, slots: i64) -> AgentGroup {
        let capabilities = BTreeSet::from([capability.to_owned()]);
        AgentGroup { capabilities, agents: slots, online: slots, slots }
    }

    fn set(capability: &str) -> Vec<String> {
        vec![capability.to_owned()]
    }

    #[test]
    fn one_more_agent_shortens_what_is_short() {
        // Four independent tasks for one agent, and one for another.
        let tasks = (0..4).map(|n| task(n, "rust", 60)).chain([task(4, "docs", 100)]).collect();
        let work = OpenWork::new(tasks, &[]);
        let groups = [agents("rust", 1), agents("docs", 1)];
        let (now, more) = work.with_one_more(&groups, &[set("rust"), set("docs")]).unwrap();
        assert_eq!(now, Makespan { tasks: 5, ms: 240 });
        assert_eq!(more, [Makespan { tasks: 5, ms: 120 }, Makespan { tasks: 5, ms: 240 }]);
    }

    #[test]
    fn what_nobody_can_do_is_left_out_with_all_behind_it() {
        let tasks = vec![
            task(0, "rust", 10),
            task(1, "review", 20),
            task(2, "rust", 40),
            task(3, "rust", 5),
        ];
        // 0 -> 1 -> 2
        let work = OpenWork::new(tasks, &[(id(1), id(0)), (id(2), id(1))]);
        let (now, more) = work.with_one_more(&[agents("rust", 1)], &[set("review")]).unwrap();
        assert_eq!(now, Makespan { tasks: 2, ms: 15 });
        assert_eq!(more, [Makespan { tasks: 4, ms: 75 - 5 }]);
    }

    #[test]
    fn what_needs_a_failed_task_is_stuck() {
        let mut tasks = vec![task(0, "rust", 10), task(1, "rust", 10), task(2, "rust", 10)];
        tasks.push(OpenTask { container: true, ..task(3, "", 0) });
        tasks.push(OpenTask { parent: Some(id(3)), ..task(4, "rust", 10) });
        // The first needs a task that is not open, and so does the container.
        let needs = [(id(0), id(99)), (id(1), id(0)), (id(3), id(99))];
        let work = OpenWork::new(tasks, &needs);
        assert_eq!(work.makespan(&[agents("rust", 1)]), Makespan { tasks: 1, ms: 10 });
        assert_eq!(work.behind([id(99)]), 3);
    }

    #[test]
    fn what_waits_behind_a_task_is_counted_once() {
        // 0 -> 1 -> 3, 0 -> 2 -> 3; 4 is in a box behind 3, 5 needs the box; 6 is a subtask of 5.
        let mut tasks: Vec<OpenTask> = (0..8).map(|n| task(n, "rust", 10)).collect();
        tasks[7].container = true;
        tasks[4].parent = Some(id(7));
        tasks[6].parent = Some(id(5));
        let needs = [(1, 0), (2, 0), (3, 1), (3, 2), (7, 3), (5, 7)].map(|(a, b)| (id(a), id(b)));
        let work = OpenWork::new(tasks, &needs);
        assert_eq!(work.behind([id(0)]), 6, "all but the subtask");
        assert_eq!(work.behind([id(1), id(2)]), 5);
        assert_eq!(work.behind([id(4)]), 2);
        assert_eq!(work.behind([id(6)]), 2, "its parent goes on after it");
        assert_eq!(work.behind([]), 0);
    }

    #[test]
    fn too_many_kinds_are_not_scheduled() {
        let tasks: Vec<OpenTask> = (0..TASKS_MAX).map(|n| task(n, &format!("c{n}"), 1)).collect();
        let work = OpenWork::new(tasks, &[]);
        assert_eq!(work.with_one_more(&[], &[]), None);
    }

    proptest! {
        /// Whatever the work: it takes no less than its longest path and its shared work, no more than one agent would
        /// take, the same each time, and one more agent who can do everything never does fewer tasks.
        #[test]
        fn a_makespan_lies_between_its_bounds(
            drawn in prop::collection::vec((0..3_usize, 0..1_000_i64), 1..40),
            arrows in prop::collection::vec((0..40_usize, 0..40_usize), 0..60),
            slots in prop::collection::vec(0..3_i64, 3),
        ) {
            let names = ["a", "b", "c"];
            let tasks: Vec<OpenTask> =
                drawn.iter().enumerate().map(|(n, (kind, ms))| task(n, names[*kind], *ms)).collect();
            let needs: Vec<(TaskId, TaskId)> = arrows.iter()
                .filter(|(a, b)| a > b && *a < tasks.len()).map(|(a, b)| (id(*a), id(*b))).collect();
            let work = OpenWork::new(tasks.clone(), &needs);
            let groups: Vec<AgentGroup> =
                names.iter().zip(&slots).map(|(name, slots)| agents(name, *slots)).collect();
            let (now, more) = work.with_one_more(&groups, &[names.map(str::to_owned).to_vec()]).unwrap();
            prop_assert_eq!(now, work.makespan(&groups));
            prop_assert!(more[0].tasks == tasks.len() as i64 && more[0].tasks >= now.tasks);
            let all: i64 = tasks.iter().map(|task| task.duration_ms).sum();
            prop_assert!(now.ms <= all && more[0].ms <= all);
            let hands: i64 = slots.iter().sum::<i64>() + 1;
            prop_assert!(more[0].ms * hands >= all);
            for blocked in 0..tasks.len() {
                let behind = work.behind([id(blocked)]);
                prop_assert!(behind >= 1 && behind <= tasks.len() as i64);
            }
        }
    }
}
