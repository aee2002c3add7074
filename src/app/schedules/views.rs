//! Wire types of schedules and their fires.

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::{
    app::edit::present,
    domain::{
        check::Checks,
        ids::{FireId, GoalId, KeyId, ScheduleId},
        plan::{check_instant, new_goal::NewGoal},
        refusal::Refusal,
        schedule::{
            self, FireOutcome, Overlap, PauseReason, ScheduleState,
            recurrence::{Bounds, Recurrence},
        },
        settings,
    },
    store::schedules::{ScheduleRow, fires::FireRow},
};

/// Request to create a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "nightly dependencies", "cron": "30 2 * * MON-FRI", "time_zone": "Europe/Berlin",
    "goal": {"title": "Update the dependencies", "brief": "- [ ] T001 Update\n- [ ] T002 Run the tests"},
    "overlap": "skip", "catch_up_seconds": 3600
}))]
pub struct NewSchedule {
    /// One line, unique among the schedules of the workspace.
    #[schema(example = "nightly dependencies", min_length = 1, max_length = 200)]
    pub name: String,
    /// Cron expression of five fields: minute, hour, day of month, month, day of week. Each has `*`, numbers, lists,
    /// ranges and steps; months and days of the week have names, too. If day of month and day of week are both
    /// restricted, one of them suffices. Also `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`.
    #[schema(example = "30 2 * * MON-FRI", min_length = 1, max_length = 200)]
    pub cron: String,
    /// IANA time zone of the cron expression. A local time that does not exist because clocks are put forward is due
    /// right after the gap; one that occurs twice because they are put back is due the first time only.
    #[serde(default = "utc")]
    #[schema(example = "Europe/Berlin", max_length = 64, default = "UTC")]
    pub time_zone: String,
    /// The goal to post: the body of `POST /v1/goals`, without `deadline` (see `deadline_seconds`), `start_at` and
    /// `dedup`.
    pub goal: NewGoal,
    /// What a fire does while the goal of the fire before is open.
    #[serde(default = "skip")]
    pub overlap: Overlap,
    /// Age in seconds up to which a fire is made late, after a time in which no server ran. At most the latest 100
    /// are made; older ones are missed. A fire up to a minute late is always made.
    #[serde(default = "an_hour")]
    #[schema(minimum = 0, maximum = 604800, default = 3600)]
    pub catch_up_seconds: i32,
    /// Seconds from the due time to the deadline of the goal; absent: it has none.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 315360000)]
    pub deadline_seconds: Option<i32>,
    /// Nothing is due before it; absent: no such bound.
    #[serde(default)]
    pub starts_at: Option<DateTime<Utc>>,
    /// Nothing is due at it or after it; absent: no such bound.
    #[serde(default)]
    pub ends_at: Option<DateTime<Utc>>,
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn skip() -> Overlap {
    Overlap::Skip
}

const fn an_hour() -> i32 {
    settings::CATCH_UP_SECONDS
}

impl NewSchedule {
    /// Its due times.
    ///
    /// # Errors
    /// `invalid` with every bad value; the goal is checked apart.
    pub(in crate::app) fn check(&self) -> Result<Recurrence, Refusal> {
        let mut checks = Checks::new();
        checks.line("/name", &self.name, settings::NAME_CHARS);
        let read = bounded(
            &mut checks,
            (&self.cron, &self.time_zone),
            Bounds { starts_at: self.starts_at, ends_at: self.ends_at },
        );
        let most = settings::CATCH_UP_SECONDS_MAX;
        checks.range("/catch_up_seconds", self.catch_up_seconds, 0..=most);
        if let Some(seconds) = self.deadline_seconds {
            checks.range("/deadline_seconds", seconds, 60..=315_360_000);
        }
        check_template(&mut checks, &self.goal);
        checks.finish()?;
        read.ok_or_else(|| Refusal::invalid_at("/cron", "cannot be read"))
    }
}

/// Refuses what would be the same in all goals of a schedule, and stands for one of them.
fn check_template(checks: &mut Checks, goal: &NewGoal) {
    let detail = "must be absent: every goal would have the same; `deadline_seconds` counts from the due time";
    checks.ensure(goal.deadline.is_none(), "/goal/deadline", detail);
    let detail =
        "must be absent: every goal would have the same, and its work begins when it is posted";
    checks.ensure(goal.start_at.is_none(), "/goal/start_at", detail);
    let detail = "must be absent: each due time is fired once; `overlap` says what happens while a goal is open";
    checks.ensure(goal.dedup.is_none(), "/goal/dedup", detail);
}

/// Reads due times with their bounds.
fn bounded(
    checks: &mut Checks,
    (cron, time_zone): (&str, &str),
    bounds: Bounds,
) -> Option<Recurrence> {
    if let Some(starts_at) = bounds.starts_at {
        check_instant(checks, "/starts_at", starts_at);
    }
    if let Some(ends_at) = bounds.ends_at {
        check_instant(checks, "/ends_at", ends_at);
    }
    schedule::read(checks, cron, time_zone, bounds)
}

/// An edit of a schedule; absent fields keep their value.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleChange {
    /// New name: one line, unique among the schedules of the workspace.
    #[schema(example = "nightly dependencies", min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// New cron expression. What is due is computed anew from now on.
    #[schema(example = "30 2 * * MON-FRI", min_length = 1, max_length = 200)]
    pub cron: Option<String>,
    /// New time zone. What is due is computed anew from now on.
    #[schema(example = "Europe/Berlin", max_length = 64)]
    pub time_zone: Option<String>,
    /// The whole new goal. From then on your key posts the goals.
    pub goal: Option<NewGoal>,
    /// What a fire does while the goal of the fire before is open.
    pub overlap: Option<Overlap>,
    /// Age in seconds up to which a fire is made late.
    #[schema(minimum = 0, maximum = 604800)]
    pub catch_up_seconds: Option<i32>,
    /// Seconds from the due time to the deadline of the goal; `null`: it has none.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, minimum = 60, maximum = 315360000)]
    pub deadline_seconds: Option<Option<i32>>,
    /// Nothing is due before it; `null`: no such bound.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub starts_at: Option<Option<DateTime<Utc>>>,
    /// Nothing is due at it or after it; `null`: no such bound.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub ends_at: Option<Option<DateTime<Utc>>>,
}

impl ScheduleChange {
    /// The content of the schedule after the edit.
    pub(in crate::app) fn of(&self, stored: &NewSchedule) -> NewSchedule {
        let Self {
            name,
            cron,
            time_zone,
            goal,
            overlap,
            catch_up_seconds,
            deadline_seconds,
            starts_at,
            ends_at,
        } = self.clone();
        NewSchedule {
            name: name.unwrap_or_else(|| stored.name.clone()),
            cron: cron.unwrap_or_else(|| stored.cron.clone()),
            time_zone: time_zone.unwrap_or_else(|| stored.time_zone.clone()),
            goal: goal.unwrap_or_else(|| stored.goal.clone()),
            overlap: overlap.unwrap_or(stored.overlap),
            catch_up_seconds: catch_up_seconds.unwrap_or(stored.catch_up_seconds),
            deadline_seconds: deadline_seconds.unwrap_or(stored.deadline_seconds),
            starts_at: starts_at.unwrap_or(stored.starts_at),
            ends_at: ends_at.unwrap_or(stored.ends_at),
        }
    }
}

/// The content of a stored schedule.
pub(in crate::app) fn content(row: &ScheduleRow) -> NewSchedule {
    NewSchedule {
        name: row.name.clone(),
        cron: row.cron.clone(),
        time_zone: row.time_zone.clone(),
        goal: row.goal.0.clone(),
        overlap: row.overlap,
        catch_up_seconds: row.catch_up_seconds,
        deadline_seconds: row.deadline_seconds,
        starts_at: row.starts_at,
        ends_at: row.ends_at,
    }
}

/// Request to pause a schedule.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PauseRequest {
    /// Why, for people.
    #[schema(example = "the release is frozen", max_length = 16384)]
    pub reason: Option<String>,
}

impl PauseRequest {
    /// Refuses a reason that is too long or blank.
    pub(in crate::app) fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        if let Some(reason) = &self.reason {
            checks.message("/reason", reason);
        }
        checks.finish()
    }
}

/// Request to fire a schedule now.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FireRequest {}

/// A due time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DueTime {
    /// The instant.
    pub at: DateTime<Utc>,
    /// The same in the time zone of the schedule.
    #[schema(example = "2026-03-29T03:00:00+02:00")]
    pub local: String,
}

impl DueTime {
    fn of(at: DateTime<Utc>, zone: Tz) -> Self {
        let local = at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false);
        Self { at, local }
    }
}

/// A schedule: a goal that is posted again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Schedule {
    /// Id of the schedule; stable for its life.
    pub id: ScheduleId,
    /// One line, unique among the schedules of the workspace.
    #[schema(example = "nightly dependencies")]
    pub name: String,
    /// `active`, `paused`, or `ended`: no due time is left.
    pub state: ScheduleState,
    /// Cron expression of its due times, in local times of `time_zone`.
    #[schema(example = "30 2 * * MON-FRI")]
    pub cron: String,
    /// IANA time zone of the cron expression.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    /// What a fire does while the goal of the fire before is open.
    pub overlap: Overlap,
    /// Age in seconds up to which a fire is made late.
    pub catch_up_seconds: i32,
    /// Seconds from the due time to the deadline of the goal; `null`: it has none.
    pub deadline_seconds: Option<i32>,
    /// Nothing is due before it; `null`: no such bound.
    pub starts_at: Option<DateTime<Utc>>,
    /// Nothing is due at it or after it; `null`: no such bound.
    pub ends_at: Option<DateTime<Utc>>,
    /// The goal that is posted. Only when one schedule is read; `null` in lists.
    pub goal: Option<NewGoal>,
    /// The next five due times; empty unless it is `active`.
    pub next: Vec<DueTime>,
    /// The last due time that was fired or missed; `null` before the first.
    pub last_due: Option<DateTime<Utc>>,
    /// The goal that it posted last, which may be deleted by now; `null` before the first.
    pub last_goal_id: Option<GoalId>,
    /// Number of its fires that wait for the end of that goal.
    pub queued: i32,
    /// The key that posts its goals: the one that made the schedule, last edited its goal, or resumed it after the
    /// former key had ended. It may not decide their approvals.
    pub posts_as: KeyId,
    /// Why it is paused; `null`: it is not.
    pub pause: Option<PauseReason>,
    /// Why it is paused in words; `null`: nothing was said.
    pub pause_detail: Option<String>,
    /// When it was paused; `null`: it is not.
    pub paused_at: Option<DateTime<Utc>>,
    /// Version of the schedule; rises by one with every edit, pause and resumption; the `ETag`.
    pub version: i32,
    /// The key that created the schedule.
    pub created_by: KeyId,
    /// When the schedule was created.
    pub created_at: DateTime<Utc>,
    /// When it was last edited, paused or resumed.
    pub updated_at: DateTime<Utc>,
}

impl Schedule {
    /// A stored schedule. `whole`: with its goal.
    pub(in crate::app) fn of(row: ScheduleRow, whole: bool) -> Self {
        let next = next(&row);
        let ScheduleRow {
            schedule_id,
            name,
            cron,
            time_zone,
            overlap,
            catch_up_seconds,
            deadline_seconds,
            starts_at,
            ends_at,
            goal,
            posts_as,
            pause,
            pause_detail,
            paused_at,
            next_due,
            last_due,
            last_goal_id,
            queued,
            refused_in_row: _,
            version,
            created_by,
            created_at,
            updated_at,
        } = row;
        let state = match (pause, next_due) {
            (Some(_), _) => ScheduleState::Paused,
            (None, Some(_)) => ScheduleState::Active,
            (None, None) => ScheduleState::Ended,
        };
        Self {
            id: schedule_id,
            name,
            state,
            cron,
            time_zone,
            overlap,
            catch_up_seconds,
            deadline_seconds,
            starts_at,
            ends_at,
            goal: whole.then_some(goal.0),
            next,
            last_due,
            last_goal_id,
            queued,
            posts_as,
            pause,
            pause_detail,
            paused_at,
            version,
            created_by,
            created_at,
            updated_at,
        }
    }
}

/// The next due times of a stored schedule.
fn next(row: &ScheduleRow) -> Vec<DueTime> {
    let Some(first) = row.next_due else { return Vec::new() };
    let Some(recurrence) = recurrence(row) else { return Vec::new() };
    let later = recurrence.some(first, settings::DUE_TIMES - 1);
    let all = std::iter::once(first).chain(later);
    all.map(|at| DueTime::of(at, recurrence.zone)).collect()
}

/// The due times of a stored schedule; `None` if this release does not read them.
pub(in crate::app) fn recurrence(row: &ScheduleRow) -> Option<Recurrence> {
    let bounds = Bounds { starts_at: row.starts_at, ends_at: row.ends_at };
    schedule::read(&mut Checks::new(), &row.cron, &row.time_zone, bounds)
}

/// One fire of a schedule: what became of a due time, or of a request to fire now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Fire {
    /// Id of the fire.
    pub id: FireId,
    /// Id of the schedule.
    pub schedule_id: ScheduleId,
    /// The due time; of a fire that somebody asked for, the time of the request; of several missed ones, the last.
    pub due_at: DateTime<Utc>,
    /// When its outcome was decided.
    pub decided_at: DateTime<Utc>,
    /// What became of it.
    pub outcome: FireOutcome,
    /// The goal that it posted; `null`: none.
    pub goal_id: Option<GoalId>,
    /// Number of due times that it stands for: more than 1 only if they were `missed`. At most 10,000 are counted.
    #[schema(example = 1, minimum = 1)]
    pub times: i32,
    /// The key that asked for it; `null`: it was due.
    pub asked_by: Option<KeyId>,
    /// Code of the problem for which its goal was refused; `null`: it was not.
    #[schema(example = "budget_exhausted")]
    pub code: Option<String>,
    /// The outcome in words; `null`: there is nothing to say.
    pub detail: Option<String>,
}

impl From<FireRow> for Fire {
    fn from(row: FireRow) -> Self {
        let FireRow {
            fire_id,
            schedule_id,
            due_at,
            decided_at,
            outcome,
            goal_id,
            times,
            asked_by,
            code,
            detail,
        } = row;
        Self {
            id: fire_id,
            schedule_id,
            due_at,
            decided_at,
            outcome,
            goal_id,
            times,
            asked_by,
            code,
            detail,
        }
    }
}

/// Due times to try.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "from": "2026-03-27T00:00:00Z"}))]
pub struct DueTimesRequest {
    /// Cron expression, as of a schedule.
    #[schema(example = "30 2 * * *", min_length = 1, max_length = 200)]
    pub cron: String,
    /// Time zone, as of a schedule.
    #[serde(default = "utc")]
    #[schema(example = "Europe/Berlin", max_length = 64, default = "UTC")]
    pub time_zone: String,
    /// The instant after which the due times are shown; absent: now.
    #[serde(default)]
    pub from: Option<DateTime<Utc>>,
    /// Nothing is due before it.
    #[serde(default)]
    pub starts_at: Option<DateTime<Utc>>,
    /// Nothing is due at it or after it.
    #[serde(default)]
    pub ends_at: Option<DateTime<Utc>>,
    /// Number of due times.
    #[serde(default = "five")]
    #[schema(minimum = 1, maximum = 100, default = 5)]
    pub count: u32,
}

const fn five() -> u32 {
    5
}

/// Due times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DueTimes {
    /// The next due times, at most as many as were asked for; fewer if there are no more.
    pub next: Vec<DueTime>,
}

impl DueTimesRequest {
    /// The due times.
    ///
    /// # Errors
    /// `invalid` with every bad value.
    pub(in crate::app) fn due_times(&self, now: DateTime<Utc>) -> Result<DueTimes, Refusal> {
        let mut checks = Checks::new();
        let bounds = Bounds { starts_at: self.starts_at, ends_at: self.ends_at };
        let read = bounded(&mut checks, (&self.cron, &self.time_zone), bounds);
        if let Some(from) = self.from {
            check_instant(&mut checks, "/from", from);
        }
        checks.range("/count", self.count, 1..=settings::DUE_TIMES_MAX);
        checks.finish()?;
        let read = read.ok_or_else(|| Refusal::invalid_at("/cron", "cannot be read"))?;
        let some = read.some(self.from.unwrap_or(now), self.count as usize);
        Ok(DueTimes { next: some.into_iter().map(|at| DueTime::of(at, read.zone)).collect() })
    }
}
