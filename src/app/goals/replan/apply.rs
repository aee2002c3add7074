//! Applying a new plan to a goal, all or nothing.
//!
//! In this order: the criteria of the goal, because the end of its last task is judged by them; what is added, because
//! others may need it; what changes, because nothing that stays may need what is cancelled; what is cancelled, with the
//! cascade of every cancellation. A goal is not over before the last step.

use std::collections::{HashMap, HashSet};

use super::{criteria, present::Found};
use crate::{
    app::{
        Error, Result, Unit,
        budgets::create,
        caps,
        goals::{again, finish_if_over},
        tasks::{
            cascade,
            create::{InsertPoint, create_tasks},
            planned::{self, TaskEdit},
            upward,
        },
    },
    domain::{
        cap::workspace::Holding,
        ids::TaskId,
        plan::{
            TaskSpec,
            around::check_growth,
            diff::{PlannedEdit, Present, Replanned},
            new_goal::with_defaults,
        },
        states::GoalState,
    },
    store::{self, goals::GoalFacts},
};

/// Applies a compared plan. The caller holds the locks of the goal and of its tasks.
///
/// # Errors
/// `plan_invalid` if the goal grows too large; `workspace_full`.
pub(super) async fn apply(
    unit: &mut Unit,
    goal: &GoalFacts,
    found: &Found,
    new: &Replanned,
    reason: &str,
) -> Result<()> {
    check_growth("/tasks", goal.counts.total.unsigned_abs() as usize, new.add.len())?;
    caps::admit(unit, Holding::StoredBytes, 0).await?;
    let verifying = goal.state == GoalState::Verifying && !new.add.is_empty();
    if verifying {
        again::reactivate(unit, goal).await?;
    }
    let unchecked = criteria::apply(unit, goal.goal_id, &new.criteria).await?;
    let mut ids = found.ids.clone();
    add(unit, goal, found, new, &mut ids).await?;
    store::tasks::replan::mark_dropped(unit.tx(), &[&new.drop[..], &new.cancel[..]].concat())
        .await?;
    let edits = edits(found, new, &ids)?;
    let left = planned::edit(unit, &edits).await?;
    cascade::apply_cancel(unit, &new.cancel, reason).await?;
    cascade::apply_cancel(unit, &unchecked, "the plan changed the criterion").await?;
    cascade::end_emptied(unit, &left).await?;
    upward::refresh(unit, goal.goal_id).await?;
    if verifying {
        again::check_anew(unit, goal.goal_id).await?;
    }
    finish_if_over(unit, goal.goal_id).await
}

async fn add(
    unit: &mut Unit,
    goal: &GoalFacts,
    found: &Found,
    new: &Replanned,
    ids: &mut HashMap<String, TaskId>,
) -> Result<()> {
    if new.add.is_empty() {
        return Ok(());
    }
    let mut tasks: Vec<TaskSpec> = new.add.iter().map(|(_, spec)| spec.clone()).collect();
    let defaults = store::goals::task_defaults(unit.tx(), goal.goal_id).await?;
    with_defaults(&mut tasks, &defaults);
    for (task, (_, spec)) in tasks.iter_mut().zip(&new.add) {
        if new.holds.contains(&spec.r#ref) {
            // A container takes no settings of attempts.
            task.clone_from(spec);
        }
    }
    let around = found.around(&new.holds);
    let room = store::tasks::room(unit.tx(), goal.goal_id, &[]).await?;
    let at = InsertPoint {
        goal: goal.goal_id,
        priority: goal.priority,
        position: room.next_position,
        parent: None,
        risk: None,
    };
    let made = create_tasks(unit, at, &tasks, Some(&around)).await?;
    let made: Vec<TaskId> = made.into_iter().map(|made| made.task_id).collect();
    create::of_tasks(unit, &made, &tasks).await?;
    ids.extend(tasks.into_iter().zip(made).map(|(task, id)| (task.r#ref, id)));
    Ok(())
}

fn edits(found: &Found, new: &Replanned, ids: &HashMap<String, TaskId>) -> Result<Vec<TaskEdit>> {
    let present: HashMap<TaskId, &Present> =
        found.tasks.iter().map(|task| (task.task_id, task)).collect();
    let edit = |edit: &PlannedEdit| {
        let missing = || Error::Corrupt("a plan names a task that its goal does not have".into());
        let task = present.get(&edit.task_id).ok_or_else(missing)?;
        let before: HashSet<&String> = task.spec.needs.iter().collect();
        let after: HashSet<&String> = edit.after.needs.iter().collect();
        let id = |name: &&String| ids.get(name.as_str()).copied().ok_or_else(missing);
        let parent = match &edit.parent {
            None => None,
            Some(None) => Some(None),
            Some(Some(name)) => Some(Some(id(&name)?)),
        };
        let others =
            [("section", edit.section), ("parent", edit.parent.is_some()), ("done", edit.done)];
        Ok(TaskEdit {
            task_id: edit.task_id,
            fields: edit.fields.clone(),
            others: others
                .into_iter()
                .filter(|(_, changes)| *changes)
                .map(|(name, _)| name)
                .collect(),
            before: task.spec.clone(),
            after: edit.after.clone(),
            without: before.difference(&after).map(&id).collect::<Result<_>>()?,
            with: after.difference(&before).map(&id).collect::<Result<_>>()?,
            parent,
            approved: task.approved,
            done: edit.done,
        })
    };
    new.edit.iter().map(edit).collect()
}
