//! Schedules: goals that are posted again and again.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::{OperatorCaller, ReaderCaller, TryingCaller},
        schedules::{
            ScheduleFilter,
            views::{
                DueTimes, DueTimesRequest, Fire, FireRequest, NewSchedule, PauseRequest, Schedule,
                ScheduleChange,
            },
        },
    },
    domain::{
        ids::{FireId, ScheduleId},
        schedule::FireOutcome,
    },
    http::{
        extract::{
            auth::Auth,
            body::{ApiJson, OptionalJson},
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            meter::Meter,
            page::{Listing, Paged},
            path::ApiPath,
        },
        fairness::quotas::Counted,
        problem::Result,
        reply::{Created, NoContent, Reply},
    },
};

/// The filters of the list of schedules.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ScheduleQuery {
    /// Only the schedule with exactly this name.
    pub name: Option<String>,
    /// `true`: only paused schedules. `false`: only others.
    pub paused: Option<bool>,
}

/// The filters of the list of fires.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FireQuery {
    /// Only fires with this outcome.
    pub outcome: Option<FireOutcome>,
}

/// List the schedules.
///
/// Newest first, without their goals and without deleted ones.
#[utoipa::path(get, path = "/v1/schedules")]
pub async fn list_schedules(
    Auth { app, caller }: Auth<ReaderCaller>,
    list: Listing<ScheduleQuery, ScheduleId>,
) -> Result<Paged<Schedule>> {
    let ScheduleQuery { name, paused } = &list.filter;
    let filter = ScheduleFilter { schedule: None, name: name.as_deref(), paused: *paused };
    let schedules = app.list_schedules(&caller, filter, list.after, list.rows()).await?;
    list.page(schedules, |schedule| schedule.id)
}

/// Create a schedule.
///
/// Posts `goal` at every due time of `cron` in `time_zone`, with your key. The goal is checked now as `POST /v1/goals`
/// checks it, so what is stored can be posted; what changes later, such as a budget, may still refuse a fire.
/// `POST /v1/schedules/preview` shows when an expression is due.
///
/// Each due time is fired once, with any number of servers. Where clocks are changed: a local time that does not exist
/// is due at the first instant after the gap, and one that occurs twice is due the first time only.
#[utoipa::path(post, path = "/v1/schedules")]
pub async fn create_schedule(
    Auth { app, caller }: Auth<OperatorCaller>,
    Create { body, idempotency }: Create<NewSchedule>,
) -> Result<Created<Schedule>> {
    let outcome = app.create_schedule(&caller, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |schedule| format!("/v1/schedules/{}", schedule.id));
    Ok(created.version(|schedule| schedule.version))
}

/// Preview due times.
///
/// The next due times of a cron expression in a time zone. Writes nothing.
#[utoipa::path(post, path = "/v1/schedules/preview")]
pub async fn preview_schedule(
    Auth { app, caller }: Auth<TryingCaller>,
    ApiJson(asked): ApiJson<DueTimesRequest>,
) -> Result<Reply<DueTimes>> {
    Ok(Reply(app.preview_schedule(&caller, &asked).await?))
}

/// Read a schedule.
///
/// With its goal and its next five due times.
#[utoipa::path(get, path = "/v1/schedules/{schedule_id}")]
pub async fn get_schedule(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath(schedule): ApiPath<ScheduleId>,
) -> Result<Versioned<Schedule>> {
    let schedule = app.get_schedule(&caller, schedule).await?;
    Ok(Versioned::new(schedule, |schedule| schedule.version))
}

/// Edit a schedule.
///
/// Goals that were posted stay as they are. Another cron expression, time zone or bound is due from now on. With
/// another `goal`, your key posts the goals from then on.
#[utoipa::path(patch, path = "/v1/schedules/{schedule_id}")]
pub async fn update_schedule(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(schedule): ApiPath<ScheduleId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<ScheduleChange>,
) -> Result<Versioned<Schedule>> {
    let schedule = app.update_schedule(&caller, schedule, if_match.version, &change).await?;
    Ok(Versioned::new(schedule, |schedule| schedule.version))
}

/// Delete a schedule.
///
/// It is never due again, and what it has queued is skipped. Its goals stay.
#[utoipa::path(delete, path = "/v1/schedules/{schedule_id}")]
pub async fn delete_schedule(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(schedule): ApiPath<ScheduleId>,
    if_match: IfMatch,
) -> Result<NoContent> {
    app.delete_schedule(&caller, schedule, if_match.version).await?;
    Ok(NoContent)
}

/// Pause a schedule.
///
/// It is not due until it is resumed; due times in between are dropped. What it has queued stays queued. Pausing a
/// paused schedule changes nothing.
#[utoipa::path(post, path = "/v1/schedules/{schedule_id}/pause")]
pub async fn pause_schedule(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(schedule): ApiPath<ScheduleId>,
    OptionalJson(asked): OptionalJson<PauseRequest>,
) -> Result<Versioned<Schedule>> {
    let schedule = app.pause_schedule(&caller, schedule, &asked).await?;
    Ok(Versioned::new(schedule, |schedule| schedule.version))
}

/// Resume a schedule.
///
/// It is due again from now on. If the key that posts its goals has ended, yours takes over. Does nothing to a schedule
/// that is not paused.
#[utoipa::path(post, path = "/v1/schedules/{schedule_id}/resume")]
pub async fn resume_schedule(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(schedule): ApiPath<ScheduleId>,
) -> Result<Versioned<Schedule>> {
    let schedule = app.resume_schedule(&caller, schedule).await?;
    Ok(Versioned::new(schedule, |schedule| schedule.version))
}

/// Fire a schedule now.
///
/// Posts its goal at once, whether it is due or not, also if it is paused or has ended. Its due times stay as they are.
/// If the goal of the fire before is open, `overlap` holds: with `skip` the request is refused, with `queue` the
/// fire waits for the end of that goal, with `cancel` that goal is cancelled. The goal is posted by the key of the
/// schedule, on behalf of your person.
#[utoipa::path(post, path = "/v1/schedules/{schedule_id}/fire")]
pub async fn fire_schedule(
    Auth { app, caller }: Auth<OperatorCaller>,
    meter: Meter,
    ApiPath(schedule): ApiPath<ScheduleId>,
    Create { body: FireRequest {}, idempotency }: Create<FireRequest>,
) -> Result<Created<Fire>> {
    meter.check(Counted::Tasks)?;
    let outcome = app.fire_schedule(&caller, schedule, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |fire| format!("/v1/schedules/{}/fires", fire.schedule_id)))
}

/// List the fires of a schedule.
///
/// Newest first: what became of each of its due times, and of each request to fire it. A fire is kept for 90 days, and
/// no longer than its goal.
#[utoipa::path(get, path = "/v1/schedules/{schedule_id}/fires")]
pub async fn list_fires(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath(schedule): ApiPath<ScheduleId>,
    list: Listing<FireQuery, FireId>,
) -> Result<Paged<Fire>> {
    let FireQuery { outcome } = list.filter;
    let fires = app.list_fires(&caller, schedule, outcome, list.after, list.rows()).await?;
    list.page(fires, |fire| fire.id)
}
