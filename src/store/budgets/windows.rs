//! Windows of limits in units of work: lookup, locks and changes.
//!
//! All transactions lock windows in the order (depth, limit, start), in one statement. Limits do
//! not change meanwhile: every unit of work shares the lock that their changes take exclusively.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        budget::{
            BudgetNode, OnExhausted, Period, Ranges,
            ledger::{WindowKey, WindowMove, WindowState},
        },
        ids::LimitId,
        spend::most::TOTAL_MAX,
    },
    store::{Tx, columns::uuids, traced},
};

/// Whether the workspace ever had a limit. If not, units of work skip the other reads.
pub async fn any(tx: &mut Tx) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from budget_limits where workspace_id = $1) as "any!""#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "budgets.windows.any"))
    .await
}

/// A limit in force.
#[derive(Debug, Clone)]
pub struct LiveLimit {
    /// The limit.
    pub limit_id: LimitId,
    /// Kind of the limited node.
    pub node: BudgetNode,
    /// Id of the limited node.
    pub node_id: Uuid,
    /// Unit of the limit.
    pub unit: String,
    /// Its period.
    pub period: Period,
    /// Time zone of its periods.
    pub time_zone: String,
    /// Handling of tasks it cannot fund.
    pub on_exhausted: OnExhausted,
    /// Warning thresholds of its budget in percent.
    pub warn_percent: Vec<i16>,
    /// Amounts a task reserves in units without an estimate: unit to `{want, min}`; `None` for
    /// none.
    pub reserve: Option<Json<Ranges>>,
}

impl LiveLimit {
    /// The key of its window that starts at a time.
    #[must_use]
    pub fn window(&self, starts_at: DateTime<Utc>) -> WindowKey {
        WindowKey { depth: self.node.depth(), limit: self.limit_id, starts_at }
    }
}

/// The limits of nodes `(kind, id)`. Needs no lock: limits do not change during a unit of work.
pub async fn limits_of(tx: &mut Tx, nodes: &[(BudgetNode, Uuid)]) -> sqlx::Result<Vec<LiveLimit>> {
    let kinds: Vec<&str> = nodes.iter().map(|(node, _)| node.as_str()).collect();
    sqlx::query_as!(
        LiveLimit,
        r#"
        select l.limit_id as "limit_id: LimitId", l.node as "node: BudgetNode", l.node_id, l.unit,
               l.period as "period: Period", b.time_zone,
               b.on_exhausted as "on_exhausted: OnExhausted", b.warn_percent,
               nullif(b.reserve, '{}') as "reserve: Json<Ranges>"
        from unnest((select $2::text[]), (select $3::uuid[])) as n (node, node_id)
        join budget_limits l on l.workspace_id = $1 and l.node = n.node and l.node_id = n.node_id
             and l.removed_at is null
        join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
        "#,
        tx.workspace.0,
        &kinds as &[&str],
        &nodes.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "budgets.windows.limits_of"))
    .await
}

/// The windows of limits that are open at a time.
pub async fn open_at(
    tx: &mut Tx,
    at: DateTime<Utc>,
    limits: &[LimitId],
) -> sqlx::Result<Vec<(LimitId, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        r#"select w.limit_id as "limit_id: LimitId", w.starts_at
           from unnest((select $2::uuid[])) as n (limit_id)
           join budget_windows w on w.workspace_id = $1 and w.limit_id = n.limit_id
                and w.starts_at <= $3 and (w.ends_at is null or $3 < w.ends_at)"#,
        tx.workspace.0,
        &uuids(limits),
        at,
    )
    .fetch_all(traced!(tx, "budgets.windows.open_at"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.limit_id, row.starts_at)).collect())
}

/// The amounts of limits.
pub async fn amounts(tx: &mut Tx, limits: &[LimitId]) -> sqlx::Result<Vec<(LimitId, i64)>> {
    let rows = sqlx::query!(
        r#"select limit_id as "limit_id: LimitId", amount from budget_limits
           where workspace_id = $1 and limit_id = any($2)"#,
        tx.workspace.0,
        &uuids(limits),
    )
    .fetch_all(traced!(tx, "budgets.windows.amounts"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.limit_id, row.amount)).collect())
}

/// A window to be opened.
#[derive(Debug, Clone, Copy)]
pub struct NewWindow {
    /// Key of the window.
    pub window: WindowKey,
    /// End of the window.
    pub ends_at: Option<DateTime<Utc>>,
}

/// Opens empty windows for periods that have begun; leaves existing ones unchanged.
pub async fn open(tx: &mut Tx, windows: &[NewWindow]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into budget_windows (workspace_id, limit_id, starts_at, ends_at, depth, amount,
                                    enforced, version, settled, fraction, reserved)
        select $1, l.limit_id, n.starts_at, n.ends_at, n.depth, l.amount,
               b.on_exhausted <> 'notify', l.version, 0, 0, 0
        from unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::smallint[])
             as n (limit_id, starts_at, ends_at, depth)
        join budget_limits l on l.workspace_id = $1 and l.limit_id = n.limit_id
        join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
        order by n.depth, n.limit_id, n.starts_at
        on conflict do nothing
        "#,
        tx.workspace.0,
        &windows.iter().map(|w| w.window.limit.0).collect::<Vec<_>>(),
        &windows.iter().map(|w| w.window.starts_at).collect::<Vec<_>>(),
        &windows.iter().map(|w| w.ends_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &windows.iter().map(|w| w.window.depth).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "budgets.windows.open"))
    .await?;
    Ok(())
}

/// The values of a window.
#[derive(Debug, Clone, Copy)]
pub struct WindowRow {
    /// The limit.
    pub limit_id: LimitId,
    /// Start of the window.
    pub starts_at: DateTime<Utc>,
    /// End of the window.
    pub ends_at: Option<DateTime<Utc>>,
    /// Amount of the limit in this period.
    pub amount: i64,
    /// Whole units spent.
    pub settled: i64,
    /// Millionths of a unit spent, in addition.
    pub fraction: i64,
    /// Amount reserved.
    pub reserved: i64,
    /// Amount spent beyond both reservation and limit.
    pub overrun: i64,
    /// Highest threshold reported.
    pub warned: i16,
}

impl WindowRow {
    /// The window as the domain's state, with its limit.
    #[must_use]
    pub fn state(self, limit: &LiveLimit) -> WindowState {
        let Self {
            limit_id: _,
            starts_at: _,
            ends_at,
            amount,
            settled,
            fraction,
            reserved,
            overrun,
            warned,
        } = self;
        WindowState {
            node: limit.node,
            node_id: limit.node_id,
            unit: limit.unit.clone(),
            period: limit.period,
            on_exhausted: limit.on_exhausted,
            ends_at,
            amount,
            settled,
            fraction,
            reserved,
            overrun,
            warned,
        }
    }
}

/// A time span of a limit to lock the windows of.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The limit.
    pub limit: LimitId,
    /// Only windows that end after this time.
    pub from: DateTime<Utc>,
    /// Only windows that start by this time.
    pub to: DateTime<Utc>,
}

/// Locks windows and reads their values.
pub async fn lock(tx: &mut Tx, wanted: &[Wanted]) -> sqlx::Result<Vec<WindowRow>> {
    sqlx::query_as!(
        WindowRow,
        r#"
        select w.limit_id as "limit_id: LimitId", w.starts_at, w.ends_at, w.amount, w.settled,
               w.fraction, w.reserved, w.overrun, w.warned
        from unnest((select $2::uuid[]), (select $3::timestamptz[]), (select $4::timestamptz[]))
             as n (limit_id, since, until)
        join budget_windows w on w.workspace_id = $1 and w.limit_id = n.limit_id
             and w.starts_at <= n.until and (w.ends_at is null or n.since < w.ends_at)
        order by w.depth, w.limit_id, w.starts_at
        for no key update of w
        "#,
        tx.workspace.0,
        &wanted.iter().map(|w| w.limit.0).collect::<Vec<_>>(),
        &wanted.iter().map(|w| w.from).collect::<Vec<_>>(),
        &wanted.iter().map(|w| w.to).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "budgets.windows.lock"))
    .await
}

/// Changes windows, locked in the common order; returns the changed ones with their new values. An
/// unchanged one had too little left for the reservation, or its spend would pass [`TOTAL_MAX`].
pub async fn apply(tx: &mut Tx, moves: &[WindowMove]) -> sqlx::Result<Vec<WindowRow>> {
    macro_rules! column {
        ($of:expr) => {
            &moves.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query_as!(
        WindowRow,
        r#"
        with held as materialized (
            select w.limit_id, w.starts_at, m.settled, m.fraction, m.reserved, m.overrun
            from unnest((select $2::uuid[]), (select $3::timestamptz[]), (select $4::bigint[]),
                        (select $5::bigint[]), (select $6::bigint[]), (select $7::bigint[]))
                 as m (limit_id, starts_at, settled, fraction, reserved, overrun)
            join budget_windows w on w.workspace_id = $1 and w.limit_id = m.limit_id
                 and w.starts_at = m.starts_at
            order by w.depth, w.limit_id, w.starts_at
            for no key update of w
        )
        update budget_windows w
        -- The overrun only informs: it stays at the largest number.
        set settled = w.settled + m.settled, fraction = w.fraction + m.fraction,
            reserved = w.reserved + m.reserved,
            overrun = least(w.overrun::numeric + m.overrun, 9223372036854775807)::bigint
        from held m
        where w.workspace_id = $1 and w.limit_id = m.limit_id and w.starts_at = m.starts_at
          -- The decision is the first wall, this condition the second, the trigger the third.
          and (not w.enforced or m.reserved <= 0
               or w.settled::numeric + ceil(w.fraction / 1000000.0) + w.reserved + m.reserved
                  + m.settled + ceil(m.fraction / 1000000.0) <= w.amount)
          and (m.settled <= 0 or w.settled <= $8::bigint - m.settled)
        returning w.limit_id as "limit_id: LimitId", w.starts_at, w.ends_at, w.amount, w.settled,
                  w.fraction, w.reserved, w.overrun, w.warned
        "#,
        tx.workspace.0,
        column!(|m| m.window.limit.0),
        column!(|m| m.window.starts_at),
        column!(|m| m.settled),
        column!(|m| m.fraction),
        column!(|m| m.reserved),
        column!(|m| m.overrun),
        TOTAL_MAX,
    )
    .fetch_all(traced!(tx, "budgets.windows.apply"))
    .await
}

/// Stores the highest reported thresholds of locked windows.
pub async fn warned(tx: &mut Tx, told: &[(WindowKey, i16)]) -> sqlx::Result<()> {
    sqlx::query!(
        "update budget_windows w set warned = t.percent
         from unnest($2::uuid[], $3::timestamptz[], $4::smallint[]) as t (limit_id, starts_at, percent)
         where w.workspace_id = $1 and w.limit_id = t.limit_id and w.starts_at = t.starts_at",
        tx.workspace.0,
        &told.iter().map(|(key, _)| key.limit.0).collect::<Vec<_>>(),
        &told.iter().map(|(key, _)| key.starts_at).collect::<Vec<_>>(),
        &told.iter().map(|(_, percent)| *percent).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "budgets.windows.warned"))
    .await?;
    Ok(())
}
