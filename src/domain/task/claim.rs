//! Assignment of ready tasks to claims: order, match, funding.
//!
//! The database returns candidates in the order of the turns of their goals, and inside a goal in that of their
//! rank (`domain::routing`), already locked; [`assign`] distributes them
//! over the claims of a batch. The same rules, applied to all tasks in memory, are the oracle
//! for the tests of the claim's SQL.

use std::collections::HashMap;

use crate::domain::ids::AgentId;

/// A set of capabilities as one text: sorted, without duplicates, joined with commas.
#[must_use]
pub fn capability_key(capabilities: &[String]) -> String {
    normal(capabilities).join(",")
}

/// The capabilities of a [`capability_key`].
#[must_use]
pub fn capabilities(key: &str) -> Vec<String> {
    key.split(',').filter(|capability| !capability.is_empty()).map(str::to_owned).collect()
}

/// Capabilities, sorted and without duplicates.
#[must_use]
pub fn normal(capabilities: &[String]) -> Vec<String> {
    let mut list = capabilities.to_vec();
    list.sort_unstable();
    list.dedup();
    list
}

/// Whether the capabilities `able` include all of `required`.
#[must_use]
pub fn covers(able: &[String], required: &[String]) -> bool {
    required.iter().all(|capability| able.contains(capability))
}

/// One claim of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The agent that claims.
    pub agent: AgentId,
    /// Its capabilities.
    pub able: Vec<String>,
    /// The most tasks it wants.
    pub max: u32,
}

/// A ready task, locked for this batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<T> {
    /// The task.
    pub task: T,
    /// The capabilities it requires.
    pub required: Vec<String>,
    /// The agents that may claim it.
    pub keeping: Keeping,
}

/// The agents that may claim a task. An operator restricts it when reassigning the task; nobody checks their own
/// work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Keeping {
    /// Every capable agent.
    #[default]
    Anybody,
    /// This agent only.
    Only(AgentId),
    /// Every capable agent except this one.
    AllBut(AgentId),
    /// A check: every capable agent except these.
    Check(Vec<AgentId>),
    /// Nobody: a check assigned to this agent, which may not do it. It may have been able to when it was assigned:
    /// owners change.
    Misdirected(AgentId),
}

impl Keeping {
    /// From the two columns `assigned_agent_id` and `barred_agent_id`, of which at most one is set.
    #[must_use]
    pub const fn of(assigned: Option<AgentId>, barred: Option<AgentId>) -> Self {
        match (assigned, barred) {
            (Some(agent), _) => Self::Only(agent),
            (None, Some(agent)) => Self::AllBut(agent),
            (None, None) => Self::Anybody,
        }
    }

    /// The same without those that may not do a check. An assignment to one of these admits nobody.
    #[must_use]
    pub fn except(self, mut barred: Vec<AgentId>) -> Self {
        if barred.is_empty() {
            return self;
        }
        match self {
            Self::Only(agent) if barred.contains(&agent) => Self::Misdirected(agent),
            Self::Only(agent) => Self::Only(agent),
            Self::Misdirected(agent) => Self::Misdirected(agent),
            Self::Anybody => Self::Check(barred),
            Self::AllBut(agent) => {
                barred.push(agent);
                Self::Check(barred)
            }
            Self::Check(others) => {
                barred.extend(others);
                Self::Check(barred)
            }
        }
    }

    /// The agent that it is assigned to.
    #[must_use]
    pub const fn assigned(&self) -> Option<AgentId> {
        match self {
            Self::Only(agent) | Self::Misdirected(agent) => Some(*agent),
            Self::Anybody | Self::AllBut(_) | Self::Check(_) => None,
        }
    }

    /// The agent that may not claim.
    #[must_use]
    pub const fn barred(&self) -> Option<AgentId> {
        match self {
            Self::AllBut(agent) => Some(*agent),
            Self::Anybody | Self::Only(_) | Self::Check(_) | Self::Misdirected(_) => None,
        }
    }

    /// Whether `agent` may claim.
    #[must_use]
    pub fn admits(&self, agent: AgentId) -> bool {
        match self {
            Self::Anybody => true,
            Self::Only(only) => agent == *only,
            Self::AllBut(barred) => agent != *barred,
            Self::Check(barred) => !barred.contains(&agent),
            Self::Misdirected(_) => false,
        }
    }
}

/// The outcome of reserving budget for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funding {
    /// The reservation was made.
    Granted,
    /// The agent's own budget has no room; another agent may do.
    AgentShort,
    /// A budget above the task has no room, for any agent.
    Short,
}

/// Assigns candidates, in their order, each to the first wish that still wants a task, whose agent
/// has the capabilities, may claim it, has a free slot, and for which `fund` grants a reservation.
/// Returns the tasks of each wish.
///
/// `slots`: the attempts each agent may still start; a missing agent has none. `fund` is called last,
/// at most once per task and agent, and makes the reservation it grants.
#[must_use]
pub fn assign<T: Clone>(
    wishes: &[Wish],
    candidates: &[Candidate<T>],
    slots: &HashMap<AgentId, u32>,
    mut fund: impl FnMut(&T, AgentId) -> Funding,
) -> Vec<Vec<T>> {
    let mut given: Vec<Vec<T>> = vec![Vec::new(); wishes.len()];
    let mut slots = slots.clone();
    for candidate in candidates {
        let mut asked = Vec::new();
        for (index, wish) in wishes.iter().enumerate() {
            let wanted = given[index].len() < wish.max as usize
                && slots.get(&wish.agent).is_some_and(|free| *free > 0)
                && covers(&wish.able, &candidate.required)
                && candidate.keeping.admits(wish.agent);
            if !wanted || asked.contains(&wish.agent) {
                continue;
            }
            match fund(&candidate.task, wish.agent) {
                Funding::Granted => {
                    given[index].push(candidate.task.clone());
                    if let Some(free) = slots.get_mut(&wish.agent) {
                        *free -= 1;
                    }
                    break;
                }
                Funding::AgentShort => asked.push(wish.agent),
                Funding::Short => break,
            }
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// Whoever is barred from a check does not get it, whatever it was kept for.
    #[test]
    fn nobody_barred_from_a_check_is_admitted() {
        let agent = |n| AgentId(Uuid::from_u128(n));
        for (keeping, admitted) in [
            (Keeping::Anybody, [false, true, true]),
            (Keeping::AllBut(agent(1)), [false, false, true]),
            (Keeping::Only(agent(0)), [false, false, false]),
            (Keeping::Only(agent(1)), [false, true, false]),
        ] {
            let kept = keeping.clone().except(vec![agent(0)]);
            let found = [0, 1, 2].map(|n| kept.admits(agent(n)));
            assert_eq!(found, admitted, "{keeping:?}");
            assert_eq!(kept.assigned(), keeping.assigned());
        }
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_or_against_the_rules(
            wishes in prop::collection::vec((0u8..4, prop::collection::vec(0u8..3, 0..3), 0u32..4), 0..8),
            tasks in prop::collection::vec(
                (prop::collection::vec(0u8..3, 0..3), prop::option::of((0u8..4, any::<bool>()))),
                0..20,
            ),
            slots in prop::collection::vec(0u32..4, 4),
        ) {
            let names = |list: &[u8]| list.iter().map(|c| format!("c{c}")).collect::<Vec<_>>();
            let agent = |n: u8| AgentId(Uuid::from_u128(u128::from(n)));
            let wishes: Vec<Wish> = wishes.iter()
                .map(|(a, able, max)| Wish { agent: agent(*a), able: names(able), max: *max }).collect();
            let candidates: Vec<Candidate<usize>> = tasks.iter().enumerate()
                .map(|(task, (required, keeping))| Candidate {
                    task,
                    required: names(required),
                    keeping: keeping.map_or(Keeping::Anybody, |(n, only)| {
                        if only {
                            Keeping::Only(agent(n))
                        } else if n % 2 == 0 {
                            Keeping::AllBut(agent(n))
                        } else {
                            Keeping::Check(vec![agent(n), agent(n + 1)])
                        }
                    }),
                }).collect();
            let slots: HashMap<AgentId, u32> = (0u8..4).map(|n| (agent(n), slots[n as usize])).collect();
            let given = assign(&wishes, &candidates, &slots, |_, _| Funding::Granted);

            let mut all: Vec<usize> = given.concat();
            all.sort_unstable();
            let before = all.len();
            all.dedup();
            prop_assert_eq!(before, all.len());
            for (wish, tasks) in wishes.iter().zip(&given) {
                prop_assert!(tasks.len() <= wish.max as usize);
                prop_assert!(tasks.is_sorted());
                for task in tasks {
                    prop_assert!(covers(&wish.able, &candidates[*task].required));
                    prop_assert!(candidates[*task].keeping.admits(wish.agent));
                }
            }
            for (agent, free) in &slots {
                let used: usize = wishes.iter().zip(&given)
                    .filter(|(wish, _)| wish.agent == *agent).map(|(_, tasks)| tasks.len()).sum();
                prop_assert!(used <= *free as usize);
            }
            // No wish could have taken any remaining candidate.
            for candidate in candidates.iter().filter(|c| !all.contains(&c.task)) {
                for (wish, tasks) in wishes.iter().zip(&given) {
                    let used: usize = wishes.iter().zip(&given)
                        .filter(|(w, _)| w.agent == wish.agent).map(|(_, t)| t.len()).sum();
                    let could = tasks.len() < wish.max as usize
                        && used < slots[&wish.agent] as usize
                        && covers(&wish.able, &candidate.required)
                        && candidate.keeping.admits(wish.agent);
                    prop_assert!(!could);
                }
            }
        }
    }
}
