//! Graphs of tasks for tests: random ones of several shapes, and stored ones.
//!
//! The integration tests read this file, too: the same graphs are worked on in memory and through the claims. So it
//! names nothing of the crate.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

/// A small generator of repeatable numbers (SplitMix64).
pub struct Numbers(pub u64);

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
pub struct Graph {
    pub name: String,
    pub needs: Vec<Vec<usize>>,
    pub durations: Vec<i64>,
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
    /// A graph of up to so many tasks, of one of four shapes: layers, a random order, chains that meet, and a tree of
    /// parts.
    pub fn random(seed: u64, most: u64) -> Self {
        let mut numbers = Numbers(seed);
        let count = numbers.within(20, most) as usize;
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

    /// A stored graph: `{name, tasks: [{id, parents, runtime_s}]}`.
    pub fn stored(text: &str) -> Self {
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

    /// The graphs of the directory that `MUSTER_DAGS` names; none without it.
    pub fn given() -> Vec<Self> {
        let Ok(directory) = std::env::var("MUSTER_DAGS") else { return Vec::new() };
        let files = std::fs::read_dir(directory).expect("a directory");
        let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        paths.sort();
        let json = paths.iter().filter(|path| path.extension().is_some_and(|kind| kind == "json"));
        json.map(|path| Self::stored(&std::fs::read_to_string(path).expect("text"))).collect()
    }

    /// The durations as far as they are known: each up to a half more or less.
    pub fn known(&self, numbers: &mut Numbers) -> Vec<i64> {
        let about = |duration: &i64| duration * numbers.within(500, 1_500) as i64 / 1_000;
        self.durations.iter().map(about).collect()
    }

    /// The tasks that need each task.
    pub fn next(&self) -> Vec<Vec<usize>> {
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); self.needs.len()];
        for (task, needs) in self.needs.iter().enumerate() {
            for need in needs {
                next[*need].push(task);
            }
        }
        next
    }

    /// No schedule takes less: the longest path, and the work shared out evenly.
    pub fn bound(&self, agents: usize) -> i64 {
        let next = self.next();
        let mut missing: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut ends = self.durations.clone();
        let mut ready: Vec<usize> = (0..missing.len()).filter(|task| missing[*task] == 0).collect();
        while let Some(task) = ready.pop() {
            for after in next[task].iter().copied() {
                ends[after] = ends[after].max(ends[task] + self.durations[after]);
                missing[after] -= 1;
                if missing[after] == 0 {
                    ready.push(after);
                }
            }
        }
        let path = ends.into_iter().max().unwrap_or(0);
        path.max(self.durations.iter().sum::<i64>() / agents as i64)
    }
}
