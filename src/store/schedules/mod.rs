//! Schedules: goals that are posted again and again.

pub mod fires;

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::{Tx, traced, violates};
use crate::domain::{
    ids::{GoalId, KeyId, ScheduleId},
    plan::new_goal::NewGoal,
    schedule::{Overlap, PauseReason},
};

const NAME_UNIQUE: &str = "schedules_name_unique";

/// The editable columns of a schedule.
#[derive(Debug, Clone)]
pub struct ScheduleText<'a> {
    /// Unique among schedules.
    pub name: &'a str,
    /// Its cron expression.
    pub cron: &'a str,
    /// The zone of its local times.
    pub time_zone: &'a str,
    /// What a fire does while the goal before is open.
    pub overlap: Overlap,
    /// Age up to which fires are made late, in seconds.
    pub catch_up_seconds: i32,
    /// Time from the due time to the deadline of the goal, in seconds.
    pub deadline_seconds: Option<i32>,
    /// Nothing is due before it.
    pub starts_at: Option<DateTime<Utc>>,
    /// Nothing is due at it or after it.
    pub ends_at: Option<DateTime<Utc>>,
    /// The goal to post.
    pub goal: &'a NewGoal,
    /// The key that posts the goals.
    pub posts_as: KeyId,
    /// Its next due time.
    pub next_due: Option<DateTime<Utc>>,
}

/// A schedule as it is stored.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct ScheduleRow {
    pub schedule_id: ScheduleId,
    pub name: String,
    pub cron: String,
    pub time_zone: String,
    pub overlap: Overlap,
    pub catch_up_seconds: i32,
    pub deadline_seconds: Option<i32>,
    pub starts_at: Option<DateTime<Utc>>,
    pub ends_at: Option<DateTime<Utc>>,
    pub goal: Json<NewGoal>,
    pub posts_as: KeyId,
    pub pause: Option<PauseReason>,
    pub pause_detail: Option<String>,
    pub paused_at: Option<DateTime<Utc>>,
    pub next_due: Option<DateTime<Utc>>,
    pub last_due: Option<DateTime<Utc>>,
    pub last_goal_id: Option<GoalId>,
    pub queued: i32,
    pub refused_in_row: i32,
    pub version: i32,
    pub created_by: KeyId,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Number of schedules that are not deleted.
pub async fn count(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from schedules where workspace_id = $1 and deleted_at is null"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "schedules.count"))
    .await
}

/// Stores a schedule; returns `false` if the name is taken.
pub async fn insert(
    tx: &mut Tx,
    schedule: ScheduleId,
    text: &ScheduleText<'_>,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into schedules (workspace_id, schedule_id, name, cron, time_zone, overlap,
                                catch_up_seconds, deadline_seconds, starts_at, ends_at, goal, posts_as,
                                next_due, created_by, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $12, $14, $14)
         on conflict (workspace_id, name) where deleted_at is null do nothing",
        tx.workspace.0,
        schedule.0,
        text.name,
        text.cron,
        text.time_zone,
        text.overlap.as_str(),
        text.catch_up_seconds,
        text.deadline_seconds,
        text.starts_at,
        text.ends_at,
        Json(text.goal) as _,
        text.posts_as.0,
        text.next_due,
        tx.now,
    )
    .execute(traced!(tx, "schedules.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Edits a locked schedule. Returns `false` if the name is taken; the transaction must then be rolled back.
pub async fn update(
    tx: &mut Tx,
    schedule: ScheduleId,
    text: &ScheduleText<'_>,
) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "update schedules
         set name = $3, cron = $4, time_zone = $5, overlap = $6, catch_up_seconds = $7,
             deadline_seconds = $8, starts_at = $9, ends_at = $10, goal = $11, posts_as = $12,
             next_due = $13, refused_in_row = 0, updated_at = $14, version = version + 1
         where workspace_id = $1 and schedule_id = $2",
        tx.workspace.0,
        schedule.0,
        text.name,
        text.cron,
        text.time_zone,
        text.overlap.as_str(),
        text.catch_up_seconds,
        text.deadline_seconds,
        text.starts_at,
        text.ends_at,
        Json(text.goal) as _,
        text.posts_as.0,
        text.next_due,
        tx.now,
    )
    .execute(traced!(tx, "schedules.update"))
    .await;
    match updated {
        Ok(_) => Ok(true),
        Err(error) if violates(&error, NAME_UNIQUE) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Deletes a locked schedule: hides it, and nothing of it is due any more.
pub async fn delete(tx: &mut Tx, schedule: ScheduleId) -> sqlx::Result<()> {
    sqlx::query!(
        "update schedules
         set deleted_at = $3, updated_at = $3, next_due = null, queued = 0, version = version + 1
         where workspace_id = $1 and schedule_id = $2",
        tx.workspace.0,
        schedule.0,
        tx.now,
    )
    .execute(traced!(tx, "schedules.delete"))
    .await?;
    Ok(())
}

/// Pauses a locked schedule.
pub async fn pause(
    tx: &mut Tx,
    schedule: ScheduleId,
    why: PauseReason,
    detail: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update schedules
         set pause = $3, pause_detail = $4, paused_at = $5, next_due = null, updated_at = $5,
             version = version + 1
         where workspace_id = $1 and schedule_id = $2",
        tx.workspace.0,
        schedule.0,
        why.as_str(),
        detail,
        tx.now,
    )
    .execute(traced!(tx, "schedules.pause"))
    .await?;
    Ok(())
}

/// Resumes a locked schedule, whose goals `posts_as` posts from now on.
pub async fn resume(
    tx: &mut Tx,
    schedule: ScheduleId,
    posts_as: KeyId,
    next_due: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update schedules
         set pause = null, pause_detail = null, paused_at = null, posts_as = $3, next_due = $4,
             refused_in_row = 0, updated_at = $5, version = version + 1
         where workspace_id = $1 and schedule_id = $2",
        tx.workspace.0,
        schedule.0,
        posts_as.0,
        next_due,
        tx.now,
    )
    .execute(traced!(tx, "schedules.resume"))
    .await?;
    Ok(())
}

/// Locks a schedule; returns `false` if it does not exist or is deleted.
pub async fn lock(tx: &mut Tx, schedule: ScheduleId) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from schedules
           where workspace_id = $1 and schedule_id = $2 and deleted_at is null for no key update"#,
        tx.workspace.0,
        schedule.0,
    )
    .fetch_optional(traced!(tx, "schedules.lock"))
    .await?;
    Ok(found.unwrap_or_default())
}

/// Locks a schedule that is neither deleted nor paused; returns `false` also if another has locked it.
pub async fn lock_at_work(tx: &mut Tx, schedule: ScheduleId) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from schedules
           where workspace_id = $1 and schedule_id = $2 and deleted_at is null and pause is null
           for no key update skip locked"#,
        tx.workspace.0,
        schedule.0,
    )
    .fetch_optional(traced!(tx, "schedules.lock_at_work"))
    .await?;
    Ok(found.unwrap_or_default())
}

/// Filter of [`list`].
#[derive(Debug, Clone, Default)]
pub struct ScheduleFilter<'a> {
    /// Only this one.
    pub schedule: Option<ScheduleId>,
    /// Only the one with exactly this name.
    pub name: Option<&'a str>,
    /// Only paused ones, or only others.
    pub paused: Option<bool>,
}

/// Schedules after `after`, newest first; omits deleted ones.
pub async fn list(
    tx: &mut Tx,
    filter: ScheduleFilter<'_>,
    after: Option<ScheduleId>,
    rows: i64,
) -> sqlx::Result<Vec<ScheduleRow>> {
    sqlx::query_as!(
        ScheduleRow,
        r#"
        select schedule_id as "schedule_id: ScheduleId", name, cron, time_zone,
               overlap as "overlap: Overlap", catch_up_seconds, deadline_seconds, starts_at, ends_at,
               goal as "goal: Json<NewGoal>", posts_as as "posts_as: KeyId",
               pause as "pause: PauseReason", pause_detail, paused_at, next_due, last_due,
               last_goal_id as "last_goal_id: GoalId", queued, refused_in_row, version,
               created_by as "created_by: KeyId", created_at, updated_at
        from schedules
        where workspace_id = $1 and deleted_at is null
          and ($2::uuid is null or schedule_id = $2)
          and ($3::text is null or name = $3)
          and ($4::bool is null or (pause is not null) = $4)
          and ($5::uuid is null or schedule_id < $5)
        order by schedule_id desc
        limit $6
        "#,
        tx.workspace.0,
        filter.schedule.map(|id| id.0),
        filter.name,
        filter.paused,
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "schedules.list"))
    .await
}

/// Reads a schedule that is not deleted.
pub async fn read(tx: &mut Tx, schedule: ScheduleId) -> sqlx::Result<Option<ScheduleRow>> {
    let filter = ScheduleFilter { schedule: Some(schedule), ..ScheduleFilter::default() };
    Ok(list(tx, filter, None, 1).await?.pop())
}

/// Up to `rows` schedules with something to do: due ones, those that are due longest first, then those whose
/// queued fire is not held up by an open goal.
pub async fn due(tx: &mut Tx, rows: i64) -> sqlx::Result<Vec<ScheduleId>> {
    sqlx::query_scalar!(
        r#"
        (select schedule_id as "schedule_id!: ScheduleId" from schedules
         where workspace_id = $1 and next_due <= $2
         order by next_due limit $3)
        union
        (select s.schedule_id from schedules s
         where s.workspace_id = $1 and s.queued > 0 and s.pause is null and s.deleted_at is null
           and not exists (
               select from goals g
               where g.workspace_id = $1 and g.goal_id = s.last_goal_id and g.ended_at is null)
         limit $3)
        "#,
        tx.workspace.0,
        tx.now,
        rows,
    )
    .fetch_all(traced!(tx, "schedules.due"))
    .await
}

/// Whether a goal exists and has not ended.
pub async fn is_open(tx: &mut Tx, goal: GoalId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from goals
                          where workspace_id = $1 and goal_id = $2 and ended_at is null) as "open!""#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "schedules.is_open"))
    .await
}

/// Says of a goal which schedule posted it.
pub async fn name_goal(tx: &mut Tx, goal: GoalId, schedule: ScheduleId) -> sqlx::Result<()> {
    sqlx::query!(
        "update goals set schedule_id = $3 where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
        schedule.0,
    )
    .execute(traced!(tx, "schedules.name_goal"))
    .await?;
    Ok(())
}

/// What a fire changes of its schedule.
#[derive(Debug, Clone, Copy)]
pub struct Advance {
    /// The next due time.
    pub next_due: Option<DateTime<Utc>>,
    /// The last due time that was fired or missed.
    pub last_due: Option<DateTime<Utc>>,
    /// The goal that was posted last.
    pub last_goal_id: Option<GoalId>,
    /// Number of queued fires.
    pub queued: i32,
    /// Consecutive refused fires.
    pub refused_in_row: i32,
}

/// Moves a locked schedule on. Its version stays: nothing that people edit has changed.
pub async fn advance(tx: &mut Tx, schedule: ScheduleId, to: &Advance) -> sqlx::Result<()> {
    sqlx::query!(
        "update schedules
         set next_due = $3, last_due = $4, last_goal_id = $5, queued = $6, refused_in_row = $7
         where workspace_id = $1 and schedule_id = $2",
        tx.workspace.0,
        schedule.0,
        to.next_due,
        to.last_due,
        to.last_goal_id.map(|id| id.0),
        to.queued,
        to.refused_in_row,
    )
    .execute(traced!(tx, "schedules.advance"))
    .await?;
    Ok(())
}
