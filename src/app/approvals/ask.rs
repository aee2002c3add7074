//! Requesting approvals within a unit of work, and cancelling them when their subject ends.

use serde_json::json;

use super::{floors, policies};
use crate::{
    app::{Result, Unit},
    domain::{
        ids::{ApprovalId, GoalId, TaskId},
        journal::{Kind, NewRow},
    },
    store::{self, approvals::NewApproval},
};

/// Requests approvals. The excluded deciders and the floor of the risk are determined here, once; the
/// policy is chosen by the risk that results.
pub async fn ask(unit: &mut Unit, mut questions: Vec<NewApproval>) -> Result<()> {
    if questions.is_empty() {
        return Ok(());
    }
    let mut excluded = store::approvals::excluded::excluded(unit.tx(), &questions).await?;
    for question in &mut questions {
        let found = excluded.remove(&question.approval_id).unwrap_or_default();
        question.excluded.extend(found);
    }
    floors::apply(unit, &mut questions).await?;
    store::approvals::insert(unit.tx(), &questions).await?;
    let ids: Vec<ApprovalId> = questions.iter().map(|question| question.approval_id).collect();
    let frozen = policies::freeze(unit, &ids).await?;
    for question in questions {
        let policy = frozen.get(&question.approval_id);
        let row = NewRow::new(Kind::ApprovalRequested)
            .goal(question.goal_id)
            .task(question.task_id)
            .attempt(question.attempt_id)
            .approval(question.approval_id)
            .after(&json!({"kind": question.kind, "title": question.title, "body": question.body,
                           "payload": question.payload, "risk": question.risk,
                           "risk_floor": question.risk_floor,
                           "answer_schema": question.answer_schema}));
        let mut data = json!({"kind": question.kind, "policy_id": policy, "risk": question.risk});
        if let Some(floor) = &question.risk_floor {
            data["risk_floor"] = json!(floor);
        }
        unit.record(row.data(data));
    }
    Ok(())
}

/// Cancels pending approvals about tasks that have ended or no longer need an answer.
pub(in crate::app) async fn withdraw_questions(
    unit: &mut Unit,
    tasks: &[TaskId],
    reason: &str,
) -> Result<()> {
    let gone = store::approvals::cancel_for_tasks(unit.tx(), tasks, reason).await?;
    for (approval, task, goal) in gone {
        unit.record(withdrawn(approval, goal).task(task));
    }
    Ok(())
}

/// The journal row of a cancelled approval.
pub(in crate::app) fn withdrawn(approval: ApprovalId, goal: GoalId) -> NewRow {
    NewRow::new(Kind::ApprovalCancelled).goal(goal).approval(approval)
}
