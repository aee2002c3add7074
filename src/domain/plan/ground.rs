//! What a plan is judged against: the fleet, what its work used so far, open tasks, budgets and the deadline.
//!
//! It is read once per plan and is bounded: agents are grouped by their capabilities, and only so many
//! groups, sets of capabilities and open tasks are read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{ids::TaskId, spend::measured::Quantiles, task::claim::capability_key};

/// The ground of a plan at one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ground {
    /// The instant at which it was read.
    pub now: DateTime<Utc>,
    /// When the goal should be completed.
    pub deadline: Option<DateTime<Utc>>,
    /// Whether the goal has criteria of its own: then it is verified as a whole.
    pub goal_criteria: bool,
    /// The registered agents that are not retired, in groups of equal capabilities.
    pub agents: Vec<AgentGroup>,
    /// Every capability that an agent has or that finished work required.
    pub capabilities: BTreeMap<String, Able>,
    /// What finished tasks used, by their set of capabilities: sorted and joined with a comma.
    pub measured: BTreeMap<String, BTreeMap<String, Quantiles>>,
    /// What finished tasks of the workspace used, whatever their capabilities.
    pub overall: BTreeMap<String, Quantiles>,
    /// Open tasks of the same goal or project.
    pub open_tasks: Vec<OpenTask>,
    /// What is left of the tightest limit above the goal's tasks, by unit.
    pub budget_left: BTreeMap<String, i64>,
}

/// Agents with the same capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentGroup {
    /// Their capabilities.
    pub capabilities: BTreeSet<String>,
    /// Number of them that are registered and not retired.
    pub agents: i64,
    /// Number of them that are active and online.
    pub online: i64,
    /// Attempts that those online can have at once.
    pub slots: i64,
}

/// What the fleet can do with one capability.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Able {
    /// Number of registered agents with it that are not retired.
    pub agents: i64,
    /// Number of them that are active and online.
    pub online: i64,
    /// Attempts at latest tasks that required it and succeeded.
    pub succeeded: i64,
    /// Attempts at latest tasks that required it and failed, expired or were rejected.
    pub failed: i64,
    /// What a finished task that required it used, by unit; `wall_ms` is its duration.
    pub used: BTreeMap<String, Quantiles>,
}

/// An open task that a planned one could repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTask {
    /// The task.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// Whether it is of the goal that is planned.
    pub same_goal: bool,
}

impl Ground {
    /// What finished tasks with exactly these capabilities used of `unit`.
    #[must_use]
    pub fn used(&self, capabilities: &[String], unit: &str) -> Option<Quantiles> {
        self.measured_of(capabilities)?.get(unit).copied()
    }

    /// What finished tasks with exactly these capabilities used, by unit.
    #[must_use]
    pub fn measured_of(&self, capabilities: &[String]) -> Option<&BTreeMap<String, Quantiles>> {
        self.measured.get(&capability_key(capabilities))
    }
}

/// The groups of agents by their capabilities: a set of capabilities is looked up in its own size, however many groups
/// there are and whatever they have in common.
#[derive(Debug)]
pub struct Fleet<'a> {
    groups: &'a [AgentGroup],
    /// Of each capability, the groups that have it, one bit each.
    having: HashMap<&'a str, Vec<u64>>,
    all: Vec<u64>,
    /// The groups with slots.
    online: Vec<u64>,
}

/// Some groups of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Groups(Vec<u64>);

impl<'a> Fleet<'a> {
    /// The fleet of these groups.
    #[must_use]
    pub fn of(groups: &'a [AgentGroup]) -> Self {
        let mut all = vec![0; groups.len().div_ceil(64)];
        let mut online = all.clone();
        let mut having: HashMap<&str, Vec<u64>> = HashMap::new();
        for (index, group) in groups.iter().enumerate() {
            let (word, bit) = (index / 64, 1 << (index % 64));
            all[word] |= bit;
            online[word] |= if group.slots > 0 { bit } else { 0 };
            for capability in &group.capabilities {
                let bits = having.entry(capability).or_insert_with(|| vec![0; all.len()]);
                bits[word] |= bit;
            }
        }
        Self { groups, having, all, online }
    }

    /// The groups with all of these capabilities.
    pub fn able<'s>(&self, capabilities: impl IntoIterator<Item = &'s str>) -> Groups {
        self.among(&self.all, capabilities)
    }

    /// The groups with all of these capabilities and a slot.
    pub fn online<'s>(&self, capabilities: impl IntoIterator<Item = &'s str>) -> Groups {
        self.among(&self.online, capabilities)
    }

    fn among<'s>(&self, groups: &[u64], capabilities: impl IntoIterator<Item = &'s str>) -> Groups {
        let mut able = groups.to_vec();
        for capability in capabilities {
            match self.having.get(capability) {
                Some(bits) => able.iter_mut().zip(bits).for_each(|(able, bits)| *able &= bits),
                None => able.fill(0),
            }
            if able.iter().all(|word| *word == 0) {
                break;
            }
        }
        Groups(able)
    }

    /// Those of the groups.
    pub fn some(&self, groups: &Groups) -> impl Iterator<Item = (usize, &'a AgentGroup)> {
        groups.places().map(|index| (index, &self.groups[index]))
    }

    /// The group at a place.
    #[must_use]
    pub fn group(&self, place: usize) -> &'a AgentGroup {
        &self.groups[place]
    }

    /// Number of registered agents with all of these capabilities.
    #[must_use]
    pub fn agents(&self, capabilities: &[String]) -> i64 {
        let able = self.able(capabilities.iter().map(String::as_str));
        self.some(&able).fold(0, |sum: i64, (_, group)| sum.saturating_add(group.agents))
    }
}

impl Groups {
    /// None of a fleet's groups.
    #[must_use]
    pub fn none(fleet: &Fleet<'_>) -> Self {
        Self(vec![0; fleet.all.len()])
    }

    /// Adds other groups of the same fleet.
    pub fn add(&mut self, others: &Self) {
        self.0.iter_mut().zip(&others.0).for_each(|(own, other)| *own |= other);
    }

    /// Their places in the fleet, ascending.
    fn places(&self) -> impl Iterator<Item = usize> {
        let words = self.0.clone().into_iter().enumerate();
        words.flat_map(|(word, mut bits)| {
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros();
                if bit == u64::BITS {
                    return None;
                }
                bits &= bits - 1;
                Some(64 * word + bit as usize)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The groups that are able are those that have every capability, wherever they stand.
        #[test]
        fn the_able_groups_are_those_with_all_capabilities(
            drawn in prop::collection::vec((prop::collection::btree_set("[a-e]", 0..5), 0..3_i64), 0..150),
            needed in prop::collection::vec("[a-f]", 0..4),
        ) {
            let group = |(capabilities, slots): &(BTreeSet<String>, i64)| AgentGroup {
                capabilities: capabilities.clone(), agents: 1, online: *slots, slots: *slots,
            };
            let groups: Vec<AgentGroup> = drawn.iter().map(group).collect();
            let fleet = Fleet::of(&groups);
            let able = |group: &&AgentGroup| needed.iter().all(|one| group.capabilities.contains(one));
            let names = || needed.iter().map(String::as_str);
            let expected: Vec<&AgentGroup> = groups.iter().filter(able).collect();
            let found: Vec<&AgentGroup> =
                fleet.some(&fleet.able(names())).map(|(_, group)| group).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(fleet.agents(&needed), expected.len() as i64);
            let online: Vec<&AgentGroup> = expected.into_iter().filter(|group| group.slots > 0).collect();
            let found: Vec<&AgentGroup> =
                fleet.some(&fleet.online(names())).map(|(_, group)| group).collect();
            prop_assert_eq!(found, online);
        }
    }
}
