//! The last run of each duty of the supervisor.

use chrono::{DateTime, Utc};

use super::{Tx, traced};

/// Runs of a duty that are recorded together; all but the last changed nothing.
#[derive(Debug, Clone, Copy)]
pub struct DutyRun<'a> {
    /// The name of the duty.
    pub duty: &'a str,
    /// How many runs.
    pub runs: i64,
    /// When the last one began.
    pub began_at: DateTime<Utc>,
    /// Duration of the last one in milliseconds.
    pub took_ms: i64,
    /// Things that it looked at.
    pub looked_at: i64,
    /// Things that it changed.
    pub did: i64,
    /// Things that it left for the next run.
    pub left: i64,
    /// Why it failed; none: it did not.
    pub error: Option<&'a str>,
}

/// A duty and its last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DutyRow {
    /// The name of the duty.
    pub duty: String,
    /// Number of runs.
    pub runs: i64,
    /// Things changed in all runs.
    pub did: i64,
    /// Number of failed runs.
    pub failures: i64,
    /// When the last run began.
    pub last_run_at: DateTime<Utc>,
    /// Duration of the last run in milliseconds.
    pub last_took_ms: i64,
    /// Things that the last run looked at.
    pub last_examined: i64,
    /// Things that the last run changed.
    pub last_did: i64,
    /// Things that the last run left for the next.
    pub last_left: i64,
    /// Whether the last run failed.
    pub last_failed: bool,
}

/// Records a run: the totals grow, the last run is replaced.
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

/// Every duty that ever ran, by name.
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
