//! Spend of models that plan: charged to goals, not to attempts.

use crate::{
    domain::{
        budget::{OnExhausted, UnknownModel},
        ids::{GoalId, LimitId, PlanningAnswerId},
        price::MoneySource,
        spend::amount::Exact,
    },
    store::{Tx, budgets::charged::Share, traced},
};

/// One answer to be charged.
#[derive(Debug, Clone)]
pub struct NewAnswer {
    /// Id of the answer.
    pub call_id: PlanningAnswerId,
    /// The goal.
    pub goal_id: GoalId,
    /// The provider.
    pub provider: Option<String>,
    /// The model.
    pub model: String,
    /// Origin of its money.
    pub money: MoneySource,
    /// Whether it is charged to the limits above the goal.
    pub above: bool,
    /// What it used, by unit.
    pub lines: Vec<(String, Exact)>,
}

/// Stores what an answer used.
pub async fn insert(tx: &mut Tx, answer: &NewAnswer) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into planning_spend (workspace_id, goal_id, call_id, recorded_at, above, model, money,
                                     provider, unit, amount, fraction)
         select $1, $2, $3, $4, $5, $6, $7, $8, l.*
         from unnest($9::text[], $10::bigint[], $11::int[]) as l",
        tx.workspace.0,
        answer.goal_id.0,
        answer.call_id.0,
        tx.now,
        answer.above,
        answer.model,
        answer.money.as_str(),
        answer.provider.as_deref(),
        &answer.lines.iter().map(|(unit, _)| unit.clone()).collect::<Vec<_>>(),
        &answer.lines.iter().map(|(_, exact)| exact.amount).collect::<Vec<_>>(),
        &answer.lines.iter().map(|(_, exact)| exact.fraction).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "spend.planned.insert"))
    .await?;
    Ok(())
}

/// Handling of a model without a price for a goal: that of the nearest budget above with a money limit that is
/// enforced, otherwise of the nearest that only notifies.
pub async fn policy(
    tx: &mut Tx,
    goal: GoalId,
) -> sqlx::Result<Option<(UnknownModel, OnExhausted)>> {
    let row = sqlx::query!(
        r#"select b.unknown_model as "unknown_model: UnknownModel",
                  b.on_exhausted as "on_exhausted: OnExhausted"
           from goals g
           cross join lateral (values
               (1, 'goal', g.goal_id), (3, 'project', g.project_id), (4, 'workspace', g.workspace_id))
               as p (depth, node, node_id)
           join budget_limits l on l.workspace_id = $1 and l.node = p.node
                and l.node_id = p.node_id and l.removed_at is null and l.unit = 'usd_micros'
           join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
           where g.workspace_id = $1 and g.goal_id = $2
           order by b.on_exhausted = 'notify', p.depth
           limit 1"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "spend.planned.policy"))
    .await?;
    Ok(row.map(|row| (row.unknown_model, row.on_exhausted)))
}

/// Whether the budget of a goal reserves its limits from those above it.
pub async fn is_allocated(tx: &mut Tx, goal: GoalId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from budgets where workspace_id = $1 and node = 'goal'
                          and node_id = $2 and allocated) as "allocated!""#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "spend.planned.is_allocated"))
    .await
}

/// The allocations of a goal; they are not closed until the transaction ends.
pub async fn shares(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<Share>> {
    sqlx::query_as!(
        Share,
        r#"select goal_id as "goal_id: GoalId", limit_id as "limit_id: LimitId", starts_at,
                  closed_at is not null as "is_closed!"
           from allocations
           where workspace_id = $1 and goal_id = $2
           order by limit_id
           for key share"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "spend.planned.shares"))
    .await
}
