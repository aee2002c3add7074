//! Superseding of proposed plans.

use serde_json::json;

use super::ask;
use crate::{
    app::{Result, Unit},
    domain::{
        ids::GoalId,
        journal::{Kind, NewRow},
    },
    store,
};

/// Supersedes the proposed plans of a goal and withdraws the questions about them. Costs one statement if there are
/// none. The caller holds the lock of the goal.
pub(in crate::app) async fn supersede(unit: &mut Unit, goal: GoalId, reason: &str) -> Result<()> {
    let gone = store::goals::plans::supersede_proposed(unit.tx(), goal, reason).await?;
    if gone.is_empty() {
        return Ok(());
    }
    for (plan, number) in gone {
        let data = json!({"plan_id": plan, "number": number, "reason": reason});
        unit.record(NewRow::new(Kind::PlanSuperseded).goal(goal).data(data));
    }
    let withdrawn = store::approvals::cancel_plan_approvals(unit.tx(), goal, reason).await?;
    for approval in withdrawn {
        unit.record(ask::withdrawn(approval, goal));
    }
    Ok(())
}
