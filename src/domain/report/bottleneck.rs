//! Where work waits: for agents, for people, for budgets, and for time.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{
    access::person::Person,
    approval::excluded::Excluded,
    plan::ground::AgentGroup,
    policy::{
        PolicySpec, StagePosition,
        panel::{Panel, Vote},
    },
    words::words,
};

/// Most rows of each part of the report.
pub const ROWS_MAX: usize = 100;
/// Most pending approvals that are read, the oldest first.
pub const APPROVALS_MAX: usize = 1_000;
/// A path is at risk if less than one part in so many of the time to the deadline is slack.
const SLACK_PARTS: i32 = 10;

/// Online agents with the same capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineGroup {
    /// The agents, and the attempts that they can have at once.
    pub group: AgentGroup,
    /// Further attempts that they can start now.
    pub free: i64,
}

/// The agents that can do some tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Supply {
    /// Number of agents.
    pub online: i64,
    /// Attempts that they can have at once.
    pub slots: i64,
    /// Further attempts that they can start now.
    pub free: i64,
}

impl Supply {
    /// The agents with all of these capabilities.
    #[must_use]
    pub fn of(groups: &[OnlineGroup], required: &[String]) -> Self {
        let able = groups
            .iter()
            .filter(|online| required.iter().all(|one| online.group.capabilities.contains(one)));
        able.fold(Self::default(), |sum, OnlineGroup { group, free }| Self {
            online: sum.online.saturating_add(group.online),
            slots: sum.slots.saturating_add(group.slots),
            free: sum.free.saturating_add(*free),
        })
    }

    /// Milliseconds in which so many tasks of this duration are done, in rounds of all slots. `None`: there are no
    /// slots.
    #[must_use]
    pub fn drained_in(self, tasks: i64, duration_ms: i64) -> Option<i64> {
        if self.slots <= 0 {
            return None;
        }
        let rounds = tasks.max(0) / self.slots + i64::from(tasks.max(0) % self.slots > 0);
        Some(rounds.saturating_mul(duration_ms.max(0)))
    }
}

words! {
    /// Who is waited for.
    pub enum AwaitedKind {
        /// A named approver of a policy.
        Person => "person",
        /// Any operator.
        Operator => "operator",
        /// An admin, because every named approver is excluded or has voted.
        Admin => "admin",
    }
}

/// Who must answer an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// These people, or as many of them as the policy asks for.
    People(Vec<Person>),
    /// Any operator.
    Operator,
    /// An admin.
    Admin,
}

/// Who must answer an approval under a policy at a position: the approvers who are not excluded and have not voted
/// on this revision.
#[must_use]
pub fn awaited(
    policy: Option<(&PolicySpec, StagePosition)>,
    excluded: &[Excluded],
    votes: &[Vote],
    revision: i32,
) -> Awaited {
    let Some((spec, place)) = policy else { return Awaited::Operator };
    let (approvers, _) = spec.approvers(place);
    if approvers.is_empty() {
        return Awaited::Operator;
    }
    let panel = Panel::new(spec, place, excluded);
    let current = |vote: &&Vote| vote.place == place && vote.revision == revision;
    let voted = |person: &Person| {
        let of = |vote: &Vote| match &vote.in_place_of {
            Some(approver) => approver == person,
            None => vote.decider.person.as_ref() == Some(person),
        };
        votes.iter().filter(current).any(of)
    };
    let mut people: Vec<Person> = approvers
        .iter()
        .filter(|person| !panel.is_closed_to(Some(person)) && !voted(person))
        .cloned()
        .collect();
    people.sort();
    people.dedup();
    if people.is_empty() { Awaited::Admin } else { Awaited::People(people) }
}

/// What is missing of a limit for the tasks that wait for it; reservations may be given back.
#[must_use]
pub fn missing(amount: i64, used: i64, reserved: i64, needed: i64) -> i64 {
    let wanted = i128::from(used) + i128::from(reserved) + i128::from(needed);
    let missing = (wanted - i128::from(amount)).max(0);
    i64::try_from(missing).unwrap_or(i64::MAX)
}

words! {
    /// Why a critical path is at risk.
    pub enum PathRisk {
        /// It ends after the deadline.
        Late => "late",
        /// Less than a tenth of the time to the deadline is slack.
        Tight => "tight",
    }
}

/// Whether a path that ends at an instant is at risk.
#[must_use]
pub fn path_risk(
    now: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    deadline: DateTime<Utc>,
) -> Option<PathRisk> {
    let slack = deadline.signed_duration_since(ends_at);
    let left = deadline.signed_duration_since(now);
    if slack < TimeDelta::zero() {
        return Some(PathRisk::Late);
    }
    let tight = slack.checked_mul(SLACK_PARTS).is_some_and(|parts| parts < left);
    tight.then_some(PathRisk::Tight)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::approval::{Verdict, excluded::Decider};

    fn person(name: &str) -> Person {
        name.parse().unwrap()
    }

    fn group(names: &[&str], slots: i64, free: i64) -> OnlineGroup {
        let capabilities: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        OnlineGroup { group: AgentGroup { capabilities, agents: 1, online: 1, slots }, free }
    }

    #[test]
    fn agents_supply_what_they_can_do() {
        let groups = [group(&["a", "b"], 3, 1), group(&["a"], 2, 0), group(&[], 5, 5)];
        let supply = |names: &[&str]| {
            let required: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Supply::of(&groups, &required)
        };
        assert_eq!(supply(&["a"]), Supply { online: 2, slots: 5, free: 1 });
        assert_eq!(supply(&["a", "b"]), Supply { online: 1, slots: 3, free: 1 });
        assert_eq!(supply(&["c"]), Supply::default());
        assert_eq!(supply(&[]), Supply { online: 3, slots: 10, free: 6 });
        assert_eq!(supply(&["a"]).drained_in(11, 60), Some(180));
        assert_eq!(supply(&["a"]).drained_in(10, 60), Some(120));
        assert_eq!(supply(&["a"]).drained_in(0, 60), Some(0));
        assert_eq!(supply(&["c"]).drained_in(1, 60), None);
        assert_eq!(supply(&["a"]).drained_in(i64::MAX, i64::MAX), Some(i64::MAX));
    }

    #[test]
    fn who_can_still_vote_is_waited_for() {
        let spec: PolicySpec = serde_json::from_value(json!({
            "name": "two", "stages": [{"approvers": ["ann", "bob", "cy"], "quorum": 2}, {"approvers": []}],
        }))
        .unwrap();
        let place = StagePosition { stage: 1, escalation: 0 };
        let excluded: Vec<Excluded> =
            serde_json::from_value(json!([{"because": "poster", "person": "ann"}])).unwrap();
        let vote = |name: &str, revision: i32| Vote {
            place,
            revision,
            decider: Decider::person(person(name)),
            in_place_of: None,
            verdict: Verdict::Approve,
            answer: None,
            at: DateTime::UNIX_EPOCH,
        };
        let of = |votes: &[Vote]| awaited(Some((&spec, place)), &excluded, votes, 1);
        assert_eq!(of(&[]), Awaited::People(vec![person("bob"), person("cy")]));
        assert_eq!(of(&[vote("bob", 1)]), Awaited::People(vec![person("cy")]));
        assert_eq!(of(&[vote("bob", 2)]), of(&[]), "a vote on another revision");
        let deputy = Vote { in_place_of: Some(person("cy")), ..vote("dee", 1) };
        assert_eq!(of(&[vote("bob", 1), deputy]), Awaited::Admin);
        let second = StagePosition { stage: 2, escalation: 0 };
        assert_eq!(awaited(Some((&spec, second)), &excluded, &[], 1), Awaited::Operator);
        assert_eq!(awaited(None, &excluded, &[], 1), Awaited::Operator);
    }

    #[test]
    fn less_than_a_tenth_of_slack_is_a_risk() {
        let at = |minutes: i64| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        for (ends, deadline, want) in [
            (90, 100, None),
            (91, 100, Some(PathRisk::Tight)),
            (100, 100, Some(PathRisk::Tight)),
            (101, 100, Some(PathRisk::Late)),
            (0, 0, None),
            (0, -1, Some(PathRisk::Late)),
        ] {
            assert_eq!(path_risk(at(0), at(ends), at(deadline)), want, "{ends} {deadline}");
        }
    }

    proptest! {
        /// Whatever is missing is enough, and nothing more.
        #[test]
        fn what_is_missing_is_enough(amount: i32, used: i32, reserved: i32, needed: i32) {
            let [amount, used, reserved, needed] = [amount, used, reserved, needed].map(i64::from);
            let missing = missing(amount, used, reserved, needed);
            prop_assert!(amount + missing >= used + reserved + needed);
            prop_assert!(missing == 0 || amount + missing == used + reserved + needed);
        }

        #[test]
        fn nothing_overflows(a: i64, b: i64, c: i64, d: i64) {
            prop_assert!(missing(a, b, c, d) >= 0);
        }
    }
}
