//! The criteria of a goal under a new plan.
//!
//! The rules are in [`crate::domain::plan::diff::criteria`]. Here they are applied in the transaction of the plan. What
//! they change is in `goal.updated` with the criteria before and after; what is satisfied or open again has the rows that
//! it has without a plan.

use serde_json::{Value, json};

use crate::{
    app::{Result, Unit, goals::views, tasks::verification},
    domain::{
        goal::criteria::CriterionState,
        ids::{GoalId, TaskId},
        journal::{Kind, NewRow},
        plan::{
            CriterionSpec,
            diff::{
                PlanDiff, Replanned,
                criteria::{
                    CriterionAction, CriterionEdit, CriterionEntry, Followed, Then, follow,
                },
            },
        },
        refusal::Refusal,
        states::Planner,
    },
    store::{self, goals::criteria::NewVerdict},
};

/// The criteria that a plan has; `None` if its planner says nothing about them.
pub(super) fn of_planner(
    planner: Planner,
    criteria: Vec<CriterionSpec>,
) -> Option<Vec<CriterionSpec>> {
    match planner {
        Planner::Outline | Planner::Playbook => Some(criteria),
        Planner::Tasks | Planner::Llm | Planner::Agent => None,
    }
}

/// The criteria that a proposed plan has.
pub(super) fn of_diff(diff: Option<&PlanDiff>) -> Option<Vec<CriterionSpec>> {
    let entries = &diff?.criteria;
    (!entries.is_empty()).then(|| entries.iter().filter_map(CriterionEntry::wanted).collect())
}

/// Compares the criteria of a compared plan with those of its locked goal. `None`: all stay.
///
/// # Errors
/// `invalid` if the goal would have too many, or ever had.
pub(super) async fn compare(
    unit: &mut Unit,
    goal: GoalId,
    criteria: Option<Vec<CriterionSpec>>,
    new: &mut Replanned,
) -> Result<()> {
    let Some(criteria) = criteria else { return Ok(()) };
    let present = store::goals::criteria::present(unit.tx(), goal).await?;
    if present.is_empty() && criteria.is_empty() {
        return Ok(());
    }
    let followed = follow(&present, criteria, &new.sources)?;
    let numbered = store::goals::criteria::numbered(unit.tx(), goal).await?;
    let added = i16::try_from(followed.add.len()).ok();
    if added.and_then(|added| numbered.checked_add(added)).is_none() {
        let detail = format!(
            "the goal had {numbered} criteria, and their numbers are not given again; post another goal"
        );
        return Err(Refusal::invalid_at("/brief", detail).into());
    }
    new.follow(followed);
    Ok(())
}

/// Applies compared criteria. Returns the open checks and reworks that are no longer needed: the caller cancels them.
pub(super) async fn apply(unit: &mut Unit, goal: GoalId, new: &Followed) -> Result<Vec<TaskId>> {
    store::goals::criteria::write_down(unit.tx(), goal, &new.written).await?;
    if !new.entries.iter().any(CriterionEntry::changes) {
        return Ok(Vec::new());
    }
    let before = views::read(unit.tx(), goal).await?;
    let needless =
        store::goals::criteria::release(unit.tx(), goal, &new.restarted(), false).await?;
    store::goals::criteria::edit(unit.tx(), goal, new).await?;
    store::goals::criteria::insert(unit.tx(), goal, &new.add, true).await?;
    let after = views::read(unit.tx(), goal).await?;
    unit.record(NewRow::new(Kind::GoalUpdated).goal(goal).before(&before).after(&after));
    for edit in new.edit.iter().filter(|edit| edit.then == Then::Satisfied) {
        verification::tell(unit, goal, None, &ticked(edit));
    }
    let opened = new.edit.iter().filter(|edit| edit.reopened).map(|edit| edit.number);
    verification::tell_opened(unit, goal, &opened.collect::<Vec<_>>());
    Ok(needless)
}

/// The verdict of a plan.
const fn ticked(edit: &CriterionEdit) -> NewVerdict {
    NewVerdict {
        number: edit.number,
        state: CriterionState::Satisfied,
        note: None,
        attempt_id: None,
        decided_by: None,
        decided_by_person: None,
    }
}

/// How many criteria a plan changes, for the journal.
pub(super) fn counts(diff: &PlanDiff) -> Value {
    let of = |action: CriterionAction| {
        diff.criteria.iter().filter(|entry| entry.action == action).count()
    };
    json!({"added": of(CriterionAction::Add), "changed": of(CriterionAction::Change),
           "removed": of(CriterionAction::Remove)})
}
