//! Start times of goals: tasks that nobody has begun follow.
//!
//! A task is ready when the start of its goal and its own have come. A task that was begun goes on, and a
//! start that passes frees the others as any start time does ([`crate::app::duties`]).

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::edit::{Decided, Written, hold_back};
use crate::{
    app::{Result, Unit},
    domain::{
        ids::{GoalId, TaskId},
        task::{
            TaskFacts,
            edit::{Effect, Standing, standing},
        },
    },
    store,
};

/// Moves the tasks of a locked goal to its new start.
pub(in crate::app) async fn follow(
    unit: &mut Unit,
    goal: GoalId,
    start: Option<DateTime<Utc>>,
) -> Result<()> {
    let now = unit.now();
    let own: HashMap<TaskId, Option<DateTime<Utc>>> =
        store::tasks::starts::not_begun(unit.tx(), goal).await?.into_iter().collect();
    if own.is_empty() {
        return Ok(());
    }
    let mut ids: Vec<TaskId> = own.keys().copied().collect();
    ids.sort_unstable();
    let facts = store::tasks::lock(unit.tx(), &ids).await?;
    let stored = store::tasks::replan::editable(unit.tx(), &ids).await?;
    let (mut moved, mut held) = (Vec::new(), Vec::new());
    for facts in facts {
        let Some(stored) = stored.get(&facts.task_id) else { continue };
        let own = own.get(&facts.task_id).copied().flatten();
        let later = own.max(start).filter(|time| *time > now);
        let ready_from = later.unwrap_or(facts.ready_from.min(now));
        let standing = standing(&facts, stored.short_limit.is_some());
        match standing {
            Standing::Waits | Standing::Closed => moved.push((facts.task_id, ready_from)),
            Standing::Offered | Standing::AsksToStart | Standing::Short if later.is_some() => {
                moved.push((facts.task_id, ready_from));
                let written = Written {
                    needs_unmet: 0,
                    ready_from,
                    standing,
                    effect: Effect::Wait,
                    estimate: false,
                    criteria: false,
                };
                held.push((TaskFacts { ready_from, ..facts }, stored, written));
            }
            Standing::Offered
            | Standing::AsksToStart
            | Standing::Short
            | Standing::Rests
            | Standing::Held
            | Standing::Reviewed
            | Standing::Open
            | Standing::Failed
            | Standing::Ended(_) => {}
        }
    }
    let held: Vec<Decided<'_>> =
        held.iter().map(|(facts, stored, written)| (facts, *stored, *written)).collect();
    hold_back(unit, &held).await?;
    Ok(store::tasks::starts::move_waiting(unit.tx(), &moved).await?)
}
