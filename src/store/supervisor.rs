//! Run statistics of the supervisor's duties.

use chrono::{DateTime, Utc};

use super::{Tx, traced};

/// Several runs of a duty, recorded together; only the last may have changed something.
#[derive(Debug, Clone, Copy)]
pub struct DutyRun<'a> {
    /// Name of the duty.
    pub duty: &'a str,
    /// Number of runs.
    pub runs: i64,
    /// Start of the last run.
    pub began_at: DateTime<Utc>,
    /// Duration of the last run in milliseconds.
    pub took_ms: i64,
    /// Number of rows the last run examined.
    pub looked_at: i64,
    /// Number of rows the last run changed.
    pub did: i64,
    /// Number of rows the last run left for the next.
    pub left: i64,
    /// Error of the last run; `None` if it succeeded.
    pub error: Option<&'a str>,
}

/// A duty with its totals and its last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DutyRow {
    /// Name of the duty.
    pub duty: String,
    /// Number of runs.
    pub runs: i64,
    /// Number of rows changed in all runs.
    pub did: i64,
    /// Number of failed runs.
    pub failures: i64,
    /// Start of the last run.
    pub last_run_at: DateTime<Utc>,
    /// Duration of the last run in milliseconds.
    pub last_took_ms: i64,
    /// Number of rows the last run examined.
    pub last_examined: i64,
    /// Number of rows the last run changed.
    pub last_did: i64,
    /// Number of rows the last run left for the next.
    pub last_left: i64,
    /// Whether the last run failed.
    pub last_failed: bool,
}

/// Records runs: adds to the totals and replaces the last run.
pub async fn record(tx: &mut Tx, run: &DutyRun<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into supervisor_duties as old
            (workspace_id, duty, runs, did, failures, last_run_at, last_took_ms, last_examined,
             last_did, last_left, last_error)
        values ($1, $2, $3, $4, ($5::text is not null)::int, $6, $7, $8, $4, $9, $5)
        on conflict (workspace_id, duty) do update set
            runs = old.runs + excluded.runs,
            did = old.did + excluded.did,
            failures = old.failures + excluded.failures,
            last_run_at = excluded.last_run_at,
            last_took_ms = excluded.last_took_ms,
            last_examined = excluded.last_examined,
            last_did = excluded.last_did,
            last_left = excluded.last_left,
            last_error = excluded.last_error
        "#,
        tx.workspace.0,
        run.duty,
        run.runs,
        run.did,
        run.error,
        run.began_at,
        run.took_ms,
        run.looked_at,
        run.left,
    )
    .execute(traced!(tx, "supervisor.record"))
    .await?;
    Ok(())
}

/// Every duty that has run, by name.
pub async fn list(tx: &mut Tx) -> sqlx::Result<Vec<DutyRow>> {
    sqlx::query_as!(
        DutyRow,
        r#"select duty, runs, did, failures, last_run_at, last_took_ms, last_examined, last_did,
                  last_left, last_error is not null as "last_failed!"
           from supervisor_duties where workspace_id = $1 order by duty"#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "supervisor.list"))
    .await
}
