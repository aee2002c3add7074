//! Tasks that are left for better agents, as the router of claims decides.

use std::collections::{BTreeSet, HashMap};

use crate::{
    app::{Result, attempts::claim::transaction::free_slots, routing},
    domain::{
        explain::{fleet::FleetAgent, task::situation::LeftFor},
        ids::AgentId,
        routing::{
            assign::{Deferred, Facts, Routed, Router},
            beliefs::Beliefs,
        },
        task::claim::{Candidate, Funding, Keeping, Wish},
    },
    store::{Tx, attempts::claim::Claimer},
};

/// A task that an agent would ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted(pub Facts);

impl Routed for Wanted {
    fn facts(&self) -> Facts {
        self.0
    }
}

/// Most agents that are tried.
const TRIED: usize = 8;

/// The agent that all the candidates are left for if one of `askers` asks alone; `None`: each of them gets one.
pub(super) async fn left_for(
    tx: &mut Tx,
    beliefs: &Beliefs,
    askers: &[&Claimer],
    candidates: &[(Facts, Vec<String>, Keeping)],
    fleet: &[FleetAgent],
) -> Result<Option<LeftFor>> {
    let Some(first) = askers.first() else { return Ok(None) };
    let router = Router { rules: first.rules(), beliefs, now: tx.now };
    let candidates: Vec<Candidate<Wanted>> = candidates
        .iter()
        .map(|(facts, required, keeping)| Candidate {
            task: Wanted(*facts),
            required: required.clone(),
            keeping: keeping.clone(),
        })
        .collect();
    let wish = |claimer: &&&Claimer| Wish {
        agent: claimer.agent_id,
        able: claimer.capabilities.clone(),
        max: 1,
    };
    let wishes: Vec<Wish> = askers.iter().take(TRIED).map(|one| wish(&one)).collect();
    let slots: HashMap<_, _> =
        askers.iter().map(|one| (one.agent_id, one.slots(free_slots(one)))).collect();
    let mut rivals: BTreeSet<AgentId> = BTreeSet::new();
    for wish in &wishes {
        rivals.extend(router.rivals(std::slice::from_ref(wish), &slots, &candidates));
    }
    if rivals.is_empty() {
        return Ok(None);
    }
    let required = candidates.first().map(|one| one.required.clone()).unwrap_or_default();
    let rivals: Vec<AgentId> = rivals.into_iter().collect();
    let rivals = routing::claims::rivals(tx, &router, &rivals, &required).await?;
    for wish in wishes {
        let others = rivals.iter().filter(|rival| rival.agent != wish.agent).cloned().collect();
        let wishes = [wish];
        let assigned = router.assign(&wishes, &slots, &candidates, others, |_, _| Funding::Granted);
        let nothing = assigned.given.iter().all(Vec::is_empty);
        if let (true, Some(deferred)) = (nothing, assigned.deferred.first()) {
            return Ok(Some(shown(deferred, fleet)));
        }
    }
    Ok(None)
}

fn shown(deferred: &Deferred, fleet: &[FleetAgent]) -> LeftFor {
    let Deferred { task: _, agent, until } = *deferred;
    let name = fleet.iter().find(|one| one.agent_id == agent);
    let name = name.map_or_else(|| agent.to_string(), |one| one.name.clone());
    LeftFor { agent_id: agent, name, until }
}
