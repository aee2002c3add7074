//! The rules of policies, for any votes in any order.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::{
    PolicySpec, StagePosition,
    panel::{Outcome, Panel, Vote},
};
use crate::domain::{
    access::person::Person,
    approval::{
        Verdict,
        excluded::{Decider, Excluded, ExclusionReason},
    },
    ids::KeyId,
};

mod documents;

const NAMES: [&str; 6] = ["ann", "bob", "cid", "dan", "eve", "fay"];

fn person(name: &str) -> Person {
    serde_json::from_value(json!(name)).unwrap()
}

fn voter(name: &str) -> Decider {
    Decider::person(person(name))
}

fn excluded(name: &str) -> Excluded {
    Excluded {
        because: ExclusionReason::Owner,
        key_id: None,
        person: Some(person(name)),
        origin: None,
    }
}

fn spec(document: serde_json::Value) -> PolicySpec {
    let mut whole = json!({"name": "p", "stages": [{}]});
    for (name, value) in document.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let spec: PolicySpec = serde_json::from_value(whole).unwrap();
    spec.check().unwrap();
    spec
}

fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn vote(name: &str, verdict: Verdict) -> Vote {
    Vote {
        place: StagePosition::FIRST,
        revision: 1,
        decider: voter(name),
        in_place_of: None,
        verdict,
        answer: (verdict == Verdict::Answer).then_some([7; 32]),
        at: noon(),
    }
}

/// What becomes of it when votes come one after the other.
fn run(panel: &Panel<'_>, votes: &[Vote]) -> Outcome {
    let outcomes = (0..=votes.len()).map(|count| panel.tally(&votes[..count], 1).outcome);
    outcomes.into_iter().find(|outcome| *outcome != Outcome::Pending).unwrap_or(Outcome::Pending)
}

fn verdicts() -> impl Strategy<Value = Vec<(usize, Verdict, bool)>> {
    let verdict = prop::sample::select(vec![Verdict::Answer, Verdict::Reject, Verdict::Decline]);
    prop::collection::vec((0..NAMES.len(), verdict, any::<bool>()), 0..12)
}

fn cast(said: &[(usize, Verdict, bool)]) -> Vec<Vote> {
    let votes = said.iter().map(|(who, verdict, other)| {
        let mut vote = vote(NAMES[*who], *verdict);
        vote.answer = vote.answer.map(|_| [u8::from(*other); 32]);
        vote
    });
    votes.collect()
}

proptest! {
    /// Votes of different people in another order decide the same, unless one of them is a veto.
    #[test]
    fn the_order_of_votes_makes_no_difference(
        said in verdicts(), quorum in 1_u32..=4, seed in any::<u64>(),
    ) {
        let spec = spec(json!({"stages": [{"approvers": &NAMES[..4], "quorum": quorum}]}));
        let nobody = [];
        let panel = Panel::new(&spec, StagePosition::FIRST, &nobody);
        let mut seen = BTreeSet::new();
        let votes: Vec<Vote> =
            cast(&said).into_iter().filter(|vote| seen.insert(vote.decider.person.clone())).collect();
        let mut other = votes.clone();
        let len = other.len().max(1) as u64;
        for index in (1..other.len()).rev() {
            other.swap(index, (seed.wrapping_mul(index as u64 + len) % (index as u64 + 1)) as usize);
        }
        // Whether it is rejected or declined is about who was heard, not about what is decided.
        let kind = |outcome| matches!(outcome, Outcome::Decided(Verdict::Answer));
        let (one, two) = (run(&panel, &votes), run(&panel, &other));
        prop_assert_eq!(kind(one), kind(two), "{:?} and {:?}", one, two);
        prop_assert_eq!(one == Outcome::Pending, two == Outcome::Pending);
    }

    /// Nothing passes with fewer than the quorum, whoever votes how often, and nobody excluded or
    /// strange counts.
    #[test]
    fn nothing_passes_below_the_quorum(
        said in verdicts(), quorum in 1_u32..=4, out in 0..NAMES.len(), veto in any::<bool>(),
    ) {
        let spec = spec(json!({"stages": [{"approvers": &NAMES[..4], "quorum": quorum}], "veto": veto}));
        let excluded = [excluded(NAMES[out])];
        let panel = Panel::new(&spec, StagePosition::FIRST, &excluded);
        let votes = cast(&said);
        let eligible = |vote: &Vote| {
            NAMES[..4].iter().any(|name| vote.is_by(&voter(name)))
                && !vote.is_by(&voter(NAMES[out]))
        };
        let mut first = BTreeSet::new();
        let counted: Vec<&Vote> = votes
            .iter()
            .filter(|vote| eligible(vote))
            .filter(|vote| first.insert(&vote.decider.person))
            .collect();
        let most = [[0; 32], [1; 32]].map(|answer| {
            counted.iter().filter(|vote| vote.answer == Some(answer)).count()
        });
        let most = most.into_iter().max().unwrap_or_default();
        let tally = panel.tally(&votes, 1);
        prop_assert_eq!(tally.agree, most);
        if let Outcome::Decided(Verdict::Answer) = tally.outcome {
            prop_assert!(most >= quorum as usize);
        }
        let against = counted.iter().any(|vote| vote.answer.is_none());
        if veto && against {
            prop_assert!(matches!(tally.outcome, Outcome::Decided(Verdict::Reject | Verdict::Decline)));
        }
        // Votes about another form, or another round, are as if they had never been.
        let elsewhere: Vec<Vote> =
            votes.iter().map(|vote| Vote { revision: 2, ..vote.clone() }).collect();
        prop_assert_eq!(panel.tally(&elsewhere, 1).agree, 0);
        let round = StagePosition { stage: 1, escalation: 1 };
        let elsewhere: Vec<Vote> =
            votes.iter().map(|vote| Vote { place: round, ..vote.clone() }).collect();
        prop_assert_eq!(panel.tally(&elsewhere, 1).agree, 0);
    }
}

#[test]
fn a_person_counts_once_whether_in_his_own_place_or_in_others() {
    let spec = spec(json!({
        "stages": [{"approvers": ["ann", "bob", "cid"], "quorum": 2}],
        "delegations": [
            {"delegator": "ann", "delegate": "bob"},
            {"delegator": "ann", "delegate": "dan", "until": "2026-03-01T13:00:00Z"},
            {"delegator": "cid", "delegate": "dan", "from": "2026-03-01T12:30:00Z"},
        ],
    }));
    let nobody = [];
    let panel = Panel::new(&spec, StagePosition::FIRST, &nobody);
    let at = |minutes| noon() + TimeDelta::minutes(minutes);
    let seat = |name, place: Option<&str>, minutes| {
        panel.principal(&voter(name), place.map(person).as_ref(), at(minutes))
    };
    assert_eq!(seat("bob", None, 0), Ok(None));
    assert_eq!(seat("bob", Some("ann"), 0), Ok(Some(person("ann"))));
    assert_eq!(seat("bob", Some("bob"), 0), Ok(None));
    assert_eq!(seat("dan", None, 0), Ok(Some(person("ann"))));
    assert!(seat("dan", None, 45).is_err(), "he stands for two, and must say for whom");
    assert_eq!(seat("dan", Some("cid"), 45), Ok(Some(person("cid"))));
    assert!(seat("dan", Some("cid"), 0).is_err(), "not yet");
    assert_eq!(seat("dan", None, 60), Ok(Some(person("cid"))), "not any more for ann");
    assert!(seat("ann", Some("bob"), 0).is_err());
    assert!(seat("eve", None, 0).is_err());
    assert!(
        panel
            .principal(&Decider { key: Some(KeyId(Uuid::nil())), ..Decider::NOBODY }, None, noon())
            .is_err()
    );

    let own = vote("bob", Verdict::Approve);
    let for_ann = Vote { in_place_of: Some(person("ann")), ..own.clone() };
    assert_eq!(panel.tally(&[own.clone(), for_ann.clone()], 1).agree, 1);
    assert!(panel.before(&[own], &for_ann).is_some());
    let ann = vote("ann", Verdict::Approve);
    assert!(panel.before(std::slice::from_ref(&for_ann), &ann).is_some(), "her place is taken");
    assert_eq!(panel.tally(&[for_ann, ann], 1).agree, 1);
}

#[test]
fn a_delegation_leads_round_no_exclusion() {
    let spec = spec(json!({
        "stages": [{"approvers": ["ann", "bob"]}],
        "delegations": [{"delegator": "ann", "delegate": "dan"}, {"delegator": "bob", "delegate": "eve"}],
    }));
    for (out, still) in [("ann", false), ("dan", false), ("bob", true), ("eve", true)] {
        let excluded = [excluded(out)];
        let panel = Panel::new(&spec, StagePosition::FIRST, &excluded);
        assert_eq!(panel.principal(&voter("dan"), None, noon()).is_ok(), still, "without {out}");
        let cast = Vote { in_place_of: Some(person("ann")), ..vote("dan", Verdict::Approve) };
        assert_eq!(panel.tally(&[cast], 1).agree, usize::from(still), "without {out}");
    }
    let open = PolicySpec { allow_self: true, ..spec };
    let excluded = [excluded("ann")];
    let panel = Panel::new(&open, StagePosition::FIRST, &excluded);
    assert_eq!(panel.tally(&[vote("ann", Verdict::Approve)], 1).agree, 1);
}

#[test]
fn what_too_few_are_left_for_waits_until_somebody_objects() {
    let spec = spec(json!({"stages": [{"approvers": ["ann", "bob", "cid"], "quorum": 3}]}));
    let excluded = [excluded("cid")];
    let panel = Panel::new(&spec, StagePosition::FIRST, &excluded);
    assert_eq!(panel.size(), Some(2));
    let yes = [vote("ann", Verdict::Approve), vote("bob", Verdict::Approve)];
    assert_eq!(panel.tally(&yes, 1).outcome, Outcome::Pending);
    let no = [vote("ann", Verdict::Approve), vote("bob", Verdict::Reject)];
    assert_eq!(panel.tally(&no, 1).outcome, Outcome::Decided(Verdict::Reject));
}
