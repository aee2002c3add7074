//! Promotion by evidence: what agents of two projects learned, each by itself, belongs to the workspace.
//!
//! Both lessons are active, so the source of each is verified, and one is a near duplicate of the other: readers of
//! the workspace then read nothing that only one project knew. The older lesson is promoted, and the newer one
//! joins its cluster. Digests stay: they tell of one task. Lessons from outside are no evidence.

use std::collections::BTreeSet;

use serde_json::json;

use super::state::reshelve;
use crate::{
    app::{Result, Unit},
    domain::{
        ids::LessonId,
        journal::{Kind, NewRow},
        knowledge::{LessonState, near},
    },
    store::{
        self,
        knowledge::{clusters::Elsewhere, cursors::Cursor},
    },
};

/// Promotes lessons that other projects learned too. `activated`: lessons that became active in this unit of work.
pub(super) async fn by_evidence(
    unit: &mut Unit,
    cursor: &mut Cursor,
    activated: &[LessonId],
) -> Result<()> {
    let mut promoted: BTreeSet<LessonId> = BTreeSet::new();
    for pair in store::knowledge::clusters::elsewhere(unit.tx(), activated).await? {
        if !is_same(&pair) {
            continue;
        }
        let (older, newer) = if pair.other_id < pair.lesson_id {
            (pair.other_id, pair.lesson_id)
        } else {
            (pair.lesson_id, pair.other_id)
        };
        // Both are in one cluster already, or the workspace has one of them.
        if !promoted.is_disjoint(&BTreeSet::from([older, newer])) {
            continue;
        }
        promoted.extend([older, newer]);
        store::knowledge::lessons::promote(unit.tx(), older).await?;
        store::knowledge::clusters::join(unit.tx(), newer, older).await?;
        reshelve(unit, cursor, &[(older, None, LessonState::Active)]).await?;
        let data = json!({"lesson_id": older, "reason": "two projects learned it"});
        unit.record(NewRow::new(Kind::LessonUpdated).data(data));
    }
    Ok(())
}

fn is_same(pair: &Elsewhere) -> bool {
    let own = near::Words::of(&pair.title, &pair.body);
    let other = near::Words::of(&pair.other_title, &pair.other_body);
    near::resemblance(&own, &other) >= near::NEAR
}
