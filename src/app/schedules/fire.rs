//! Fires: the goals of schedules, posted when they are due or when somebody asks.
//!
//! **Once, on any number of servers.** A fire is one transaction under the lock of its schedule: the goal, the row of
//! the fire, and the next due time. Another server that finds the same due time passes over the locked schedule, or
//! finds it moved on. Should the next due time ever be wrong, the unique index over schedule and due time refuses a
//! second fire together with its goal.
//!
//! **Refused goals.** A goal that could be posted when the schedule was made may be refused later, for example for lack
//! of budget. Nothing of that transaction stays; a second one writes down the refusal and moves the schedule on, if it
//! still finds the same fire. After [`settings::SCHEDULE_REFUSALS`] in a row the schedule pauses and is listed in `GET
//! /v1/attention`.
//!
//! **Goals of others.** A new goal with a dedup key is refused, but stored schedules may have one. If a goal holds the
//! key, the fire is skipped in the same way: that goal was posted by somebody else, or for another due time. So the
//! schedule neither names it as its own nor cancels it, nor the goal of the fire before for nothing.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{lock, pause, recurrence, valid_key, views::Fire};
use crate::{
    app::{
        App, Error, Result, Unit,
        caller::{Actor, Caller as _, OperatorCaller},
        goals::{self, Poster},
        unit::{
            idempotency::{Outcome, Request},
            locks::lock_goal,
        },
    },
    domain::{
        access::person::Person,
        ids::{FireId, GoalId, KeyId, ScheduleId, WorkspaceId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        schedule::{
            FireOutcome, Overlap, PauseReason,
            turn::{AT_ONCE, Missed, Turn, turn},
        },
        settings,
    },
    store::{
        self, Hold,
        keys::KeyRow,
        schedules::{
            Advance, ScheduleRow,
            fires::{self, FireRow},
        },
    },
};

/// Schedules that one run of the duty looks at; the next run has the others.
const SCHEDULES_PER_RUN: i64 = 200;
/// Most fires of a schedule in one run: all that are caught up, and as many queued ones.
const FIRES_PER_RUN: usize = 2 * AT_ONCE;

/// What is to be fired.
#[derive(Debug)]
enum What {
    /// A queued fire whose time has come.
    Queued(FireRow),
    /// A due time, or only missed ones.
    Due(Turn),
}

/// Which fire it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Queued(FireId),
    Due(DateTime<Utc>),
}

impl What {
    fn which(&self) -> Option<Which> {
        match self {
            Self::Queued(fire) => Some(Which::Queued(fire.fire_id)),
            Self::Due(turn) => turn.due.map(Which::Due),
        }
    }
}

/// What one transaction of a schedule did.
#[derive(Debug)]
enum Step {
    /// There is nothing to do, or another server does it.
    Nothing,
    /// The schedule moved on, with these fires.
    Done(Vec<FireRow>),
    /// The goal of a fire was refused; nothing was written.
    Refused(Which, Refusal),
}

/// A decided fire, and what it is decided for.
#[derive(Debug)]
enum Decided {
    /// Its goal was posted.
    Posted(GoalId),
    /// It waits for the goal before.
    Queued,
    /// It posts nothing.
    Skipped(&'static str),
    /// Its goal was refused.
    Refused(Refusal),
}

impl Decided {
    /// What becomes of a fire whose goal was refused. No other refusal of a goal has this code.
    fn refused(refusal: Refusal) -> Self {
        if refusal.code == Code::AlreadyExists {
            return Self::Skipped(KEY_HELD);
        }
        Self::Refused(refusal)
    }

    const fn outcome(&self) -> FireOutcome {
        match self {
            Self::Posted(_) => FireOutcome::Posted,
            Self::Queued => FireOutcome::Queued,
            Self::Skipped(_) => FireOutcome::Skipped,
            Self::Refused(_) => FireOutcome::Refused,
        }
    }

    const fn goal(&self) -> Option<GoalId> {
        match self {
            Self::Posted(goal) => Some(*goal),
            Self::Queued | Self::Skipped(_) | Self::Refused(_) => None,
        }
    }

    fn code(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => Some(refusal.code.to_string()),
            Self::Posted(_) | Self::Queued | Self::Skipped(_) => None,
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Posted(_) => None,
            Self::Queued => Some("it waits for the end of the goal before".to_owned()),
            Self::Skipped(why) => Some((*why).to_owned()),
            Self::Refused(refusal) => Some(refusal.detail.clone()),
        }
    }
}

const OPEN: &str = "the goal of the fire before was open";
const QUEUE_FULL: &str = "as many fires as a schedule can queue were queued";
const KEY_HELD: &str = "another goal held the dedup key of its goal";

impl App {
    /// Schedules with something to fire.
    pub(in crate::app) async fn due_schedules(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Vec<ScheduleId>> {
        let mut tx = self.reader(workspace).await?;
        Ok(store::schedules::due(&mut tx, SCHEDULES_PER_RUN).await?)
    }

    /// Fires a schedule as often as it is due; returns the number of its fires.
    pub(in crate::app) async fn fire_due(
        &self,
        workspace: WorkspaceId,
        schedule: ScheduleId,
    ) -> Result<u64> {
        let mut did = 0;
        for _ in 0..FIRES_PER_RUN {
            let step = match self.step(workspace, schedule, None).await? {
                Step::Refused(which, refusal) => {
                    self.step(workspace, schedule, Some((which, refusal))).await?
                }
                step => step,
            };
            match step {
                Step::Done(_) => did += 1,
                Step::Nothing | Step::Refused(..) => break,
            }
        }
        Ok(did)
    }

    async fn step(
        &self,
        workspace: WorkspaceId,
        schedule: ScheduleId,
        refused: Option<(Which, Refusal)>,
    ) -> Result<Step> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        match take_step(&mut unit, schedule, refused).await {
            Ok(Step::Done(fired)) => {
                self.commit(unit).await?;
                fired.iter().for_each(count);
                Ok(Step::Done(fired))
            }
            Ok(step) => {
                self.undo(unit).await?;
                Ok(step)
            }
            Err(error) => {
                // What failed counts more than a connection that broke meanwhile.
                let _ = self.undo(unit).await;
                Err(error)
            }
        }
    }

    /// Fires a schedule now, also if it is paused or has ended. Its due times stay as they are.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` if the goal of the fire before is open and the schedule skips then, if its queue is
    /// full, or if the key that posts its goals has ended; those of posting the goal; `already_exists` if another goal
    /// holds its dedup key.
    pub async fn fire_schedule(
        &self,
        caller: &OperatorCaller,
        schedule: ScheduleId,
        request: Option<&Request>,
    ) -> Result<Outcome<Fire>> {
        let principal = caller.principal();
        let fired = self.create(principal, request, Hold::Share, async |unit| {
            let row = lock(unit, schedule, None).await?;
            let Some(poster) = valid_key(unit.tx(), row.posts_as).await? else {
                let detail =
                    "the key that posts its goals has ended: pause and resume it to take it over";
                return Err(Refusal::new(Code::WrongState, detail).into());
            };
            let due =
                FireRow { asked_by: Some(principal.key), ..blank(unit, schedule, unit.now()) };
            let fire = match decide(unit, &row, &poster, &due, None).await? {
                Decided::Skipped(why) => {
                    let detail = format!("{why}: cancel it, or let it end, and fire again");
                    return Err(Refusal::new(Code::WrongState, detail).into());
                }
                decided => settled(due, &decided),
            };
            fires::insert(unit.tx(), &fire).await?;
            tell(unit, &row, &fire);
            let to = Advance {
                last_goal_id: fire.goal_id.or(row.last_goal_id),
                queued: row.queued + i32::from(fire.outcome == FireOutcome::Queued),
                ..unmoved(&row)
            };
            store::schedules::advance(unit.tx(), schedule, &to).await?;
            Ok(Fire::from(fire))
        });
        let fired = fired.await?;
        if !fired.replayed {
            count_outcome(fired.value.outcome, 1);
        }
        Ok(fired)
    }
}

/// Does the next thing of a schedule. `refused`: the fire whose goal was refused just now.
async fn take_step(
    unit: &mut Unit,
    schedule: ScheduleId,
    refused: Option<(Which, Refusal)>,
) -> Result<Step> {
    if !store::schedules::lock_at_work(unit.tx(), schedule).await? {
        return Ok(Step::Nothing);
    }
    let Some(row) = store::schedules::read(unit.tx(), schedule).await? else {
        return Ok(Step::Nothing);
    };
    let Some(what) = find(unit, &row).await? else { return Ok(Step::Nothing) };
    let Some(poster) = valid_key(unit.tx(), row.posts_as).await? else {
        let detail = "the key that posts its goals was revoked or has expired";
        pause(unit, row, PauseReason::KeyEnded, Some(detail)).await?;
        return Ok(Step::Done(Vec::new()));
    };
    let which = what.which();
    let refusal = refused.filter(|(of, _)| Some(*of) == which).map(|(_, refusal)| refusal);
    let fired = match what {
        What::Queued(fire) => fire_queued(unit, &row, &poster, fire, refusal).await,
        What::Due(turn) => fire_turn(unit, &row, &poster, turn, refusal).await,
    };
    let fired = match (fired, which) {
        (Err(Error::Refused(refusal)), Some(which)) => return Ok(Step::Refused(which, refusal)),
        (fired, _) => fired?,
    };
    let before = unit.now() - settings::FIRES_KEPT;
    fires::prune(unit.tx(), schedule, before).await?;
    Ok(Step::Done(fired))
}

/// What a schedule has to do now.
async fn find(unit: &mut Unit, row: &ScheduleRow) -> Result<Option<What>> {
    if row.queued > 0
        && !is_held_up(unit, row).await?
        && let Some(fire) = fires::first_queued(unit.tx(), row.schedule_id).await?
    {
        return Ok(Some(What::Queued(fire)));
    }
    let now = unit.now();
    let Some(next) = row.next_due.filter(|due| *due <= now) else { return Ok(None) };
    let catch_up = TimeDelta::seconds(row.catch_up_seconds.into());
    Ok(Some(What::Due(turn(&recurrence(row)?, next, now, catch_up))))
}

/// Whether the goal of the fire before is open.
async fn is_held_up(unit: &mut Unit, row: &ScheduleRow) -> Result<bool> {
    match row.last_goal_id {
        Some(goal) => Ok(store::schedules::is_open(unit.tx(), goal).await?),
        None => Ok(false),
    }
}

async fn fire_queued(
    unit: &mut Unit,
    row: &ScheduleRow,
    poster: &KeyRow,
    queued: FireRow,
    refusal: Option<Refusal>,
) -> Result<Vec<FireRow>> {
    let decided = match refusal {
        Some(refusal) => Decided::refused(refusal),
        None => Decided::Posted(post(unit, row, poster, &queued).await?),
    };
    let now = unit.now();
    let fire = FireRow { decided_at: now, ..settled(queued, &decided) };
    fires::settle(unit.tx(), &fire).await?;
    tell(unit, row, &fire);
    let to = Advance { queued: (row.queued - 1).max(0), ..moved(row, &fire) };
    go_on(unit, row, to).await?;
    Ok(vec![fire])
}

async fn fire_turn(
    unit: &mut Unit,
    row: &ScheduleRow,
    poster: &KeyRow,
    turn: Turn,
    refusal: Option<Refusal>,
) -> Result<Vec<FireRow>> {
    let Turn { missed, due, next } = turn;
    let mut fired = Vec::new();
    if let Some(missed) = missed {
        fired.push(miss(unit, row, missed).await?);
    }
    let last_due = due.or(missed.map(|missed| missed.last)).or(row.last_due);
    let to = Advance { next_due: next, last_due, ..unmoved(row) };
    let due = match due {
        Some(due) if !fires::is_fired(unit.tx(), row.schedule_id, due).await? => due,
        Some(_) | None => {
            go_on(unit, row, to).await?;
            return Ok(fired);
        }
    };
    let due = blank(unit, row.schedule_id, due);
    let decided = decide(unit, row, poster, &due, refusal).await?;
    let fire = settled(due, &decided);
    fires::insert(unit.tx(), &fire).await?;
    tell(unit, row, &fire);
    let queued = row.queued + i32::from(fire.outcome == FireOutcome::Queued);
    let to = Advance { next_due: next, last_due, queued, ..moved(row, &fire) };
    go_on(unit, row, to).await?;
    fired.push(fire);
    Ok(fired)
}

/// Decides a fire by the overlap of its schedule, and posts its goal if it is to be posted.
async fn decide(
    unit: &mut Unit,
    row: &ScheduleRow,
    poster: &KeyRow,
    due: &FireRow,
    refusal: Option<Refusal>,
) -> Result<Decided> {
    if let Some(refusal) = refusal {
        return Ok(Decided::refused(refusal));
    }
    let open = is_held_up(unit, row).await?;
    match row.overlap {
        Overlap::Skip if open => return Ok(Decided::Skipped(OPEN)),
        // Whoever is queued comes first.
        Overlap::Queue if open || row.queued > 0 => {
            let full = row.queued >= settings::SCHEDULE_QUEUED;
            return Ok(if full { Decided::Skipped(QUEUE_FULL) } else { Decided::Queued });
        }
        Overlap::Cancel if open => cancel_last(unit, row).await?,
        Overlap::Skip | Overlap::Queue | Overlap::Cancel => {}
    }
    Ok(Decided::Posted(post(unit, row, poster, due).await?))
}

/// Cancels the goal of the fire before.
async fn cancel_last(unit: &mut Unit, row: &ScheduleRow) -> Result<()> {
    let Some(goal) = row.last_goal_id else { return Ok(()) };
    let facts = lock_goal(unit, goal).await?;
    if facts.state.is_terminal() {
        return Ok(());
    }
    let reason = format!("the schedule `{}` posted its next goal", row.name);
    goals::cancel_locked(unit, goal, &reason).await
}

/// Posts the goal of a fire.
///
/// # Errors
/// Those of posting the goal; `already_exists` if another goal holds its dedup key.
async fn post(
    unit: &mut Unit,
    row: &ScheduleRow,
    poster: &KeyRow,
    due: &FireRow,
) -> Result<GoalId> {
    let mut goal = row.goal.0.clone();
    let left = row.deadline_seconds.map(|seconds| TimeDelta::seconds(seconds.into()));
    goal.deadline = left.and_then(|left| due.due_at.checked_add_signed(left));
    if let Some(asked_by) = due.asked_by.filter(|key| *key != poster.key_id) {
        on_behalf_of(unit, &mut goal.on_behalf_of, asked_by, poster).await?;
    }
    let scope = poster.scope();
    let poster = Poster { key: poster.key_id, scope: &scope };
    let posted = goals::post(unit, poster, &goal).await?;
    if posted.deduplicated {
        let detail = format!("{KEY_HELD}: the goal {}", posted.goal.id);
        return Err(Refusal::new(Code::AlreadyExists, detail).into());
    }
    let posted = posted.goal.id;
    store::schedules::name_goal(unit.tx(), posted, row.schedule_id).await?;
    Ok(posted)
}

/// Adds the person who asked for a fire to those for whom its goal is posted.
async fn on_behalf_of(
    unit: &mut Unit,
    people: &mut Vec<Person>,
    asked_by: KeyId,
    poster: &KeyRow,
) -> Result<()> {
    let holder = store::authority::holder(unit.tx(), asked_by).await?;
    let Some(person) = holder.and_then(|holder| holder.decider.person) else { return Ok(()) };
    let known = poster.person.as_ref() == Some(&person) || people.contains(&person);
    if !known && people.len() < settings::ON_BEHALF_OF {
        people.push(person);
    }
    Ok(())
}

/// Writes down due times that nobody fired.
async fn miss(unit: &mut Unit, row: &ScheduleRow, missed: Missed) -> Result<FireRow> {
    let fire = FireRow {
        outcome: FireOutcome::Missed,
        times: i32::try_from(missed.count).unwrap_or(i32::MAX),
        detail: Some("no server fired it within the catch-up window".to_owned()),
        ..blank(unit, row.schedule_id, missed.last)
    };
    fires::insert(unit.tx(), &fire).await?;
    tell(unit, row, &fire);
    Ok(fire)
}

/// Moves a schedule on. After too many refusals in a row it pauses.
async fn go_on(unit: &mut Unit, row: &ScheduleRow, to: Advance) -> Result<()> {
    store::schedules::advance(unit.tx(), row.schedule_id, &to).await?;
    if to.refused_in_row < settings::SCHEDULE_REFUSALS {
        return Ok(());
    }
    let Some(row) = store::schedules::read(unit.tx(), row.schedule_id).await? else {
        return Ok(());
    };
    let detail = format!("its goals were refused {} times in a row", to.refused_in_row);
    pause(unit, row, PauseReason::Refused, Some(&detail)).await
}

/// The schedule as it is.
fn unmoved(row: &ScheduleRow) -> Advance {
    Advance {
        next_due: row.next_due,
        last_due: row.last_due,
        last_goal_id: row.last_goal_id,
        queued: row.queued,
        refused_in_row: row.refused_in_row,
    }
}

/// The schedule after a fire, at the same due time.
fn moved(row: &ScheduleRow, fire: &FireRow) -> Advance {
    let refused_in_row = match fire.outcome {
        FireOutcome::Refused => row.refused_in_row.saturating_add(1),
        FireOutcome::Posted => 0,
        FireOutcome::Queued | FireOutcome::Skipped | FireOutcome::Missed => row.refused_in_row,
    };
    Advance { last_goal_id: fire.goal_id.or(row.last_goal_id), refused_in_row, ..unmoved(row) }
}

/// A fire that is not decided yet.
fn blank(unit: &Unit, schedule_id: ScheduleId, due_at: DateTime<Utc>) -> FireRow {
    FireRow {
        fire_id: unit.id(),
        schedule_id,
        due_at,
        decided_at: unit.now(),
        outcome: FireOutcome::Queued,
        goal_id: None,
        times: 1,
        asked_by: None,
        code: None,
        detail: None,
    }
}

/// A fire as it was decided.
fn settled(fire: FireRow, decided: &Decided) -> FireRow {
    FireRow {
        outcome: decided.outcome(),
        goal_id: decided.goal(),
        code: decided.code(),
        detail: decided.detail(),
        ..fire
    }
}

/// Records a fire in the journal.
fn tell(unit: &mut Unit, row: &ScheduleRow, fire: &FireRow) {
    let mut data = json!({"schedule_id": row.schedule_id, "name": row.name, "due_at": fire.due_at});
    if let (None, Some(data)) = (fire.goal_id, data.as_object_mut()) {
        data.insert("outcome".to_owned(), json!(fire.outcome));
        data.insert("times".to_owned(), json!(fire.times));
        data.insert("code".to_owned(), json!(fire.code));
        data.insert("detail".to_owned(), json!(fire.detail));
    }
    let kind = match fire.goal_id {
        Some(_) => Kind::ScheduleFired,
        None => Kind::ScheduleNotFired,
    };
    unit.record(NewRow::new(kind).goal(fire.goal_id).data(data));
}

fn count(fire: &FireRow) {
    count_outcome(fire.outcome, fire.times.unsigned_abs());
}

fn count_outcome(outcome: FireOutcome, times: u32) {
    metrics::counter!("muster_schedule_fires_total", "outcome" => outcome.as_str())
        .increment(u64::from(times));
}
