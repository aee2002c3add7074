//! The people of one stage: who may vote, and what their votes come to.
//!
//! The rules are about a set of votes, not about their order; the caller holds the approval's row,
//! adds one vote after the other, and stops at the first that decides. Without a veto the order makes
//! no difference to what is decided. A vote that should never have been stored counts for nothing:
//! one of somebody excluded, of somebody who is no approver, or a second one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Place, PolicySpec};
use crate::domain::{
    access::person::Person,
    approval::{
        Verdict,
        excluded::{Decider, Excluded},
    },
    ids::KeyId,
    refusal::{Code, Refusal},
};

/// Who votes: a person whichever key is used, or else a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Voter {
    Person(Person),
    Key(Option<KeyId>),
}

impl Voter {
    fn of(decider: &Decider) -> Self {
        let Decider { key, person } = decider;
        person.clone().map_or(Self::Key(*key), Self::Person)
    }
}

/// A vote that was cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Where the approval stood.
    pub place: Place,
    /// Which form of the payload it was about.
    pub revision: i32,
    /// Who voted.
    pub decider: Decider,
    /// In whose place; none: the voter's own.
    pub in_place_of: Option<Person>,
    /// What was said.
    pub verdict: Verdict,
    /// SHA-256 of the canonical form of the answer.
    pub answer: Option<[u8; 32]>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Vote {
    /// Whether it was cast by this one: the same person, or the same key of nobody.
    #[must_use]
    pub fn is_by(&self, decider: &Decider) -> bool {
        Voter::of(&self.decider) == Voter::of(decider)
    }

    /// The owner of the place that it takes.
    fn seat(&self) -> Voter {
        self.in_place_of.clone().map_or_else(|| Voter::of(&self.decider), Voter::Person)
    }

    fn agrees(&self) -> bool {
        match self.verdict {
            Verdict::Approve | Verdict::Answer => true,
            Verdict::Reject | Verdict::Decline => false,
        }
    }
}

/// What the votes of a place come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// How many agree, with the same answer.
    pub agree: usize,
    /// How many do not.
    pub reject: usize,
    /// What follows.
    pub outcome: Outcome,
}

/// What follows from the votes of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// More votes are needed.
    Pending,
    /// The next stage is asked.
    NextStage,
    /// It is decided.
    Decided(Verdict),
}

/// The people of a place of a policy.
#[derive(Debug, Clone, Copy)]
pub struct Panel<'a> {
    spec: &'a PolicySpec,
    place: Place,
    excluded: &'a [Excluded],
    approvers: &'a [Person],
    quorum: usize,
}

impl<'a> Panel<'a> {
    /// The people of a place, but for those who are excluded.
    #[must_use]
    pub fn new(spec: &'a PolicySpec, place: Place, excluded: &'a [Excluded]) -> Self {
        let (approvers, quorum) = spec.approvers(place);
        let quorum = usize::try_from(quorum).unwrap_or(usize::MAX).max(1);
        Self { spec, place, excluded, approvers, quorum }
    }

    /// How many can agree; none: any number.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        let able = self.approvers.iter().filter(|person| self.has(person));
        (!self.approvers.is_empty()).then(|| able.count())
    }

    fn excludes(&self, decider: &Decider) -> bool {
        !self.spec.allow_self && self.excluded.iter().any(|excluded| excluded.is(decider))
    }

    fn has(&self, person: &Person) -> bool {
        let anybody = Decider { key: None, person: Some(person.clone()) };
        self.approvers.contains(person) && !self.excludes(&anybody)
    }

    /// The approvers who have handed their place to a person, at this moment.
    fn delegators(&self, person: &Person, now: DateTime<Utc>) -> BTreeSet<&'a Person> {
        let to_voter = self.spec.delegations.iter();
        let to_voter =
            to_voter.filter(|delegation| delegation.delegate == *person && delegation.is_on(now));
        to_voter.map(|delegation| &delegation.delegator).filter(|from| self.has(from)).collect()
    }

    /// In whose place somebody votes; none: his own.
    ///
    /// # Errors
    /// `not_an_approver`; `invalid` when it must be said in whose place.
    pub fn seat(
        &self,
        decider: &Decider,
        in_place_of: Option<&Person>,
        now: DateTime<Utc>,
    ) -> Result<Option<Person>, Refusal> {
        if self.excludes(decider) {
            return Err(self.refuse(decider));
        }
        if self.approvers.is_empty() {
            let detail = "any operator may vote here: nobody's place is needed";
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
                    let detail = format!("must say in whose place you vote: {}", names(several));
                    Err(Refusal::invalid_at("/in_place_of", detail))
                }
            },
        }
    }

    fn refuse(&self, decider: &Decider) -> Refusal {
        let whose = decider.person.as_ref().map_or_else(
            || "you act for no person, and so are none of the approvers".to_owned(),
            |person| format!("`{person}` is none of the approvers"),
        );
        let approvers: Vec<&Person> = self.approvers.iter().collect();
        let detail = format!(
            "{whose} of stage {}: {}, as far as they are not excluded, and whoever votes in their \
             place",
            self.place.stage,
            names(&approvers)
        );
        Refusal::new(Code::NotAnApprover, detail)
    }

    /// The votes that count, by the place that they take.
    fn counted<'v>(&self, votes: &'v [Vote], revision: i32) -> BTreeMap<Voter, &'v Vote> {
        let mut seats = BTreeMap::new();
        let mut voters = BTreeSet::new();
        for vote in
            votes.iter().filter(|vote| vote.place == self.place && vote.revision == revision)
        {
            let (seat, voter) = (vote.seat(), Voter::of(&vote.decider));
            let taken = seats.contains_key(&seat) || voters.contains(&voter);
            let place = vote.in_place_of.as_ref();
            let seated = self.seat(&vote.decider, place, vote.at);
            if !taken && seated.is_ok_and(|seated| seated == vote.in_place_of) {
                voters.insert(voter);
                seats.insert(seat, vote);
            }
        }
        seats
    }

    /// The vote that stands in the way of another: by the same person, or in the same place.
    #[must_use]
    pub fn before<'v>(&self, votes: &'v [Vote], new: &Vote) -> Option<&'v Vote> {
        let seat = new.seat();
        let counted = self.counted(votes, new.revision);
        let mut counted = counted.into_iter();
        counted
            .find(|(taken, vote)| *taken == seat || vote.is_by(&new.decider))
            .map(|(_, vote)| vote)
    }

    /// What the votes about a revision come to.
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

    /// Whether the quorum cannot be reached any more. Where too few are left because others are
    /// excluded, and nobody has objected, it is not lost: it waits for its time to be over.
    fn is_lost(&self, agree: usize, reject: usize, voted: usize, answers: usize) -> bool {
        let Some(size) = self.size() else { return reject >= self.quorum };
        let left = size.saturating_sub(voted);
        agree + left < self.quorum && (reject > 0 || answers > 1)
    }
}

fn names(people: &[&Person]) -> String {
    people.iter().map(|person| format!("`{person}`")).collect::<Vec<_>>().join(", ")
}
