//! Separation of duties: who may not decide.
//!
//! Whoever wants something, has it done, or wrote it does not decide about it, whichever key they take:
//! - the requester: whoever asked, and whoever posted the goal;
//! - the owner of every agent that worked on the task, or whoever registered an agent without owner;
//! - the people on whose behalf the goal was posted;
//! - the author of what is under review: whoever posted the goal whose plan it is, and every person who
//!   took the task over and worked on it.
//!
//! They are found when the question is asked and stored with it, so that nothing that is renamed
//! afterwards opens anything. (Whoever revises a payload later is not added: approving with edits is the
//! same in one step, and both stand in the record under their name.) The only way round is a policy that says `allow_self`.

use serde::{Deserialize, Serialize};

use crate::domain::{
    access::person::Person,
    ids::KeyId,
    refusal::{Code, Refusal},
    words::words,
};

words! {
    /// Why somebody may not decide.
    pub enum Because {
        /// Asked for it.
        Requester => "requester",
        /// Posted the goal.
        Poster => "poster",
        /// The goal was posted for them.
        OnBehalfOf => "on_behalf_of",
        /// Owns an agent that works on it.
        Owner => "owner",
        /// Wrote what is under review.
        Author => "author",
    }
}

/// Somebody who may not decide: a key, a person, or both.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct Excluded {
    /// Why.
    pub because: Because,
    /// With this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// As this person, with any key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
}

/// Who decides: a person, a key, or a person with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decider {
    /// The key; none: through a link.
    pub key: Option<KeyId>,
    /// The person who holds it; none: nobody in particular.
    pub person: Option<Person>,
}

impl Excluded {
    /// Whether this is the one who wants to decide.
    #[must_use]
    pub fn is(&self, decider: &Decider) -> bool {
        let Self { because: _, key_id, person } = self;
        let same_key = key_id.is_some() && *key_id == decider.key;
        let same_person = person.is_some() && *person == decider.person;
        same_key || same_person
    }
}

/// Whether somebody may decide.
///
/// # Errors
/// `separation_of_duties`, with the reason.
pub fn separate(excluded: &[Excluded], decider: &Decider) -> Result<(), Refusal> {
    let Some(found) = excluded.iter().find(|excluded| excluded.is(decider)) else { return Ok(()) };
    let why = match found.because {
        Because::Requester => "asked for this",
        Because::Poster => "posted the goal that this is about",
        Because::OnBehalfOf => "are one of those for whom the goal was posted",
        Because::Owner => "own an agent that works on this",
        Because::Author => "wrote what is to be decided",
    };
    let detail = format!("you {why}, so somebody else has to decide");
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
            who in proptest::collection::vec((key(), person(), 0..Because::ALL.len()), 0..5),
            key in key(), person in person(),
        ) {
            let excluded: Vec<Excluded> = who.into_iter().map(|(key_id, person, because)| {
                Excluded { because: Because::ALL[because], key_id, person }
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
        let nobody = Excluded { because: Because::Owner, key_id: None, person: None };
        assert!(separate(&[nobody], &Decider { key: None, person: None }).is_ok());
    }
}
