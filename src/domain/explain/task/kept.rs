//! Tasks that are kept for some agents: after a hand-off until the offer ends, after a reassignment until the next
//! attempt starts.

use super::{
    cause::{TaskCause, TaskCauseKind, cause},
    situation::Situation,
};
use crate::domain::{
    explain::{
        answer::{Actor, CauseFacts, OfferedTo, Remedy},
        fleet::FleetAgent,
        hindrance::AgentHindrance,
        offer::sentence,
        request,
    },
    task::claim::covers,
};

impl Situation {
    /// The capabilities that a claim of it needs: its own, and that of a hand-off.
    #[must_use]
    pub fn needed(&self) -> Vec<String> {
        let offered = self.offered_capability.iter().filter(|name| !self.required.contains(name));
        self.required.iter().chain(offered).cloned().collect()
    }

    /// Whether an agent may do it, as far as it is able.
    #[must_use]
    pub fn admits(&self, agent: &FleetAgent) -> bool {
        agent.is_able(&self.required, &self.keeping) && self.is_offered_to(agent)
    }

    fn is_offered_to(&self, agent: &FleetAgent) -> bool {
        let has = |name: &String| agent.capabilities.contains(name);
        self.offered_capability.as_ref().is_none_or(has)
    }

    /// What keeps an agent from it; `None`: nothing.
    #[must_use]
    pub fn hindrance(&self, agent: &FleetAgent) -> Option<AgentHindrance> {
        let able = covers(&agent.capabilities, &self.required);
        if able && self.keeping.admits(agent.agent_id) && !self.is_offered_to(agent) {
            return Some(AgentHindrance::Kept);
        }
        agent.hindrance(&self.required, &self.keeping)
    }

    /// For whom it is kept; `None`: for nobody, at most it was taken from one.
    #[must_use]
    pub fn offered_to(&self) -> Option<OfferedTo> {
        let agent_id = self.keeping.assigned();
        if agent_id.is_none() && self.offered_capability.is_none() {
            return None;
        }
        let named = self.fleet.iter().find(|agent| Some(agent.agent_id) == agent_id);
        Some(OfferedTo {
            agent_id,
            agent_name: named.map(|agent| agent.name.clone()),
            capability: self.offered_capability.clone(),
            except_agent_id: self.keeping.barred(),
            until: self.offer_until,
        })
    }

    /// Whether its offer is over, and only the service has to notice.
    pub(super) fn is_offer_over(&self) -> bool {
        self.offer_until.is_some_and(|until| until <= self.now)
    }

    /// Whether somebody whom it is not kept for could claim it at the end of the offer.
    pub(super) fn others_wait(&self) -> bool {
        let waits = |agent: &FleetAgent| {
            let able = covers(&agent.capabilities, &self.required);
            able && !self.admits(agent) && agent.kept_from_claims().is_none()
        };
        self.fleet.iter().any(waits)
    }

    /// That it is kept for agents that can do it: the free one of these acts, or an operator.
    pub(super) fn offered(&self) -> Option<TaskCause> {
        let to = self.offered_to()?;
        let addressees: Vec<&FleetAgent> =
            self.fleet.iter().filter(|agent| self.admits(agent)).collect();
        if addressees.is_empty() {
            return None;
        }
        let detail = format!("it {}", sentence(&to));
        let remedy = match self.free_agent() {
            Some(_) => self.claimed(self.place.as_ref().map_or(1, |place| place.ahead + 1)),
            None => Remedy::by(Actor::operator(), request::open_to_all(self.task_id)),
        };
        let facts = CauseFacts {
            agents: self.standings(&addressees),
            offered: Some(to),
            ..CauseFacts::default()
        };
        let remedy = Remedy { clears_at: self.offer_until, ..remedy };
        Some(cause(TaskCauseKind::Offered, detail, remedy, facts))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{
        explain::{
            answer::ActorKind,
            fleet::sound,
            task::{
                causes,
                situation::tests_only::{NOW, kinds, situation},
            },
        },
        states::TaskState,
        task::claim::Keeping,
    };

    /// Handed over by the second agent to the first one, until in a minute.
    fn handed_over() -> Situation {
        let mut at = situation(TaskState::Ready);
        at.fleet.push(sound(2, &["rust"]));
        at.keeping = Keeping::Only(at.fleet[0].agent_id);
        at.offer_until = Some(NOW + Duration::from_secs(60));
        at
    }

    #[test]
    fn an_offer_says_to_whom_and_until_when() {
        let at = handed_over();
        let found = causes(&at);
        assert_eq!(kinds(&at), [TaskCauseKind::Offered]);
        assert_eq!(found[0].remedy.clears_at, at.offer_until);
        assert_eq!(found[0].remedy.acts.name.as_deref(), Some("agent 1"));
        let to = found[0].facts.offered.clone().unwrap();
        assert_eq!((to.agent_name.as_deref(), to.until), (Some("agent 1"), at.offer_until));
    }

    #[test]
    fn an_addressee_that_cannot_is_the_first_cause_and_the_offer_ends_it() {
        let mut at = handed_over();
        at.fleet[0].free_slots = 0;
        assert_eq!(kinds(&at), [TaskCauseKind::AgentsFull, TaskCauseKind::Offered]);
        let found = causes(&at);
        assert_eq!(found[0].remedy.clears_at, at.offer_until);
        assert_eq!(found[1].remedy.acts.kind, ActorKind::Operator);
        // Without the offer nobody else could either.
        at.fleet[1].free_slots = 0;
        assert_eq!(causes(&at)[0].remedy.clears_at, None);
    }

    #[test]
    fn a_capability_is_offered_to_all_that_have_it() {
        let mut at = handed_over();
        at.keeping = Keeping::AllBut(at.fleet[1].agent_id);
        at.offered_capability = Some("review".to_owned());
        // The last agent with it is gone.
        assert_eq!(kinds(&at), [TaskCauseKind::Excluded]);
        assert_eq!(causes(&at)[0].remedy.clears_at, at.offer_until);
        assert_eq!(at.hindrance(&at.fleet[0]), Some(AgentHindrance::Kept));
        assert_eq!(at.hindrance(&at.fleet[1]), Some(AgentHindrance::Barred));
        at.fleet.push(sound(3, &["review", "rust"]));
        assert_eq!(kinds(&at), [TaskCauseKind::Offered]);
        assert_eq!(at.needed(), ["rust", "review"]);
    }

    #[test]
    fn an_offer_that_is_over_waits_for_the_service() {
        let mut at = handed_over();
        at.fleet[0].free_slots = 0;
        at.now = at.offer_until.unwrap();
        assert_eq!(kinds(&at), [TaskCauseKind::Promotion]);
    }

    #[test]
    fn a_check_for_an_agent_that_may_not_do_it_is_opened_to_others() {
        let mut at = handed_over();
        at.keeping = Keeping::Misdirected(at.fleet[0].agent_id);
        at.offer_until = None;
        assert_eq!(kinds(&at), [TaskCauseKind::Excluded]);
        let standings = &causes(&at)[0].facts.agents;
        assert_eq!(standings[0].hindrance, Some(AgentHindrance::Barred));
        assert_eq!(standings[1].hindrance, Some(AgentHindrance::Kept));
    }
}
