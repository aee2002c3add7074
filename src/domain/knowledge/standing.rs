//! State and trust of a lesson, by its sources and by the verdicts about it.
//!
//! - Trust follows the evidence of the source: the least of all its sources, so a merge is trusted no more than the
//!   weakest lesson in it.
//! - A source is verified if it is done and at least machine-checked. Lessons of other sources are candidates until a
//!   person confirms them, or agents of two owners found them helpful.
//! - Agents of two different owners that found a lesson harmful put it in quarantine. One owner alone cannot, however many
//!   agents it has.

use super::{LessonState, Outcome, Trust};
use crate::domain::criterion::EvidenceTier;

/// Owners whose agents have to agree before verdicts change a state.
pub const OWNERS: u64 = 2;

/// Trust of a task by the least tier of the evidence for its required criteria; `None`: it has none.
#[must_use]
pub fn trust_of(tier: Option<EvidenceTier>) -> Trust {
    match tier {
        None | Some(EvidenceTier::Claimed | EvidenceTier::Attached) => Trust::Unverified,
        Some(EvidenceTier::MachineChecked) => Trust::Checked,
        Some(EvidenceTier::Reviewed) => Trust::Reviewed,
        Some(EvidenceTier::Person) => Trust::Person,
    }
}

/// The least trust of several sources; of none, unverified.
#[must_use]
pub fn least(sources: impl IntoIterator<Item = Trust>) -> Trust {
    sources.into_iter().min().unwrap_or(Trust::Unverified)
}

/// State of a new lesson by its source.
#[must_use]
pub fn first_state(outcome: Option<Outcome>, trust: Trust) -> LessonState {
    match (outcome, trust) {
        (_, Trust::Person) | (Some(Outcome::Done), Trust::Checked | Trust::Reviewed) => {
            LessonState::Active
        }
        (Some(Outcome::Done), Trust::Unverified)
        | (
            None | Some(Outcome::Failed | Outcome::Cancelled),
            Trust::Unverified | Trust::Checked | Trust::Reviewed,
        ) => LessonState::Candidate,
    }
}

/// Numbers of owners whose agents gave a verdict on a lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owners {
    /// Found it helpful.
    pub helpful: u64,
    /// Found it harmful.
    pub harmful: u64,
}

/// State after verdicts; `None`: unchanged.
#[must_use]
pub fn after_verdicts(state: LessonState, owners: Owners) -> Option<LessonState> {
    match state {
        LessonState::Active | LessonState::Candidate if owners.harmful >= OWNERS => {
            Some(LessonState::Quarantined)
        }
        LessonState::Candidate if owners.helpful >= OWNERS && owners.harmful == 0 => {
            Some(LessonState::Active)
        }
        LessonState::Active
        | LessonState::Candidate
        | LessonState::Quarantined
        | LessonState::Archived
        | LessonState::Superseded => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::words::Words as _;

    #[test]
    fn only_what_is_done_and_verified_is_active() {
        for trust in Trust::ALL {
            let verified = *trust != Trust::Unverified;
            let done = first_state(Some(Outcome::Done), *trust) == LessonState::Active;
            assert_eq!(done, verified, "{trust}");
            let failed = first_state(Some(Outcome::Failed), *trust) == LessonState::Active;
            assert_eq!(failed, *trust == Trust::Person, "{trust}");
        }
    }

    #[test]
    fn trust_is_the_least_of_the_sources() {
        assert_eq!(least([Trust::Person, Trust::Checked, Trust::Reviewed]), Trust::Checked);
        assert_eq!(least([]), Trust::Unverified);
    }

    #[test]
    fn one_owner_alone_changes_no_state() {
        for state in LessonState::ALL {
            assert_eq!(after_verdicts(*state, Owners { helpful: 1, harmful: 1 }), None, "{state}");
        }
        let two = Owners { helpful: 0, harmful: 2 };
        assert_eq!(after_verdicts(LessonState::Active, two), Some(LessonState::Quarantined));
        assert_eq!(after_verdicts(LessonState::Archived, two), None);
        let helped = Owners { helpful: 2, harmful: 0 };
        assert_eq!(after_verdicts(LessonState::Candidate, helped), Some(LessonState::Active));
        assert_eq!(after_verdicts(LessonState::Quarantined, helped), None);
    }
}
