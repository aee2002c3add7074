//! Changes of a plan that a person had to approve.
//!
//! An operator who could not have approved the plan must not change it afterwards: the approval would be of
//! another plan. So its tasks are added and edited by those who could have decided alone. A plan that
//! several people had to agree on is not changed by one of them.

use crate::{
    app::{Result, Unit, caller::Principal},
    domain::{
        approval::excluded::Excluded,
        ids::PlanId,
        policy::{StagePosition, panel::Panel},
        refusal::{Code, Refusal},
        states::ApprovalKind,
    },
    store::{self, approvals::NewApproval, goals::GoalFacts},
};

/// Refuses a caller who could not have decided the approval of the goal's plan alone. Nothing is refused
/// for a plan without approval.
///
/// # Errors
/// `separation_of_duties`, `not_an_approver`.
pub(in crate::app) async fn check(
    unit: &mut Unit,
    principal: &Principal,
    goal: &GoalFacts,
) -> Result<()> {
    if !goal.plan_approval {
        return Ok(());
    }
    let plan: PlanId = unit.id();
    let approval = NewApproval {
        plan_id: Some(plan),
        ..NewApproval::new(unit.id(), ApprovalKind::Plan, goal.goal_id)
    };
    let found = store::approvals::excluded::excluded(unit.tx(), &[approval]).await?;
    let excluded: Vec<Excluded> = found.into_values().flatten().collect();
    let decider = principal.decider();
    let policy = store::approvals::frozen_policy::of_plan(unit.tx(), goal.goal_id).await?;
    let Some(policy) = policy else {
        if excluded.iter().any(|excluded| excluded.is(&decider)) {
            let detail = "the plan of this goal needed an approval that you could not give: an operator who \
                          could changes it, or post another goal";
            return Err(Refusal::new(Code::SeparationOfDuties, detail).into());
        }
        return Ok(());
    };
    if policy.stages.len() > 1 || policy.stages.iter().any(|stage| stage.quorum > 1) {
        let detail = "several people had to agree on the plan of this goal, so nobody changes it alone: post \
                      what is missing as another goal";
        return Err(Refusal::new(Code::SeparationOfDuties, detail).into());
    }
    let panel = Panel::new(&policy, StagePosition::FIRST, &excluded);
    if panel.principal(&decider, None, unit.now()).is_err() {
        let detail = "you are no approver of the plan of this goal: one of its approvers changes it, or post \
                      another goal";
        return Err(Refusal::new(Code::NotAnApprover, detail).into());
    }
    Ok(())
}
