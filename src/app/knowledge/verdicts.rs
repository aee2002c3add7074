//! Verdicts: counters of lessons, and the states that follow from them.
//!
//! Why behind the commit, and not in the transaction that ends an attempt: a state moves a lesson to another shelf of the
//! index, and that takes the cursor of the workspace, the last lock but the head of the journal. Every end of an attempt
//! with a verdict would hold it until its commit, wait for the capture that holds it, and keep the batch of all other ends
//! waiting. A counter of a lesson that many attempts are given would be a hot row besides. What is promised is small
//! without it: the verdict itself is stored with the end, and is counted exactly once, within seconds.
//!
//! Two owners decide, not two agents ([`standing`]). Verdicts from before the last change of a lesson count for its
//! figures and not for its state: they are about another text, or a person decided after them.

use serde_json::json;

use super::state::reshelve;
use crate::{
    app::{App, Result, Unit, caller::Actor},
    domain::{
        ids::{LessonId, WorkspaceId},
        journal::{Kind, NewRow},
        knowledge::{LessonState, standing},
    },
    store::{
        self,
        knowledge::{cursors::Cursor, exposures::Standing},
    },
};

/// Verdicts counted in one transaction.
const AT_ONCE: i64 = 500;
/// Why a lesson is quarantined by verdicts.
const HARMFUL: &str = "agents of two owners found it harmful";

/// What a run counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::app) struct CountedVerdicts {
    /// Lessons with new verdicts.
    pub lessons: u64,
    /// Lessons with another state.
    pub moved: u64,
    /// Whether more is left.
    pub left: bool,
}

impl App {
    /// Counts the verdicts of a workspace that are not counted yet, up to a number.
    pub(in crate::app) async fn count_verdicts(
        &self,
        workspace: WorkspaceId,
    ) -> Result<CountedVerdicts> {
        let mut reader = self.reader(workspace).await?;
        let some = store::knowledge::exposures::are_uncounted(&mut reader).await?;
        drop(reader);
        if !some {
            return Ok(CountedVerdicts::default());
        }
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let mut cursor = store::knowledge::cursors::lock(unit.tx()).await?;
        let counted = count(&mut unit, &mut cursor).await?;
        store::knowledge::cursors::set(unit.tx(), cursor).await?;
        self.commit(unit).await?;
        Ok(counted)
    }
}

/// Counts verdicts under the locked cursor, and moves lessons whose state follows from them.
async fn count(unit: &mut Unit, cursor: &mut Cursor) -> Result<CountedVerdicts> {
    let (lessons, left) = store::knowledge::exposures::count(unit.tx(), AT_ONCE).await?;
    let mut counted = CountedVerdicts { lessons: lessons.len() as u64, moved: 0, left };
    if lessons.is_empty() {
        return Ok(counted);
    }
    let standings = store::knowledge::exposures::standings(unit.tx(), &lessons).await?;
    for (state, reason) in [(LessonState::Quarantined, Some(HARMFUL)), (LessonState::Active, None)]
    {
        let moved = standings
            .iter()
            .filter(|one| standing::after_verdicts(one.state, one.owners) == Some(state));
        let moved: Vec<&Standing> = moved.collect();
        if moved.is_empty() {
            continue;
        }
        counted.moved += moved.len() as u64;
        let ids: Vec<LessonId> = moved.iter().map(|one| one.lesson_id).collect();
        store::knowledge::lessons::set_state(unit.tx(), &ids, state, reason).await?;
        let places: Vec<_> =
            moved.iter().map(|one| (one.lesson_id, one.project_id, state)).collect();
        reshelve(unit, cursor, &places).await?;
        for one in moved {
            record(unit, one, reason);
        }
    }
    Ok(counted)
}

fn record(unit: &mut Unit, moved: &Standing, reason: Option<&str>) {
    let kind = match reason {
        Some(_) => Kind::LessonQuarantined,
        None => Kind::LessonActivated,
    };
    let row = NewRow::new(kind).project(moved.project_id);
    unit.record(row.data(json!({"lesson_id": moved.lesson_id, "reason": reason})));
}
