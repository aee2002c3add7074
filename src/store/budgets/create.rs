//! Budgets created together with their goals and tasks.
//!
//! Nothing has been spent below such nodes, so there are no sums to compute, and all budgets of a
//! plan are stored at once.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::NewBudget;
use crate::{
    domain::{
        budget::{Ranges, Window},
        ids::{BudgetId, LimitId},
    },
    store::{Tx, traced},
};

/// A limit of a new node.
#[derive(Debug, Clone)]
pub struct FreshLimit {
    /// Its id.
    pub limit_id: LimitId,
    /// Its budget.
    pub budget_id: BudgetId,
    /// The unit.
    pub unit: String,
    /// Its period.
    pub period: &'static str,
    /// Amount of the limit.
    pub amount: i64,
    /// Its current window.
    pub window: Window,
}

/// Stores budgets with their limits and opens the windows.
pub async fn insert(
    tx: &mut Tx,
    budgets: &[NewBudget<'_>],
    limits: &[FreshLimit],
) -> sqlx::Result<()> {
    insert_budgets(tx, budgets).await?;
    insert_limits(tx, limits).await
}

async fn insert_budgets(tx: &mut Tx, budgets: &[NewBudget<'_>]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &budgets.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        r#"
        insert into budgets (workspace_id, created_at, updated_at, budget_id, node, node_id,
            time_zone, on_exhausted, warn_percent, allocated, reserve, unknown_model, created_by)
        select $1, $2, $2, b.budget_id, b.node, b.node_id, b.time_zone, b.on_exhausted,
               array(select percent::smallint from jsonb_array_elements_text(b.warn_percent) percent),
               b.allocated, b.reserve, b.unknown_model, b.created_by
        from unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::jsonb[],
                    $9::bool[], $10::jsonb[], $11::text[], $12::uuid[])
             as b (budget_id, node, node_id, time_zone, on_exhausted, warn_percent, allocated,
                   reserve, unknown_model, created_by)
        "#,
        tx.workspace.0,
        tx.now,
        column!(|b| b.budget_id.0),
        column!(|b| b.node.as_str()) as &[&str],
        column!(|b| b.node_id) as &[Uuid],
        column!(|b| b.time_zone) as &[&str],
        column!(|b| b.on_exhausted.as_str()) as &[&str],
        column!(|b| Json(b.warn_percent)) as &[Json<&[i16]>],
        column!(|b| b.allocated),
        column!(|b| Json(b.reserve)) as &[Json<&Ranges>],
        column!(|b| b.unknown_model.as_str()) as &[&str],
        column!(|b| b.created_by.map(|id| id.0)) as &[Option<Uuid>],
    )
    .execute(traced!(tx, "budgets.create.insert_budgets"))
    .await?;
    Ok(())
}

async fn insert_limits(tx: &mut Tx, limits: &[FreshLimit]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &limits.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        r#"
        with made as (
            insert into budget_limits (workspace_id, created_at, limit_id, budget_id, node, node_id,
                                       unit, period, amount)
            select $1, $2, l.limit_id, l.budget_id, b.node, b.node_id, l.unit, l.period, l.amount
            from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[])
                 as l (limit_id, budget_id, unit, period, amount)
            join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
        )
        insert into budget_windows (workspace_id, limit_id, starts_at, ends_at, depth, amount,
                                    enforced, version, settled, fraction, reserved)
        select $1, l.limit_id, l.starts_at, l.ends_at,
               array_position(array['task', 'agent', 'goal', 'project', 'workspace'], b.node) - 1,
               l.amount, b.on_exhausted <> 'notify', 1, 0, 0, 0
        from unnest($3::uuid[], $4::uuid[], $7::bigint[], $8::timestamptz[], $9::timestamptz[])
             as l (limit_id, budget_id, amount, starts_at, ends_at)
        join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
        "#,
        tx.workspace.0,
        tx.now,
        column!(|l| l.limit_id.0),
        column!(|l| l.budget_id.0),
        column!(|l| l.unit.clone()),
        column!(|l| l.period) as &[&str],
        column!(|l| l.amount),
        column!(|l| l.window.starts_at),
        column!(|l| l.window.ends_at) as &[Option<DateTime<Utc>>],
    )
    .execute(traced!(tx, "budgets.create.insert_limits"))
    .await?;
    Ok(())
}
