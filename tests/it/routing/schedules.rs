//! Whole plans through the claims of a service by a clock that the test moves: how long they take.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    fleet::Fleet,
};

/// Tasks with what they need, their true durations, and the known ones: up to a half more or less.
struct Graph {
    needs: Vec<Vec<usize>>,
    durations: Vec<u64>,
    known: Vec<u64>,
}

impl Graph {
    fn random(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(20..45_usize);
        let width = random.random_range(3..9_usize);
        let layered = seed.is_multiple_of(2);
        let needs = (0..count).map(|task| {
            let mut needs: Vec<usize> = match (layered, task) {
                (true, task) if task < width => Vec::new(),
                (true, task) => {
                    let layer = task / width * width;
                    let one = |random: &mut StdRng| random.random_range(layer - width..layer);
                    vec![one(&mut random), one(&mut random)]
                }
                (false, task) => (0..random.random_range(0..3).min(task))
                    .map(|_| random.random_range(0..task))
                    .collect(),
            };
            needs.sort_unstable();
            needs.dedup();
            needs
        });
        let needs = needs.collect();
        let durations: Vec<u64> = (0..count)
            .map(|_| {
                let most = 2_000 << random.random_range(2..9);
                random.random_range(1_000..most)
            })
            .collect();
        let about = |duration: &u64| duration * random.random_range(500..=1_500) / 1_000;
        let known = durations.iter().map(about).collect();
        Self { needs, durations, known }
    }

    fn tasks(&self) -> Value {
        let task = |(number, needs): (usize, &Vec<usize>)| {
            let needs: Vec<String> = needs.iter().map(|need| format!("t{need}")).collect();
            json!({"ref": format!("t{number}"), "title": "t", "needs": needs, "lease_seconds": 3600,
                   "estimate": {"wall_ms": self.known[number]}})
        };
        self.needs.iter().enumerate().map(task).collect()
    }

    /// The longest path by the true durations, and the work shared out evenly: nothing takes less.
    fn bound(&self, agents: u64) -> u64 {
        let mut ends: Vec<u64> = Vec::new();
        for (task, needs) in self.needs.iter().enumerate() {
            let begin = needs.iter().map(|need| ends[*need]).max().unwrap_or(0);
            ends.push(begin + self.durations[task]);
        }
        let path = ends.into_iter().max().unwrap_or(0);
        path.max(self.durations.iter().sum::<u64>() / agents)
    }
}

/// Works a graph off; returns the milliseconds until its last task has ended.
async fn makespan(fleet: &Fleet, worker: &Agent, agents: usize, graph: &Graph) -> u64 {
    fleet.goal(graph.tasks()).await;
    let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut held: HashMap<usize, Held> = HashMap::new();
    let mut now = 0;
    loop {
        while running.len() < agents {
            let Some(one) = worker.claim(1).await.pop() else { break };
            let task: usize = one.name[1..].parse().unwrap();
            running.push(Reverse((now + graph.durations[task], task)));
            held.insert(task, one);
        }
        let Some(Reverse((end, task))) = running.pop() else { return now };
        fleet.clock.advance(Duration::from_millis(end - now));
        now = end;
        worker.complete(&held[&task]).await;
    }
}

#[tokio::test]
async fn plans_take_no_longer_than_first_in_first_out() {
    let (mut not_worse, mut much_worse) = (0, 0);
    let (mut sum, mut sum_of_fifo, mut sum_of_bounds) = (0, 0, 0);
    let (fleet, other) = (Fleet::start().await, Fleet::start().await);
    let (worker, other_worker) = (fleet.worker().await, other.worker().await);
    let change = json!({"routing": "fifo"});
    other.admin.patch("/v1/workspace", &change).if_match("*").await.expect(200);
    for number in 0..20 {
        let graph = Graph::random(number);
        let agents = 2 + number as usize % 7;
        let ahead = makespan(&fleet, &worker, agents, &graph).await;
        let fifo = makespan(&other, &other_worker, agents, &graph).await;
        let bound = graph.bound(agents as u64);
        println!("{agents} agents: {ahead} ms, fifo {fifo} ms, bound {bound} ms");
        assert!(ahead >= bound && fifo >= bound);
        not_worse += usize::from(ahead <= fifo);
        much_worse += usize::from(ahead * 100 > fifo * 105);
        (sum, sum_of_fifo, sum_of_bounds) =
            (sum + ahead, sum_of_fifo + fifo, sum_of_bounds + bound);
    }
    println!("together: {sum} ms, fifo {sum_of_fifo} ms, bound {sum_of_bounds} ms");
    assert!(not_worse >= 18, "{not_worse} of 20");
    assert_eq!(much_worse, 0);
    assert!(sum <= sum_of_fifo);
}
