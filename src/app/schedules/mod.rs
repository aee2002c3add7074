//! Schedules: goals that are posted again and again by a cron expression.
//!
//! **Who posts.** Every goal is posted by a key, which separation of duties then excludes. The goals of a schedule are
//! posted by the key of whoever made it, or last edited its goal: `posts_as`. A rotated key is followed to its
//! successor. When the key has ended without one, the schedule pauses and is listed in `GET /v1/attention`: nobody
//! answers for its goals any more. Whoever resumes it takes it over. Goals of a fire that somebody asked for are posted
//! by the same key, and on behalf of the person who asked, so both are excluded.
//!
//! **Who may.** Operators and admins. A submitter posts goals one by one; a schedule spends without anybody asking.
//!
//! **Once.** See [`fire`].
//!
//! **Time.** A pause drops the due times within it, and so does a new cron expression: what is due is computed from the
//! present on. Only what was due while no server ran is caught up ([`crate::domain::schedule::turn`]).

pub mod fire;
pub mod views;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    App, Error, Result, Unit,
    caller::{Caller as _, OperatorCaller, ReaderCaller, TryingCaller},
    caps,
    error::same_version,
    goals,
    unit::idempotency::{Outcome, Request},
};
use crate::{
    domain::{
        access::key::{self, KeyState},
        cap::workspace::Holding,
        ids::{FireId, KeyId, ScheduleId, WorkspaceId},
        journal::{Kind, NewRow},
        plan::new_goal::NewGoal,
        refusal::{Code, FieldError, Refusal},
        schedule::{FireOutcome, PauseReason, recurrence::Recurrence},
        settings,
    },
    store::{
        self, Hold, Tx,
        keys::{KeyFilter, KeyRow},
        schedules::{ScheduleRow, ScheduleText},
    },
};
use views::{
    DueTimes, DueTimesRequest, Fire, NewSchedule, PauseRequest, Schedule, ScheduleChange, content,
};

pub use crate::store::schedules::ScheduleFilter;

/// Most keys in a chain of rotations that are followed.
const ROTATIONS: usize = 100;

impl App {
    /// Creates a schedule.
    ///
    /// # Errors
    /// `invalid`; those of the goal's plan; `already_exists` if the name is taken; `workspace_full`.
    pub async fn create_schedule(
        &self,
        caller: &OperatorCaller,
        new: &NewSchedule,
        request: Option<&Request>,
    ) -> Result<Outcome<Schedule>> {
        let principal = caller.principal();
        self.admit_goal(principal.workspace, &new.goal).await?;
        self.create(principal, request, Hold::Share, async |unit| {
            let recurrence = new.check()?;
            check_goal(unit.tx(), &new.goal).await?;
            caps::admit(unit, Holding::StoredBytes, 0).await?;
            let count = store::schedules::count(unit.tx()).await?;
            if count >= settings::SCHEDULES {
                let detail =
                    format!("the workspace has {count} schedules and can have no more: delete one");
                return Err(Refusal::new(Code::WorkspaceFull, detail).into());
            }
            let next_due = recurrence.next(unit.now()).ok_or_else(never_due)?;
            let id: ScheduleId = unit.id();
            let text = ScheduleText { next_due: Some(next_due), ..text(new, principal.key) };
            if !store::schedules::insert(unit.tx(), id, &text).await? {
                return Err(taken(&new.name));
            }
            let schedule = read(unit.tx(), id).await?;
            unit.record(event(Kind::ScheduleCreated, id, &new.name).after(&schedule));
            Ok(schedule)
        })
        .await
    }

    /// Reads one schedule.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_schedule(
        &self,
        caller: &ReaderCaller,
        schedule: ScheduleId,
    ) -> Result<Schedule> {
        read(&mut self.reader(caller.principal().workspace).await?, schedule).await
    }

    /// Up to `rows` schedules after `after`, newest first, without their goals.
    pub async fn list_schedules(
        &self,
        caller: &ReaderCaller,
        filter: ScheduleFilter<'_>,
        after: Option<ScheduleId>,
        rows: u32,
    ) -> Result<Vec<Schedule>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let rows = store::schedules::list(&mut tx, filter, after, rows.into()).await?;
        Ok(rows.into_iter().map(|row| Schedule::of(row, false)).collect())
    }

    /// Up to `rows` fires of a schedule after `after`, newest first.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn list_fires(
        &self,
        caller: &ReaderCaller,
        schedule: ScheduleId,
        outcome: Option<FireOutcome>,
        after: Option<FireId>,
        rows: u32,
    ) -> Result<Vec<Fire>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        stored(&mut tx, schedule).await?;
        let rows =
            store::schedules::fires::list(&mut tx, schedule, outcome, after, rows.into()).await?;
        Ok(rows.into_iter().map(Fire::from).collect())
    }

    /// The due times of a cron expression. Writes nothing.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn preview_schedule(
        &self,
        _: &TryingCaller,
        asked: &DueTimesRequest,
    ) -> Result<DueTimes> {
        Ok(asked.due_times(self.now().await?)?)
    }

    /// Edits a schedule. `version`: the version the caller read (`If-Match`); `None` skips the check. An edit without
    /// a change makes no new version.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `invalid`, `already_exists`; those of the goal's plan.
    pub async fn update_schedule(
        &self,
        caller: &OperatorCaller,
        schedule: ScheduleId,
        version: Option<i64>,
        change: &ScheduleChange,
    ) -> Result<Schedule> {
        let principal = caller.principal();
        if let Some(goal) = &change.goal {
            self.admit_goal(principal.workspace, goal).await?;
        }
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let row = lock(&mut unit, schedule, version).await?;
        let before = content(&row);
        let new = change.of(&before);
        let recurrence = new.check()?;
        if new == before {
            self.undo(unit).await?;
            return Ok(Schedule::of(row, true));
        }
        let mut posts_as = row.posts_as;
        if new.goal != before.goal {
            check_goal(unit.tx(), &new.goal).await?;
            posts_as = principal.key;
        }
        let next_due = match row.pause {
            Some(_) => None,
            None if same_times(&new, &before) => row.next_due,
            None => Some(after_last(&row, &recurrence, &unit).ok_or_else(never_due)?),
        };
        let text = ScheduleText { next_due, ..text(&new, posts_as) };
        if !store::schedules::update(unit.tx(), schedule, &text).await? {
            return Err(taken(&new.name));
        }
        let after = read(unit.tx(), schedule).await?;
        let before = Schedule::of(row, true);
        let edited = event(Kind::ScheduleUpdated, schedule, &new.name);
        unit.record(edited.before(&before).after(&after));
        self.commit(unit).await?;
        Ok(after)
    }

    /// Deletes a schedule. Its goals stay, and its queued fires are skipped.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`.
    pub async fn delete_schedule(
        &self,
        caller: &OperatorCaller,
        schedule: ScheduleId,
        version: Option<i64>,
    ) -> Result<()> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let before = Schedule::of(lock(&mut unit, schedule, version).await?, true);
        let detail = "the schedule was deleted";
        store::schedules::fires::drop_queued(unit.tx(), schedule, detail).await?;
        store::schedules::delete(unit.tx(), schedule).await?;
        unit.record(event(Kind::ScheduleDeleted, schedule, &before.name).before(&before));
        self.commit(unit).await
    }

    /// Pauses a schedule. Pausing a paused one changes nothing.
    ///
    /// # Errors
    /// `not_found`, `invalid`.
    pub async fn pause_schedule(
        &self,
        caller: &OperatorCaller,
        schedule: ScheduleId,
        asked: &PauseRequest,
    ) -> Result<Schedule> {
        asked.check()?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let row = lock(&mut unit, schedule, None).await?;
        if row.pause.is_some() {
            self.undo(unit).await?;
            return Ok(Schedule::of(row, true));
        }
        pause(&mut unit, row, PauseReason::Asked, asked.reason.as_deref()).await?;
        let after = read(unit.tx(), schedule).await?;
        self.commit(unit).await?;
        Ok(after)
    }

    /// Resumes a paused schedule: it is due again from now on. If the key that posts its goals has ended, the key of
    /// the caller takes over. Resuming one that is not paused changes nothing.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn resume_schedule(
        &self,
        caller: &OperatorCaller,
        schedule: ScheduleId,
    ) -> Result<Schedule> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let row = lock(&mut unit, schedule, None).await?;
        if row.pause.is_none() {
            self.undo(unit).await?;
            return Ok(Schedule::of(row, true));
        }
        let key = valid_key(unit.tx(), row.posts_as).await?;
        let posts_as = key.map_or(principal.key, |key| key.key_id);
        let recurrence = recurrence(&row)?;
        let next_due = after_last(&row, &recurrence, &unit);
        store::schedules::resume(unit.tx(), schedule, posts_as, next_due).await?;
        let after = read(unit.tx(), schedule).await?;
        let before = Schedule::of(row, true);
        let resumed = event(Kind::ScheduleResumed, schedule, &after.name);
        unit.record(resumed.before(&before).after(&after));
        self.commit(unit).await?;
        Ok(after)
    }

    /// Refuses a goal with a planner that cannot be used here.
    async fn admit_goal(&self, workspace: WorkspaceId, goal: &NewGoal) -> Result<()> {
        self.admit_planners(workspace, "/goal/planner", goal.planner.as_slice()).await?;
        self.admit_planners(workspace, "/goal/planners", &goal.planners).await
    }
}

/// Pauses a locked schedule that is not paused.
async fn pause(
    unit: &mut Unit,
    row: ScheduleRow,
    why: PauseReason,
    detail: Option<&str>,
) -> Result<()> {
    let schedule = row.schedule_id;
    store::schedules::pause(unit.tx(), schedule, why, detail).await?;
    let after = read(unit.tx(), schedule).await?;
    let before = Schedule::of(row, true);
    let data = json!({"schedule_id": schedule, "name": after.name, "reason": why});
    let paused = NewRow::new(Kind::SchedulePaused);
    unit.record(paused.before(&before).after(&after).data(data));
    Ok(())
}

/// The first due time after now and after the last one that was fired.
fn after_last(row: &ScheduleRow, recurrence: &Recurrence, unit: &Unit) -> Option<DateTime<Utc>> {
    recurrence.next(row.last_due.map_or(unit.now(), |last| last.max(unit.now())))
}

fn same_times(a: &NewSchedule, b: &NewSchedule) -> bool {
    (&a.cron, &a.time_zone, a.starts_at, a.ends_at)
        == (&b.cron, &b.time_zone, b.starts_at, b.ends_at)
}

/// The key that posts for `key`: itself while it is valid, else its successor; `None` if there is none.
async fn valid_key(tx: &mut Tx, key: KeyId) -> Result<Option<KeyRow>> {
    let mut next = Some(key);
    for _ in 0..ROTATIONS {
        let Some(key) = next else { break };
        let filter = KeyFilter { key: Some(key), ..KeyFilter::default() };
        let Some(row) = store::keys::list(tx, filter, None, 1).await?.pop() else { break };
        if key::state(row.ends(), tx.now) == KeyState::Valid {
            return Ok(Some(row));
        }
        next = row.rotated_to;
    }
    Ok(None)
}

/// Checks the goal of a schedule as the request that posts it does.
async fn check_goal(tx: &mut Tx, goal: &NewGoal) -> Result<()> {
    match goals::check_ahead(tx, goal).await {
        Err(Error::Refused(refusal)) => Err(within_goal(refusal).into()),
        checked => checked,
    }
}

/// The refusal of a goal with the places that it has in a schedule.
fn within_goal(refusal: Refusal) -> Refusal {
    let Refusal { code, detail, errors } = refusal;
    let places = errors.into_iter().map(|error| {
        let FieldError { pointer, detail, code } = error;
        FieldError { code, ..FieldError::new(format!("/goal{pointer}"), detail) }
    });
    let errors: Vec<FieldError> = places.collect();
    if code == Code::Invalid { Refusal::invalid(errors) } else { Refusal::at(code, detail, errors) }
}

fn never_due() -> Refusal {
    Refusal::invalid_at("/cron", "is never due from now on, within `starts_at` and `ends_at`")
}

fn taken(name: &str) -> Error {
    let detail = format!("there is a schedule called `{name}`; edit it, or take another name");
    Refusal::new(Code::AlreadyExists, detail).into()
}

fn event(kind: Kind, schedule: ScheduleId, name: &str) -> NewRow {
    NewRow::new(kind).data(json!({"schedule_id": schedule, "name": name}))
}

fn text(new: &NewSchedule, posts_as: KeyId) -> ScheduleText<'_> {
    ScheduleText {
        name: &new.name,
        cron: &new.cron,
        time_zone: &new.time_zone,
        overlap: new.overlap,
        catch_up_seconds: new.catch_up_seconds,
        deadline_seconds: new.deadline_seconds,
        starts_at: new.starts_at,
        ends_at: new.ends_at,
        goal: &new.goal,
        posts_as,
        next_due: None,
    }
}

/// Locks a schedule, checks its version and reads it.
async fn lock(unit: &mut Unit, schedule: ScheduleId, version: Option<i64>) -> Result<ScheduleRow> {
    if !store::schedules::lock(unit.tx(), schedule).await? {
        return Err(Refusal::not_found("schedule").into());
    }
    let row = stored(unit.tx(), schedule).await?;
    if let Some(version) = version {
        same_version(i64::from(row.version), version)?;
    }
    Ok(row)
}

async fn stored(tx: &mut Tx, schedule: ScheduleId) -> Result<ScheduleRow> {
    let row = store::schedules::read(tx, schedule).await?;
    Ok(row.ok_or_else(|| Refusal::not_found("schedule"))?)
}

async fn read(tx: &mut Tx, schedule: ScheduleId) -> Result<Schedule> {
    Ok(Schedule::of(stored(tx, schedule).await?, true))
}

/// The due times of a stored schedule.
fn recurrence(row: &ScheduleRow) -> Result<Recurrence> {
    let unread = || Error::Corrupt(format!("the due times of schedule {}", row.schedule_id));
    views::recurrence(row).ok_or_else(unread)
}
