//! Longest path first against first in, first out: whole graphs, worked on in memory by a simulated clock.
//!
//! With `MUSTER_DAGS`, the path of a directory of graphs as JSON (`{tasks: [{id, parents, runtime_s}]}`), these are
//! worked on, too. `--nocapture` shows the numbers.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    graphs::{Graph, Numbers},
    upward,
};
use crate::domain::{
    plan::network::Link,
    routing::policy::Policy,
    routing::rank::{Place, rank},
};

impl Graph {
    fn upward(&self, durations: &[i64]) -> Vec<i64> {
        let link =
            |needs: &Vec<usize>| Link { parent: None, container: false, needs: needs.clone() };
        upward(&self.needs.iter().map(link).collect::<Vec<_>>(), durations)
    }

    /// When the last task ends, with so many agents and tasks in the order of their ranks.
    fn makespan(&self, agents: usize, upward: &[i64], routing: Policy) -> i64 {
        let next = self.next();
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
            let graph = Graph::random(seed, 150);
            let mut numbers = Numbers(seed ^ 0x5eed);
            tally.add(&graph, agents, &mut numbers);
        }
        all.join(&tally);
        tally.print(&format!("{agents} agents"));
    }
    all.print("500 random graphs, 2 to 8 agents");
    all.hold();
}

#[test]
fn real_graphs_are_seldom_slower() {
    let graphs = Graph::given();
    if graphs.is_empty() {
        return;
    }
    let mut all = Tally::default();
    for graph in &graphs {
        let mut tally = Tally::default();
        for agents in 2..=8 {
            for seed in 0..25 {
                tally.add(graph, agents, &mut Numbers(seed));
            }
        }
        all.join(&tally);
        tally.print(&graph.name);
    }
    all.print("real graphs, 2 to 8 agents, 25 estimates each");
    all.hold();
}
