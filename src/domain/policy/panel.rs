//! Approvers of one stage: who may vote, and the result of their votes.
//!
//! The rules read a set of votes, not their order; the caller locks the approval, adds one vote at
//! a time, and stops at the first outcome. Without a veto the order does not change the outcome. A
//! vote that should not be stored counts for nothing: one of an excluded person, of a person who is
//! no approver, or a second one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{PolicySpec, StagePosition};
use crate::domain::{
    access::person::Person,
    approval::{
        Verdict,
        excluded::{Decider, Excluded},
    },
    ids::KeyId,
    refusal::{Code, Refusal},
};

/// A person, with any of their keys; or the origin of a key without a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Voter {
    Person(Person),
    Key(Option<KeyId>),
}

impl Voter {
    fn of(decider: &Decider) -> Self {
        let (person, key) = decider.counts_as();
        person.cloned().map_or(Self::Key(key), Self::Person)
    }
}

/// A vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Position of the approval at that time.
    pub place: StagePosition,
    /// Revision of the payload it is about.
    pub revision: i32,
    /// Who voted.
    pub decider: Decider,
    /// Approver represented by the voter; `None`: the voter themselves.
    pub in_place_of: Option<Person>,
    /// The verdict.
    pub verdict: Verdict,
    /// SHA-256 of the canonical answer.
    pub answer: Option<[u8; 32]>,
    /// Time of the vote.
    pub at: DateTime<Utc>,
}

impl Vote {
    /// Whether this person, or a key without a person and of this origin, cast it.
    #[must_use]
    pub fn is_by(&self, decider: &Decider) -> bool {
        Voter::of(&self.decider) == Voter::of(decider)
    }

    /// Everybody who may have cast it: the voter, and the maker of the link.
    fn hands(&self) -> impl Iterator<Item = Voter> {
        let maker = self.decider.maker().map(|maker| Voter::of(&maker));
        std::iter::once(Voter::of(&self.decider)).chain(maker)
    }

    /// Whether one person may have cast both, because one of them made a link that was used.
    #[must_use]
    pub fn shares_a_link_with(&self, other: &Self) -> bool {
        let by_link = self.decider.link.is_some() || other.decider.link.is_some();
        by_link && self.hands().any(|hand| other.hands().any(|theirs| theirs == hand))
    }

    /// Whose vote it is: the represented approver, or the voter.
    fn principal(&self) -> Voter {
        self.in_place_of.clone().map_or_else(|| Voter::of(&self.decider), Voter::Person)
    }

    fn agrees(&self) -> bool {
        match self.verdict {
            Verdict::Approve | Verdict::Answer => true,
            Verdict::Reject | Verdict::Decline => false,
        }
    }
}

/// Result of the votes at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Votes that agree, on one answer.
    pub agree: usize,
    /// Votes that reject.
    pub reject: usize,
    /// Consequence.
    pub outcome: Outcome,
}

/// Consequence of the votes at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// More votes are needed.
    Pending,
    /// The next stage is asked.
    NextStage,
    /// The approval is decided.
    Decided(Verdict),
}

/// Approvers at a position of a policy.
#[derive(Debug, Clone, Copy)]
pub struct Panel<'a> {
    spec: &'a PolicySpec,
    place: StagePosition,
    excluded: &'a [Excluded],
    approvers: &'a [Person],
    quorum: usize,
}

impl<'a> Panel<'a> {
    /// Approvers at a position, without the excluded ones.
    #[must_use]
    pub fn new(spec: &'a PolicySpec, place: StagePosition, excluded: &'a [Excluded]) -> Self {
        let (approvers, quorum) = spec.approvers(place);
        let quorum = usize::try_from(quorum).unwrap_or(usize::MAX).max(1);
        Self { spec, place, excluded, approvers, quorum }
    }

    /// Number of people who can agree; `None`: any operator can.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        let able = self.approvers.iter().filter(|person| self.has(person));
        (!self.approvers.is_empty()).then(|| able.count())
    }

    fn excludes(&self, decider: &Decider) -> bool {
        !self.spec.allow_self && self.excluded.iter().any(|excluded| excluded.is(decider))
    }

    /// Whether it has named approvers, and this person is not one of them.
    #[must_use]
    pub fn is_closed_to(&self, person: Option<&Person>) -> bool {
        !self.approvers.is_empty() && person.is_none_or(|person| !self.has(person))
    }

    fn has(&self, person: &Person) -> bool {
        let anybody = Decider::person(person.clone());
        self.approvers.contains(person) && !self.excludes(&anybody)
    }

    /// Approvers whom a person may represent now.
    fn delegators(&self, person: &Person, now: DateTime<Utc>) -> BTreeSet<&'a Person> {
        let delegations = self.spec.delegations.iter();
        let own = delegations.filter(|one| one.delegate == *person && one.is_on(now));
        own.map(|one| &one.delegator).filter(|from| self.has(from)).collect()
    }

    /// The approver that a vote is for; `None`: the voter.
    ///
    /// # Errors
    /// `not_an_approver`; `invalid` when several approvers could be meant.
    pub fn principal(
        &self,
        decider: &Decider,
        in_place_of: Option<&Person>,
        now: DateTime<Utc>,
    ) -> Result<Option<Person>, Refusal> {
        if self.excludes(decider) {
            return Err(self.refuse(decider));
        }
        if self.approvers.is_empty() {
            let detail = "any operator may vote here; leave out `in_place_of`";
            return match in_place_of {
                Some(_) => Err(Refusal::invalid_at("/in_place_of", detail)),
                None => Ok(None),
            };
        }
        let Some(person) = &decider.person else { return Err(self.refuse(decider)) };
        let delegators = self.delegators(person, now);
        match in_place_of {
            Some(named) if named == person && self.has(person) => Ok(None),
            Some(named) if delegators.contains(named) => Ok(Some(named.clone())),
            Some(_) => Err(self.refuse(decider)),
            None if self.has(person) => Ok(None),
            None => match delegators.into_iter().collect::<Vec<_>>().as_slice() {
                [] => Err(self.refuse(decider)),
                [only] => Ok(Some((*only).clone())),
                several => {
                    let detail = format!("must name the approver you vote for: {}", names(several));
                    Err(Refusal::invalid_at("/in_place_of", detail))
                }
            },
        }
    }

    fn refuse(&self, decider: &Decider) -> Refusal {
        let whose = decider.person.as_ref().map_or_else(
            || "your key belongs to no person, and so to no approver".to_owned(),
            |person| format!("`{person}` is not an approver"),
        );
        let approvers: Vec<&Person> = self.approvers.iter().collect();
        let detail = format!(
            "{whose} of stage {}. Approvers: {}, unless excluded, and their delegates",
            self.place.stage,
            names(&approvers)
        );
        Refusal::new(Code::NotAnApprover, detail)
    }

    /// Votes that count, by the approver they are for.
    fn counted<'v>(&self, votes: &'v [Vote], revision: i32) -> BTreeMap<Voter, &'v Vote> {
        let mut counted = BTreeMap::new();
        let mut voters = BTreeSet::new();
        for vote in
            votes.iter().filter(|vote| vote.place == self.place && vote.revision == revision)
        {
            let principal = vote.principal();
            let seen = vote.hands().any(|hand| voters.contains(&hand));
            let taken = counted.contains_key(&principal) || seen;
            let entitled = self.principal(&vote.decider, vote.in_place_of.as_ref(), vote.at);
            if !taken && entitled.is_ok_and(|entitled| entitled == vote.in_place_of) {
                voters.extend(vote.hands());
                counted.insert(principal, vote);
            }
        }
        counted
    }

    /// An earlier vote that blocks `new`: of the same voter, or for the same approver. In all stages,
    /// a vote by link blocks the votes of the link's maker, and those by other links of theirs.
    #[must_use]
    pub fn before<'v>(&self, votes: &'v [Vote], new: &Vote) -> Option<&'v Vote> {
        let linked = votes.iter().find(|vote| {
            vote.revision == new.revision
                && !vote.is_by(&new.decider)
                && vote.shares_a_link_with(new)
        });
        if linked.is_some() {
            return linked;
        }
        let principal = new.principal();
        let mut counted = self.counted(votes, new.revision).into_iter();
        let blocks =
            |(taken, vote): &(Voter, &Vote)| *taken == principal || vote.is_by(&new.decider);
        counted.find(blocks).map(|(_, vote)| vote)
    }

    /// Result of the votes about a revision.
    #[must_use]
    pub fn tally(&self, votes: &[Vote], revision: i32) -> Tally {
        let counted = self.counted(votes, revision);
        let mut answers: BTreeMap<(Verdict, Option<[u8; 32]>), usize> = BTreeMap::new();
        for vote in counted.values().filter(|vote| vote.agrees()) {
            *answers.entry((vote.verdict, vote.answer)).or_default() += 1;
        }
        let best = answers.iter().max_by_key(|(_, count)| **count);
        let (verdict, agree) =
            best.map_or((Verdict::Approve, 0), |((verdict, _), count)| (*verdict, *count));
        let reject = counted.values().filter(|vote| !vote.agrees()).count();
        let declined = counted.values().all(|vote| vote.verdict != Verdict::Reject) && reject > 0;
        let no = if declined { Verdict::Decline } else { Verdict::Reject };
        let outcome = if self.spec.veto && reject > 0 {
            Outcome::Decided(no)
        } else if agree >= self.quorum {
            let last = self.spec.is_last(self.place);
            if last { Outcome::Decided(verdict) } else { Outcome::NextStage }
        } else if self.is_lost(agree, reject, counted.len(), answers.len()) {
            Outcome::Decided(no)
        } else {
            Outcome::Pending
        };
        Tally { agree, reject, outcome }
    }

    /// Whether the quorum is out of reach. If exclusions alone leave too few approvers and nobody
    /// rejected, it is not lost: the approval waits for its time limit.
    fn is_lost(&self, agree: usize, reject: usize, voted: usize, answers: usize) -> bool {
        let Some(size) = self.size() else { return reject >= self.quorum };
        let left = size.saturating_sub(voted);
        agree + left < self.quorum && (reject > 0 || answers > 1)
    }
}

fn names(people: &[&Person]) -> String {
    people.iter().map(|person| format!("`{person}`")).collect::<Vec<_>>().join(", ")
}
