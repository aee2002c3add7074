//! Links under a policy: who may make one, and where a vote by link counts.
//!
//! The maker of a link sees its token, and could decide with it in the name of somebody else. So the
//! maker is an approver or an admin, and no link votes where more than one person must agree: the
//! service has no channel of its own on which it could deliver the token to a confirmed person.

use super::{PolicySpec, StagePosition, panel::Panel};
use crate::domain::{
    access::{person::Person, role::Role},
    refusal::{Code, Refusal},
};

/// Refuses a vote by link at a position where more than one person must agree.
///
/// # Errors
/// `link_refused`.
pub fn one_agrees(spec: &PolicySpec, place: StagePosition) -> Result<(), Refusal> {
    let (_, quorum) = spec.approvers(place);
    if quorum <= 1 {
        return Ok(());
    }
    let detail = format!(
        "{quorum} people must agree in stage {}, and the maker of a link could vote with it in the \
         name of another; each of them needs a key of their own",
        place.stage
    );
    Err(Refusal::new(Code::LinkRefused, detail))
}

/// Refuses a link for `person` if more than one person must agree at this position, or at a later
/// one where the person could vote with it.
///
/// # Errors
/// `link_refused`.
pub fn one_agrees_from(
    spec: &PolicySpec,
    place: StagePosition,
    person: &Person,
) -> Result<(), Refusal> {
    one_agrees(spec, place)?;
    later(spec, place)
        .filter(|later| seats(spec, *later, person))
        .try_for_each(|later| one_agrees(spec, later))
}

/// Refuses a maker of links who is no admin and no approver at this position.
///
/// # Errors
/// `not_an_approver`.
pub fn may_make(panel: &Panel<'_>, role: Role, person: Option<&Person>) -> Result<(), Refusal> {
    if role == Role::Admin || !panel.is_closed_to(person) {
        return Ok(());
    }
    let detail = "the maker of a link could vote with it, so only an approver of this stage or an \
                  admin makes one; ask one of them";
    Err(Refusal::new(Code::NotAnApprover, detail))
}

/// The positions that an approval can still reach.
fn later(spec: &PolicySpec, place: StagePosition) -> impl Iterator<Item = StagePosition> {
    let stages = i16::try_from(spec.stages.len()).unwrap_or(i16::MAX);
    let rounds = i16::try_from(spec.escalation.len()).unwrap_or(i16::MAX);
    (place.stage..=stages)
        .flat_map(move |stage| {
            (0..=rounds).map(move |escalation| StagePosition { stage, escalation })
        })
        .filter(move |later| *later > place)
}

/// Whether a person may vote at a position, for themselves or as a delegate.
fn seats(spec: &PolicySpec, place: StagePosition, person: &Person) -> bool {
    let (approvers, _) = spec.approvers(place);
    let stands_in = spec
        .delegations
        .iter()
        .any(|one| one.delegate == *person && approvers.contains(&one.delegator));
    approvers.is_empty() || approvers.contains(person) || stands_in
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NAMES: [&str; 3] = ["ann", "bob", "cid"];

    fn panels() -> impl Strategy<Value = Vec<(Vec<&'static str>, u32)>> {
        let people = prop::sample::subsequence(NAMES.to_vec(), 1..=3);
        prop::collection::vec((people, 1u32..=2), 1..=3)
    }

    proptest! {
        /// A link that was made is usable wherever its person votes later, or it was not made.
        #[test]
        fn a_link_that_is_made_meets_no_higher_quorum(
            stages in panels(), rounds in panels(), first in 0i16..4, who in 0usize..3,
        ) {
            let group = |(approvers, quorum): &(Vec<&str>, u32)| {
                json!({"approvers": approvers, "quorum": quorum, "expires_after_seconds": 60})
            };
            let stage = |one: &(Vec<&str>, u32)| json!({"approvers": one.0, "quorum": one.1});
            let spec: PolicySpec = serde_json::from_value(json!({
                "name": "p", "stages": stages.iter().map(stage).collect::<Vec<_>>(),
                "escalation": rounds.iter().map(group).collect::<Vec<_>>(),
            })).unwrap();
            let place = StagePosition { stage: 1, escalation: first.min(rounds.len() as i16) };
            let person: Person = NAMES[who].parse().unwrap();
            let made = one_agrees_from(&spec, place, &person);
            let reached = later(&spec, place).filter(|at| spec.approvers(*at).0.contains(&person));
            let refused = reached.map(|at| one_agrees(&spec, at)).any(|at| at.is_err());
            prop_assert_eq!(made.is_err(), refused || one_agrees(&spec, place).is_err());
        }
    }
}
