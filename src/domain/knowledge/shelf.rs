//! Shelves: which lessons a search ranks.
//!
//! The collection of a search is what its caller may see. BM25 counts its documents, their lengths and how many
//! have a term, so two callers who see different lessons get different weights, and nobody learns from a score what
//! they cannot read. The index therefore keeps each document on a shelf: a project, or the workspace, with a group of
//! states. A shelf is a number: a multiple of four names the project, the rest the group.

use super::LessonState;

/// Number of the shelf of lessons that the whole workspace sees.
pub const WORKSPACE: i32 = 4;

/// A group of states that are searched together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Active lessons.
    Active,
    /// Candidates.
    Candidates,
    /// Quarantined, archived and superseded lessons: only people search them.
    Withheld,
}

impl Group {
    /// The group of a state.
    #[must_use]
    pub fn of(state: LessonState) -> Self {
        match state {
            LessonState::Active => Self::Active,
            LessonState::Candidate => Self::Candidates,
            LessonState::Quarantined | LessonState::Archived | LessonState::Superseded => {
                Self::Withheld
            }
        }
    }

    fn offset(self) -> i32 {
        match self {
            Self::Active => 0,
            Self::Candidates => 1,
            Self::Withheld => 2,
        }
    }
}

/// The shelf of lessons of `base`, which is [`WORKSPACE`] or the number of a project, in a state.
#[must_use]
pub fn shelf(base: i32, state: LessonState) -> i32 {
    base + Group::of(state).offset()
}

/// Whether a shelf holds lessons that only people search.
#[must_use]
pub fn is_withheld(shelf: i32) -> bool {
    shelf % 4 == Group::Withheld.offset()
}

/// The shelves of some projects and states, ascending.
#[must_use]
pub fn shelves(bases: &[i32], states: &[LessonState]) -> Vec<i32> {
    let mut shelves: Vec<i32> = bases
        .iter()
        .flat_map(|base| states.iter().map(move |state| shelf(*base, *state)))
        .collect();
    shelves.sort_unstable();
    shelves.dedup();
    shelves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::words::Words as _;

    #[test]
    fn agents_never_get_a_shelf_with_what_is_withheld() {
        let of_agents =
            shelves(&[WORKSPACE, 8, 12], &[LessonState::Active, LessonState::Candidate]);
        assert_eq!(of_agents, [4, 5, 8, 9, 12, 13]);
        for state in LessonState::ALL {
            let held = Group::of(*state) == Group::Withheld;
            assert_eq!(is_withheld(shelf(8, *state)), held, "{state}");
            assert_eq!(of_agents.contains(&shelf(8, *state)), !held, "{state}");
        }
    }
}
