//! Choosing tasks for agents: the order, the match, and who gets what.
//!
//! The database offers candidates in the order of [`rank`], already locked; [`assign`] gives them
//! to the claims of a batch. The same rules, applied to everything in memory, are the oracle that
//! the claim's SQL is tested against.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::domain::{ids::AgentId, settings};

/// The place of a task in the order of claims; the smallest goes first.
///
/// A point of priority outranks five minutes of waiting. Because all tasks age alike, comparing
/// `ready_at - priority * step` gives the same order at every moment, and a task that has waited
/// long enough comes before every newer one: nothing starves.
#[must_use]
pub fn rank(ready_at: DateTime<Utc>, priority: i16) -> DateTime<Utc> {
    ready_at - settings::PRIORITY_STEP * u32::from(priority.unsigned_abs())
}

/// A set of capabilities as one text: sorted, unique, joined with commas.
#[must_use]
pub fn capability_key(capabilities: &[String]) -> String {
    normal(capabilities).join(",")
}

/// The capabilities of a [`capability_key`].
#[must_use]
pub fn capabilities(key: &str) -> Vec<String> {
    key.split(',').filter(|capability| !capability.is_empty()).map(str::to_owned).collect()
}

/// Capabilities sorted and unique.
#[must_use]
pub fn normal(capabilities: &[String]) -> Vec<String> {
    let mut list = capabilities.to_vec();
    list.sort_unstable();
    list.dedup();
    list
}

/// Whether an agent that can do `able` may claim a task that requires `required`.
#[must_use]
pub fn covers(able: &[String], required: &[String]) -> bool {
    required.iter().all(|capability| able.contains(capability))
}

/// A claim in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Who claims.
    pub agent: AgentId,
    /// What it can do.
    pub able: Vec<String>,
    /// How many tasks it asks for.
    pub max: u32,
}

/// A ready task that can be given away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<T> {
    /// The task.
    pub task: T,
    /// What it requires.
    pub required: Vec<String>,
    /// For whom it is kept.
    pub keeping: Keeping,
}

/// For whom a task is kept: what an operator said when it was taken from somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keeping {
    /// Anybody who is able to do it.
    #[default]
    Anybody,
    /// This agent and no other.
    Only(AgentId),
    /// Everybody but this agent.
    AllBut(AgentId),
}

impl Keeping {
    /// What is stored as two columns, of which at most one is there.
    #[must_use]
    pub const fn of(assigned: Option<AgentId>, barred: Option<AgentId>) -> Self {
        match (assigned, barred) {
            (Some(agent), _) => Self::Only(agent),
            (None, Some(agent)) => Self::AllBut(agent),
            (None, None) => Self::Anybody,
        }
    }

    /// The agent for which it is kept.
    #[must_use]
    pub const fn assigned(self) -> Option<AgentId> {
        match self {
            Self::Only(agent) => Some(agent),
            Self::Anybody | Self::AllBut(_) => None,
        }
    }

    /// The agent from which it is kept.
    #[must_use]
    pub const fn barred(self) -> Option<AgentId> {
        match self {
            Self::AllBut(agent) => Some(agent),
            Self::Anybody | Self::Only(_) => None,
        }
    }

    /// Whether an agent may be given the task.
    #[must_use]
    pub fn admits(self, agent: AgentId) -> bool {
        match self {
            Self::Anybody => true,
            Self::Only(only) => agent == only,
            Self::AllBut(barred) => agent != barred,
        }
    }
}

/// Whether a task can be paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funding {
    /// It is paid for: what it needs was set aside.
    Granted,
    /// Not for this agent; for another perhaps.
    AgentShort,
    /// For nobody.
    Short,
}

/// Gives candidates, in their order, to wishes: each to the first wish, in order of arrival, that
/// still wants one, whose agent can do it, for whom it is kept, who has a slot free and is paid for. Returns the tasks for
/// each wish.
///
/// `slots` says how many more attempts each agent may start; an agent that is not in it may start
/// none. `fund` is asked once for each task and agent, last of all, and sets aside what it grants.
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
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_low_priority_that_waited_comes_before_a_new_high_one() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let old = now - settings::PRIORITY_STEP * 10;
        assert!(rank(old, 0) < rank(now, 9));
        assert!(rank(now, 9) < rank(now, 8));
        assert!(rank(now, 5) < rank(now + TimeDelta::milliseconds(1), 5));
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
                        if only { Keeping::Only(agent(n)) } else { Keeping::AllBut(agent(n)) }
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
            // Whatever is left could not have been given to anybody.
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
