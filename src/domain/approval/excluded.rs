//! Separation of duties: the people and keys excluded from a decision.
//!
//! Nobody decides about their own work, with any key. Excluded are:
//! - the requester of the approval and the poster of the goal;
//! - the owner of each agent that worked on the task; for an agent without owner, its registrar;
//! - the people on whose behalf the goal was posted;
//! - the author: of a plan, the poster of the goal; of a result, each person who took the task over.
//!
//! The list is computed and stored when the approval is created, so later renames do not lift an
//! exclusion. A person who revises the payload is not added: approving with edits is the same in one
//! step, and the record names them. Only a policy with `allow_self` lifts the exclusions.

use serde::{Deserialize, Serialize};

use crate::domain::{
    access::person::Person,
    ids::KeyId,
    refusal::{Code, Refusal},
    words::words,
};

words! {
    /// The reason of an exclusion: `requester` asked for the approval, `poster` posted the goal,
    /// `on_behalf_of` had the goal posted for them, `owner` owns an agent that worked on the task,
    /// `author` wrote the plan or result.
    pub enum ExclusionReason {
        /// Asked for the approval.
        Requester => "requester",
        /// Posted the goal.
        Poster => "poster",
        /// The goal was posted on their behalf.
        OnBehalfOf => "on_behalf_of",
        /// Owns an agent that worked on the task.
        Owner => "owner",
        /// Wrote the plan or the result.
        Author => "author",
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
}

/// The maker of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decider {
    /// The key used; `None`: a link, or a policy's default.
    pub key: Option<KeyId>,
    /// The person who holds the key or link; `None`: a key without a person.
    pub person: Option<Person>,
}

impl Excluded {
    /// Whether `decider` has the excluded key or is the excluded person.
    #[must_use]
    pub fn is(&self, decider: &Decider) -> bool {
        let Self { because: _, key_id, person } = self;
        let same_key = key_id.is_some() && *key_id == decider.key;
        let same_person = person.is_some() && *person == decider.person;
        same_key || same_person
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
        ExclusionReason::Owner => "own an agent that worked on the task",
        ExclusionReason::Author => "wrote the plan or result under review",
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
                Excluded { because: ExclusionReason::ALL[because], key_id, person }
            }).collect();
            let named = excluded.iter().any(|one| {
                (one.key_id.is_some() && one.key_id == key)
                    || (one.person.is_some() && one.person == person)
            });
            prop_assert_eq!(separate(&excluded, &Decider { key, person }).is_err(), named);
        }
    }

    #[test]
    fn who_is_nobody_is_not_everybody() {
        let nobody = Excluded { because: ExclusionReason::Owner, key_id: None, person: None };
        assert!(separate(&[nobody], &Decider { key: None, person: None }).is_ok());
    }
}
