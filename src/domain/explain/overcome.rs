//! What keeps agents from claims, in words, and how they are freed from it.

use super::{
    answer::{Actor, Remedy},
    fleet::FleetAgent,
    hindrance::AgentHindrance,
    request,
};

/// What a hindrance is, as the rest of a sentence about agents.
#[must_use]
pub fn sentence(kind: AgentHindrance, count: usize) -> &'static str {
    let one = count == 1;
    match kind {
        AgentHindrance::Full if one => "runs as many attempts as it may",
        AgentHindrance::Full => "run as many attempts as they may",
        AgentHindrance::RateLimited if one => "is limited in its rate by its provider",
        AgentHindrance::RateLimited => "are limited in their rate by their providers",
        AgentHindrance::Quota if one => "has too little left of a quota window",
        AgentHindrance::Quota => "have too little left of a quota window",
        AgentHindrance::Budget if one => "has too little left of its budget",
        AgentHindrance::Budget => "have too little left of their budgets",
        AgentHindrance::Frozen if one => "is frozen",
        AgentHindrance::Frozen => "are frozen",
        AgentHindrance::Draining if one => "is draining",
        AgentHindrance::Draining => "are draining",
        AgentHindrance::Paused if one => "is paused",
        AgentHindrance::Paused => "are paused",
        AgentHindrance::Offline if one => "was not heard of for ten minutes",
        AgentHindrance::Offline => "were not heard of for ten minutes",
        AgentHindrance::NoKey if one => "has no valid key",
        AgentHindrance::NoKey => "have no valid key",
        AgentHindrance::Kept | AgentHindrance::Barred if one => "is excluded",
        AgentHindrance::Kept | AgentHindrance::Barred => "are excluded",
        AgentHindrance::LacksCapability if one => "lacks a capability",
        AgentHindrance::LacksCapability => "lack a capability",
    }
}

/// How the first of some agents is freed from what they all have.
#[must_use]
pub fn overcome(kind: AgentHindrance, agents: &[&FleetAgent]) -> Remedy {
    let until = agents.iter().filter_map(|agent| agent.until(kind)).min();
    let Some(first) = agents.first() else { return Remedy::time(until) };
    let by_operator = |request| Remedy::by(Actor::operator(), request);
    let remedy = match kind {
        AgentHindrance::Full => {
            let full = agents.iter().find_map(|agent| Some((agent, agent.oldest?)));
            let (agent, oldest) = full.unzip();
            let agent = agent.unwrap_or(first);
            let acts = Actor::agent(agent.agent_id, &agent.name);
            Some(Remedy { acts, request: oldest.map(request::complete), clears_at: None })
        }
        AgentHindrance::Frozen => {
            let freeze = agents.iter().find_map(|agent| agent.freeze.as_ref());
            freeze.map(|freeze| by_operator(request::lift(freeze.freeze_id)))
        }
        AgentHindrance::Draining | AgentHindrance::Paused => {
            Some(by_operator(request::activate(first.agent_id, first.version, &first.name)))
        }
        AgentHindrance::Offline | AgentHindrance::NoKey => {
            Some(by_operator(request::new_key(&first.name)))
        }
        AgentHindrance::Budget => {
            let raise =
                agents.iter().flat_map(|agent| &agent.short).find_map(|short| short.raise.clone());
            Some(Remedy { acts: Actor::operator(), request: raise, clears_at: None })
        }
        AgentHindrance::RateLimited
        | AgentHindrance::Quota
        | AgentHindrance::Kept
        | AgentHindrance::Barred
        | AgentHindrance::LacksCapability => None,
    };
    let remedy = remedy.unwrap_or_else(Remedy::nothing);
    Remedy { clears_at: until, ..remedy }
}
