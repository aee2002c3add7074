//! Whether anybody can still decide an approval.
//!
//! An approver counts without a key: an admin can make one for them. Where any operator may decide,
//! the holders of valid keys count, each person once.

use super::{PolicySpec, StagePosition, panel::Panel};
use crate::domain::approval::excluded::{Decider, Excluded};

/// Whether enough people can agree. `policy`: the policy and the position of the approval; `None`:
/// any operator decides alone. `keys`: the holders of all valid keys of operators and admins.
#[must_use]
pub fn can_be_decided(
    policy: Option<(&PolicySpec, StagePosition)>,
    excluded: &[Excluded],
    keys: &[Decider],
) -> bool {
    let Some((spec, place)) = policy else { return holders(excluded, keys) >= 1 };
    let (_, quorum) = spec.approvers(place);
    let quorum = usize::try_from(quorum).unwrap_or(usize::MAX);
    let excluded = if spec.allow_self { &[] } else { excluded };
    let able = Panel::new(spec, place, excluded).size();
    able.unwrap_or_else(|| holders(excluded, keys)) >= quorum
}

/// The number of people with a valid key who are not excluded.
fn holders(excluded: &[Excluded], keys: &[Decider]) -> usize {
    let mut able: Vec<&Decider> = Vec::new();
    for key in keys.iter().filter(|key| !excluded.iter().any(|one| one.is(key))) {
        if !able.iter().any(|known| known.same_as(key)) {
            able.push(key);
        }
    }
    able.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        access::{origin::Origin, person::Person},
        approval::excluded::{ExclusionReason, separate},
        ids::KeyId,
    };

    fn key(id: u128, person: Option<&str>, origin: u128) -> Decider {
        let person: Option<Person> = person.map(|name| name.parse().unwrap());
        let origin = Origin { key: Some(KeyId(Uuid::from_u128(origin))), person: person.clone() };
        Decider { key: Some(KeyId(Uuid::from_u128(id))), person, origin, link: None }
    }

    fn excludes(name: &str) -> Excluded {
        let person = Some(name.parse().unwrap());
        Excluded { because: ExclusionReason::OnBehalfOf, key_id: None, person, origin: None }
    }

    proptest! {
        /// Without a policy it can be decided exactly if one of the keys would not be refused.
        #[test]
        fn one_who_is_not_refused_is_enough(
            keys in prop::collection::vec((1u128..5, prop::option::of("[abc]"), 1u128..5), 0..5),
            out in prop::collection::vec("[abc]", 0..4),
        ) {
            let keys: Vec<Decider> =
                keys.iter().map(|(id, person, origin)| key(*id, person.as_deref(), *origin)).collect();
            let excluded: Vec<Excluded> = out.iter().map(|name| excludes(name)).collect();
            let admitted = keys.iter().any(|key| separate(&excluded, key).is_ok());
            prop_assert_eq!(can_be_decided(None, &excluded, &keys), admitted);
        }
    }

    #[test]
    fn keys_of_one_origin_are_one_person() {
        let spec: PolicySpec =
            serde_json::from_value(json!({"name": "two", "stages": [{"quorum": 2}]})).unwrap();
        let policy = Some((&spec, StagePosition::FIRST));
        let twins = [key(1, None, 1), key(2, None, 1)];
        assert!(!can_be_decided(policy, &[], &twins));
        assert!(can_be_decided(policy, &[], &[key(1, None, 1), key(3, None, 3)]));
        assert!(can_be_decided(policy, &[], &[key(1, None, 1), key(3, Some("ann"), 1)]));
    }
}
