//! Decisions of people about the criteria of a goal.
//!
//! A person can decide each criterion while the goal is `verifying`, whatever a task found. An approval
//! takes it out of its check, and ends a rework that is no longer needed; a rejection makes a rework task. Both
//! have their effect in the same transaction.
//!
//! Nobody decides about their own work: as for results, the poster of the goal, the people for whom it was
//! posted, and those behind the agents of the last task made for the criterion are excluded. Where that
//! excludes everybody, an admin decides and says so. Approval policies are about approvals, and a criterion is
//! none.

use super::{
    finish_if_over,
    views::{self, Goal},
};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, Principal, ProjectOperatorCaller},
        tasks::{cascade, verification},
        unit::locks::lock_goal,
    },
    domain::{
        access::role::Role,
        approval::excluded::{Excluded, separate},
        goal::criteria::{self, CriterionDecision, CriterionState, CriterionVerdict},
        ids::GoalId,
        policy::able,
        refusal::{Code, Refusal},
        states::ApprovalKind,
    },
    store::{
        self,
        approvals::NewApproval,
        goals::criteria::{CheckedCriterion, NewVerdict},
    },
};

impl App {
    /// Decides a criterion of a verifying goal. Approving a satisfied criterion changes nothing.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `goal_ended`, `separation_of_duties`; `forbidden` for `nobody_else` of another role
    /// than admin; `wrong_state` unless the goal is verifying, and if a task reworks the criterion.
    pub async fn decide_goal_criterion(
        &self,
        caller: &ProjectOperatorCaller,
        goal: GoalId,
        number: i16,
        decision: &CriterionDecision,
    ) -> Result<Goal> {
        decision.check()?;
        let principal = caller.principal();
        self.see_goal(principal, goal).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let facts = lock_goal(&mut unit, goal).await?;
        criteria::decidable(facts.state)?;
        let found = store::goals::criteria::checked(unit.tx(), goal).await?;
        let found = found.into_iter().find(|criterion| criterion.number == number);
        let criterion = found.ok_or_else(|| Refusal::not_found("criterion"))?;
        admit(&mut unit, principal, goal, &criterion, decision).await?;
        if criteria::decide(&criterion.facts(), decision.decision)? {
            decide(&mut unit, goal, criterion, decision).await?;
        }
        let goal = views::read(unit.tx(), goal).await?;
        self.commit(unit).await?;
        Ok(goal)
    }
}

async fn decide(
    unit: &mut Unit,
    goal: GoalId,
    mut criterion: CheckedCriterion,
    decision: &CriterionDecision,
) -> Result<()> {
    let state = match decision.decision {
        CriterionVerdict::Approve => CriterionState::Satisfied,
        CriterionVerdict::Reject => CriterionState::Rejected,
    };
    let acting = unit.acting();
    let verdict = NewVerdict {
        number: criterion.number,
        state,
        note: decision.reason.clone(),
        attempt_id: None,
        decided_by: acting.key,
        decided_by_person: acting.person.clone(),
    };
    store::goals::criteria::decide(unit.tx(), goal, std::slice::from_ref(&verdict)).await?;
    verification::tell(unit, goal, None, &verdict);
    let satisfied = state == CriterionState::Satisfied;
    let released = [criterion.number];
    let needless = store::goals::criteria::release(unit.tx(), goal, &released, satisfied).await?;
    if !satisfied {
        criterion.note = verdict.note;
        let about = store::goals::criteria::verified_goal(unit.tx(), goal).await?;
        verification::rework(unit, &about, &[&criterion]).await?;
    }
    cascade::apply_cancel(unit, &needless, "a person decided the criterion").await?;
    finish_if_over(unit, goal).await
}

/// Refuses people who decide about their own work, unless an admin decides where everybody else would.
async fn admit(
    unit: &mut Unit,
    principal: &Principal,
    goal: GoalId,
    criterion: &CheckedCriterion,
    decision: &CriterionDecision,
) -> Result<()> {
    let about = NewApproval {
        task_id: criterion.task_id,
        ..NewApproval::new(unit.id(), ApprovalKind::Result, goal)
    };
    let found = store::approvals::excluded::excluded(unit.tx(), &[about]).await?;
    let excluded: Vec<Excluded> = found.into_values().flatten().collect();
    if !decision.nobody_else {
        return Ok(separate(&excluded, &principal.decider())?);
    }
    if principal.role != Role::Admin {
        let detail = "only an admin decides because nobody else can; leave out `nobody_else`";
        return Err(Refusal::new(Code::Forbidden, detail).into());
    }
    let keys = store::authority::deciders(unit.tx()).await?;
    let project = store::goals::project_of(unit.tx(), goal).await?.flatten();
    let keys = store::authority::within(&keys, project);
    if able::can_be_decided(None, &excluded, &keys) {
        let detail =
            "somebody else can decide this criterion: ask them, or leave out `nobody_else`";
        return Err(Refusal::new(Code::SeparationOfDuties, detail).into());
    }
    Ok(())
}
