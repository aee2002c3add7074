//! The expected duration of a plan with the agents that are online.
//!
//! List scheduling: whenever an agent is free, of the tasks that can start and that it is able to do it takes
//! the one with the longest rest of the plan behind it. With agents that are all able to do everything, this
//! takes at most twice as long as the best schedule (Graham, 1969). Present work of the agents is not counted.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use super::{
    ground::{Fleet, Groups},
    network::Network,
};

/// Classes of jobs that all schedules of one plan together look at.
pub const WORK: usize = 50_000_000;

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
    /// The classes of jobs that they can do, ascending.
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
    /// The class of each kind: kinds that the same groups of agents can do.
    class_of_kind: Vec<usize>,
    classes: usize,
    crews: Vec<Crew>,
    jobs: usize,
}

impl<'a> Shop<'a> {
    /// The shop of these jobs, with the online agents of a fleet.
    pub fn new(network: &'a Network, tasks: usize, jobs: Vec<Job<'a>>, fleet: &Fleet<'_>) -> Self {
        let mut shop = Self {
            network,
            kind: vec![0; tasks],
            duration: vec![0; tasks],
            not_before: vec![0; tasks],
            remaining: Vec::new(),
            kinds: Vec::new(),
            class_of_kind: Vec::new(),
            classes: 0,
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
        // Kinds that the same groups can do are one kind of work to them.
        let mut classes: HashMap<Groups, usize> = HashMap::new();
        let mut served: Vec<(Groups, usize)> = Vec::new();
        for (capabilities, _) in &shop.kinds {
            let able = fleet.online(capabilities.iter().map(String::as_str));
            let class = *classes.entry(able).or_insert_with_key(|able| {
                served.push((able.clone(), 0));
                served.len() - 1
            });
            served[class].1 += 1;
            shop.class_of_kind.push(class);
        }
        // What two groups can do of this plan may be the same.
        let mut of_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (class, (able, _)) in served.iter().enumerate() {
            for (group, _) in fleet.some(able) {
                of_group.entry(group).or_default().push(class);
            }
        }
        let mut crews: HashMap<Vec<usize>, usize> = HashMap::new();
        for (group, able) in of_group {
            let slots = usize::try_from(fleet.group(group).slots).unwrap_or(0).min(shop.jobs);
            let all = crews.entry(able).or_default();
            *all = all.saturating_add(slots).min(shop.jobs);
        }
        shop.classes = served.len();
        let kinds = |able: &[usize]| able.iter().map(|class| served[*class].1).sum::<usize>();
        shop.crews = crews.into_iter().map(|(able, slots)| Crew { able, slots }).collect();
        // The most special first: who can do anything is kept for what only they can do.
        shop.crews.sort_by_cached_key(|crew| (kinds(&crew.able), crew.able.clone()));
        shop
    }

    /// Attempts that the crews can have at once, as far as the plan has work for them.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.crews.iter().fold(0, |sum: usize, crew| sum.saturating_add(crew.slots)).min(self.jobs)
    }

    /// The kinds of jobs that no crew can do: capabilities and number of jobs.
    pub fn without_crew(&self) -> impl Iterator<Item = (&'a [String], usize)> + '_ {
        let mut served = vec![false; self.classes];
        for class in self.crews.iter().flat_map(|crew| &crew.able) {
            served[*class] = true;
        }
        let without = move |kind: &usize| !served[self.class_of_kind[*kind]];
        (0..self.kinds.len()).filter(without).map(|kind| self.kinds[kind])
    }

    /// Milliseconds until the last job ends, with `more` agents that can do everything, one job at a time.
    /// `None` if nobody can do one of the jobs.
    #[must_use]
    pub fn duration(&self, more: usize) -> Option<i64> {
        Floor::open(self, more).run().0
    }

    /// The smallest number of further agents, able to do everything, with which the plan takes no longer than
    /// its longest path, `floor`; at most one per job. If the schedules take more than [`WORK`], because every agent is
    /// able to do other jobs, a number that is enough.
    #[must_use]
    pub fn useful_agents(&self, floor: i64) -> usize {
        let mut left = WORK;
        let mut enough = |more: usize| {
            if left == 0 {
                return None;
            }
            let (duration, work) = Floor::open(self, more).run();
            left = left.saturating_sub(work);
            Some(duration.is_some_and(|duration| duration <= floor))
        };
        if enough(0) == Some(true) {
            return 0;
        }
        let (mut few, mut many) = (0, 1);
        while many < self.jobs {
            match enough(many) {
                Some(true) => break,
                Some(false) => few = many,
                None => return self.jobs,
            }
            many *= 2;
        }
        let mut many = many.min(self.jobs);
        while many - few > 1 {
            let middle = few + (many - few) / 2;
            match enough(middle) {
                Some(true) => many = middle,
                Some(false) => few = middle,
                None => break,
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
    /// Crews with a free slot, by class.
    hands: Vec<usize>,
    /// The crews that can do each class, the most special first.
    of_class: Vec<Vec<usize>>,
    /// Jobs that can start, by class; the longest rest first.
    ready: Vec<BinaryHeap<(i64, Reverse<usize>)>>,
    /// The first ready job of each class.
    heads: Vec<Option<(i64, Reverse<usize>)>>,
    /// Free slots of all crews.
    idle: usize,
    /// What it took so far: classes that were looked at.
    work: usize,
    /// What happens next: at, whether a job ends, its task and crew.
    events: BinaryHeap<Reverse<(i64, bool, usize, usize)>>,
}

impl<'a> Floor<'a> {
    fn open(shop: &'a Shop<'a>, more: usize) -> Self {
        let mut crews = shop.crews.clone();
        let classes = shop.classes;
        if more > 0 {
            crews.push(Crew { able: (0..classes).collect(), slots: more.min(shop.jobs) });
        }
        let mut of_class = vec![Vec::new(); classes];
        for (crew, Crew { able, slots: _ }) in crews.iter().enumerate() {
            for class in able {
                of_class[*class].push(crew);
            }
        }
        Self {
            shop,
            free: crews.iter().map(|crew| crew.slots).collect(),
            hands: of_class.iter().map(Vec::len).collect(),
            of_class,
            ready: vec![BinaryHeap::new(); classes],
            heads: vec![None; classes],
            idle: crews.iter().map(|crew| crew.slots).sum(),
            work: crews.iter().map(|crew| crew.able.len()).sum(),
            events: BinaryHeap::new(),
            crews,
        }
    }

    /// When the last job ends, and what it took to find out.
    fn run(mut self) -> (Option<i64>, usize) {
        if self.hands.contains(&0) {
            return (None, self.work);
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
        ((done == self.shop.jobs).then_some(now), self.work)
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
        let class = self.shop.class_of_kind[self.shop.kind[task]];
        self.ready[class].push((self.shop.remaining[task], Reverse(task)));
        self.heads[class] = self.ready[class].peek().copied();
    }

    fn release(&mut self, crew: usize) {
        self.idle += 1;
        self.free[crew] += 1;
        if self.free[crew] > 1 {
            return;
        }
        self.work += self.crews[crew].able.len();
        for class in &self.crews[crew].able {
            self.hands[*class] += 1;
        }
    }

    /// The class with the ready job that has the longest rest, of those with a free crew.
    fn best(&mut self) -> Option<usize> {
        if self.idle == 0 {
            return None;
        }
        self.work += self.heads.len();
        let heads = self.heads.iter().zip(&self.hands).enumerate();
        let ready = heads.filter(|(_, (_, hands))| **hands > 0);
        let ready = ready.filter_map(|(class, (head, _))| head.map(|head| (head, class)));
        ready.max().map(|(_, class)| class)
    }

    fn assign(&mut self, now: i64) {
        while let Some(class) = self.best() {
            let Some(crew) = self.of_class[class].iter().copied().find(|crew| self.free[*crew] > 0)
            else {
                break;
            };
            let Some((_, Reverse(task))) = self.ready[class].pop() else { break };
            self.heads[class] = self.ready[class].peek().copied();
            self.idle -= 1;
            self.free[crew] -= 1;
            if self.free[crew] == 0 {
                self.work += self.crews[crew].able.len();
                for able in &self.crews[crew].able {
                    self.hands[*able] -= 1;
                }
            }
            let ends = now.saturating_add(self.shop.duration[task]);
            self.events.push(Reverse((ends, true, task, crew)));
        }
    }
}
