//! Effects of decisions, in the transaction of the decision.

use serde_json::json;

use super::{request::DecisionRequest, review};
use crate::{
    app::{
        Error, Result, Unit, budgets,
        goals::{apply, cancel_locked, discovered, replan},
        rules::act,
        tasks::{
            cascade::{self, resume},
            change::Change,
            create::InsertPoint,
        },
    },
    domain::{
        approval::{Verdict, kind::Subject},
        budget::Period,
        ids::PlanId,
        journal::{Kind, NewRow},
        states::{GoalState, PlanState},
        task::{Next, TaskFacts},
    },
    store::{self, approvals::ApprovalFacts, goals::GoalFacts},
};

/// Applies a decision. The approval, its task and its goal are locked.
///
/// # Errors
/// The refusals of a plan or of a raised limit.
pub(in crate::app) async fn take_effect(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    goal: &GoalFacts,
    task: Option<TaskFacts>,
    request: &DecisionRequest,
) -> Result<()> {
    let approved = request.approves();
    if facts.kind.takes(Verdict::Answer)
        && act::decided(unit, facts, goal, task.as_ref(), request.answer.as_ref()).await?
    {
        return Ok(());
    }
    if let (Subject::Plan, Some(plan)) = (facts.kind.subject(), facts.plan_id)
        && let Some(origin) = discovered::origin(unit, plan).await?
    {
        return match approved {
            true => discovered::take(unit, goal, plan, origin).await,
            false => discovered::decline(unit, goal, plan).await,
        };
    }
    match (facts.kind.subject(), task, facts.attempt_id, facts.plan_id) {
        (Subject::Plan, _, _, Some(plan)) if goal.state != GoalState::Proposed => {
            if approved {
                replan::approved(unit, goal, plan).await
            } else {
                replan::rejected(unit, goal, plan, request.reason()).await
            }
        }
        (Subject::Plan, _, _, Some(plan)) if approved => apply_plan(unit, goal, plan).await,
        (Subject::Plan, _, _, Some(plan)) => {
            let state = PlanState::Rejected;
            store::goals::set_plan_state(unit.tx(), plan, state).await?;
            unit.record(NewRow::new(Kind::PlanRejected).goal(goal.goal_id));
            let reason = format!("the plan was not approved: {}", request.reason());
            cancel_locked(unit, goal.goal_id, &reason).await
        }
        (Subject::Start, Some(task), _, _) => start(unit, task, approved, request).await,
        (Subject::Result, Some(task), Some(attempt), _) => {
            review::decide(unit, facts, goal, task, attempt, request).await
        }
        (Subject::Question, Some(task), _, _) => resume(unit, task).await,
        (Subject::Limit, _, _, _) => budget(unit, facts, approved, request).await,
        (Subject::Plan | Subject::Start | Subject::Result | Subject::Question, _, _, _) => {
            Err(Error::Corrupt("an approval without its subject".into()))
        }
    }
}

/// Raises a limit, or cancels the tasks that wait for it. Tasks that wait for a limit with a
/// renewing period keep waiting.
async fn budget(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    approved: bool,
    request: &DecisionRequest,
) -> Result<()> {
    let limit = facts.limit_id.ok_or_else(|| Error::Corrupt("a budget without a limit".into()))?;
    let payload = facts.payload.clone().unwrap_or_default();
    if approved {
        let proposed = payload["proposed"].as_i64();
        let amount = proposed.ok_or_else(|| Error::Corrupt("a raise without an amount".into()))?;
        return budgets::raise(unit, limit, amount, request.reason.as_deref()).await;
    }
    if payload["short"]["period"] != json!(Period::Lifetime) {
        return Ok(());
    }
    let reason = format!("its budget was not raised: {}", request.reason());
    cascade::cancel_waiting_for_limit(unit, limit, &reason).await
}

async fn apply_plan(unit: &mut Unit, goal: &GoalFacts, plan: PlanId) -> Result<()> {
    let tasks = store::goals::plan_document(unit.tx(), plan).await?;
    store::goals::set_plan_state(unit.tx(), plan, PlanState::Applied).await?;
    let active = GoalState::Active;
    store::goals::set_state(unit.tx(), goal.goal_id, active, None).await?;
    let room = store::tasks::room(unit.tx(), goal.goal_id, &[]).await?;
    let at = InsertPoint {
        goal: goal.goal_id,
        priority: goal.priority,
        position: room.next_position,
        parent: None,
        risk: None,
    };
    apply(unit, at, plan, &tasks).await
}

async fn start(
    unit: &mut Unit,
    task: TaskFacts,
    approved: bool,
    request: &DecisionRequest,
) -> Result<()> {
    let now = unit.now();
    let next = if approved {
        store::tasks::moves::start_approved(unit.tx(), task.task_id).await?;
        Next::Retry(now)
    } else {
        Next::Cancelled
    };
    let reason = (!approved).then(|| format!("its start was not approved: {}", request.reason()));
    cascade::apply(unit, vec![Change::of_task(task, next, reason)]).await
}
