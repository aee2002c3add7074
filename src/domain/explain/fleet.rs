//! Agents, and what keeps each of them from a task.

use chrono::{DateTime, Utc};

use super::{
    answer::{AgentStanding, FreezeOver, LackingLimit},
    hindrance::AgentHindrance,
};
use crate::domain::{
    ids::{AgentId, AttemptId},
    states::AgentState,
    task::claim::{Keeping, covers},
};

/// An agent that is not retired, as claims see it.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetAgent {
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: i32,
    /// Its capabilities.
    pub capabilities: Vec<String>,
    /// The state set by operators.
    pub state: AgentState,
    /// Whether it was heard of, registered or edited lately.
    pub heard: bool,
    /// A freeze over the agent itself or over the workspace.
    pub freeze: Option<FreezeOver>,
    /// Whether one of its keys is valid.
    pub has_key: bool,
    /// Attempts that it may start now, as the claim counts.
    pub free_slots: u32,
    /// Given no tasks before this time.
    pub held_until: Option<DateTime<Utc>>,
    /// Whether it is held because its provider limits its rate.
    pub rate_limited: bool,
    /// When the quota windows that have too little left for the task have ended.
    pub quota_until: Option<DateTime<Utc>>,
    /// Its longest running attempt of those that the caller sees.
    pub oldest: Option<AttemptId>,
    /// Limits of its own without enough room for the task.
    pub short: Vec<LackingLimit>,
}

impl FleetAgent {
    /// What keeps it from claiming anything; `None`: nothing.
    #[must_use]
    pub fn kept_from_claims(&self) -> Option<AgentHindrance> {
        if !self.has_key {
            return Some(AgentHindrance::NoKey);
        }
        if self.freeze.is_some() {
            return Some(AgentHindrance::Frozen);
        }
        match self.state {
            // The retired have no part in this.
            AgentState::Paused | AgentState::Retired => return Some(AgentHindrance::Paused),
            AgentState::Draining => return Some(AgentHindrance::Draining),
            AgentState::Active => {}
        }
        if !self.heard {
            return Some(AgentHindrance::Offline);
        }
        match self.held_until {
            Some(_) if self.rate_limited => return Some(AgentHindrance::RateLimited),
            Some(_) => return Some(AgentHindrance::Quota),
            None => {}
        }
        (self.free_slots == 0).then_some(AgentHindrance::Full)
    }

    /// Whether it may do the task, as far as it is able.
    #[must_use]
    pub fn is_able(&self, required: &[String], keeping: &Keeping) -> bool {
        covers(&self.capabilities, required) && keeping.admits(self.agent_id)
    }

    /// What keeps it from a task; `None`: nothing.
    #[must_use]
    pub fn hindrance(&self, required: &[String], keeping: &Keeping) -> Option<AgentHindrance> {
        if !covers(&self.capabilities, required) {
            return Some(AgentHindrance::LacksCapability);
        }
        if !keeping.admits(self.agent_id) {
            let kept = keeping.assigned().is_some_and(|assigned| assigned != self.agent_id);
            return Some(if kept { AgentHindrance::Kept } else { AgentHindrance::Barred });
        }
        if let Some(hindrance) = self.kept_from_claims() {
            return Some(hindrance);
        }
        if self.quota_until.is_some() {
            return Some(AgentHindrance::Quota);
        }
        (!self.short.is_empty()).then_some(AgentHindrance::Budget)
    }

    /// When a hindrance ends by itself.
    #[must_use]
    pub fn until(&self, hindrance: AgentHindrance) -> Option<DateTime<Utc>> {
        match hindrance {
            AgentHindrance::RateLimited | AgentHindrance::Quota => {
                self.held_until.or(self.quota_until)
            }
            AgentHindrance::Budget => self.short.iter().filter_map(|short| short.renews_at).min(),
            AgentHindrance::Full
            | AgentHindrance::Frozen
            | AgentHindrance::Draining
            | AgentHindrance::Paused
            | AgentHindrance::Offline
            | AgentHindrance::NoKey
            | AgentHindrance::Kept
            | AgentHindrance::Barred
            | AgentHindrance::LacksCapability => None,
        }
    }

    /// Capabilities that it lacks.
    #[must_use]
    pub fn lacks(&self, required: &[String]) -> Vec<String> {
        let lacks = required.iter().filter(|name| !self.capabilities.contains(name));
        lacks.cloned().collect()
    }

    /// As it is shown.
    #[must_use]
    pub fn standing(&self, required: &[String], keeping: &Keeping) -> AgentStanding {
        let hindrance = self.hindrance(required, keeping);
        AgentStanding {
            agent_id: self.agent_id,
            name: self.name.clone(),
            hindrance,
            lacks: self.lacks(required),
            until: hindrance.and_then(|hindrance| self.until(hindrance)),
        }
    }
}

/// The agent that lacks the fewest capabilities.
#[must_use]
pub fn nearest<'a>(fleet: &'a [FleetAgent], required: &[String]) -> Option<&'a FleetAgent> {
    let key = |agent: &&FleetAgent| (agent.lacks(required).len(), agent.kept_from_claims());
    fleet.iter().min_by_key(key)
}

/// Capabilities that no agent has.
#[must_use]
pub fn unknown(fleet: &[FleetAgent], required: &[String]) -> Vec<String> {
    let has = |name: &String| fleet.iter().any(|agent| agent.capabilities.contains(name));
    required.iter().filter(|name| !has(name)).cloned().collect()
}

/// For tests of the rules.
#[cfg(test)]
#[must_use]
pub fn sound(number: u128, capabilities: &[&str]) -> FleetAgent {
    FleetAgent {
        agent_id: AgentId(uuid::Uuid::from_u128(number)),
        name: format!("agent {number}"),
        version: 1,
        capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
        state: AgentState::Active,
        heard: true,
        freeze: None,
        has_key: true,
        free_slots: 1,
        held_until: None,
        rate_limited: false,
        quota_until: None,
        oldest: None,
        short: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn required() -> Vec<String> {
        vec!["gpu".to_owned(), "rust".to_owned()]
    }

    #[test]
    fn a_sound_agent_has_no_hindrance() {
        let agent = sound(1, &["gpu", "rust"]);
        assert_eq!(agent.hindrance(&required(), &Keeping::Anybody), None);
        assert_eq!(agent.hindrance(&required(), &Keeping::Only(agent.agent_id)), None);
    }

    #[test]
    fn what_must_be_overcome_first_is_named() {
        let at = DateTime::UNIX_EPOCH;
        let mut agent = sound(1, &["gpu", "rust"]);
        let found = |agent: &FleetAgent| agent.hindrance(&required(), &Keeping::Anybody);
        agent.free_slots = 0;
        assert_eq!(found(&agent), Some(AgentHindrance::Full));
        agent.held_until = Some(at);
        assert_eq!(
            (found(&agent), agent.until(AgentHindrance::Quota)),
            (Some(AgentHindrance::Quota), Some(at))
        );
        agent.rate_limited = true;
        assert_eq!(found(&agent), Some(AgentHindrance::RateLimited));
        agent.heard = false;
        assert_eq!(found(&agent), Some(AgentHindrance::Offline));
        agent.state = AgentState::Draining;
        assert_eq!(found(&agent), Some(AgentHindrance::Draining));
        agent.state = AgentState::Paused;
        assert_eq!(found(&agent), Some(AgentHindrance::Paused));
        agent.has_key = false;
        assert_eq!(found(&agent), Some(AgentHindrance::NoKey));
        let barred = Keeping::AllBut(agent.agent_id);
        assert_eq!(agent.hindrance(&required(), &barred), Some(AgentHindrance::Barred));
        let kept = Keeping::Only(AgentId(Uuid::from_u128(2)));
        assert_eq!(agent.hindrance(&required(), &kept), Some(AgentHindrance::Kept));
        agent.capabilities.clear();
        assert_eq!(agent.hindrance(&required(), &kept), Some(AgentHindrance::LacksCapability));
    }

    #[test]
    fn the_nearest_lacks_the_fewest_and_claims_soonest() {
        let mut fleet = [sound(1, &[]), sound(2, &["rust"]), sound(3, &["gpu"])];
        fleet[1].state = AgentState::Paused;
        assert_eq!(nearest(&fleet, &required()).map(|agent| agent.name.as_str()), Some("agent 3"));
        assert_eq!(unknown(&fleet, &required()), Vec::<String>::new());
        assert_eq!(unknown(&fleet[..2], &required()), ["gpu"]);
        assert_eq!(nearest(&[], &required()), None);
    }
}
