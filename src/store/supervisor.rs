//! The last run of each background step.

use chrono::{DateTime, Utc};

use super::{Tx, traced};

/// Runs of a step that are written down together; all but the last changed nothing.
#[derive(Debug, Clone, Copy)]
pub struct StepRun<'a> {
    /// The name of the step.
    pub step: &'a str,
    /// How many runs.
    pub runs: i64,
    /// When the last one began.
    pub began_at: DateTime<Utc>,
    /// How long it took.
    pub took_ms: i64,
    /// How many things it changed.
    pub changed: i64,
    /// Why it failed; none: it did not.
    pub error: Option<&'a str>,
}

/// A step and its last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// The name of the step.
    pub step: String,
    /// How often it ran.
    pub runs: i64,
    /// How many things it changed in all runs.
    pub changed: i64,
    /// How many runs failed.
    pub failures: i64,
    /// When the last run began.
    pub last_run_at: DateTime<Utc>,
    /// How long it took.
    pub last_took_ms: i64,
    /// How many things it changed.
    pub last_changed: i64,
    /// Why it failed.
    pub last_error: Option<String>,
}

/// Records a run: the totals grow, the last run is replaced.
///
/// # Errors
/// When the database fails.
pub async fn record(tx: &mut Tx, run: &StepRun<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into supervisor_steps as old
            (workspace_id, step, runs, changed, failures, last_run_at, last_took_ms, last_changed,
             last_error)
        values ($1, $2, $7, $5, ($6::text is not null)::int, $3, $4, $5, $6)
        on conflict (workspace_id, step) do update set
            runs = old.runs + excluded.runs,
            changed = old.changed + excluded.changed,
            failures = old.failures + excluded.failures,
            last_run_at = excluded.last_run_at,
            last_took_ms = excluded.last_took_ms,
            last_changed = excluded.last_changed,
            last_error = excluded.last_error
        "#,
        tx.workspace.0,
        run.step,
        run.began_at,
        run.took_ms,
        run.changed,
        run.error,
        run.runs,
    )
    .execute(traced!(tx, "supervisor.record"))
    .await?;
    Ok(())
}

/// Every step that ever ran, by name.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx) -> sqlx::Result<Vec<StepRow>> {
    sqlx::query_as!(
        StepRow,
        "select step, runs, changed, failures, last_run_at, last_took_ms, last_changed, last_error
         from supervisor_steps where workspace_id = $1 order by step",
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "supervisor.list"))
    .await
}
