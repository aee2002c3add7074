//! Assignment of ready tasks to claims: order, match, funding.
//!
//! The database returns candidates in the order of the turns of their goals
//! ([`crate::domain::routing::turns`]) and inside a goal of [`rank`], already locked; [`assign`] distributes them
//! over the claims of a batch. The same rules, applied to all tasks in memory, are the oracle
//! for the tests of the claim's SQL.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{ids::AgentId, routing::policy::Policy, settings};

/// What the place of a task in the order of its goal follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Since when it is ready.
    pub since: DateTime<Utc>,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// Its upward rank in milliseconds.
    pub upward_ms: i64,
    /// When it should be done: the deadline of its goal or its own, whichever is earlier.
    pub due: Option<DateTime<Utc>>,
}

/// Weight of a millisecond of upward rank, and of one that is missing to a day of slack, in milliseconds of waiting.
///
/// A greater one brings little: of 3,500 schedules of random graphs 94.5 % take no longer than first in, first out
/// with 1, 97.3 % with 3, 98.9 % with 10 and 99.4 % with 100. But a point of priority, which somebody chose, then outranks
/// the less of a path: 100 seconds with 3, and 3 with 100.
const LOOK_AHEAD: i64 = 3;
/// From this slack to the deadline on, a task comes earlier the less of it is left.
const SLACK_MS: i64 = 24 * 3_600_000;
/// The most that a deadline counts, in milliseconds before [`LOOK_AHEAD`].
const MOST_URGENCY_MS: i64 = 30 * 24 * 3_600_000;

/// The sort key of claims inside a goal; smaller comes first.
///
/// One point of priority outranks five minutes of waiting. Unless the routing is `fifo`, a second of upward rank
/// outranks three seconds of waiting, and so does a second that is missing to a day of slack until the deadline. All
/// tasks age alike, so the order of two tasks never changes by itself and a stored index can serve it. A task that
/// waits long enough precedes every newer one: none starves.
///
/// The function `claim_rank_of` of the database is the same rule.
#[must_use]
pub fn rank(place: &Place, routing: Policy) -> DateTime<Utc> {
    let step = settings::PRIORITY_STEP.as_millis() as i64;
    let mut ahead = step * i64::from(place.priority.unsigned_abs());
    if routing.looks_ahead() {
        let missing = |due: DateTime<Utc>| {
            let left = (due - place.since)
                .num_microseconds()
                .map_or(i64::MAX, |left| left.div_euclid(1000));
            (SLACK_MS + place.upward_ms).saturating_sub(left).clamp(0, MOST_URGENCY_MS)
        };
        ahead += LOOK_AHEAD * (place.upward_ms + place.due.map_or(0, missing));
    }
    place.since - TimeDelta::milliseconds(ahead)
}

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

/// The agents that may claim a task. An operator restricts it when reassigning the task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keeping {
    /// Every capable agent.
    #[default]
    Anybody,
    /// This agent only.
    Only(AgentId),
    /// Every capable agent except this one.
    AllBut(AgentId),
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

    /// The only agent that may claim.
    #[must_use]
    pub const fn assigned(self) -> Option<AgentId> {
        match self {
            Self::Only(agent) => Some(agent),
            Self::Anybody | Self::AllBut(_) => None,
        }
    }

    /// The agent that may not claim.
    #[must_use]
    pub const fn barred(self) -> Option<AgentId> {
        match self {
            Self::AllBut(agent) => Some(agent),
            Self::Anybody | Self::Only(_) => None,
        }
    }

    /// Whether `agent` may claim.
    #[must_use]
    pub fn admits(self, agent: AgentId) -> bool {
        match self {
            Self::Anybody => true,
            Self::Only(only) => agent == only,
            Self::AllBut(barred) => agent != barred,
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
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn place(since: DateTime<Utc>, priority: i16) -> Place {
        Place { since, priority, upward_ms: 60_000, due: None }
    }

    const EVERY: [Policy; 2] = [Policy::Fifo, Policy::Balanced];

    #[test]
    fn a_low_priority_that_waited_comes_before_a_new_high_one() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let old = now - settings::PRIORITY_STEP * 10;
        for routing in EVERY {
            let rank = |since, priority| rank(&place(since, priority), routing);
            assert!(rank(old, 0) < rank(now, 9));
            assert!(rank(now, 9) < rank(now, 8));
            assert!(rank(now, 5) < rank(now + TimeDelta::milliseconds(1), 5));
        }
    }

    #[test]
    fn the_longest_rest_goes_first() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let long = Place { upward_ms: 160_000, ..place(now, 5) };
        let earlier = |seconds| place(now - TimeDelta::seconds(seconds), 5);
        assert!(rank(&long, Policy::Balanced) < rank(&earlier(299), Policy::Balanced));
        assert!(rank(&long, Policy::Balanced) > rank(&earlier(301), Policy::Balanced));
        // So does one point of priority, for 100 seconds of path.
        assert!(rank(&long, Policy::Balanced) == rank(&place(now, 6), Policy::Balanced));
        assert!(rank(&long, Policy::Fifo) > rank(&earlier(1), Policy::Fifo));
    }

    #[test]
    fn the_least_slack_goes_first() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let due = |hours| Place { due: Some(now + TimeDelta::hours(hours)), ..place(now, 5) };
        let rank = |place: Place| rank(&place, Policy::Balanced);
        assert!(rank(due(-1)) < rank(due(1)));
        assert!(rank(due(1)) < rank(due(2)));
        assert!(rank(due(23)) < rank(place(now, 5)));
        assert_eq!(rank(due(25)), rank(place(now, 5)));
    }

    proptest! {
        /// All tasks age alike, and what makes a task more urgent never puts it behind.
        #[test]
        fn ranks_keep_their_order(
            since in 0i64..4_000_000_000_000, priority in 0i16..9, upward_ms in 0i64..2_592_000_000,
            due in prop::option::of(0i64..8_000_000_000_000), later in 0i64..4_000_000_000,
        ) {
            let at = |ms| DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms);
            let place = Place { since: at(since), priority, upward_ms, due: due.map(at) };
            for routing in EVERY {
                let here = rank(&place, routing);
                let higher = rank(&Place { priority: priority + 1, ..place }, routing);
                let shorter = rank(&Place { upward_ms: upward_ms / 2, ..place }, routing);
                let undated = rank(&Place { due: None, ..place }, routing);
                prop_assert!(higher < here && shorter >= here && undated >= here);
                if due.is_none() {
                    let newer = rank(&Place { since: at(since + later), ..place }, routing);
                    prop_assert_eq!(newer - here, TimeDelta::milliseconds(later));
                }
            }
        }

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
