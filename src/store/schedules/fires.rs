//! Fires of schedules: what became of their due times.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{FireId, GoalId, KeyId, ScheduleId, first_at},
        schedule::FireOutcome,
    },
    store::{Tx, traced},
};

/// A fire as it is stored.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct FireRow {
    pub fire_id: FireId,
    pub schedule_id: ScheduleId,
    pub due_at: DateTime<Utc>,
    pub decided_at: DateTime<Utc>,
    pub outcome: FireOutcome,
    pub goal_id: Option<GoalId>,
    pub times: i32,
    pub asked_by: Option<KeyId>,
    pub code: Option<String>,
    pub detail: Option<String>,
}

/// Stores a fire. A due time that was fired before violates `schedule_fires_once`.
pub async fn insert(tx: &mut Tx, fire: &FireRow) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into schedule_fires (workspace_id, fire_id, schedule_id, due_at, decided_at, outcome,
                                     goal_id, times, asked_by, code, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        tx.workspace.0,
        fire.fire_id.0,
        fire.schedule_id.0,
        fire.due_at,
        fire.decided_at,
        fire.outcome.as_str(),
        fire.goal_id.map(|id| id.0),
        fire.times,
        fire.asked_by.map(|id| id.0),
        fire.code,
        fire.detail,
    )
    .execute(traced!(tx, "schedules.fires.insert"))
    .await?;
    Ok(())
}

/// Whether a due time of a schedule was fired, in whatever way.
pub async fn is_fired(
    tx: &mut Tx,
    schedule: ScheduleId,
    due_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from schedule_fires
                          where workspace_id = $1 and schedule_id = $2 and due_at = $3
                            and asked_by is null) as "fired!""#,
        tx.workspace.0,
        schedule.0,
        due_at,
    )
    .fetch_one(traced!(tx, "schedules.fires.is_fired"))
    .await
}

/// The queued fire with the earliest due time of a schedule.
pub async fn first_queued(tx: &mut Tx, schedule: ScheduleId) -> sqlx::Result<Option<FireRow>> {
    sqlx::query_as!(
        FireRow,
        r#"
        select fire_id as "fire_id: FireId", schedule_id as "schedule_id: ScheduleId", due_at,
               decided_at, outcome as "outcome: FireOutcome", goal_id as "goal_id: GoalId", times,
               asked_by as "asked_by: KeyId", code, detail
        from schedule_fires
        where workspace_id = $1 and schedule_id = $2 and outcome = 'queued'
        order by due_at, fire_id
        limit 1
        "#,
        tx.workspace.0,
        schedule.0,
    )
    .fetch_optional(traced!(tx, "schedules.fires.first_queued"))
    .await
}

/// Ends the wait of a queued fire.
pub async fn settle(tx: &mut Tx, fire: &FireRow) -> sqlx::Result<()> {
    sqlx::query!(
        "update schedule_fires
         set outcome = $3, goal_id = $4, code = $5, detail = $6, decided_at = $7
         where workspace_id = $1 and fire_id = $2",
        tx.workspace.0,
        fire.fire_id.0,
        fire.outcome.as_str(),
        fire.goal_id.map(|id| id.0),
        fire.code,
        fire.detail,
        fire.decided_at,
    )
    .execute(traced!(tx, "schedules.fires.settle"))
    .await?;
    Ok(())
}

/// Drops the queued fires of a schedule that is deleted: they are skipped.
pub async fn drop_queued(tx: &mut Tx, schedule: ScheduleId, detail: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update schedule_fires set outcome = 'skipped', detail = $3, decided_at = $4
         where workspace_id = $1 and schedule_id = $2 and outcome = 'queued'",
        tx.workspace.0,
        schedule.0,
        detail,
        tx.now,
    )
    .execute(traced!(tx, "schedules.fires.drop_queued"))
    .await?;
    Ok(())
}

/// Fires of a schedule after `after`, newest first; with `outcome` only these.
pub async fn list(
    tx: &mut Tx,
    schedule: ScheduleId,
    outcome: Option<FireOutcome>,
    after: Option<FireId>,
    rows: i64,
) -> sqlx::Result<Vec<FireRow>> {
    sqlx::query_as!(
        FireRow,
        r#"
        select fire_id as "fire_id: FireId", schedule_id as "schedule_id: ScheduleId", due_at,
               decided_at, outcome as "outcome: FireOutcome", goal_id as "goal_id: GoalId", times,
               asked_by as "asked_by: KeyId", code, detail
        from schedule_fires
        where workspace_id = $1 and schedule_id = $2
          and ($3::text is null or outcome = $3)
          and ($4::uuid is null or fire_id < $4)
        order by fire_id desc
        limit $5
        "#,
        tx.workspace.0,
        schedule.0,
        outcome.map(FireOutcome::as_str),
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "schedules.fires.list"))
    .await
}

/// Deletes fires of a schedule that were decided before a time, at most 1,000. None is decided before its id is made,
/// so the index of ids bounds what is read: old fires, and those that were queued then.
pub async fn prune(tx: &mut Tx, schedule: ScheduleId, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let pruned = sqlx::query!(
        "delete from schedule_fires
         where workspace_id = $1 and fire_id in (
             select fire_id from schedule_fires
             where workspace_id = $1 and schedule_id = $2 and fire_id < $4
               and decided_at < $3 and outcome <> 'queued'
             order by fire_id
             limit 1000)",
        tx.workspace.0,
        schedule.0,
        before,
        first_at::<FireId>(before).0,
    )
    .execute(traced!(tx, "schedules.fires.prune"))
    .await?;
    Ok(pruned.rows_affected())
}
