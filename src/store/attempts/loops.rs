//! Loops detected in the steps of attempts.

use super::heartbeat::Steps;
use crate::{
    domain::{
        ids::{AttemptId, LoopId, TaskId},
        loops::{Loop, Pattern, Window},
    },
    store::{Tx, columns::uuids, traced},
};

/// The steps of locked attempts, and their recorded loops.
pub async fn of_attempts(
    tx: &mut Tx,
    attempts: &[AttemptId],
) -> sqlx::Result<Vec<(AttemptId, Steps)>> {
    let rows = sqlx::query!(
        r#"
        select p.attempt_id as "attempt_id: AttemptId", p.steps as "steps!",
               array(select l.pattern from attempt_loops l
                     where l.workspace_id = $1 and l.attempt_id = p.attempt_id
                       and l.left_at is null) as "loops!: Vec<Pattern>"
        from attempt_progress p
        where p.workspace_id = $1 and p.attempt_id = any($2) and p.steps is not null
        order by p.attempt_id
        "#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "attempts.loops.of_attempts"))
    .await?;
    let steps = rows.into_iter().map(|row| {
        let steps = Steps { window: Window::from_bytes(&row.steps), loops: row.loops };
        (row.attempt_id, steps)
    });
    Ok(steps.collect())
}

/// Records that an attempt entered a loop.
pub async fn found(
    tx: &mut Tx,
    (attempt, task): (AttemptId, TaskId),
    id: LoopId,
    found: &Loop,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into attempt_loops (workspace_id, loop_id, attempt_id, task_id, pattern, times, found_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        tx.workspace.0,
        id.0,
        attempt.0,
        task.0,
        found.pattern.as_str(),
        i16::try_from(found.times).unwrap_or(i16::MAX),
        tx.now,
    )
    .execute(traced!(tx, "attempts.loops.found"))
    .await?;
    Ok(())
}

/// Records that an attempt left loops.
pub async fn left(tx: &mut Tx, attempt: AttemptId, patterns: &[Pattern]) -> sqlx::Result<()> {
    let patterns: Vec<&str> = patterns.iter().map(|pattern| pattern.as_str()).collect();
    sqlx::query!(
        "update attempt_loops set left_at = greatest($3, found_at)
         where workspace_id = $1 and attempt_id = $2 and left_at is null and pattern = any($4)",
        tx.workspace.0,
        attempt.0,
        tx.now,
        &patterns as &[&str],
    )
    .execute(traced!(tx, "attempts.loops.left"))
    .await?;
    Ok(())
}

/// Closes the recorded loops of ended attempts.
pub async fn forget_ended(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!(
        "update attempt_loops l set left_at = greatest($2, l.found_at)
         from attempts a
         where l.workspace_id = $1 and l.left_at is null
           and a.workspace_id = $1 and a.attempt_id = l.attempt_id and a.ended_at is not null",
        tx.workspace.0,
        tx.now,
    )
    .execute(traced!(tx, "attempts.loops.forget_ended"))
    .await?;
    Ok(())
}
