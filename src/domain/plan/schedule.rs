//! The expected duration of a plan with the agents that are online.
//!
//! List scheduling: whenever an agent is free, of the tasks that can start and that it is able to do it takes
//! the one with the longest rest of the plan behind it. With agents that are all able to do everything, this
//! takes at most twice as long as the best schedule (Graham, 1969). Present work of the agents is not counted.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::network::Network;

/// Work to schedule.
#[derive(Debug)]
pub struct Job<'a> {
    /// Index of the task in the plan.
    pub task: usize,
    /// The capabilities that its agent needs.
    pub capabilities: &'a [String],
    /// Its duration in milliseconds.
    pub duration: i64,
    /// Its earliest start, in milliseconds from now.
    pub not_before: i64,
}

/// Agents that can do the same.
#[derive(Debug, Clone)]
pub struct Crew {
    /// The kinds of jobs that they can do, ascending.
    able: Vec<usize>,
    /// Attempts that they can have at once.
    pub slots: usize,
}

/// Jobs and crews, ready to be scheduled.
#[derive(Debug)]
pub struct Shop<'a> {
    network: &'a Network,
    /// The kind of each task: jobs with the same capabilities.
    kind: Vec<usize>,
    duration: Vec<i64>,
    not_before: Vec<i64>,
    remaining: Vec<i64>,
    /// The capabilities of each kind, and the number of its jobs.
    kinds: Vec<(&'a [String], usize)>,
    crews: Vec<Crew>,
    jobs: usize,
}

impl<'a> Shop<'a> {
    /// The shop of these jobs. `groups`: capabilities of agents, and how many attempts they can have at once.
    pub fn new<'g>(
        network: &'a Network,
        tasks: usize,
        jobs: Vec<Job<'a>>,
        groups: impl Iterator<Item = (&'g std::collections::BTreeSet<String>, i64)>,
    ) -> Self {
        let mut shop = Self {
            network,
            kind: vec![0; tasks],
            duration: vec![0; tasks],
            not_before: vec![0; tasks],
            remaining: Vec::new(),
            kinds: Vec::new(),
            crews: Vec::new(),
            jobs: jobs.len(),
        };
        let mut by_capabilities: HashMap<&[String], usize> = HashMap::new();
        for Job { task, capabilities, duration, not_before } in jobs {
            let kind = *by_capabilities.entry(capabilities).or_insert_with(|| {
                shop.kinds.push((capabilities, 0));
                shop.kinds.len() - 1
            });
            shop.kinds[kind].1 += 1;
            shop.kind[task] = kind;
            shop.duration[task] = duration.max(0);
            shop.not_before[task] = not_before.max(0);
        }
        shop.remaining = network.remaining(|task| shop.duration[task]);
        // What two groups can do of this plan may be the same.
        let mut crews: HashMap<Vec<usize>, usize> = HashMap::new();
        for (capabilities, slots) in groups {
            let able = |(_, (needed, _)): &(usize, &(&[String], usize))| {
                needed.iter().all(|one| capabilities.contains(one))
            };
            let able: Vec<usize> =
                shop.kinds.iter().enumerate().filter(able).map(|(kind, _)| kind).collect();
            let slots = usize::try_from(slots).unwrap_or(0).min(shop.jobs);
            if slots > 0 && !able.is_empty() {
                let all = crews.entry(able).or_default();
                *all = all.saturating_add(slots).min(shop.jobs);
            }
        }
        shop.crews = crews.into_iter().map(|(able, slots)| Crew { able, slots }).collect();
        // The most special first: who can do anything is kept for what only they can do.
        shop.crews.sort_by(|a, b| (a.able.len(), &a.able).cmp(&(b.able.len(), &b.able)));
        shop
    }

    /// Attempts that the crews can have at once, as far as the plan has work for them.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.crews.iter().fold(0, |sum: usize, crew| sum.saturating_add(crew.slots)).min(self.jobs)
    }

    /// The kinds of jobs that no crew can do: capabilities and number of jobs.
    pub fn without_crew(&self) -> impl Iterator<Item = (&'a [String], usize)> + '_ {
        let served =
            |kind: &usize| self.crews.iter().any(|crew| crew.able.binary_search(kind).is_ok());
        (0..self.kinds.len()).filter(move |kind| !served(kind)).map(|kind| self.kinds[kind])
    }

    /// Milliseconds until the last job ends, with `more` agents that can do everything, one job at a time.
    /// `None` if nobody can do one of the jobs.
    #[must_use]
    pub fn duration(&self, more: usize) -> Option<i64> {
        Floor::open(self, more).run()
    }

    /// The smallest number of further agents, able to do everything, with which the plan takes no longer than
    /// its longest path, `floor`; at most one per job.
    #[must_use]
    pub fn useful_agents(&self, floor: i64) -> usize {
        let enough = |more: usize| self.duration(more).is_some_and(|duration| duration <= floor);
        if enough(0) {
            return 0;
        }
        let (mut few, mut many) = (0, 1);
        while many < self.jobs && !enough(many) {
            few = many;
            many *= 2;
        }
        let mut many = many.min(self.jobs);
        while many - few > 1 {
            let middle = few + (many - few) / 2;
            if enough(middle) {
                many = middle;
            } else {
                few = middle;
            }
        }
        many
    }
}

/// A schedule in the making.
struct Floor<'a> {
    shop: &'a Shop<'a>,
    crews: Vec<Crew>,
    free: Vec<usize>,
    /// Crews with a free slot, by kind.
    hands: Vec<usize>,
    /// The crews that can do each kind, the most special first.
    of_kind: Vec<Vec<usize>>,
    /// Jobs that can start, by kind; the longest rest first.
    ready: Vec<BinaryHeap<(i64, Reverse<usize>)>>,
    /// Kinds with ready jobs and free hands; its first has the longest rest.
    best: BinaryHeap<(i64, Reverse<usize>, usize)>,
    /// What happens next: at, whether a job ends, its task and crew.
    events: BinaryHeap<Reverse<(i64, bool, usize, usize)>>,
}

impl<'a> Floor<'a> {
    fn open(shop: &'a Shop<'a>, more: usize) -> Self {
        let mut crews = shop.crews.clone();
        let kinds = shop.kinds.len();
        if more > 0 {
            crews.push(Crew { able: (0..kinds).collect(), slots: more.min(shop.jobs) });
        }
        let mut of_kind = vec![Vec::new(); kinds];
        for (crew, Crew { able, slots: _ }) in crews.iter().enumerate() {
            for kind in able {
                of_kind[*kind].push(crew);
            }
        }
        Self {
            shop,
            free: crews.iter().map(|crew| crew.slots).collect(),
            hands: of_kind.iter().map(Vec::len).collect(),
            crews,
            of_kind,
            ready: vec![BinaryHeap::new(); kinds],
            best: BinaryHeap::new(),
            events: BinaryHeap::new(),
        }
    }

    fn run(mut self) -> Option<i64> {
        if self.hands.contains(&0) {
            return None;
        }
        let mut walk = self.shop.network.walk();
        let (mut now, mut done) = (0, 0);
        for task in walk.begin() {
            self.arrive(task, now);
        }
        loop {
            self.assign(now);
            let Some(Reverse((at, ends, task, crew))) = self.events.pop() else { break };
            now = at;
            self.event(ends, task, crew, now, &mut walk, &mut done);
            // Everything of one instant comes before the next choice.
            while let Some(Reverse((at, ends, task, crew))) = self.events.peek().copied()
                && at == now
            {
                self.events.pop();
                self.event(ends, task, crew, now, &mut walk, &mut done);
            }
        }
        (done == self.shop.jobs).then_some(now)
    }

    fn event(
        &mut self,
        ends: bool,
        task: usize,
        crew: usize,
        now: i64,
        walk: &mut super::network::Walk<'_>,
        done: &mut usize,
    ) {
        if !ends {
            return self.offer(task);
        }
        *done += 1;
        self.release(crew);
        for next in walk.ended(task) {
            self.arrive(next, now);
        }
    }

    /// A job whose needs are met waits for its time or can start.
    fn arrive(&mut self, task: usize, now: i64) {
        let from = self.shop.not_before[task];
        if from > now {
            self.events.push(Reverse((from, false, task, 0)));
        } else {
            self.offer(task);
        }
    }

    fn offer(&mut self, task: usize) {
        let kind = self.shop.kind[task];
        self.ready[kind].push((self.shop.remaining[task], Reverse(task)));
        self.show(kind);
    }

    /// Puts the first ready job of a kind before the free crews.
    fn show(&mut self, kind: usize) {
        if self.hands[kind] > 0
            && let Some((rest, task)) = self.ready[kind].peek()
        {
            self.best.push((*rest, *task, kind));
        }
    }

    fn release(&mut self, crew: usize) {
        self.free[crew] += 1;
        if self.free[crew] > 1 {
            return;
        }
        for index in 0..self.crews[crew].able.len() {
            let kind = self.crews[crew].able[index];
            self.hands[kind] += 1;
            if self.hands[kind] == 1 {
                self.show(kind);
            }
        }
    }

    fn assign(&mut self, now: i64) {
        while let Some((rest, task, kind)) = self.best.pop() {
            // Shown before, and meanwhile taken or without a free crew.
            if self.hands[kind] == 0 || self.ready[kind].peek() != Some(&(rest, task)) {
                continue;
            }
            let Some(crew) = self.of_kind[kind].iter().copied().find(|crew| self.free[*crew] > 0)
            else {
                continue;
            };
            self.ready[kind].pop();
            self.free[crew] -= 1;
            if self.free[crew] == 0 {
                for able in &self.crews[crew].able {
                    self.hands[*able] -= 1;
                }
            }
            let ends = now.saturating_add(self.shop.duration[task.0]);
            self.events.push(Reverse((ends, true, task.0, crew)));
            self.show(kind);
        }
    }
}
