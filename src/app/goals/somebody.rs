//! Whether somebody remains to decide the approvals of a new goal.

use crate::{
    app::{Result, Unit},
    domain::{
        approval::excluded::Excluded,
        ids::GoalId,
        plan::new_goal::{Draft, NewGoal},
        policy::able,
        refusal::Refusal,
        states::ApprovalKind,
    },
    store::{self, approvals::NewApproval},
};

/// Refuses a goal whose `on_behalf_of` excludes everybody who could decide its approvals. With a policy
/// in force other people may be asked, so only goals without one are refused; an approval that nobody
/// can decide after all is decided by an admin. `draft`: the plan, if there is one already.
///
/// # Errors
/// `invalid` at `/on_behalf_of`.
pub(super) async fn check(
    unit: &mut Unit,
    goal: GoalId,
    new: &NewGoal,
    draft: Option<&Draft>,
) -> Result<()> {
    let tasks = draft.map(|draft| draft.tasks.as_slice()).unwrap_or_default();
    let defaults = new.task_defaults.approval;
    let asks = defaults.start
        || defaults.result
        || tasks.iter().any(|task| task.approval.start || task.approval.result);
    if new.on_behalf_of.is_empty() || !(asks || new.approval.plan) {
        return Ok(());
    }
    if store::approvals::policies::count_in_force(unit.tx()).await? > 0 {
        return Ok(());
    }
    let approval = NewApproval {
        asked_by: unit.actor(),
        ..NewApproval::new(unit.id(), ApprovalKind::Plan, goal)
    };
    let found = store::approvals::excluded::excluded(unit.tx(), &[approval]).await?;
    let excluded: Vec<Excluded> = found.into_values().flatten().collect();
    let keys = store::authority::deciders(unit.tx()).await?;
    let project = store::goals::project_of(unit.tx(), goal).await?.flatten();
    let keys = store::authority::within(&keys, project);
    if able::can_be_decided(None, &excluded, &keys) {
        return Ok(());
    }
    let detail = "together with you and the maker of your key, these people are everybody who could \
                  decide the approvals of the goal; leave one out, or have a key made for another \
                  operator";
    Err(Refusal::invalid_at("/on_behalf_of", detail).into())
}
