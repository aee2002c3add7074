//! Quota windows of accounts, their use, and the holds of rate-limited agents.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::{Tx, columns::uuids, traced};
use crate::domain::{
    budget::ask::Estimates,
    ids::{AgentId, AttemptId, QuotaWindowId, TaskId},
    quota::{NewQuotaWindow, Quota},
};

/// A quota window.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct QuotaRow {
    pub window_id: QuotaWindowId,
    pub account: String,
    pub unit: String,
    pub amount: i64,
    pub window_seconds: i32,
    pub anchor: Option<DateTime<Utc>>,
    pub stop_percent: i32,
    pub used: i64,
    pub ends_at: Option<DateTime<Utc>>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl QuotaRow {
    /// The window and what of it is used.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        let Self { amount, window_seconds, anchor, stop_percent, used, ends_at, .. } = *self;
        Quota { amount, window_seconds, anchor, stop_percent, used, ends_at }
    }
}

/// Stores a window; returns `false` if the account has one of this unit and length.
pub async fn insert(
    tx: &mut Tx,
    window: QuotaWindowId,
    new: &NewQuotaWindow,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into quota_windows (workspace_id, window_id, account, unit, amount, window_seconds,
                                    anchor, stop_percent, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
         on conflict on constraint quota_windows_unique do nothing",
        tx.workspace.0,
        window.0,
        new.account,
        new.unit,
        new.amount,
        new.window_seconds,
        new.resets_at,
        new.stop_percent,
        tx.now,
    )
    .execute(traced!(tx, "quota_windows.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Filter of [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct QuotaFilter<'a> {
    /// Only this one.
    pub window: Option<QuotaWindowId>,
    /// Only those of this account.
    pub account: Option<&'a str>,
}

/// Lists windows after `after`, newest first.
pub async fn list(
    tx: &mut Tx,
    filter: QuotaFilter<'_>,
    after: Option<QuotaWindowId>,
    rows: i64,
) -> sqlx::Result<Vec<QuotaRow>> {
    sqlx::query_as!(
        QuotaRow,
        r#"select window_id as "window_id: QuotaWindowId", account, unit, amount, window_seconds,
                  anchor, stop_percent, used, ends_at, version, created_at, updated_at
           from quota_windows
           where workspace_id = $1 and ($2::uuid is null or window_id = $2)
             and ($3::text is null or account = $3) and ($4::uuid is null or window_id < $4)
           order by window_id desc limit $5"#,
        tx.workspace.0,
        filter.window.map(|id| id.0),
        filter.account,
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "quota_windows.list"))
    .await
}

/// Number of windows.
pub async fn count(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from quota_windows where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "quota_windows.count"))
    .await
}

/// Locks one window.
pub async fn lock(tx: &mut Tx, window: QuotaWindowId) -> sqlx::Result<Option<QuotaRow>> {
    sqlx::query_as!(
        QuotaRow,
        r#"select window_id as "window_id: QuotaWindowId", account, unit, amount, window_seconds,
                  anchor, stop_percent, used, ends_at, version, created_at, updated_at
           from quota_windows where workspace_id = $1 and window_id = $2
           for no key update"#,
        tx.workspace.0,
        window.0,
    )
    .fetch_optional(traced!(tx, "quota_windows.lock"))
    .await
}

/// Locks the windows of accounts, in id order.
pub async fn lock_of(tx: &mut Tx, accounts: &[String]) -> sqlx::Result<Vec<QuotaRow>> {
    sqlx::query_as!(
        QuotaRow,
        r#"select window_id as "window_id: QuotaWindowId", account, unit, amount, window_seconds,
                  anchor, stop_percent, used, ends_at, version, created_at, updated_at
           from quota_windows where workspace_id = $1 and account = any($2)
           order by window_id
           for no key update"#,
        tx.workspace.0,
        accounts,
    )
    .fetch_all(traced!(tx, "quota_windows.lock_of"))
    .await
}

/// Writes what of locked windows is used.
pub async fn set(tx: &mut Tx, used: &[(QuotaWindowId, Quota)]) -> sqlx::Result<()> {
    sqlx::query!(
        "update quota_windows q set used = n.used, ends_at = n.ends_at
         from unnest($2::uuid[], $3::bigint[], $4::timestamptz[]) as n (window_id, used, ends_at)
         where q.workspace_id = $1 and q.window_id = n.window_id",
        tx.workspace.0,
        &used.iter().map(|(window, _)| window.0).collect::<Vec<_>>(),
        &used.iter().map(|(_, quota)| quota.used).collect::<Vec<_>>(),
        &used.iter().map(|(_, quota)| quota.ends_at).collect::<Vec<_>>()
            as &[Option<DateTime<Utc>>],
    )
    .execute(traced!(tx, "quota_windows.set"))
    .await?;
    Ok(())
}

/// Edits a locked window.
pub async fn edit(tx: &mut Tx, window: QuotaWindowId, quota: &Quota) -> sqlx::Result<()> {
    sqlx::query!(
        "update quota_windows set amount = $3, anchor = $4, stop_percent = $5, used = $6,
                ends_at = $7, version = version + 1, updated_at = $8
         where workspace_id = $1 and window_id = $2",
        tx.workspace.0,
        window.0,
        quota.amount,
        quota.anchor,
        quota.stop_percent,
        quota.used,
        quota.ends_at,
        tx.now,
    )
    .execute(traced!(tx, "quota_windows.edit"))
    .await?;
    Ok(())
}

/// Deletes a window; returns `false` if it does not exist.
pub async fn delete(tx: &mut Tx, window: QuotaWindowId) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "delete from quota_windows where workspace_id = $1 and window_id = $2",
        tx.workspace.0,
        window.0,
    )
    .execute(traced!(tx, "quota_windows.delete"))
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// The accounts of the agents of attempts; omits attempts without one.
pub async fn accounts_of(
    tx: &mut Tx,
    attempts: &[AttemptId],
) -> sqlx::Result<HashMap<AttemptId, String>> {
    let rows = sqlx::query!(
        r#"select t.attempt_id as "attempt_id: AttemptId", a.account as "account!"
           from attempts t
           join agents a on a.workspace_id = $1 and a.agent_id = t.agent_id
           where t.workspace_id = $1 and t.attempt_id = any($2) and a.account is not null"#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "quota_windows.accounts_of"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.attempt_id, row.account)).collect())
}

/// The estimates of tasks; omits tasks without one.
pub async fn estimates(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<HashMap<TaskId, Estimates>> {
    let rows = sqlx::query!(
        r#"select task_id as "task_id: TaskId", estimate as "estimate!: Json<Estimates>"
           from task_texts
           where workspace_id = $1 and task_id = any($2) and estimate is not null"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "quota_windows.estimates"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.estimate.0)).collect())
}

/// Holds agents, and those that share an account with one of them, until the time given with each. An earlier
/// time changes nothing. Returns the held agents, each with the time.
pub async fn hold_agents(
    tx: &mut Tx,
    holds: &[(AgentId, DateTime<Utc>)],
) -> sqlx::Result<Vec<(AgentId, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        r#"
        with said as materialized (
            select a.agent_id, a.account, h.until
            from unnest($2::uuid[], $3::timestamptz[]) as h (agent_id, until)
            join agents a on a.workspace_id = $1 and a.agent_id = h.agent_id
        ), held as materialized (
            select agent_id, max(until) as until from (
                select agent_id, until from said
                union all
                select a.agent_id, s.until from said s
                join agents a on a.workspace_id = $1 and a.account = s.account) all_of_them
            group by agent_id
        ), locked as materialized (
            select a.agent_id, h.until from agents a
            join held h on h.agent_id = a.agent_id
            where a.workspace_id = $1
            order by a.agent_id for no key update of a
        )
        update agents a set limited_until = l.until from locked l
        where a.workspace_id = $1 and a.agent_id = l.agent_id
          and (a.limited_until is null or a.limited_until < l.until)
        returning a.agent_id as "agent_id: AgentId", l.until as "until!"
        "#,
        tx.workspace.0,
        &holds.iter().map(|(agent, _)| agent.0).collect::<Vec<_>>(),
        &holds.iter().map(|(_, until)| *until).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "quota_windows.hold_agents"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.agent_id, row.until)).collect())
}
