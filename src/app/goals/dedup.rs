//! Dedup keys of posted goals.
//!
//! The key is taken before the goal is written, so that two posts at once wait for each other at the row of the key,
//! also on two servers. The second sees what the first committed.
//!
//! A key that is held for a time outlives its goal. There is nothing to answer with then, so the second is refused.

use crate::{
    app::{Result, Unit},
    domain::{
        dedup::{Dedup, is_held},
        ids::{GoalId, ProjectId},
        refusal::{Code, Refusal},
    },
    store::{
        self,
        dedup::{GoalHolder, NewKey},
    },
};

/// Takes a key for a new goal, unless another goal of the project holds it: returns that one.
///
/// # Errors
/// `already_exists` if the goal that holds it was deleted.
pub(super) async fn holder(
    unit: &mut Unit,
    project: Option<ProjectId>,
    dedup: &Dedup,
    goal: GoalId,
) -> Result<Option<GoalId>> {
    let now = unit.now();
    let new = NewKey { key: &dedup.key, goal, task: None, held_until: dedup.held_until(now) };
    // The row may go between both statements, with a goal that is deleted.
    for _ in 0..2 {
        if store::dedup::take_new(unit.tx(), project, &new).await? {
            return Ok(None);
        }
        let Some(holder) = store::dedup::lock_of_goal(unit.tx(), project, &dedup.key).await? else {
            continue;
        };
        if is_held(holder.held_until, holder.open, now) {
            if holder.gone {
                return Err(gone(&holder).into());
            }
            return Ok(Some(holder.goal_id));
        }
        store::dedup::pass_on(unit.tx(), project, &new).await?;
        return Ok(None);
    }
    Ok(None)
}

fn gone(holder: &GoalHolder) -> Refusal {
    let until = holder.held_until.map(|until| format!(" until {}", until.to_rfc3339()));
    let detail = format!(
        "the goal {} holds the dedup key{} and was deleted, so there is no goal to answer with: post it afterwards, or \
         with another key",
        holder.goal_id,
        until.unwrap_or_default()
    );
    Refusal::new(Code::AlreadyExists, detail)
}
