//! Changes of state: a lesson moves to the shelf of its new state in the same transaction.

use std::collections::BTreeSet;

use super::write::bases;
use crate::{
    app::{Result, Unit},
    domain::{
        ids::{LessonId, ProjectId},
        knowledge::{LessonState, shelf},
    },
    store::{self, knowledge::cursors::Cursor},
};

/// A lesson with its project and state after a change.
pub(in crate::app) type Reshelving = (LessonId, Option<ProjectId>, LessonState);

/// Moves lessons to the shelves of their projects and states.
pub(in crate::app) async fn reshelve(
    unit: &mut Unit,
    cursor: &mut Cursor,
    moved: &[Reshelving],
) -> Result<()> {
    let projects: BTreeSet<ProjectId> =
        moved.iter().filter_map(|(_, project, _)| *project).collect();
    let bases = bases(unit, cursor, projects).await?;
    let shelves: Vec<(LessonId, i32)> = moved
        .iter()
        .map(|(lesson, project, state)| (*lesson, shelf::shelf(bases.base(*project), *state)))
        .collect();
    Ok(store::knowledge::index::reshelve(unit.tx(), &shelves).await?)
}
