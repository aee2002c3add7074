//! The numbers of a plan: what it will use, how long it takes, what holds it up.
//!
//! Only open leaves count: a container weighs nothing itself, and what is done is done. The duration of a task is
//! its own estimate of `wall_ms`, else the median of finished tasks with the same capabilities, else the median
//! of all finished tasks of the workspace, else ten minutes; how many tasks have which is told. All are whole
//! milliseconds, and sums saturate.
//!
//! Everything is computed from the plan and the ground alone, in time linear in tasks and dependencies but for
//! the schedule, which is repeated some twenty times.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    TaskSpec,
    bands::{self, clamp},
    ground::{Fleet, Ground},
    network::Network,
    schedule::{Job, Shop},
};
use crate::domain::{
    spend::{ATTEMPTS, WALL_MS, measured::Quantiles},
    words::words,
};

/// The duration of a task of which nothing is known: ten minutes, in milliseconds.
pub const DEFAULT_MS: i64 = 600_000;
/// The most refs that a wave lists.
pub const WAVE_REFS: usize = 100;
/// The most sets of capabilities that `missing` lists.
const MISSING: usize = 100;

words! {
    /// The source of a task's duration: `estimate` (its own), `measured` (what finished tasks took) or
    /// `default` (ten minutes).
    pub enum DurationSource {
        /// Its own estimate of `wall_ms`.
        Estimate => "estimate",
        /// The median of finished tasks with the same capabilities, or of all of the workspace.
        Measured => "measured",
        /// Nothing is known: ten minutes.
        Default => "default",
    }
}

/// The numbers of a plan, as of when it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanNumbers {
    /// Number of tasks that are worked on: no containers, not done.
    #[schema(example = 4)]
    pub tasks: i64,
    /// Expected use by unit: of all tasks, by their estimates or by what finished tasks with the same
    /// capabilities used. Units of which nothing is known are missing.
    pub cost: Vec<CostBand>,
    /// Sum of the durations of all tasks, in milliseconds.
    #[schema(example = 5_400_000)]
    pub work_ms: i64,
    /// Number of tasks by the source of their duration.
    pub durations: DurationBasis,
    /// The chain of tasks that takes longest: no number of agents makes the plan shorter.
    pub critical_path: CriticalPath,
    /// The tasks in waves: the first are those without open needs, the next those whose needs are all in
    /// earlier waves.
    pub waves: Vec<Wave>,
    /// Number of tasks of the widest wave.
    #[schema(example = 2)]
    pub widest: i64,
    /// The expected duration with the agents that are online.
    pub expected: Expected,
    /// Tasks that no online agent is able to do, by their capabilities; at most 100.
    pub missing: Vec<MissingAgents>,
}

/// Expected use of a plan in one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CostBand {
    /// The unit, for example `usd_micros`.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// The plan uses less with a probability of one in ten.
    #[schema(example = 800_000)]
    pub p10: i64,
    /// As likely more as less.
    #[schema(example = 1_000_000)]
    pub p50: i64,
    /// The plan uses more with a probability of one in ten.
    #[schema(example = 1_300_000)]
    pub p90: i64,
    /// Number of tasks that count with an estimate of their own: its `want`, or from `min` to `want`.
    pub from_estimate: i64,
    /// Number of tasks that count with what finished tasks of the same capabilities used.
    pub from_measured: i64,
    /// Number of tasks without an estimate and without measured use; not in the sum.
    pub unknown: i64,
}

/// Number of tasks by the source of their duration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DurationBasis {
    /// Their own estimate of `wall_ms`.
    pub estimate: i64,
    /// The median of finished tasks with the same capabilities, or of all of the workspace.
    pub measured: i64,
    /// Nothing is known: ten minutes each.
    pub default: i64,
}

/// The chain of tasks that takes longest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CriticalPath {
    /// Its length in milliseconds.
    #[schema(example = 3_600_000)]
    pub ms: i64,
    /// The length of the longest chain if every task takes only the `min` of its estimate. Equals `ms` for
    /// estimates without a range.
    #[schema(example = 3_600_000)]
    pub least_ms: i64,
    /// Its tasks in order, by ref.
    #[schema(example = json!(["schema", "api"]))]
    pub refs: Vec<String>,
}

/// Tasks that can run at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Wave {
    /// Number of its tasks.
    #[schema(example = 2)]
    pub width: i64,
    /// Its tasks in plan order, by ref; the first 100.
    #[schema(example = json!(["schema", "docs"]))]
    pub refs: Vec<String>,
}

/// The expected duration with the agents that are online. Their present work is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Expected {
    /// Milliseconds until the last task is done; `null` if no online agent can do one of the tasks.
    #[schema(example = 4_200_000)]
    pub ms: Option<i64>,
    /// Number of tasks of the plan that the online agents can have at once.
    #[schema(example = 2)]
    pub slots: i64,
    /// Milliseconds with as many agents as the plan can use: the critical path, and what waits for a start
    /// time.
    #[schema(example = 3_600_000)]
    pub shortest_ms: i64,
    /// Number of further agents, able to do all of it and one task at a time, with which the plan takes
    /// `shortest_ms`. More would not shorten it; where thousands of sets of capabilities are spread over hundreds of
    /// agents, fewer may do.
    #[schema(example = 1)]
    pub more_agents: i64,
}

/// Tasks that no online agent is able to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MissingAgents {
    /// The capabilities that one agent needs. Empty: no agent is online.
    #[schema(example = json!(["rust", "review"]))]
    pub capabilities: Vec<String>,
    /// Number of the tasks.
    #[schema(example = 3)]
    pub tasks: i64,
    /// Number of registered agents with all of these capabilities; they are late, lost, paused or draining.
    #[schema(example = 1)]
    pub offline: i64,
}

/// The duration of a task in milliseconds, the least it may take, and how it is known.
#[must_use]
pub fn duration(task: &TaskSpec, ground: &Ground) -> (i64, i64, DurationSource) {
    if let Some(estimate) = task.estimate.get(WALL_MS) {
        let range = estimate.range();
        return (
            range.want.max(0),
            range.min.clamp(0, range.want.max(0)),
            DurationSource::Estimate,
        );
    }
    let measured =
        ground.used(&task.capabilities, WALL_MS).or_else(|| ground.overall.get(WALL_MS).copied());
    match measured {
        Some(Quantiles { p50, .. }) => (p50.max(0), p50.max(0), DurationSource::Measured),
        None => (DEFAULT_MS, DEFAULT_MS, DurationSource::Default),
    }
}

/// The numbers of a plan. A plan that cannot be ordered has numbers of the part that can.
#[must_use]
pub fn numbers(tasks: &[TaskSpec], ground: &Ground) -> PlanNumbers {
    let network = Network::of(tasks);
    let durations: Vec<(i64, i64, DurationSource)> =
        tasks.iter().map(|task| duration(task, ground)).collect();
    let waiting: Vec<i64> = tasks.iter().map(|task| waiting(task, ground)).collect();
    let leaves: Vec<usize> = network.leaves().collect();
    let names = |list: &[usize], most: usize| {
        list.iter().take(most).map(|task| tasks[*task].r#ref.clone()).collect()
    };

    let path = network.longest(|task| durations[task].0, |_| 0);
    let least = network.longest(|task| durations[task].1, |_| 0);
    let waves: Vec<Vec<usize>> = network.waves();
    let shortest = network.longest(|task| durations[task].0, |task| waiting[task]);
    let jobs = leaves.iter().map(|task| Job {
        task: *task,
        capabilities: &tasks[*task].capabilities,
        duration: durations[*task].0,
        not_before: waiting[*task],
    });
    let fleet = Fleet::of(&ground.agents);
    let shop = Shop::new(&network, tasks.len(), jobs.collect(), &fleet);
    let more_agents = if network.is_ordered() { shop.useful_agents(shortest.length) } else { 0 };
    PlanNumbers {
        tasks: count(leaves.len()),
        cost: cost(tasks, &leaves, ground),
        work_ms: clamp(leaves.iter().map(|task| i128::from(durations[*task].0)).sum()),
        durations: basis(leaves.iter().map(|task| durations[*task].2)),
        critical_path: CriticalPath {
            ms: path.length,
            least_ms: least.length,
            refs: names(&path.tasks, usize::MAX),
        },
        widest: waves.iter().map(|wave| count(wave.len())).max().unwrap_or(0),
        waves: waves
            .iter()
            .map(|wave| Wave { width: count(wave.len()), refs: names(wave, WAVE_REFS) })
            .collect(),
        expected: Expected {
            ms: if leaves.is_empty() { Some(0) } else { shop.duration(0) },
            slots: count(shop.slots()),
            shortest_ms: shortest.length,
            more_agents: count(more_agents),
        },
        missing: missing(&shop, &fleet),
    }
}

/// Milliseconds from now until a task may start.
#[must_use]
pub fn waiting(task: &TaskSpec, ground: &Ground) -> i64 {
    task.not_before.map_or(0, |time| (time - ground.now).num_milliseconds().max(0))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn basis(sources: impl Iterator<Item = DurationSource>) -> DurationBasis {
    let mut basis = DurationBasis::default();
    for source in sources {
        match source {
            DurationSource::Estimate => basis.estimate += 1,
            DurationSource::Measured => basis.measured += 1,
            DurationSource::Default => basis.default += 1,
        }
    }
    basis
}

fn missing(shop: &Shop<'_>, fleet: &Fleet<'_>) -> Vec<MissingAgents> {
    let line = |(capabilities, tasks): (&[String], usize)| MissingAgents {
        capabilities: capabilities.to_vec(),
        tasks: count(tasks),
        offline: fleet.agents(capabilities),
    };
    shop.without_crew().take(MISSING).map(line).collect()
}

/// What one task is known to use of a unit.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// Its own estimate.
    Estimate(Quantiles),
    /// What finished tasks with the same capabilities used.
    Measured(Quantiles),
}

/// The expected use by unit: what the unit `attempts` would say is `tasks`, so it is left out.
fn cost(tasks: &[TaskSpec], leaves: &[usize], ground: &Ground) -> Vec<CostBand> {
    let mut units: BTreeMap<&str, Vec<Known>> = BTreeMap::new();
    // Each set of capabilities is looked up once.
    let mut measured: BTreeMap<&[String], Option<&BTreeMap<String, Quantiles>>> = BTreeMap::new();
    for task in leaves.iter().map(|task| &tasks[*task]) {
        let used = *measured
            .entry(&task.capabilities)
            .or_insert_with(|| ground.measured_of(&task.capabilities));
        let mut own: BTreeSet<&str> = BTreeSet::new();
        for (unit, estimate) in &task.estimate {
            let range = estimate.range();
            let known = Quantiles { p10: range.min, p50: range.want, p90: range.want, tasks: 1 };
            own.insert(unit);
            units.entry(unit).or_default().push(Known::Estimate(known));
        }
        for (unit, known) in
            used.into_iter().flatten().filter(|(unit, _)| !own.contains(unit.as_str()))
        {
            units.entry(unit).or_default().push(Known::Measured(*known));
        }
    }
    units.remove(ATTEMPTS);
    units.into_iter().map(|(unit, known)| band(unit, &known, leaves.len())).collect()
}

fn band(unit: &str, known: &[Known], tasks: usize) -> CostBand {
    let mut certain = 0_i128;
    let mut spreads = Vec::new();
    let (mut from_estimate, mut from_measured) = (0, 0);
    for one in known {
        let spread = match *one {
            Known::Estimate(spread) => {
                from_estimate += 1;
                spread
            }
            Known::Measured(spread) => {
                from_measured += 1;
                spread
            }
        };
        if spread.p10 == spread.p90 {
            certain += i128::from(spread.p50)
        } else {
            spreads.push(spread)
        }
    }
    let bands::Band { p10, p50, p90 } = bands::sum(certain, &spreads);
    let unknown = count(tasks.saturating_sub(known.len()));
    CostBand { unit: unit.to_owned(), p10, p50, p90, from_estimate, from_measured, unknown }
}

#[cfg(test)]
mod tests;
