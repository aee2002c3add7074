//! The assignment between agents, by a fleet in simulated time.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use uuid::Uuid;

use super::{
    affinity::{Affinities, Lately, Near},
    assign::{Assigned, Facts, Reason, Routed, Router, Rules, Slots},
    beliefs::{Beliefs, Known},
    compare,
    deferral::Rival,
    policy::Policy,
    random::{Draws, Question},
    record::{Belief, Outcome, Record, Whole},
    score::{Weights, expected},
};
use crate::domain::{
    ids::{AgentId, GoalId, TaskId},
    task::claim::{Candidate, Funding, Keeping, Wish, assign, covers},
};

impl Routed for Facts {
    fn facts(&self) -> Facts {
        *self
    }
}

/// What is true of a simulated agent.
#[derive(Debug, Clone, Copy)]
struct Truth {
    success: f64,
    cost: i64,
    seconds: f64,
}

#[derive(Debug)]
struct Agent {
    id: AgentId,
    truth: Truth,
    record: Record,
    busy: Option<(DateTime<Utc>, DateTime<Utc>, bool)>,
}

/// What happened to a task.
#[derive(Debug, Clone, Copy)]
struct Given {
    agent: usize,
    waited: TimeDelta,
    control: bool,
    /// Longest time for which an idle agent was there and did not get it.
    held_back: TimeDelta,
}

struct Simulation {
    random: ChaCha20Rng,
    now: DateTime<Utc>,
    rules: Rules,
    agents: Vec<Agent>,
    queue: VecDeque<(Facts, Option<DateTime<Utc>>)>,
    given: Vec<Given>,
    /// Mean time between two tasks in seconds.
    between: f64,
    /// How often records are read.
    refresh: TimeDelta,
    beliefs: Beliefs,
}

fn uuid(random: &mut ChaCha20Rng) -> Uuid {
    Uuid::from_u128(random.random())
}

impl Simulation {
    fn new(seed: u64, policy: Policy, truths: &[Truth], load: f64) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let agent = |truth: &Truth, random: &mut ChaCha20Rng| Agent {
            id: AgentId(uuid(random)),
            truth: *truth,
            record: Record::new(now),
            busy: None,
        };
        let agents = truths.iter().map(|truth| agent(truth, &mut random)).collect();
        // What the first could do alone: a task is tried until it is accepted.
        let alone = truths[0].success / truths[0].seconds;
        Self {
            random,
            now,
            rules: Rules {
                policy,
                max_deferral: TimeDelta::milliseconds(5_000),
                control_percent: 2,
            },
            agents,
            queue: VecDeque::new(),
            given: Vec::new(),
            between: 1.0 / (load * alone),
            refresh: TimeDelta::seconds(2),
            beliefs: Beliefs::default(),
        }
    }

    fn learn(&mut self) {
        if self.now - self.beliefs.at < self.refresh {
            return;
        }
        let known = self.agents.iter().filter(|agent| agent.record.attempts > 0);
        let known = known.map(|agent| Known {
            capability: "c".to_owned(),
            agent: agent.id,
            record: agent.record,
            before: None,
        });
        let able: Arc<[String]> = vec!["c".to_owned()].into();
        let able = self.agents.iter().map(|agent| (agent.id, Arc::clone(&able))).collect();
        self.beliefs =
            Beliefs::new(known.collect(), able, Affinities::default(), self.rules.policy, self.now);
    }

    fn exponential(&mut self) -> f64 {
        -self.random.random_range(f64::EPSILON..1.0).ln()
    }

    /// Lets the fleet work until so many tasks have come.
    fn run(&mut self, tasks: usize) {
        let step = TimeDelta::milliseconds(100);
        let mut come = 0;
        let mut next = self.now;
        while come < tasks || !self.queue.is_empty() {
            self.now += step;
            while come < tasks && next <= self.now {
                let between = self.exponential() * self.between * 1_000.0;
                next += TimeDelta::milliseconds(between as i64);
                self.post(None);
                come += 1;
            }
            self.finish();
            self.learn();
            self.ask();
        }
    }

    fn post(&mut self, again: Option<Facts>) {
        let task = match again {
            Some(facts) => Facts { started: facts.started + 1, ready_from: self.now, ..facts },
            None => Facts {
                task: TaskId(uuid(&mut self.random)),
                goal: GoalId(Uuid::nil()),
                started: 0,
                ready_from: self.now,
            },
        };
        self.queue.push_back((task, None));
    }

    fn finish(&mut self) {
        for agent in &mut self.agents {
            let Some((since, until, accepted)) = agent.busy else { continue };
            if until > self.now {
                continue;
            }
            agent.busy = None;
            agent.record.observe(Outcome {
                accepted,
                cost: Some(agent.truth.cost),
                duration_ms: (until - since).num_milliseconds(),
                at: self.now,
            });
        }
    }

    /// Idle agents ask, in random order, one at a time.
    fn ask(&mut self) {
        let mut order: Vec<usize> = (0..self.agents.len()).collect();
        let first = self.random.random_range(0..order.len());
        order.rotate_left(first);
        for index in order {
            if self.agents[index].busy.is_none() && !self.queue.is_empty() {
                self.claim(index);
            }
        }
    }

    fn claim(&mut self, index: usize) {
        let able = vec!["c".to_owned()];
        let candidates: Vec<Candidate<Facts>> = self
            .queue
            .iter()
            .take(9)
            .map(|(facts, _)| Candidate {
                task: *facts,
                required: able.clone(),
                keeping: Keeping::Anybody,
            })
            .collect();
        let id = self.agents[index].id;
        let wishes = [Wish { agent: id, able: able.clone(), max: 1 }];
        let slots = HashMap::from([(id, Slots { free: 1, running: 0 })]);
        let router = Router { rules: self.rules, beliefs: &self.beliefs, now: self.now };
        let rivals = router.rivals(&wishes, &slots, &candidates);
        let rivals = self.agents.iter().filter(|agent| rivals.contains(&agent.id)).map(|agent| {
            let usual = self.beliefs.of("c", agent.id).and_then(|belief| belief.duration_ms);
            let running: Vec<_> = agent.busy.iter().map(|(since, ..)| *since).collect();
            let free = 1 - running.len();
            Rival::new(agent.id, able.clone(), free, &running, usual, self.now)
        });
        let Assigned { choices, deferred, .. } =
            router.assign(&wishes, &slots, &candidates, rivals.collect(), |_, _| Funding::Granted);
        for (facts, held_since) in &mut self.queue {
            if deferred.iter().any(|deferred| deferred.task == facts.task) {
                held_since.get_or_insert(self.now);
            }
        }
        let Some(choice) = choices.into_iter().next() else { return };
        let place = self.queue.iter().position(|(facts, _)| facts.task == choice.task).unwrap();
        let (facts, held_since) = self.queue.remove(place).unwrap();
        let agent = &mut self.agents[index];
        let accepted = self.random.random_bool(agent.truth.success);
        let until = self.now + TimeDelta::milliseconds((agent.truth.seconds * 1_000.0) as i64);
        agent.busy = Some((self.now, until, accepted));
        self.given.push(Given {
            agent: index,
            waited: choice.waited,
            control: choice.control,
            held_back: held_since.map_or(TimeDelta::zero(), |since| self.now - since),
        });
        if !accepted {
            self.post(Some(facts));
        }
    }

    fn share_of(&self, agent: usize, last: usize) -> f64 {
        let last = &self.given[self.given.len() - last..];
        last.iter().filter(|given| given.agent == agent).count() as f64 / last.len() as f64
    }
}

const GOOD: Truth = Truth { success: 0.9, cost: 10_000, seconds: 2.0 };
const POOR: Truth = Truth { success: 0.6, ..GOOD };

#[test]
fn the_better_agent_gets_nearly_all_it_can_do_and_a_swap_is_noticed() {
    for seed in 0..20 {
        let mut fleet = Simulation::new(seed, Policy::Balanced, &[GOOD, POOR], 0.6);
        fleet.run(1_000);
        let share = fleet.share_of(0, 300);
        assert!(share >= 0.8, "seed {seed}: {share}");
        fleet.agents[0].truth = POOR;
        fleet.agents[1].truth = GOOD;
        fleet.run(300);
        let share = fleet.share_of(1, 100);
        assert!(share >= 0.8, "seed {seed}, after the swap: {share}");
        // The clock of the simulation goes in steps of 100 ms.
        let longest = fleet.given.iter().map(|given| given.held_back).max().unwrap();
        assert!(longest <= TimeDelta::milliseconds(5_100), "seed {seed}: {longest}");
    }
}

#[test]
fn cheapest_prefers_the_cheap_one_of_equals() {
    for seed in 0..20 {
        let dear = Truth { cost: 40_000, ..GOOD };
        let mut fleet = Simulation::new(seed, Policy::Cheapest, &[GOOD, dear], 0.6);
        fleet.run(1_000);
        let share = fleet.share_of(0, 300);
        assert!(share >= 0.8, "seed {seed}: {share}");
    }
}

fn uuid_of(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn record_of(accepted: u32, failed: u32, at: DateTime<Utc>) -> Record {
    let mut record = Record::new(at);
    for n in 0..accepted.max(failed) {
        for (some, accepted) in [(n < accepted, true), (n < failed, false)] {
            if some {
                record.observe(Outcome { accepted, cost: None, duration_ms: 2_000, at });
            }
        }
    }
    record
}

/// Two agents of the capability `c`, and what is known of them.
fn two(first: Known, second: Known, now: DateTime<Utc>) -> Beliefs {
    let able: Arc<[String]> = vec!["c".to_owned()].into();
    let able = [&first, &second].map(|known| (known.agent, Arc::clone(&able)));
    let able = able.into_iter().collect();
    Beliefs::new(vec![first, second], able, Affinities::default(), Policy::Balanced, now)
}

fn known(agent: AgentId, record: Record, before: Option<Record>) -> Known {
    Known { capability: "c".to_owned(), agent, record, before }
}

const ONE: AgentId = AgentId(Uuid::from_u128(1));
const OTHER: AgentId = AgentId(Uuid::from_u128(2));

#[test]
fn draws_have_the_moments_of_their_distributions() {
    let mut draws = Draws::of(Question::Score, uuid_of(7), 0, uuid_of(8));
    let mean = |of: &mut dyn FnMut() -> f64| (0..20_000).map(|_| of()).sum::<f64>() / 20_000.0;
    assert!((mean(&mut || draws.unit()) - 0.5).abs() < 0.01);
    let mut draws = Draws::of(Question::Score, uuid_of(8), 0, uuid_of(8));
    assert!(mean(&mut || draws.normal()).abs() < 0.03);
    for (alpha, beta) in [(0.5, 0.5), (1.6, 0.4), (9.0, 1.0), (30.0, 20.0)] {
        let mut draws = Draws::of(Question::Score, uuid_of(9), 0, uuid_of(8));
        let drawn = mean(&mut || draws.beta(alpha, beta));
        assert!((drawn - alpha / (alpha + beta)).abs() < 0.01, "{alpha}, {beta}: {drawn}");
    }
}

#[test]
fn a_record_forgets() {
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let good = record_of(1_000, 0, now);
    assert_eq!(good.attempts, 1_000);
    assert!(good.weight() < 61.0, "{}", good.weight());
    let later = good.at(now + TimeDelta::days(14));
    assert!((later.weight() * 2.0 - good.weight()).abs() < 0.01);
    // What did not happen yet does not make it younger.
    assert_eq!(good.at(now - TimeDelta::days(14)).accepted, good.accepted);
}

#[test]
fn a_new_version_starts_from_the_one_before_and_gets_a_bounded_share() {
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let before = record_of(40, 1, now);
    let fresh = Record::new(now);
    let whole = Whole::of([&before].into_iter());
    let inherits = Belief::of(fresh, Some(before), &whole);
    assert!(inherits.canary);
    assert!(inherits.success() > 0.85, "{}", inherits.success());
    assert!(inherits.unsure() > Belief::of(before, None, &whole).unsure());
    assert!(!Belief::of(record_of(10, 0, now), Some(before), &whole).canary);
    assert!(!Belief::of(fresh, None, &whole).canary, "a new agent is no new version");

    let beliefs = two(known(ONE, fresh, Some(before)), known(OTHER, before, None), now);
    let share = won_by(ONE, &beliefs, now);
    assert!(share <= 0.25, "{share}");
    assert!(share >= 0.02, "{share}");
}

/// Share of 2,000 tasks that go to `agent` if both ask.
fn won_by(agent: AgentId, beliefs: &Beliefs, now: DateTime<Utc>) -> f64 {
    let rules =
        Rules { policy: Policy::Balanced, max_deferral: TimeDelta::seconds(5), control_percent: 0 };
    let router = Router { rules, beliefs, now };
    let wish = |agent| Wish { agent, able: vec!["c".to_owned()], max: 1 };
    let slots = Slots { free: 1, running: 0 };
    let slots = HashMap::from([(ONE, slots), (OTHER, slots)]);
    let mut random = ChaCha20Rng::seed_from_u64(1);
    let won = (0..2_000).filter(|_| {
        let task = Facts {
            task: TaskId(uuid(&mut random)),
            goal: GoalId(Uuid::nil()),
            started: 0,
            ready_from: now,
        };
        let candidate =
            Candidate { task, required: vec!["c".to_owned()], keeping: Keeping::Anybody };
        let assigned =
            router.assign(&[wish(ONE), wish(OTHER)], &slots, &[candidate], Vec::new(), |_, _| {
                Funding::Granted
            });
        assigned.choices[0].agent == agent
    });
    won.count() as f64 / 2_000.0
}

#[test]
fn equals_are_told_apart_by_what_they_worked_on() {
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let (goal, task, parent) = (GoalId(uuid_of(1)), TaskId(uuid_of(2)), TaskId(uuid_of(3)));
    let label = || vec!["parser".to_owned(), "docs".to_owned(), "x".to_owned()];
    let lately = Lately {
        goals: [goal].into(),
        parents: [parent].into(),
        labels: label().into_iter().collect(),
    };
    let affinities = Affinities {
        lately: [(ONE, lately)].into(),
        near: [(task, Near { parent: Some(parent), labels: label() })].into(),
    };
    assert!((affinities.of(ONE, task, goal) - 0.25).abs() < 1e-9);
    assert_eq!(affinities.of(OTHER, task, goal), 0.0);
    assert!((affinities.of(ONE, TaskId(uuid_of(9)), goal) - 0.05).abs() < 1e-9);
    // Never against one that is clearly better.
    let record = |accepted, failed| record_of(accepted, failed, now);
    let whole = Whole::of([&record(20, 2), &record(12, 10)].into_iter());
    let score = |record| expected(Weights::of(Policy::Balanced), &Belief::of(record, None, &whole));
    assert!(score(record(20, 2)).mean - score(record(12, 10)).mean > 0.25);
}

#[test]
fn a_backlog_is_not_left_for_one_agent() {
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let good = known(ONE, record_of(40, 2, now), None);
    let beliefs = two(good, known(OTHER, record_of(20, 20, now), None), now);
    let rules =
        Rules { policy: Policy::Balanced, max_deferral: TimeDelta::seconds(5), control_percent: 0 };
    let router = Router { rules, beliefs: &beliefs, now };
    let able = vec!["c".to_owned()];
    let candidates: Vec<Candidate<Facts>> = (1..=9)
        .map(|n| Candidate {
            task: Facts {
                task: TaskId(uuid_of(n)),
                goal: GoalId(Uuid::nil()),
                started: 0,
                ready_from: now,
            },
            required: able.clone(),
            keeping: Keeping::Anybody,
        })
        .collect();
    let wishes = [Wish { agent: OTHER, able: able.clone(), max: 4 }];
    let slots = HashMap::from([(OTHER, Slots { free: 4, running: 0 })]);
    assert_eq!(router.rivals(&wishes, &slots, &candidates), [ONE]);
    // Two seconds each: it begins three of them within five seconds.
    let rival = Rival::new(ONE, able, 1, &[], Some(2_000.0), now);
    let assigned =
        router.assign(&wishes, &slots, &candidates, vec![rival.clone()], |_, _| Funding::Granted);
    assert_eq!(assigned.deferred.len(), 3);
    assert!(assigned.deferred.iter().all(|one| one.until == now + TimeDelta::seconds(5)));
    assert_eq!(assigned.given[0].len(), 4);
    assert!(assigned.choices.iter().all(|choice| choice.reason == Reason::BetterBusy));
    // At the bound, everything goes to whoever asks.
    let late = Router { now: now + TimeDelta::seconds(5), ..router };
    assert!(late.rivals(&wishes, &slots, &candidates).is_empty());
    let assigned = late.assign(&wishes, &slots, &candidates, vec![rival], |_, _| Funding::Granted);
    assert!(assigned.deferred.is_empty());
    assert_eq!(assigned.given[0].len(), 4);
}

#[test]
fn the_control_is_the_declared_share_and_random() {
    let mut fleet = Simulation::new(3, Policy::Balanced, &[GOOD, POOR], 0.3);
    fleet.rules.control_percent = 20;
    fleet.run(2_000);
    let control: Vec<&Given> = fleet.given.iter().filter(|given| given.control).collect();
    let share = control.len() as f64 / fleet.given.len() as f64;
    assert!((0.17..0.23).contains(&share), "{share}");
    let poor = control.iter().filter(|given| given.agent == 1).count() as f64;
    let poor = poor / control.len() as f64;
    assert!((0.35..0.65).contains(&poor), "{poor}");
    assert!(control.iter().all(|given| given.waited >= TimeDelta::zero()));
}

#[test]
fn intervals_hold_what_they_are_about() {
    let few = compare::share(9, 10).unwrap();
    let many = compare::share(900, 1_000).unwrap();
    assert!(few.low < many.low && many.high < few.high);
    assert!(few.low > 0.5 && few.high < 1.0);
    assert_eq!(compare::share(0, 0), None);
    let gain = compare::difference_of_shares(many, compare::share(600, 1_000).unwrap());
    assert!(gain.low > 0.25 && gain.high < 0.35);
    assert_eq!(compare::mean(0, None, None), None);
}

proptest! {
    /// Without beliefs, and by `fifo`, routing is the plain assignment; with any, nothing is given against the rules.
    #[test]
    fn nothing_is_given_twice_or_against_the_rules(
        wishes in prop::collection::vec((1u8..5, 0u32..4), 0..8),
        tasks in prop::collection::vec((any::<bool>(), prop::option::of(1u8..5), 0i64..8_000), 0..20),
        slots in prop::collection::vec(0u32..4, 5),
        records in prop::collection::vec((0u32..40, 0u32..40), 5),
        rivals in prop::collection::vec(1u8..5, 0..3),
        policy in 0usize..5,
    ) {
        use crate::domain::words::Words as _;
        let policy = Policy::ALL[policy];
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let agent = |n: u8| AgentId(uuid_of(n.into()));
        let able = vec!["c".to_owned()];
        let wishes: Vec<Wish> = wishes.iter()
            .map(|(n, max)| Wish { agent: agent(*n), able: able.clone(), max: *max }).collect();
        let candidates: Vec<Candidate<Facts>> = tasks.iter().enumerate()
            .map(|(n, (required, barred, age))| Candidate {
                task: Facts {
                    task: TaskId(uuid_of(n as u128 + 100)), goal: GoalId(Uuid::nil()), started: 0,
                    ready_from: now - TimeDelta::milliseconds(*age),
                },
                required: if *required { able.clone() } else { Vec::new() },
                keeping: barred.map_or(Keeping::Anybody, |n| Keeping::AllBut(agent(n))),
            }).collect();
        let free: HashMap<AgentId, u32> = (1u8..5).map(|n| (agent(n), slots[n as usize])).collect();
        let slots: HashMap<AgentId, Slots> =
            free.iter().map(|(agent, free)| (*agent, Slots { free: *free, running: 1 })).collect();
        let all: Arc<[String]> = able.clone().into();
        let beliefs = Beliefs::new(
            (1u8..5).map(|n| {
                let (accepted, failed) = records[n as usize];
                known(agent(n), record_of(accepted, failed, now), None)
            }).collect(),
            (1u8..5).map(|n| (agent(n), Arc::clone(&all))).collect(),
            Affinities::default(), policy, now,
        );
        let rules = Rules { policy, max_deferral: TimeDelta::seconds(5), control_percent: 10 };
        let router = Router { rules, beliefs: &beliefs, now };
        let rivals: Vec<Rival> = rivals.iter()
            .map(|n| Rival::new(agent(*n), able.clone(), 1, &[], Some(1_000.0), now)).collect();
        let Assigned { given, choices, deferred } =
            router.assign(&wishes, &slots, &candidates, rivals, |_, _| Funding::Granted);
        let mut seen: Vec<TaskId> = given.iter().flatten().map(|facts| facts.task)
            .chain(deferred.iter().map(|one| one.task)).collect();
        prop_assert_eq!(choices.len(), given.iter().map(Vec::len).sum::<usize>());
        let before = seen.len();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(before, seen.len());
        for (wish, tasks) in wishes.iter().zip(&given) {
            prop_assert!(tasks.len() <= wish.max as usize);
            for task in tasks {
                let candidate = candidates.iter().find(|c| c.task.task == task.task).unwrap();
                prop_assert!(covers(&wish.able, &candidate.required));
                prop_assert!(candidate.keeping.admits(wish.agent));
            }
        }
        for (agent, free) in &free {
            let used: usize = wishes.iter().zip(&given)
                .filter(|(wish, _)| wish.agent == *agent).map(|(_, tasks)| tasks.len()).sum();
            prop_assert!(used <= *free as usize);
        }
        for one in &deferred {
            let candidate = candidates.iter().find(|c| c.task.task == one.task).unwrap();
            prop_assert!(now < one.until);
            prop_assert!(one.until <= candidate.task.ready_from + TimeDelta::seconds(5));
        }
        // No wish could have taken any remaining candidate.
        for candidate in candidates.iter().filter(|c| !seen.contains(&c.task.task)) {
            for (wish, tasks) in wishes.iter().zip(&given) {
                let used: usize = wishes.iter().zip(&given)
                    .filter(|(w, _)| w.agent == wish.agent).map(|(_, t)| t.len()).sum();
                let could = tasks.len() < wish.max as usize
                    && used < free.get(&wish.agent).copied().unwrap_or_default() as usize
                    && covers(&wish.able, &candidate.required)
                    && candidate.keeping.admits(wish.agent);
                prop_assert!(!could);
            }
        }
        let plain = Beliefs::default();
        let plain = Router {
            rules: Rules { policy: Policy::Fifo, ..rules }, beliefs: &plain, now,
        };
        let ours = plain.assign(&wishes, &slots, &candidates, Vec::new(), |_, _| Funding::Granted);
        prop_assert_eq!(ours.given, assign(&wishes, &candidates, &free, |_, _| Funding::Granted));
    }
}
