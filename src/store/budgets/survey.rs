//! One read of all limits over a batch of work.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::windows::{LiveLimit, WindowRow};
use crate::{
    domain::{
        budget::{BudgetNode, OnExhausted, Period, Ranges},
        ids::LimitId,
    },
    store::{Tx, traced},
};

/// The limits of nodes `(kind, id)`, with their windows that overlap a time span. Takes no lock, so
/// the values are only a basis for the attempt that follows. One statement, because every batch
/// starts with it.
pub async fn survey(
    tx: &mut Tx,
    nodes: &[(BudgetNode, Uuid)],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<(Vec<LiveLimit>, Vec<WindowRow>)> {
    let kinds: Vec<&str> = nodes.iter().map(|(node, _)| node.as_str()).collect();
    let rows = sqlx::query!(
        r#"
        select l.limit_id as "limit_id: LimitId", l.node as "node: BudgetNode", l.node_id, l.unit,
               l.period as "period: Period", b.time_zone,
               b.on_exhausted as "on_exhausted: OnExhausted", b.warn_percent,
               nullif(b.reserve, '{}') as "reserve: Json<Ranges>",
               w.starts_at as "starts_at?", w.ends_at as "ends_at?", w.amount as "amount?",
               w.settled as "settled?", w.fraction as "fraction?", w.reserved as "reserved?",
               w.overrun as "overrun?", w.warned as "warned?"
        from unnest((select $2::text[]), (select $3::uuid[])) as n (node, node_id)
        join budget_limits l on l.workspace_id = $1 and l.node = n.node and l.node_id = n.node_id
             and l.removed_at is null
        join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
        left join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
             and w.starts_at <= $5 and (w.ends_at is null or $4 < w.ends_at)
        order by l.limit_id
        "#,
        tx.workspace.0,
        &kinds as &[&str],
        &nodes.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        from,
        to,
    )
    .fetch_all(traced!(tx, "budgets.survey.survey"))
    .await?;
    let mut limits: Vec<LiveLimit> = Vec::with_capacity(rows.len());
    let mut windows = Vec::with_capacity(rows.len());
    for row in rows {
        if let (
            Some(starts_at),
            Some(amount),
            Some(settled),
            Some(fraction),
            Some(reserved),
            Some(overrun),
            Some(warned),
        ) = (
            row.starts_at,
            row.amount,
            row.settled,
            row.fraction,
            row.reserved,
            row.overrun,
            row.warned,
        ) {
            let (limit_id, ends_at) = (row.limit_id, row.ends_at);
            windows.push(WindowRow {
                limit_id,
                starts_at,
                ends_at,
                amount,
                settled,
                fraction,
                reserved,
                overrun,
                warned,
            });
        }
        if limits.last().is_some_and(|last| last.limit_id == row.limit_id) {
            continue;
        }
        limits.push(LiveLimit {
            limit_id: row.limit_id,
            node: row.node,
            node_id: row.node_id,
            unit: row.unit,
            period: row.period,
            time_zone: row.time_zone,
            on_exhausted: row.on_exhausted,
            warn_percent: row.warn_percent,
            reserve: row.reserve,
        });
    }
    Ok((limits, windows))
}
