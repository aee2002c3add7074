//! Separation of duties: the people and keys excluded from a decision.
//!
//! Nobody decides about their own work, with any key. Excluded are:
//! - the requester of the approval and the poster of the goal;
//! - the maker of the key that asked or posted;
//! - the registrant of an agent that worked on the task, and its owners from that time on;
//! - the people on whose behalf the goal was posted;
//! - the author: of a plan, the poster of the goal; of a result, each person who took the task over.
//!
//! The list is computed and stored when the approval is created, so later renames do not lift an
//! exclusion. A key without a person counts as its [`Origin`]: with a second key that the first one
//! made, nobody is somebody else. A person who revises the payload is not added: approving with edits is the same in one
//! step, and the record names them. Only a policy with `allow_self` lifts the exclusions.

use serde::{Deserialize, Serialize};

use crate::domain::{
    access::{origin::Origin, person::Person},
    ids::{KeyId, LinkId},
    refusal::{Code, Refusal},
    words::words,
};

words! {
    /// The reason of an exclusion: `requester` asked for the approval, `poster` posted the goal,
    /// `on_behalf_of` had the goal posted for them, `owner` owns or owned an agent that worked on the
    /// task, `author` wrote the plan or result, `registrant` registered an agent that worked on the
    /// task, `key_maker` made the key that asked or posted.
    pub enum ExclusionReason {
        /// Asked for the approval.
        Requester => "requester",
        /// Posted the goal.
        Poster => "poster",
        /// The goal was posted on their behalf.
        OnBehalfOf => "on_behalf_of",
        /// Owned an agent that worked on the task, then or since.
        Owner => "owner",
        /// Wrote the plan or the result.
        Author => "author",
        /// Registered an agent that worked on the task.
        Registrant => "registrant",
        /// Made the key that asked or posted.
        KeyMaker => "key_maker",
    }
}

/// A key, a person, or both, excluded from deciding an approval. Set when the approval is created;
/// never changes.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct Excluded {
    /// Why the person or key may not decide.
    pub because: ExclusionReason,
    /// The excluded key; left out if only a person is excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The excluded person, with every key and link; left out if the key has no person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// The key from which the excluded key comes: all keys without a person that this one made, or
    /// that those made, are excluded too. Left out if a person is excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<KeyId>,
}

/// The link of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByLink {
    /// The link.
    pub link: LinkId,
    /// The key that made it.
    pub maker: KeyId,
    /// As whom that key counts.
    pub made_by: Origin,
}

/// The maker of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decider {
    /// The key used; `None`: a link, or a policy's default.
    pub key: Option<KeyId>,
    /// The person who holds the key or link; `None`: a key without a person.
    pub person: Option<Person>,
    /// As whom the key counts.
    pub origin: Origin,
    /// The link used; `None`: a key, or a policy's default.
    pub link: Option<ByLink>,
}

impl Decider {
    /// No person: the default of a policy.
    pub const NOBODY: Self =
        Self { key: None, person: None, origin: Origin { key: None, person: None }, link: None };

    /// A person, with any key or link.
    #[must_use]
    pub fn person(person: Person) -> Self {
        Self { person: Some(person), ..Self::NOBODY }
    }

    /// The maker of the link; `None` without a link.
    #[must_use]
    pub fn maker(&self) -> Option<Self> {
        let ByLink { link: _, maker, made_by } = self.link.clone()?;
        let person = made_by.person.clone();
        Some(Self { key: Some(maker), person, origin: made_by, link: None })
    }

    /// As whom it counts: the person, or else the key from which the keys come.
    #[must_use]
    pub fn counts_as(&self) -> (Option<&Person>, Option<KeyId>) {
        let person = self.person.as_ref().or(self.origin.person.as_ref());
        let key = if person.is_some() { None } else { self.origin.key.or(self.key) };
        (person, key)
    }

    /// Whether both count as one.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let mine = self.counts_as();
        mine == other.counts_as() && mine != (None, None)
    }
}

impl Excluded {
    /// Whether `decider` has the excluded key or one of the same origin, or is the excluded person.
    #[must_use]
    pub fn is(&self, decider: &Decider) -> bool {
        let Self { because: _, key_id, person, origin } = self;
        let (as_person, as_key) = decider.counts_as();
        let same_key = key_id.is_some() && *key_id == decider.key;
        let same_person = person.is_some() && person.as_ref() == as_person;
        let same_origin = origin.is_some() && *origin == as_key;
        same_key || same_person || same_origin
    }
}

/// Refuses an excluded decider.
///
/// # Errors
/// `separation_of_duties`, with the reason.
pub fn separate(excluded: &[Excluded], decider: &Decider) -> Result<(), Refusal> {
    let Some(found) = excluded.iter().find(|excluded| excluded.is(decider)) else { return Ok(()) };
    let why = match found.because {
        ExclusionReason::Requester => "asked for this approval",
        ExclusionReason::Poster => "posted the goal",
        ExclusionReason::OnBehalfOf => "are a person for whom the goal was posted",
        ExclusionReason::Owner => "own, or owned, an agent that worked on the task",
        ExclusionReason::Author => "wrote the plan or result under review",
        ExclusionReason::Registrant => "registered an agent that worked on the task",
        ExclusionReason::KeyMaker => "made the key that asked or posted",
    };
    let detail = format!("you {why}, so another person must decide");
    Err(Refusal::new(Code::SeparationOfDuties, detail))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::words::Words as _;

    fn person() -> impl Strategy<Value = Option<Person>> {
        proptest::option::of("[abc]".prop_map(|name| name.parse().unwrap()))
    }

    fn key() -> impl Strategy<Value = Option<KeyId>> {
        proptest::option::of((1..4u128).prop_map(|id| KeyId(Uuid::from_u128(id))))
    }

    proptest! {
        #[test]
        fn exactly_those_named_are_refused(
            who in proptest::collection::vec((key(), person(), 0..ExclusionReason::ALL.len()), 0..5),
            key in key(), person in person(),
        ) {
            let excluded: Vec<Excluded> = who.into_iter().map(|(key_id, person, because)| {
                Excluded { because: ExclusionReason::ALL[because], key_id, person, origin: None }
            }).collect();
            let named = excluded.iter().any(|one| {
                (one.key_id.is_some() && one.key_id == key)
                    || (one.person.is_some() && one.person == person)
            });
            let decider = Decider { key, person, ..Decider::NOBODY };
            prop_assert_eq!(separate(&excluded, &decider).is_err(), named);
        }

        /// Keys without a person and of one origin are one: if one is excluded, all are.
        #[test]
        fn an_origin_is_excluded_with_its_keys(
            out in key(), mine in key(), origins in (key(), key()), people in (person(), person()),
        ) {
            let origin = |key: Option<KeyId>, person: Option<Person>| Origin { key, person };
            let asked = Decider {
                key: out, person: None, origin: origin(origins.0, people.0), link: None,
            };
            let decider = Decider {
                key: mine, person: None, origin: origin(origins.1, people.1), link: None,
            };
            let (person, key) = asked.counts_as();
            let excluded = Excluded {
                because: ExclusionReason::Requester, key_id: out, person: person.cloned(), origin: key,
            };
            let one = asked.same_as(&decider) || (out.is_some() && out == mine);
            prop_assert_eq!(excluded.is(&decider), one);
        }
    }

    #[test]
    fn who_is_nobody_is_not_everybody() {
        let nobody =
            Excluded { because: ExclusionReason::Owner, key_id: None, person: None, origin: None };
        assert!(separate(&[nobody], &Decider::NOBODY).is_ok());
    }
}
