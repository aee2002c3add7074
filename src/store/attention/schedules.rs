//! Schedules that paused by themselves.

use chrono::{DateTime, Utc};

use crate::{
    domain::{attention::COUNTED, ids::ScheduleId},
    store::{Tx, traced},
};

/// A schedule that paused because its key ended or its goals were refused.
#[derive(Debug)]
pub struct PausedSchedule {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// Its name.
    pub name: String,
    /// Why it paused, in words.
    pub detail: Option<String>,
    /// What was said about the goal that was refused last.
    pub refusal: Option<String>,
    /// Time of the pause.
    pub since: DateTime<Utc>,
}

/// Schedules that paused by themselves, at most [`COUNTED`].
pub async fn paused_schedules(tx: &mut Tx) -> sqlx::Result<Vec<PausedSchedule>> {
    sqlx::query_as!(
        PausedSchedule,
        r#"
        select s.schedule_id as "schedule_id: ScheduleId", s.name, s.pause_detail as detail,
               s.paused_at as "since!",
               case when s.pause = 'refused' then (
                   select f.detail from schedule_fires f
                   where f.workspace_id = $1 and f.schedule_id = s.schedule_id and f.outcome = 'refused'
                   order by f.fire_id desc limit 1) end as refusal
        from schedules s
        where s.workspace_id = $1 and s.deleted_at is null and s.pause in ('key_ended', 'refused')
        order by s.schedule_id limit $2
        "#,
        tx.workspace.0,
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.paused_schedules"))
    .await
}
