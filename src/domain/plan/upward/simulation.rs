//! Longest path first against first in, first out: whole graphs, worked on in memory by a simulated clock.
//!
//! With `MUSTER_DAGS`, the path of a directory of graphs as JSON (`{tasks: [{id, parents, runtime_s}]}`), these are
//! worked on, too. `--nocapture` shows the numbers.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::upward;
use crate::domain::{
    plan::network::Link,
    routing::policy::Policy,
    routing::rank::{Place, rank},
};

/// A small generator of repeatable numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `least` to `most`.
    fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }
}

/// Tasks with what they need, and their true durations in milliseconds.
struct Graph {
    name: String,
    needs: Vec<Vec<usize>>,
    durations: Vec<i64>,
}

impl Graph {
    /// A graph of one of four shapes: layers, a random order, chains that meet, and a tree of parts.
    fn random(seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let count = numbers.within(20, 150) as usize;
        let shape = seed % 4;
        let width = numbers.within(3, 15) as usize;
        let needs: Vec<Vec<usize>> = (0..count)
            .map(|task| {
                let mut needs = BTreeSet::new();
                match shape {
                    0 if task >= width => {
                        let layer = task / width * width;
                        for _ in 0..numbers.within(1, 3) {
                            let one = numbers.within((layer - width) as u64, layer as u64 - 1);
                            needs.insert(one as usize);
                        }
                    }
                    1 if task > 0 => {
                        for _ in 0..numbers.within(0, 3) {
                            needs.insert(numbers.within(0, task as u64 - 1) as usize);
                        }
                    }
                    2 if task >= width => {
                        needs.insert(task - width);
                        if numbers.within(0, 9) == 0 {
                            needs.insert(numbers.within(0, task as u64 - 1) as usize);
                        }
                    }
                    3 if task > 0 => {
                        needs.insert((task - 1) / 2);
                    }
                    _ => {}
                }
                needs.into_iter().collect()
            })
            .collect();
        // Mostly short ones, and some long.
        let duration = |numbers: &mut Numbers| {
            let most = 1_000 << numbers.within(3, 10);
            numbers.within(1_000, most) as i64
        };
        let durations = (0..count).map(|_| duration(&mut numbers)).collect();
        Self { name: format!("random {seed}"), needs, durations }
    }

    /// The durations as far as they are known: each up to a half more or less.
    fn known(&self, numbers: &mut Numbers) -> Vec<i64> {
        let about = |duration: &i64| duration * numbers.within(500, 1_500) as i64 / 1_000;
        self.durations.iter().map(about).collect()
    }

    fn upward(&self, durations: &[i64]) -> Vec<i64> {
        let link =
            |needs: &Vec<usize>| Link { parent: None, container: false, needs: needs.clone() };
        upward(&self.needs.iter().map(link).collect::<Vec<_>>(), durations)
    }

    /// No schedule takes less: the longest path, and the work shared out evenly.
    fn bound(&self, agents: usize) -> i64 {
        let path = self.upward(&self.durations).into_iter().max().unwrap_or(0);
        path.max(self.durations.iter().sum::<i64>() / agents as i64)
    }

    /// When the last task ends, with so many agents and tasks in the order of their ranks.
    fn makespan(&self, agents: usize, upward: &[i64], routing: Policy) -> i64 {
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); self.needs.len()];
        for (task, needs) in self.needs.iter().enumerate() {
            for need in needs {
                next[*need].push(task);
            }
        }
        let mut missing: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut ready: BTreeSet<(DateTime<Utc>, usize)> = BTreeSet::new();
        let mut running: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
        let at = |now: i64| DateTime::UNIX_EPOCH + TimeDelta::milliseconds(now);
        let place = |task: usize, now: i64| Place {
            since: at(now),
            priority: 5,
            upward_ms: upward[task],
            due: None,
        };
        for task in (0..missing.len()).filter(|task| missing[*task] == 0) {
            ready.insert((rank(&place(task, 0), routing), task));
        }
        let mut now = 0;
        loop {
            while running.len() < agents {
                let Some((_, task)) = ready.pop_first() else { break };
                running.push(Reverse((now + self.durations[task], task)));
            }
            let Some(Reverse((end, task))) = running.pop() else { return now };
            now = end;
            for task in &next[task] {
                missing[*task] -= 1;
                if missing[*task] == 0 {
                    ready.insert((rank(&place(*task, now), routing), *task));
                }
            }
        }
    }
}

/// What many schedules say together.
#[derive(Default)]
struct Tally {
    all: usize,
    not_worse: usize,
    much_worse: usize,
    /// Thousandths above the bound, longest path first and first in, first out.
    above: (i64, i64),
}

impl Tally {
    fn add(&mut self, graph: &Graph, agents: usize, numbers: &mut Numbers) {
        let upward = graph.upward(&graph.known(numbers));
        let longest = graph.makespan(agents, &upward, Policy::Balanced);
        let fifo = graph.makespan(agents, &upward, Policy::Fifo);
        let bound = graph.bound(agents);
        assert!(longest >= bound && fifo >= bound, "{}", graph.name);
        self.all += 1;
        self.not_worse += usize::from(longest <= fifo);
        self.much_worse += usize::from(longest * 100 > fifo * 105);
        let above = |span: i64| (span - bound) * 1_000 / bound.max(1);
        self.above.0 += above(longest);
        self.above.1 += above(fifo);
    }

    fn join(&mut self, other: &Self) {
        self.all += other.all;
        self.not_worse += other.not_worse;
        self.much_worse += other.much_worse;
        self.above.0 += other.above.0;
        self.above.1 += other.above.1;
    }

    fn print(&self, what: &str) {
        let of = |count: usize| count as f64 * 100.0 / self.all as f64;
        let above = |sum: i64| sum as f64 / 10.0 / self.all as f64;
        println!(
            "{what}: {} schedules, not worse than fifo {:.1} %, over 5 % worse {:.1} %, above the bound {:.1} % \
             (fifo {:.1} %)",
            self.all,
            of(self.not_worse),
            of(self.much_worse),
            above(self.above.0),
            above(self.above.1),
        );
    }

    fn hold(&self) {
        assert!(self.not_worse * 100 >= self.all * 90, "{} of {}", self.not_worse, self.all);
        assert!(self.much_worse * 100 <= self.all, "{} of {}", self.much_worse, self.all);
    }
}

#[test]
fn the_longest_path_first_is_seldom_worse() {
    let mut all = Tally::default();
    for agents in 2..=8 {
        let mut tally = Tally::default();
        for seed in 0..500 {
            let graph = Graph::random(seed);
            let mut numbers = Numbers(seed ^ 0x5eed);
            tally.add(&graph, agents, &mut numbers);
        }
        all.join(&tally);
        tally.print(&format!("{agents} agents"));
    }
    all.print("500 random graphs, 2 to 8 agents");
    all.hold();
}

#[derive(Deserialize)]
struct StoredTask {
    id: String,
    parents: Vec<String>,
    runtime_s: f64,
}

#[derive(Deserialize)]
struct StoredGraph {
    name: String,
    tasks: Vec<StoredTask>,
}

impl Graph {
    fn stored(text: &str) -> Self {
        let StoredGraph { name, tasks } = serde_json::from_str(text).expect("a graph");
        let by_id: HashMap<&str, usize> =
            tasks.iter().enumerate().map(|(index, task)| (task.id.as_str(), index)).collect();
        let needs = |task: &StoredTask| {
            task.parents.iter().map(|parent| by_id[parent.as_str()]).collect::<Vec<_>>()
        };
        Self {
            name,
            needs: tasks.iter().map(needs).collect(),
            durations: tasks.iter().map(|task| (task.runtime_s * 1_000.0) as i64).collect(),
        }
    }
}

#[test]
fn real_graphs_are_seldom_slower() {
    let Ok(directory) = std::env::var("MUSTER_DAGS") else { return };
    let mut all = Tally::default();
    let files = std::fs::read_dir(directory).expect("a directory");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|kind| kind == "json")) {
        let graph = Graph::stored(&std::fs::read_to_string(path).expect("text"));
        let mut tally = Tally::default();
        for agents in 2..=8 {
            for seed in 0..25 {
                tally.add(&graph, agents, &mut Numbers(seed));
            }
        }
        all.join(&tally);
        tally.print(&graph.name);
    }
    all.print("real graphs, 2 to 8 agents, 25 estimates each");
    all.hold();
}
