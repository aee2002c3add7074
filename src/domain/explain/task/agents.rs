//! Able agents, and what keeps all of them from a task.

use super::{
    cause::{TaskCause, TaskCauseKind, cause},
    phrases::names,
    situation::Situation,
};
use crate::domain::{
    explain::{
        answer::{Actor, AgentStanding, CauseFacts, NAMED, Remedy},
        fleet::{FleetAgent, nearest, unknown},
        hindrance::AgentHindrance,
        overcome::{overcome, sentence},
        request,
    },
    task::claim::{Keeping, covers},
};

impl Situation {
    pub(super) fn agents(&self) -> Vec<TaskCause> {
        let Self { required, fleet, .. } = self;
        if !fleet.iter().any(|agent| covers(&agent.capabilities, required)) {
            return vec![self.no_agent()];
        }
        let able: Vec<(&FleetAgent, Option<AgentHindrance>)> = fleet
            .iter()
            .filter(|agent| self.admits(agent))
            .map(|agent| (agent, self.hindrance(agent)))
            .collect();
        if able.is_empty() {
            return vec![self.excluded()];
        }
        if able.iter().any(|(_, hindrance)| hindrance.is_none()) {
            return Vec::new();
        }
        let mut kinds: Vec<AgentHindrance> =
            able.iter().filter_map(|(_, hindrance)| *hindrance).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let of = |kind: &AgentHindrance| {
            let agents = able.iter().filter(|(_, hindrance)| *hindrance == Some(*kind));
            self.hindered(*kind, agents.map(|(agent, _)| *agent).collect())
        };
        kinds.iter().map(of).collect()
    }

    pub(super) fn standings(&self, agents: &[&FleetAgent]) -> Vec<AgentStanding> {
        let standing = |agent: &&FleetAgent| {
            let hindrance = self.hindrance(agent);
            let until = hindrance.and_then(|hindrance| match hindrance {
                AgentHindrance::Kept | AgentHindrance::Barred => self.offer_until,
                AgentHindrance::Full
                | AgentHindrance::RateLimited
                | AgentHindrance::Quota
                | AgentHindrance::Budget
                | AgentHindrance::Frozen
                | AgentHindrance::Draining
                | AgentHindrance::Paused
                | AgentHindrance::Offline
                | AgentHindrance::NoKey
                | AgentHindrance::LacksCapability => agent.until(hindrance),
            });
            AgentStanding { hindrance, until, ..agent.standing(&self.required, &self.keeping) }
        };
        agents.iter().take(NAMED).map(standing).collect()
    }

    pub(super) fn no_agent(&self) -> TaskCause {
        let Self { required, fleet, .. } = self;
        let missing = unknown(fleet, required);
        let wanted = names(required.iter().map(String::as_str));
        let Some(near) = nearest(fleet, required) else {
            let detail = match required.is_empty() {
                true => "no agent is registered".to_owned(),
                false => format!("it requires {wanted}, and no agent is registered"),
            };
            let facts = CauseFacts { capabilities: missing, ..CauseFacts::default() };
            let remedy = Remedy::by(Actor::operator(), request::register(self.task_id, required));
            return cause(TaskCauseKind::NoAgent, detail, remedy, facts);
        };
        let lacks = near.lacks(required);
        let mut all = near.capabilities.clone();
        all.extend(lacks.iter().cloned());
        all.sort_unstable();
        all.dedup();
        let nobody = match missing.is_empty() {
            true => "no agent has all of them".to_owned(),
            false => format!("no agent has {}", names(missing.iter().map(String::as_str))),
        };
        let detail = format!(
            "it requires {wanted}, and {nobody}; the nearest agent, `{}`, lacks {}",
            near.name,
            names(lacks.iter().map(String::as_str)),
        );
        let facts = CauseFacts {
            agents: self.standings(&[near]),
            capabilities: missing,
            ..CauseFacts::default()
        };
        let enable = request::enable(near.agent_id, near.version, &near.name, &all);
        cause(TaskCauseKind::NoAgent, detail, Remedy::by(Actor::operator(), enable), facts)
    }

    pub(super) fn excluded(&self) -> TaskCause {
        let able: Vec<&FleetAgent> =
            self.fleet.iter().filter(|agent| covers(&agent.capabilities, &self.required)).collect();
        let why = match &self.keeping {
            _ if self.offered_capability.is_some() => {
                "it was handed over to agents with a capability that none of the able ones has"
            }
            Keeping::Only(_) => "it is kept for an agent that cannot do it",
            Keeping::Misdirected(_) => {
                "it is a check, and kept for an agent that may not do it: it made what is checked, or shares an owner \
                 with those who did"
            }
            Keeping::Anybody | Keeping::AllBut(_) => {
                "it was taken from the only agent that can do it"
            }
            Keeping::Check(_) => {
                "it checks what the only able agents made, or agents of their owner"
            }
        };
        let detail =
            format!("{why}; able is {}", names(able.iter().map(|agent| agent.name.as_str())));
        let facts = CauseFacts {
            agents: self.standings(&able),
            offered: self.offered_to(),
            ..CauseFacts::default()
        };
        let request = match self.keeping {
            Keeping::Check(_) if self.offered_capability.is_none() && self.other_owner => {
                request::register_owned(self.task_id, &self.required)
            }
            Keeping::Check(_) if self.offered_capability.is_none() => {
                request::register(self.task_id, &self.required)
            }
            Keeping::Anybody
            | Keeping::Only(_)
            | Keeping::AllBut(_)
            | Keeping::Check(_)
            | Keeping::Misdirected(_) => request::open_to_all(self.task_id),
        };
        let remedy = Remedy::by(Actor::operator(), request);
        let remedy = Remedy { clears_at: self.offer_until, ..remedy };
        cause(TaskCauseKind::Excluded, detail, remedy, facts)
    }

    pub(super) fn hindered(&self, kind: AgentHindrance, agents: Vec<&FleetAgent>) -> TaskCause {
        let facts = CauseFacts { agents: self.standings(&agents), ..CauseFacts::default() };
        let all = names(agents.iter().map(|agent| agent.name.as_str()));
        let detail = format!("of the able agents {all} {}", sentence(kind, agents.len()));
        let remedy = overcome(kind, &agents);
        let offer_ends = self.offer_until.filter(|_| self.others_wait());
        let clears_at = [remedy.clears_at, offer_ends].into_iter().flatten().min();
        let remedy = Remedy { clears_at, ..remedy };
        cause(TaskCauseKind::of(kind), detail, remedy, facts)
    }

    /// The agent that could claim it now.
    #[must_use]
    pub fn free_agent(&self) -> Option<&FleetAgent> {
        self.fleet.iter().find(|agent| self.hindrance(agent).is_none())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::domain::{
        explain::{
            fleet::sound,
            task::{causes, situation::tests_only::situation},
        },
        states::TaskState,
    };

    #[test]
    fn nobody_able_names_what_is_missing_and_who_is_near() {
        let mut at = situation(TaskState::Ready);
        at.required = vec!["gpu".to_owned(), "rust".to_owned()];
        at.fleet.insert(0, sound(2, &[]));
        let found = causes(&at);
        assert_eq!(found[0].cause, TaskCauseKind::NoAgent);
        assert_eq!(found[0].facts.capabilities, ["gpu"]);
        assert_eq!(found[0].facts.agents[0].name, "agent 1");
        at.fleet.clear();
        let found = causes(&at);
        let path = found[0].remedy.request.as_ref().map(|request| request.path.as_str());
        assert_eq!((found[0].cause, path), (TaskCauseKind::NoAgent, Some("/v1/agents")));
    }

    #[test]
    fn a_task_that_was_taken_from_the_only_able_agent_is_offered_to_all() {
        let mut at = situation(TaskState::Ready);
        at.keeping = Keeping::AllBut(at.fleet[0].agent_id);
        at.fleet.push(sound(2, &[]));
        let found = causes(&at);
        assert_eq!(found[0].cause, TaskCauseKind::Excluded);
        assert_eq!(found[0].facts.agents[0].hindrance, Some(AgentHindrance::Barred));
    }
}
