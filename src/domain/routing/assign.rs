//! Who of several able agents gets a task, and what is left for whom.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    beliefs::Beliefs,
    deferral::{Rival, is_clear},
    policy::Policy,
    random::{Draws, Question},
    score::{Expected, Weights},
};
use crate::domain::{
    ids::{AgentId, GoalId, TaskId},
    task::claim::{Candidate, Funding, Wish, covers},
    words::words,
};

words! {
    /// Why an agent got a task.
    pub enum Reason {
        /// An operator assigned the task to it.
        Kept => "kept",
        /// No other able agent asked, or is better and free in time.
        Only => "only",
        /// It asked first; nothing is known of the agents.
        Order => "order",
        /// Its draw was the best.
        Score => "score",
        /// It was the best of those that asked; a better one was not free in time.
        BetterBusy => "better_busy",
        /// It was chosen at random.
        Control => "control",
    }
}

/// How tasks are given to agents in a workspace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// The aim.
    pub policy: Policy,
    /// Longest time for which a ready task is left for a better agent; zero: never.
    pub max_deferral: TimeDelta,
    /// Percentage of tasks that are assigned at random.
    pub control_percent: i32,
}

/// What the assignment must know of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The task.
    pub task: TaskId,
    /// Its goal.
    pub goal: GoalId,
    /// Number of attempts ever started.
    pub started: i32,
    /// Since when it has been ready.
    pub ready_from: DateTime<Utc>,
}

/// A task that can be routed.
pub trait Routed: Clone {
    /// What the assignment must know of it.
    fn facts(&self) -> Facts;
}

/// Slots of a claiming agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slots {
    /// Attempts that it may still start.
    pub free: u32,
    /// Attempts that it runs.
    pub running: u32,
}

impl Slots {
    fn load(self) -> f64 {
        let all = self.free + self.running;
        if all == 0 { 1.0 } else { f64::from(self.running) / f64::from(all) }
    }
}

/// An agent that was looked at for a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Considered {
    /// The agent.
    pub agent: AgentId,
    /// Its score at this task: drawn, with load and affinity.
    pub score: f64,
    /// Expected success rate.
    pub success: f64,
    /// Expected cost of an attempt in `usd_micros`.
    pub usd_micros: Option<f64>,
    /// Expected duration in milliseconds.
    pub duration_ms: Option<f64>,
    /// Share of its slots in use; `None`: it did not ask.
    pub load: Option<f64>,
    /// What nearness to its latest tasks added to the score.
    pub affinity: f64,
}

/// Why a task was given to an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The task.
    pub task: TaskId,
    /// The agent that got it.
    pub agent: AgentId,
    /// Why.
    pub reason: Reason,
    /// Whether the task belongs to the share that is assigned at random.
    pub control: bool,
    /// How long the task had been ready.
    pub waited: TimeDelta,
    /// Those that were compared, best first; empty if there was nobody to compare with.
    pub considered: Vec<Considered>,
}

/// A task that is left for a better agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deferred {
    /// The task.
    pub task: TaskId,
    /// The agent it is left for.
    pub agent: AgentId,
    /// When it goes to anybody.
    pub until: DateTime<Utc>,
}

/// The tasks of each wish, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned<T> {
    /// The tasks of each wish, in their order.
    pub given: Vec<Vec<T>>,
    /// Why each was given to its agent.
    pub choices: Vec<Choice>,
    /// Tasks that an agent of the batch could have had and did not get.
    pub deferred: Vec<Deferred>,
}

/// What the assignment goes by.
#[derive(Debug, Clone, Copy)]
pub struct Router<'a> {
    /// How the workspace wants it.
    pub rules: Rules,
    /// What is believed of the agents.
    pub beliefs: &'a Beliefs,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Most agents that are compared for one task.
const COMPARED: usize = 8;
/// Most agents from which a random one is chosen besides those that ask.
const LOTS: usize = 64;
/// Most agents whose work is looked up for a batch.
const RIVALS: usize = 16;
/// Score that a fully loaded agent loses against an idle one.
const LOAD: f64 = 0.1;
/// Share of tasks that a new version of an agent competes for.
const CANARY_SHARE: f64 = 0.2;
/// Score that it loses at the others: it gets those that nobody else takes.
const NOT_CANARY: f64 = -2.0;

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Of the wish with this index.
    Asks(usize),
    /// Of the rival with this index.
    Rival(usize),
}

struct Ranked {
    place: Place,
    considered: Option<Considered>,
    order: f64,
}

impl Router<'_> {
    fn weights(&self) -> Weights {
        Weights::of(self.rules.policy)
    }

    fn deferral_left(&self, facts: &Facts) -> TimeDelta {
        (facts.ready_from + self.rules.max_deferral - self.now).min(self.rules.max_deferral)
    }

    fn may_defer(&self) -> bool {
        self.rules.policy != Policy::Fifo
            && self.rules.max_deferral > TimeDelta::zero()
            && !self.beliefs.is_empty()
    }

    /// Whether the task belongs to the share that is assigned at random.
    fn is_control(&self, facts: &Facts) -> bool {
        let nobody = uuid::Uuid::nil();
        let mut draws = Draws::of(Question::Control, facts.task.0, facts.started, nobody);
        draws.unit() * 100.0 < f64::from(self.rules.control_percent)
    }

    fn handicap(&self, facts: &Facts, required: &[String], agent: AgentId) -> f64 {
        if !self.beliefs.is_canary(required, agent) {
            return 0.0;
        }
        let mut draws = Draws::of(Question::Canary, facts.task.0, facts.started, agent.0);
        if draws.unit() < CANARY_SHARE { 0.0 } else { NOT_CANARY }
    }

    fn expected(&self, facts: &Facts, required: &[String], agent: AgentId) -> Option<Expected> {
        let Expected { mean, unsure } = self.beliefs.expected(self.weights(), required, agent)?;
        let handicap = self.handicap(facts, required, agent);
        Some(Expected { mean: mean + handicap, unsure })
    }

    /// The agents whose running work must be known before the candidates are assigned: those that did not ask
    /// and may be left a task. Empty nearly always; then nothing is looked up.
    #[must_use]
    pub fn rivals<T: Routed>(
        &self,
        wishes: &[Wish],
        slots: &HashMap<AgentId, Slots>,
        candidates: &[Candidate<T>],
    ) -> Vec<AgentId> {
        if !self.may_defer() {
            return Vec::new();
        }
        let free = |agent: &AgentId| slots.get(agent).is_some_and(|slots| slots.free > 0);
        let mut found = BTreeSet::new();
        for candidate in candidates {
            let facts = candidate.task.facts();
            if !self.beliefs.differs(&candidate.required)
                || self.deferral_left(&facts) <= TimeDelta::zero()
            {
                continue;
            }
            let asks = |wish: &&Wish| {
                free(&wish.agent)
                    && covers(&wish.able, &candidate.required)
                    && candidate.keeping.admits(wish.agent)
            };
            let open: Vec<AgentId> = wishes.iter().filter(asks).map(|wish| wish.agent).collect();
            if open.is_empty() {
                continue;
            }
            let others = if self.is_control(&facts) {
                self.lots(&facts, &candidate.required)
            } else {
                self.leaders(&facts, &candidate.required, &open)
            };
            let admitted = others.into_iter().filter(|agent| candidate.keeping.admits(*agent));
            found.extend(admitted.filter(|agent| !open.contains(agent)));
            if found.len() >= RIVALS {
                break;
            }
        }
        found.into_iter().take(RIVALS).collect()
    }

    /// Those clearly better than every one of `open`.
    fn leaders(&self, facts: &Facts, required: &[String], open: &[AgentId]) -> Vec<AgentId> {
        let Some(best) = self.best(facts, required, open) else { return Vec::new() };
        let leads = |agent: &AgentId| {
            let expected = self.expected(facts, required, *agent);
            expected.is_some_and(|expected| is_clear(expected, best))
        };
        self.beliefs.leaders(required).into_iter().filter(leads).collect()
    }

    fn best(&self, facts: &Facts, required: &[String], open: &[AgentId]) -> Option<Expected> {
        let all = open.iter().take(COMPARED);
        all.filter_map(|agent| self.expected(facts, required, *agent))
            .max_by(|a, b| a.mean.total_cmp(&b.mean))
    }

    /// A few able agents in random order, for a task that is assigned at random.
    fn lots(&self, facts: &Facts, required: &[String]) -> Vec<AgentId> {
        let mut able: Vec<AgentId> = self.beliefs.able(required, LOTS).into_iter().collect();
        able.sort_by(|a, b| self.lot(facts, *b).total_cmp(&self.lot(facts, *a)));
        able.truncate(COMPARED);
        able
    }

    fn lot(&self, facts: &Facts, agent: AgentId) -> f64 {
        Draws::of(Question::Lot, facts.task.0, facts.started, agent.0).unit()
    }

    fn consider(
        &self,
        facts: &Facts,
        required: &[String],
        agent: AgentId,
        load: Option<f64>,
    ) -> Considered {
        let mut draws = Draws::of(Question::Score, facts.task.0, facts.started, agent.0);
        let affinity = self.beliefs.affinities.of(agent, facts.task, facts.goal);
        let score = self.beliefs.drawn(self.weights(), required, agent, &mut draws)
            + self.handicap(facts, required, agent)
            + affinity
            - load.unwrap_or_default() * LOAD;
        let belief = self.beliefs.least_known(required, agent);
        Considered {
            agent,
            score,
            success: belief.map_or(0.0, |belief| belief.success()),
            usd_micros: belief.and_then(|belief| belief.usd_micros),
            duration_ms: belief.and_then(|belief| belief.duration_ms),
            load,
            affinity,
        }
    }

    /// Assigns candidates in their order. Each goes to the wish with the best score that still wants a task, whose
    /// agent has the capabilities, may claim it, has a free slot, and for which `fund` grants a reservation;
    /// or it is left for a rival that is clearly better and free in time. Where nothing is known of the agents,
    /// and by the policy `fifo`, the first such wish gets it.
    ///
    /// `fund` is called last, at most once per task and agent, and makes the reservation it grants.
    #[must_use]
    pub fn assign<T: Routed>(
        &self,
        wishes: &[Wish],
        slots: &HashMap<AgentId, Slots>,
        candidates: &[Candidate<T>],
        mut rivals: Vec<Rival>,
        mut fund: impl FnMut(&T, AgentId) -> Funding,
    ) -> Assigned<T> {
        let mut slots = slots.clone();
        let mut assigned = Assigned {
            given: vec![Vec::new(); wishes.len()],
            choices: Vec::new(),
            deferred: Vec::new(),
        };
        for candidate in candidates {
            let open = open(wishes, &slots, candidate, &assigned.given);
            if open.is_empty() {
                continue;
            }
            let facts = candidate.task.facts();
            let (ranked, mut choice) = self.rank(&facts, candidate, wishes, &open, &slots, &rivals);
            for one in ranked {
                let index = match one.place {
                    Place::Asks(index) => index,
                    Place::Rival(index) => {
                        if rivals[index].takes(self.deferral_left(&facts)) {
                            assigned.deferred.push(Deferred {
                                task: facts.task,
                                agent: rivals[index].agent,
                                until: facts.ready_from + self.rules.max_deferral,
                            });
                            break;
                        }
                        if choice.reason != Reason::Control {
                            choice.reason = Reason::BetterBusy;
                        }
                        continue;
                    }
                };
                let agent = wishes[index].agent;
                match fund(&candidate.task, agent) {
                    Funding::Granted => {
                        assigned.given[index].push(candidate.task.clone());
                        if let Some(slots) = slots.get_mut(&agent) {
                            slots.free -= 1;
                            slots.running += 1;
                        }
                        assigned.choices.push(Choice { agent, ..choice });
                        break;
                    }
                    Funding::AgentShort => {}
                    Funding::Short => break,
                }
            }
        }
        assigned
    }

    /// The open wishes and the rivals of a candidate, best first.
    fn rank<T: Routed>(
        &self,
        facts: &Facts,
        candidate: &Candidate<T>,
        wishes: &[Wish],
        open: &[usize],
        slots: &HashMap<AgentId, Slots>,
        rivals: &[Rival],
    ) -> (Vec<Ranked>, Choice) {
        let required = &candidate.required;
        let agents: Vec<AgentId> = open.iter().map(|index| wishes[*index].agent).collect();
        let mut choice = Choice {
            task: facts.task,
            agent: agents[0],
            reason: Reason::Order,
            control: false,
            waited: (self.now - facts.ready_from).max(TimeDelta::zero()),
            considered: Vec::new(),
        };
        let plain =
            |index: &usize| Ranked { place: Place::Asks(*index), considered: None, order: 0.0 };
        if candidate.keeping.assigned().is_some() {
            choice.reason = Reason::Kept;
            return (open.iter().map(plain).collect(), choice);
        }
        choice.control = self.rules.policy != Policy::Fifo && self.is_control(facts);
        let rivals = self.rivals_of(facts, candidate, &agents, rivals, choice.control);
        if agents.len() == 1 && rivals.is_empty() {
            choice.reason = if choice.control { Reason::Control } else { Reason::Only };
            return (open.iter().map(plain).collect(), choice);
        }
        let fifo = self.rules.policy == Policy::Fifo;
        if fifo || !(choice.control || self.beliefs.knows(required)) {
            return (open.iter().map(plain).collect(), choice);
        }
        let load = |agent: &AgentId| slots.get(agent).map(|slots| slots.load());
        let asking = open.iter().zip(&agents).take(COMPARED);
        let asking = asking.map(|(index, agent)| (Place::Asks(*index), *agent, load(agent)));
        let others = rivals.into_iter().map(|(index, agent)| (Place::Rival(index), agent, None));
        let mut ranked: Vec<Ranked> = asking
            .chain(others)
            .map(|(place, agent, load)| {
                let considered = self.consider(facts, required, agent, load);
                let order = if choice.control { self.lot(facts, agent) } else { considered.score };
                Ranked { place, considered: Some(considered), order }
            })
            .collect();
        ranked.sort_by(|a, b| b.order.total_cmp(&a.order));
        choice.reason = if choice.control { Reason::Control } else { Reason::Score };
        choice.considered = ranked.iter().filter_map(|one| one.considered).collect();
        ranked.extend(open.iter().skip(COMPARED).map(plain));
        (ranked, choice)
    }

    /// The rivals that compete for a candidate, by their index.
    fn rivals_of<T: Routed>(
        &self,
        facts: &Facts,
        candidate: &Candidate<T>,
        open: &[AgentId],
        rivals: &[Rival],
        control: bool,
    ) -> Vec<(usize, AgentId)> {
        let required = &candidate.required;
        if rivals.is_empty() || self.deferral_left(facts) <= TimeDelta::zero() {
            return Vec::new();
        }
        let best = self.best(facts, required, open);
        let competes = |rival: &Rival| {
            let may = covers(&rival.able, required)
                && candidate.keeping.admits(rival.agent)
                && !open.contains(&rival.agent);
            let leads = || match (self.expected(facts, required, rival.agent), best) {
                (Some(expected), Some(best)) => is_clear(expected, best),
                _ => false,
            };
            may && (control || leads())
        };
        let all = rivals.iter().enumerate().filter(|(_, rival)| competes(rival));
        all.map(|(index, rival)| (index, rival.agent)).collect()
    }
}

/// The wishes that could take a candidate, one per agent, in their order.
fn open<T>(
    wishes: &[Wish],
    slots: &HashMap<AgentId, Slots>,
    candidate: &Candidate<T>,
    given: &[Vec<T>],
) -> Vec<usize> {
    let mut open: Vec<usize> = Vec::new();
    for (index, wish) in wishes.iter().enumerate() {
        let wants = given[index].len() < wish.max as usize
            && slots.get(&wish.agent).is_some_and(|slots| slots.free > 0)
            && covers(&wish.able, &candidate.required)
            && candidate.keeping.admits(wish.agent);
        if wants && !open.iter().any(|other| wishes[*other].agent == wish.agent) {
            open.push(index);
        }
    }
    open
}
