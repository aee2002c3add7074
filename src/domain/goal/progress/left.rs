//! What is left of a goal: the longest path through its open tasks, the work, and who holds it up.
//!
//! The graph is that of the plan: a task comes after what it needs; a container begins before its children
//! and ends after them; a task that added subtasks goes on after them. Time that passes without work (a start
//! time, a backoff, the answer of a person) has no duration here.
//!
//! The duration of a task, the first that is known:
//! 1. its own estimate in `wall_ms`, with the spread that tasks of its capabilities had,
//! 2. what done tasks with the same capabilities took,
//! 3. the mean of the open tasks of the goal with a known duration,
//! 4. the mean of all that was measured in the workspace.
//!
//! A running task has what its present attempt has not used yet; a result under review has nothing left to work.
//!
//! Work is linear in tasks and dependencies, except for what waits behind a blocker: one search for each of at
//! most [`CANDIDATES`]. A cycle, which only an edit by hand can make, is left out of the paths.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::Band;
use crate::domain::{
    budget::{Range, ask::Estimates},
    ids::{ApprovalId, TaskId},
    spend::{WALL_MS, measured::Quantiles},
    states::TaskState,
    words::words,
};

/// Most tasks of the path that are shown.
pub const PATH_SHOWN: usize = 20;
/// Most blockers that are shown.
pub const BLOCKERS_SHOWN: usize = 10;
/// Most blocked tasks, and most sets of capabilities, for which the work behind is counted.
pub const CANDIDATES: usize = 100;
/// Most units of estimates that are summed.
pub const UNITS: usize = 50;

words! {
    /// What a task waits for, so that work behind it waits too.
    pub enum BlockerReason {
        /// The answer of a person: `GET /v1/approvals/{approval_id}`.
        Person => "person",
        /// Room in a budget.
        Budget => "budget",
        /// The price of a model.
        Price => "price",
        /// An agent that can do it: none is online.
        NobodyOnline => "nobody_online",
    }
}

/// A task of the goal that has not ended.
#[derive(Debug, Clone)]
pub struct OpenTask {
    /// The task.
    pub task_id: TaskId,
    /// Its container, or the task whose attempt added it.
    pub parent: Option<TaskId>,
    /// Whether it only groups others.
    pub container: bool,
    /// Its state.
    pub state: TaskState,
    /// Key of its set of required capabilities.
    pub capability_key: String,
    /// Its own estimates.
    pub estimates: Estimates,
    /// Time since its present attempt started, in milliseconds; 0 without one.
    pub running_ms: i64,
    /// What it waits for.
    pub waits: Option<(BlockerReason, Option<ApprovalId>)>,
}

/// What is ahead of a goal, as far as the time of its end depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// Length of the longest path; `None`: the duration of no open task is known.
    pub path: Option<Band>,
    /// All work left.
    pub work: Band,
    /// Number of open tasks, without containers.
    pub tasks: i64,
    /// The work by set of capabilities, the most first; at most [`CANDIDATES`].
    pub sets: Vec<SetLeft>,
}

/// The work left that needs one set of capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetLeft {
    /// Key of the set.
    pub key: String,
    /// Work left.
    pub work: Band,
    /// Number of open tasks.
    pub tasks: i64,
    /// The ready task with the longest path ahead, and what waits behind it.
    pub ready: Option<Behind>,
}

/// A task and what cannot be done before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// The task.
    pub task_id: TaskId,
    /// Number of tasks behind it.
    pub tasks: i64,
    /// Their work, in milliseconds at the median.
    pub work_ms: i64,
}

/// A task that holds others up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// The task and what waits behind it.
    pub behind: Behind,
    /// What it waits for.
    pub reason: BlockerReason,
    /// The question to be answered.
    pub approval_id: Option<ApprovalId>,
}

/// A task of the longest path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStep {
    /// The task.
    pub task_id: TaskId,
    /// Its own work left, in milliseconds at the median.
    pub work_ms: i64,
    /// From its begin to the end of the path, in milliseconds at the median.
    pub left_ms: i64,
}

/// What is left of a goal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// The path and the work.
    pub ahead: Ahead,
    /// The first tasks of the longest path, in order.
    pub path: Vec<PathStep>,
    /// The tasks that hold the most work up, the most first.
    pub blockers: Vec<Blocker>,
}

/// Sum of the estimates of tasks in one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimated {
    /// The sum.
    pub amount: i64,
    /// Number of tasks with an estimate in the unit.
    pub tasks: i64,
}

/// Sums estimates by unit; of more than [`UNITS`] units those of the most tasks.
#[must_use]
pub fn sum_estimates<'a>(
    tasks: impl Iterator<Item = &'a Estimates>,
) -> BTreeMap<String, Estimated> {
    let mut sums: BTreeMap<String, Estimated> = BTreeMap::new();
    for (unit, estimate) in tasks.flatten() {
        let sum = sums.entry(unit.clone()).or_default();
        sum.amount = sum.amount.saturating_add(estimate.range().want);
        sum.tasks += 1;
    }
    if sums.len() > UNITS {
        let mut by_tasks: Vec<(String, Estimated)> = sums.into_iter().collect();
        by_tasks.sort_by_key(|(_, sum)| -sum.tasks);
        by_tasks.truncate(UNITS);
        sums = by_tasks.into_iter().collect();
    }
    sums
}

/// Computes what is left. `needs`: unsatisfied dependencies, each of a task on the one it needs. `measured`: how
/// long tasks took, by set of capabilities.
#[must_use]
pub fn left(
    tasks: &[OpenTask],
    needs: &[(TaskId, TaskId)],
    measured: &HashMap<String, Quantiles>,
) -> Left {
    let durations = durations(tasks, measured);
    let graph = Graph::new(tasks, needs);
    let order = graph.order();
    let known = durations.is_some();
    let durations = durations.unwrap_or_else(|| vec![Band::default(); tasks.len()]);
    let weight = |node: usize| durations.get(node).copied().unwrap_or_default();
    let mut ahead = vec![Band::default(); graph.after.len()];
    for node in order.iter().rev().copied() {
        let next = graph.after[node].iter().map(|next| ahead[*next]);
        let longest = next.fold(Band::default(), Band::max);
        ahead[node] = weight(node).plus(longest);
    }
    let longest = ahead.iter().copied().fold(Band::default(), Band::max);
    let behind = |node: usize| graph.behind(node, tasks, &durations);
    let sets = sets(tasks, &durations, &ahead, &behind);
    let workers = tasks.iter().filter(|task| !task.container).count();
    Left {
        path: path(tasks, &durations, &ahead, &graph),
        blockers: blockers(tasks, &ahead, &behind),
        ahead: Ahead {
            path: known.then_some(longest),
            work: durations.iter().copied().fold(Band::default(), Band::plus),
            tasks: i64::try_from(workers).unwrap_or(i64::MAX),
            sets,
        },
    }
}

/// The work left of each task, 0 of containers; `None` if nothing is known about any.
fn durations(tasks: &[OpenTask], measured: &HashMap<String, Quantiles>) -> Option<Vec<Band>> {
    let whole: Vec<Option<Band>> = tasks.iter().map(|task| whole(task, measured)).collect();
    let own = mean(
        whole
            .iter()
            .zip(tasks)
            .filter(|(_, task)| !task.container)
            .filter_map(|(band, _)| band.map(|band| (band, 1))),
    );
    let all = || mean(measured.values().map(|of| (Band::of(of), of.tasks)));
    let unknown = own.or_else(all);
    if unknown.is_none() && tasks.iter().any(|task| !task.container) {
        return None;
    }
    let left = tasks.iter().zip(whole).map(|(task, band)| {
        let resting = task.container || task.state == TaskState::Reviewing;
        if resting {
            Band::default()
        } else {
            band.or(unknown).unwrap_or_default().less(task.running_ms)
        }
    });
    Some(left.collect())
}

/// The duration of a whole task, from its estimate or what was measured.
fn whole(task: &OpenTask, measured: &HashMap<String, Quantiles>) -> Option<Band> {
    let measured = measured.get(&task.capability_key).map(Band::of);
    let Some(estimate) = task.estimates.get(WALL_MS) else { return measured };
    let Range { want, min } = estimate.range();
    match measured.filter(|band| band.p50 > 0) {
        // Its own size, with the spread of its like.
        Some(band) => {
            let scaled = |part: i64| {
                let exact = i128::from(want) * i128::from(part) / i128::from(band.p50);
                i64::try_from(exact).unwrap_or(i64::MAX)
            };
            Some(Band { p10: scaled(band.p10), p50: want, p90: scaled(band.p90) })
        }
        None => Some(Band { p10: min.min(want), p50: want, p90: want }),
    }
}

fn mean(bands: impl Iterator<Item = (Band, i64)>) -> Option<Band> {
    let (mut sums, mut count) = ([0_i128; 3], 0_i128);
    for (band, tasks) in bands {
        for (sum, part) in sums.iter_mut().zip([band.p10, band.p50, band.p90]) {
            *sum += i128::from(part) * i128::from(tasks);
        }
        count += i128::from(tasks);
    }
    if count == 0 {
        return None;
    }
    let [p10, p50, p90] = sums.map(|sum| i64::try_from(sum / count).unwrap_or(i64::MAX));
    Some(Band { p10, p50, p90 })
}

/// Tasks are nodes by their index; a container is two: its begin, and behind all tasks its end.
struct Graph {
    after: Vec<Vec<usize>>,
}

impl Graph {
    fn new(tasks: &[OpenTask], needs: &[(TaskId, TaskId)]) -> Self {
        let index: HashMap<TaskId, usize> =
            tasks.iter().enumerate().map(|(index, task)| (task.task_id, index)).collect();
        let mut after = vec![Vec::new(); tasks.len()];
        let mut ends: Vec<usize> = (0..tasks.len()).collect();
        for (index, task) in tasks.iter().enumerate() {
            if task.container {
                let end = after.len();
                ends[index] = end;
                after[index].push(end);
                after.push(Vec::new());
            }
        }
        for (task, needed) in needs {
            if let (Some(task), Some(needed)) = (index.get(task), index.get(needed)) {
                after[ends[*needed]].push(*task);
            }
        }
        for (child, task) in tasks.iter().enumerate() {
            let Some(parent) = task.parent.and_then(|parent| index.get(&parent)).copied() else {
                continue;
            };
            after[ends[child]].push(ends[parent]);
            if tasks[parent].container {
                after[parent].push(child);
            }
        }
        Self { after }
    }

    /// The nodes, each before those after it. Nodes of a cycle, and behind one, are missing.
    fn order(&self) -> Vec<usize> {
        let mut before = vec![0_usize; self.after.len()];
        for next in self.after.iter().flatten() {
            before[*next] += 1;
        }
        let mut order: Vec<usize> = (0..before.len()).filter(|node| before[*node] == 0).collect();
        let mut read = 0;
        while let Some(node) = order.get(read).copied() {
            read += 1;
            for next in &self.after[node] {
                before[*next] -= 1;
                if before[*next] == 0 {
                    order.push(*next);
                }
            }
        }
        order
    }

    /// What cannot be done before a node.
    fn behind(&self, node: usize, tasks: &[OpenTask], durations: &[Band]) -> Behind {
        let mut seen = vec![false; self.after.len()];
        let mut ahead = VecDeque::from([node]);
        let mut behind = Behind { task_id: tasks[node].task_id, tasks: 0, work_ms: 0 };
        seen[node] = true;
        while let Some(node) = ahead.pop_front() {
            for next in self.after[node].iter().copied() {
                if std::mem::replace(&mut seen[next], true) {
                    continue;
                }
                ahead.push_back(next);
                if tasks.get(next).is_some_and(|task| !task.container) {
                    behind.tasks += 1;
                    behind.work_ms = behind.work_ms.saturating_add(durations[next].p50);
                }
            }
        }
        behind
    }
}

fn path(tasks: &[OpenTask], durations: &[Band], ahead: &[Band], graph: &Graph) -> Vec<PathStep> {
    // Of equal ones the first of the plan.
    let longest = |nodes: &mut dyn Iterator<Item = usize>| {
        nodes.fold(None, |best: Option<usize>, node| match best {
            Some(best) if ahead[best].p50 >= ahead[node].p50 => Some(best),
            Some(_) | None => Some(node),
        })
    };
    let mut steps = Vec::new();
    let mut at = longest(&mut (0..graph.after.len()));
    // Nodes of a cycle have nothing ahead of them, so the walk ends; the bound makes it certain.
    for _ in 0..graph.after.len() {
        let Some(node) = at else { break };
        if let Some(task) = tasks.get(node).filter(|task| !task.container) {
            steps.push(PathStep {
                task_id: task.task_id,
                work_ms: durations[node].p50,
                left_ms: ahead[node].p50,
            });
        }
        if steps.len() == PATH_SHOWN {
            break;
        }
        at = longest(&mut graph.after[node].iter().copied());
    }
    steps
}

fn sets(
    tasks: &[OpenTask],
    durations: &[Band],
    ahead: &[Band],
    behind: &dyn Fn(usize) -> Behind,
) -> Vec<SetLeft> {
    let mut found: BTreeMap<&str, (Band, i64, Option<usize>)> = BTreeMap::new();
    for (index, task) in tasks.iter().enumerate().filter(|(_, task)| !task.container) {
        let (work, count, ready) = found.entry(&task.capability_key).or_default();
        *work = work.plus(durations[index]);
        *count += 1;
        let longer = ready.is_none_or(|ready| ahead[ready].p50 < ahead[index].p50);
        if task.state == TaskState::Ready && longer {
            *ready = Some(index);
        }
    }
    let mut sets: Vec<_> = found.into_iter().collect();
    sets.sort_by_key(|(_, (work, count, _))| (-work.p50, -count));
    sets.truncate(CANDIDATES);
    let set = |(key, (work, tasks, ready)): (&str, (Band, i64, Option<usize>))| SetLeft {
        key: key.to_owned(),
        work,
        tasks,
        ready: ready.map(behind),
    };
    sets.into_iter().map(set).collect()
}

fn blockers(tasks: &[OpenTask], ahead: &[Band], behind: &dyn Fn(usize) -> Behind) -> Vec<Blocker> {
    let mut waiting: Vec<usize> =
        (0..tasks.len()).filter(|index| tasks[*index].waits.is_some()).collect();
    waiting.sort_by_key(|index| -ahead[*index].p50);
    waiting.truncate(CANDIDATES);
    let blocker = |index: usize| {
        let (reason, approval_id) = tasks[index].waits?;
        Some(Blocker { behind: behind(index), reason, approval_id })
    };
    rank(waiting.into_iter().filter_map(blocker).collect())
}

/// The blockers with the most work behind them.
#[must_use]
pub fn rank(mut blockers: Vec<Blocker>) -> Vec<Blocker> {
    blockers.sort_by_key(|Blocker { behind, .. }| (-behind.work_ms, -behind.tasks, behind.task_id));
    blockers.truncate(BLOCKERS_SHOWN);
    blockers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::budget::ask::Estimate;

    fn id(n: usize) -> TaskId {
        TaskId(Uuid::from_u128(n as u128 + 1))
    }

    fn task(n: usize, wall_ms: i64) -> OpenTask {
        OpenTask {
            task_id: id(n),
            parent: None,
            container: false,
            state: TaskState::Waiting,
            capability_key: String::new(),
            estimates: Estimates::from([(WALL_MS.to_owned(), Estimate::Exact(wall_ms))]),
            running_ms: 0,
            waits: None,
        }
    }

    fn unknown(n: usize, key: &str) -> OpenTask {
        OpenTask { estimates: Estimates::new(), capability_key: key.into(), ..task(n, 0) }
    }

    fn shown(left: &Left) -> Vec<(usize, i64, i64)> {
        let number = |id: TaskId| usize::try_from(id.0.as_u128() - 1).unwrap();
        left.path.iter().map(|step| (number(step.task_id), step.work_ms, step.left_ms)).collect()
    }

    #[test]
    fn the_longest_path_counts_and_not_the_one_with_most_tasks() {
        let tasks = [task(0, 5), task(1, 1), task(2, 1), task(3, 10), task(4, 2)];
        let needs = [(id(1), id(0)), (id(2), id(1)), (id(4), id(3)), (id(4), id(2))];
        let left = left(&tasks, &needs, &HashMap::new());
        assert_eq!(left.ahead.path, Some(Band::exact(12)));
        assert_eq!((left.ahead.work, left.ahead.tasks), (Band::exact(19), 5));
        assert_eq!(shown(&left), [(3, 10, 12), (4, 2, 2)]);
    }

    #[test]
    fn a_container_is_passed_through_and_a_task_goes_on_after_its_subtasks() {
        let mut tasks = [task(0, 5), task(1, 900), task(2, 3), task(3, 4), task(4, 2), task(5, 7)];
        tasks[1].container = true;
        tasks[2].parent = Some(id(1));
        tasks[3].parent = Some(id(1));
        tasks[5].parent = Some(id(4));
        // The container after the first, the last after the container; it waits for its own subtask.
        let needs = [(id(1), id(0)), (id(4), id(1))];
        let left = left(&tasks, &needs, &HashMap::new());
        assert_eq!(left.ahead.path, Some(Band::exact(5 + 4 + 2)));
        assert_eq!(shown(&left), [(0, 5, 11), (3, 4, 6), (4, 2, 2)]);
        assert_eq!(left.ahead.work, Band::exact(21), "a container is no work");
        tasks[5].estimates = Estimates::from([(WALL_MS.to_owned(), Estimate::Exact(70))]);
        let found = super::left(&tasks, &needs, &HashMap::new());
        assert_eq!(shown(&found), [(5, 70, 72), (4, 2, 2)]);
    }

    #[test]
    fn durations_come_from_estimates_then_from_what_was_measured() {
        let band = Band { p10: 50, p50: 100, p90: 300 };
        let measured = HashMap::from([(
            "rust".to_owned(),
            Quantiles { p10: 50, p50: 100, p90: 300, tasks: 4 },
        )]);
        let mut estimated = task(0, 1_000);
        estimated.capability_key = "rust".into();
        let mut running = unknown(1, "rust");
        running.running_ms = 60;
        let mut reviewing = unknown(2, "rust");
        reviewing.state = TaskState::Reviewing;
        let of = |task: OpenTask| left(&[task], &[], &measured).ahead.work;
        assert_eq!(of(estimated), Band { p10: 500, p50: 1_000, p90: 3_000 });
        assert_eq!(of(unknown(0, "rust")), band);
        assert_eq!(of(running), Band { p10: 0, p50: 40, p90: 240 });
        assert_eq!(of(reviewing), Band::default());
        assert_eq!(of(unknown(0, "docs")), band, "what the workspace took");
        let two = [task(0, 8), unknown(1, "docs")];
        assert_eq!(left(&two, &[], &measured).ahead.work, Band::exact(16), "the mean of the goal");
        let nothing = left(&[unknown(0, "docs")], &[], &HashMap::new());
        assert_eq!((nothing.ahead.path, nothing.ahead.tasks), (None, 1));
        assert_eq!(left(&[], &[], &HashMap::new()).ahead.path, Some(Band::default()));
    }

    #[test]
    fn who_blocks_the_most_work_comes_first() {
        let mut tasks: Vec<OpenTask> = (0..16).map(|n| task(n, 10)).collect();
        for (n, task) in tasks.iter_mut().enumerate().take(12) {
            task.waits = Some((BlockerReason::Person, None));
            task.state = if n % 2 == 0 { TaskState::Parked } else { TaskState::Reviewing };
        }
        tasks[12].state = TaskState::Ready;
        let needs = [(id(13), id(11)), (id(14), id(13)), (id(15), id(12)), (id(13), id(3))];
        let found = left(&tasks, &needs, &HashMap::new());
        let behind: Vec<(TaskId, i64, i64)> = found
            .blockers
            .iter()
            .map(|blocker| (blocker.behind.task_id, blocker.behind.tasks, blocker.behind.work_ms))
            .collect();
        assert_eq!(behind[..3], [(id(3), 2, 20), (id(11), 2, 20), (id(0), 0, 0)]);
        assert_eq!(behind.len(), BLOCKERS_SHOWN);
        let ready = found.ahead.sets[0].ready.unwrap();
        assert_eq!((ready.task_id, ready.tasks, ready.work_ms), (id(12), 1, 10));
    }

    #[test]
    fn units_of_estimates_are_bounded() {
        let many = |n: i64| Estimates::from([(format!("u{n:03}"), Estimate::Exact(n))]);
        let mut tasks: Vec<Estimates> = (0..80).map(many).collect();
        tasks.push(many(79));
        let sums = sum_estimates(tasks.iter());
        assert_eq!(sums.len(), UNITS);
        assert_eq!(sums["u079"], Estimated { amount: 158, tasks: 2 });
    }

    proptest! {
        /// Whatever the graph, cycles included: no panic, and the path is no longer than all the work,
        /// and no shorter than the longest task that is on no cycle.
        #[test]
        fn any_graph_is_read(
            tasks in prop::collection::vec((0..10_000_i64, any::<bool>(), prop::option::of(0usize..40)), 0..40),
            arrows in prop::collection::vec((0usize..40, 0usize..40), 0..120),
            acyclic in any::<bool>(),
        ) {
            let made: Vec<OpenTask> = tasks.iter().enumerate().map(|(n, (wall_ms, container, parent))| OpenTask {
                container: *container,
                parent: parent.filter(|parent| !acyclic || *parent < n).map(id),
                ..task(n, *wall_ms)
            }).collect();
            let needs: Vec<(TaskId, TaskId)> = arrows.iter()
                .filter(|(a, b)| !acyclic || a > b).map(|(a, b)| (id(*a), id(*b))).collect();
            let found = left(&made, &needs, &HashMap::new());
            let path = found.ahead.path.unwrap();
            prop_assert!(path.p50 <= found.ahead.work.p50);
            prop_assert!(found.path.len() <= PATH_SHOWN);
            let longest = made.iter().filter(|task| !task.container).map(|task| task.estimates[WALL_MS].range().want).max();
            if needs.is_empty() && made.iter().all(|task| task.parent.is_none()) {
                prop_assert_eq!(path.p50, longest.unwrap_or_default());
            }
            if let Some(first) = found.path.first() {
                prop_assert!(first.left_ms <= path.p50);
            }
        }
    }
}
