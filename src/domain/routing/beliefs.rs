//! What is believed of the agents of a workspace: made from all records behind the claims, read by them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{
    affinity::Affinities,
    deferral::{ENOUGH, is_clear},
    policy::Policy,
    random::Draws,
    record::{Belief, Record, Whole},
    score::{self, Expected, Weights},
};
use crate::domain::ids::AgentId;

/// The records of an agent at a capability.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The capability; empty for tasks that require none.
    pub capability: String,
    /// The agent.
    pub agent: AgentId,
    /// Of its model and version now.
    pub record: Record,
    /// Of the model and version before.
    pub before: Option<Record>,
}

/// What is believed of the agents of a workspace.
#[derive(Debug, Clone, Default)]
pub struct Beliefs {
    /// When it was made.
    pub at: DateTime<Utc>,
    /// What agents worked on lately.
    pub affinities: Affinities,
    weights: Weights,
    able: HashMap<AgentId, Arc<[String]>>,
    by_capability: HashMap<String, AtCapability>,
}

#[derive(Debug, Clone)]
struct AtCapability {
    unknown: Belief,
    agents: HashMap<AgentId, Belief>,
    /// The best with enough attempts, best first.
    top: Vec<AgentId>,
    /// Whether one agent is clearly better than another.
    differs: bool,
}

/// Most agents of a capability for which tasks are left.
const TOP: usize = 8;

impl Beliefs {
    /// From all records. `able`: the capabilities of the agents that may claim.
    #[must_use]
    pub fn new(
        known: Vec<Known>,
        able: HashMap<AgentId, Arc<[String]>>,
        affinities: Affinities,
        policy: Policy,
        now: DateTime<Utc>,
    ) -> Self {
        let mut groups: HashMap<String, Vec<Known>> = HashMap::new();
        for mut known in known {
            known.record = known.record.at(now);
            known.before = known.before.map(|before| before.at(now));
            groups.entry(known.capability.clone()).or_default().push(known);
        }
        let weights = Weights::of(policy);
        let by_capability = groups.into_iter().map(|(capability, known)| {
            let at = AtCapability::new(&known, &able, weights, now);
            (capability, at)
        });
        Self { at: now, affinities, weights, by_capability: by_capability.collect(), able }
    }

    /// Whether nothing is known of any agent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_capability.is_empty()
    }

    /// What is believed of an agent at each of the capabilities of a task.
    fn each(&self, required: &[String], agent: AgentId) -> impl Iterator<Item = &Belief> {
        let at = move |capability: &str| {
            let at = self.by_capability.get(capability)?;
            Some(at.agents.get(&agent).unwrap_or(&at.unknown))
        };
        let none = required.is_empty().then(|| at("")).flatten();
        none.into_iter().chain(required.iter().filter_map(move |name| at(name)))
    }

    /// What is believed of an agent at a capability.
    #[must_use]
    pub fn of(&self, capability: &str, agent: AgentId) -> Option<&Belief> {
        self.by_capability.get(capability)?.agents.get(&agent)
    }

    /// Whether anything is known at one of the capabilities of a task.
    #[must_use]
    pub fn knows(&self, required: &[String]) -> bool {
        self.over(required).next().is_some()
    }

    /// Whether one agent is clearly better than another at a capability of the task.
    #[must_use]
    pub fn differs(&self, required: &[String]) -> bool {
        self.over(required).any(|at| at.differs)
    }

    fn over(&self, required: &[String]) -> impl Iterator<Item = &AtCapability> {
        let none = required.is_empty().then(|| self.by_capability.get("")).flatten();
        none.into_iter().chain(required.iter().filter_map(|name| self.by_capability.get(name)))
    }

    /// The expected score of an agent at a task; `None`: nothing is known of anybody.
    #[must_use]
    pub fn expected(
        &self,
        weights: Weights,
        required: &[String],
        agent: AgentId,
    ) -> Option<Expected> {
        let (mut count, mut mean, mut variance) = (0.0, 0.0, 0.0);
        for belief in self.each(required, agent) {
            let Expected { mean: one, unsure } = score::expected(weights, belief);
            count += 1.0;
            mean += one;
            variance += unsure * unsure;
        }
        (count > 0.0).then(|| Expected { mean: mean / count, unsure: variance.sqrt() / count })
    }

    /// The expected score of an agent at a task, by the policy that these beliefs were made for.
    #[must_use]
    pub fn mean(&self, required: &[String], agent: AgentId) -> Option<f64> {
        Some(self.expected(self.weights, required, agent)?.mean)
    }

    /// A score of an agent at a task, drawn from what is believed of it.
    #[must_use]
    pub fn drawn(
        &self,
        weights: Weights,
        required: &[String],
        agent: AgentId,
        draws: &mut Draws,
    ) -> f64 {
        let (mut count, mut sum) = (0.0, 0.0);
        for belief in self.each(required, agent) {
            count += 1.0;
            sum += score::drawn(weights, belief, draws);
        }
        if count > 0.0 { sum / count } else { 0.0 }
    }

    /// What is believed of an agent at a task: the least known of its capabilities.
    #[must_use]
    pub fn least_known(&self, required: &[String], agent: AgentId) -> Option<&Belief> {
        self.each(required, agent).min_by(|a, b| a.weight.total_cmp(&b.weight))
    }

    /// Whether the agent is a new version that has not done enough at one of the capabilities.
    #[must_use]
    pub fn is_canary(&self, required: &[String], agent: AgentId) -> bool {
        self.each(required, agent).any(|belief| belief.canary)
    }

    /// Agents that may be clearly better at a task than others, with enough attempts at all of its capabilities.
    #[must_use]
    pub fn leaders(&self, required: &[String]) -> BTreeSet<AgentId> {
        let top = self.over(required).filter(|at| at.differs).flat_map(|at| at.top.iter().copied());
        top.filter(|agent| self.can(*agent, required))
            .filter(|agent| self.each(required, *agent).all(|belief| belief.weight >= ENOUGH))
            .collect()
    }

    /// The agents that are known and able at a task, at most `most`.
    #[must_use]
    pub fn able(&self, required: &[String], most: usize) -> BTreeSet<AgentId> {
        let known = self.over(required).flat_map(|at| at.agents.keys().copied());
        known.filter(|agent| self.can(*agent, required)).take(most).collect()
    }

    fn can(&self, agent: AgentId, required: &[String]) -> bool {
        self.able.get(&agent).is_some_and(|able| required.iter().all(|name| able.contains(name)))
    }

    /// Whether any task may be left for an agent that is clearly better than `agent`.
    #[must_use]
    pub fn may_wait(&self, weights: Weights, able: &[String], agent: AgentId) -> bool {
        let names = able.iter().map(String::as_str).chain([""]);
        names.filter_map(|name| self.by_capability.get(name)).filter(|at| at.differs).any(|at| {
            let own = score::expected(weights, at.agents.get(&agent).unwrap_or(&at.unknown));
            let best = at.top.first().and_then(|top| at.agents.get(top));
            best.is_some_and(|best| is_clear(score::expected(weights, best), own))
        })
    }
}

impl AtCapability {
    fn new(
        known: &[Known],
        able: &HashMap<AgentId, Arc<[String]>>,
        weights: Weights,
        now: DateTime<Utc>,
    ) -> Self {
        let whole = Whole::of(known.iter().map(|known| &known.record));
        let agents: HashMap<AgentId, Belief> = known
            .iter()
            .filter(|known| able.contains_key(&known.agent))
            .map(|known| (known.agent, Belief::of(known.record, known.before, &whole)))
            .collect();
        let mut ranked: Vec<(AgentId, Expected)> = agents
            .iter()
            .filter(|(_, belief)| belief.weight >= ENOUGH)
            .map(|(agent, belief)| (*agent, score::expected(weights, belief)))
            .collect();
        ranked.sort_by(|(a, one), (b, other)| other.mean.total_cmp(&one.mean).then(a.cmp(b)));
        let differs = match (ranked.first(), ranked.last()) {
            (Some((_, first)), Some((_, last))) => is_clear(*first, *last),
            _ => false,
        };
        let top = ranked.into_iter().map(|(agent, _)| agent).take(TOP).collect();
        Self { unknown: Belief::unknown(&whole, now), agents, top, differs }
    }
}
