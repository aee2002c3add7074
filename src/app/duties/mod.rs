//! The steps of the supervisor: what happens because time passed, not because somebody asked.
//!
//! A step takes a workspace, finds what is due without a lock, and then does each goal's share in a
//! unit of work of its own, judging again under the locks. So two processes may run the same step
//! at once, a step that dies half-way has done whole units only, and one goal's trouble does not
//! keep the others waiting. A step returns how many things it changed.

pub(in crate::app) mod approvals;
pub(in crate::app) mod budgets;
pub mod record;
pub(in crate::app) mod rules;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    App, Error, Result, Unit,
    caller::Actor,
    goals::finish_if_over,
    spend::charge,
    tasks::{
        cascade,
        change::Change,
        unblock::{self, Needs},
    },
    unit::locks::{lock_goal, locked},
};
use crate::{
    domain::{
        ids::{AttemptId, GoalId, TaskId, WorkspaceId},
        settings,
        states::{AttemptState, FailureClass, TaskState},
        task::{self, AttemptFacts, Next, TaskFacts},
    },
    store::{self, attempts::results::NewResult, tasks::deadlines::Deadlines},
};

/// What is due by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Something ran out of time: [`App::expire`] finds what.
    pub expire: bool,
    /// Something is to be offered: [`App::promote`] finds what.
    pub promote: bool,
    /// Something waits for a budget: [`App::fund`] finds what.
    pub fund: bool,
    /// Approvals ran out of time, or people are to be reminded: [`App::expire_approvals`] finds which.
    pub approvals: bool,
    /// Rules are to be looked at: [`App::intervene`] does it.
    pub intervene: bool,
    /// Something was audited that can be sealed: [`App::seal_audit`] seals it.
    pub seal: bool,
}

impl App {
    /// Whether anything is due by the clock.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due(&self, workspace: WorkspaceId) -> Result<Due> {
        let mut tx = self.reader(workspace).await?;
        let next = store::tasks::deadlines::next_due(&mut tx).await?;
        let now = self.clock.or(next.now);
        let passed = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= now);
        Ok(Due {
            expire: passed(next.expires_at),
            promote: passed(next.ready_from),
            fund: next.funds_wait,
            approvals: passed(next.approvals_due),
            intervene: next.rules_act,
            seal: next.seals_wait,
        })
    }

    /// Has the database measure tables that have outgrown what it knows of them, so that it makes plans
    /// for their true sizes. Returns how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn measure_tables(&self) -> Result<u64> {
        let mut tx = self.system().await?;
        let outgrown = store::statistics::outgrown(&mut tx).await?;
        for table in &outgrown {
            store::statistics::measure(&mut tx, table).await?;
        }
        Ok(outgrown.len() as u64)
    }

    /// Ends attempts that were silent for longer than their lease or ran into their hard
    /// deadline, tasks that ran out of time, and cancellations whose grace is over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expire(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut tx = self.reader(workspace).await?;
        let silent = store::attempts::silent(&mut tx).await?;
        let overdue = store::tasks::deadlines::overdue(&mut tx).await?;
        drop(tx);
        let mut by_goal: BTreeMap<GoalId, (Vec<AttemptId>, Vec<TaskId>)> = BTreeMap::new();
        for place in silent {
            by_goal.entry(place.goal_id).or_default().0.push(place.attempt_id);
        }
        for (task, goal) in overdue {
            by_goal.entry(goal).or_default().1.push(task);
        }
        let mut tally = Tally::default();
        for (goal, (attempts, tasks)) in by_goal {
            tally.note(self.expire_in(workspace, goal, &attempts, &tasks).await);
        }
        tally.result()
    }

    async fn expire_in(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        attempts: &[AttemptId],
        tasks: &[TaskId],
    ) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        lock_goal(&mut unit, goal).await?;
        let changed = end_due(&mut unit, attempts, tasks).await?;
        self.commit(unit).await?;
        Ok(changed)
    }

    /// Offers tasks whose start time or backoff has passed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn promote(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut tx = self.reader(workspace).await?;
        let due = store::tasks::deadlines::due(&mut tx).await?;
        drop(tx);
        let mut by_goal: BTreeMap<GoalId, Vec<TaskId>> = BTreeMap::new();
        for (task, goal) in due {
            by_goal.entry(goal).or_default().push(task);
        }
        let mut tally = Tally::default();
        for (goal, tasks) in by_goal {
            tally.note(self.promote_in(workspace, goal, tasks).await);
        }
        tally.result()
    }

    async fn promote_in(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        tasks: Vec<TaskId>,
    ) -> Result<u64> {
        let count = tasks.len() as u64;
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        lock_goal(&mut unit, goal).await?;
        let facts = store::tasks::lock(unit.tx(), &tasks).await?;
        unblock::free(&mut unit, facts, Needs::Written).await?;
        self.commit(unit).await?;
        Ok(count)
    }

    /// Ends active goals without an open task. A goal ends in the transaction that ends its last
    /// task, so this finds nothing unless somebody wrote to the database by hand. An empty goal is
    /// never complete.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn roll_up(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut tx = self.reader(workspace).await?;
        let goals = store::goals::to_roll_up(&mut tx).await?;
        drop(tx);
        let mut tally = Tally::default();
        for goal in goals {
            tally.note(self.roll_up_one(workspace, goal).await);
        }
        tally.result()
    }

    async fn roll_up_one(&self, workspace: WorkspaceId, goal: GoalId) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        finish_if_over(&mut unit, goal).await?;
        self.commit(unit).await?;
        Ok(1)
    }

    /// Forgets answers that can no longer be replayed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_replays(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut swept = 0;
        // Each bite is a transaction of its own; an empty one ends the meal.
        for _ in 0..SWEEP_BITES {
            let mut unit = self.begin(workspace, Actor::SERVICE).await?;
            let before = unit.now() - settings::REPLAY_FOR;
            let bite = store::idempotency::sweep(unit.tx(), before).await?;
            self.commit(unit).await?;
            swept += bite;
            if bite == 0 {
                break;
            }
        }
        Ok(swept)
    }
}

/// Most bites of one sweep, of a thousand answers each.
const SWEEP_BITES: u32 = 100;

/// What a step did over all goals: one goal's failure is remembered, and the others go on.
#[derive(Debug, Default)]
pub(super) struct Tally {
    changed: u64,
    failure: Option<Error>,
}

impl Tally {
    pub(super) fn note(&mut self, outcome: Result<u64>) {
        match outcome {
            Ok(changed) => self.changed += changed,
            Err(error) => {
                tracing::warn!(%error, "a goal's share of a step failed; it is tried again");
                self.failure.get_or_insert(error);
            }
        }
    }

    pub(super) fn result(self) -> Result<u64> {
        self.failure.map_or(Ok(self.changed), Err)
    }
}

/// What ends by the clock in one goal.
#[derive(Debug, Default)]
struct Ending {
    ends: Vec<(AttemptId, AttemptState)>,
    results: Vec<NewResult>,
    changes: Vec<Change>,
}

/// Locks everything that may be due, the tasks and then the attempts, each in id order, and ends
/// what still is.
async fn end_due(unit: &mut Unit, attempts: &[AttemptId], tasks: &[TaskId]) -> Result<u64> {
    let places = store::attempts::places(unit.tx(), attempts).await?;
    let ids: BTreeSet<TaskId> =
        places.iter().map(|place| place.task_id).chain(tasks.iter().copied()).collect();
    let ids: Vec<TaskId> = ids.into_iter().collect();
    let facts = store::tasks::lock(unit.tx(), &ids).await?;
    let live: BTreeSet<AttemptId> = facts.iter().filter_map(|task| task.current_attempt).collect();
    let live: Vec<AttemptId> = live.into_iter().collect();
    let held = locked(unit, &live).await?;
    let deadlines: BTreeMap<TaskId, Deadlines> =
        store::tasks::deadlines::deadlines(unit.tx(), &ids)
            .await?
            .into_iter()
            .map(|row| (row.task_id, row))
            .collect();
    let mut due = Ending::default();
    for task in facts {
        // The task's own time comes first: when it is over, it does not matter how its attempt is.
        let attempt = task.current_attempt.and_then(|id| held.get(&id));
        if !out_of_time(unit, &mut due, &task, &deadlines) {
            expire(unit, &mut due, &task, attempt);
        }
    }
    let Ending { ends, results, changes } = due;
    let was_running =
        |id: &AttemptId| held.get(id).is_some_and(|attempt| attempt.state == AttemptState::Running);
    let ended: BTreeSet<AttemptId> = ends.iter().map(|(id, _)| *id).filter(was_running).collect();
    let count = changes.len() as u64;
    if !ends.is_empty() {
        store::attempts::end(unit.tx(), &ends).await?;
    }
    if !results.is_empty() {
        store::attempts::results::insert(unit.tx(), &results).await?;
    }
    cascade::settle(unit, changes).await?;
    let ended: Vec<AttemptId> = ended.into_iter().collect();
    charge(unit, &[], &ended).await?;
    Ok(count)
}

/// Notes a silent attempt.
fn expire(unit: &Unit, due: &mut Ending, task: &TaskFacts, attempt: Option<&AttemptFacts>) {
    let Some(attempt) = attempt else { return };
    let now = unit.now();
    let Some(ending) = task::expire(task, attempt, unit.entropy().jitter(), now) else { return };
    let (class, said) = if attempt.hard_deadline <= now {
        (FailureClass::Timeout, "ran into its hard deadline")
    } else {
        (FailureClass::Lost, "was silent for longer than its lease")
    };
    let id = attempt.attempt_id;
    let message = format!("attempt {} {said}", attempt.number);
    due.ends.push((id, ending.attempt));
    due.results.push(service_result(id, ending.attempt, class, &message));
    let change = Change::by_attempt(task.clone(), id, attempt.holder, ending, Some(message));
    due.changes.push(change);
}

/// Notes a task that ran out of time; says whether it did.
fn out_of_time(
    unit: &Unit,
    due: &mut Ending,
    task: &TaskFacts,
    deadlines: &BTreeMap<TaskId, Deadlines>,
) -> bool {
    let Some(deadlines) = deadlines.get(&task.task_id) else { return false };
    let Some((next, reason)) = verdict(task, deadlines, unit) else { return false };
    let live = matches!(task.state, TaskState::Running | TaskState::Reviewing);
    let attempt = task.current_attempt.filter(|_| live && !task.container);
    let attempt = attempt.map(|id| (id, AttemptState::Cancelled));
    due.ends.extend(attempt);
    let change = Change::of_task(task.clone(), next, reason.to_owned());
    due.changes.push(Change { attempt, ..change });
    true
}

fn service_result(
    attempt: AttemptId,
    state: AttemptState,
    class: FailureClass,
    message: &str,
) -> NewResult {
    NewResult {
        attempt_id: attempt,
        outcome: json!({"attempt_state": state}),
        request_sha256: [0; 32],
        result: None,
        failure: Some(class),
        message: Some(message.to_owned()),
    }
}

/// Why a task is ended by the clock, if it is.
fn verdict(task: &TaskFacts, deadlines: &Deadlines, unit: &Unit) -> Option<(Next, &'static str)> {
    let now = unit.now();
    let past = |at: Option<chrono::DateTime<chrono::Utc>>| at.is_some_and(|at| at <= now);
    if task.state.is_terminal() {
        return None;
    }
    if past(deadlines.cancel_by) && task.cancelling {
        return Some((Next::Cancelled, "its agent did not stop in time"));
    }
    let rests = matches!(task.state, TaskState::Parked | TaskState::Reviewing);
    if past(deadlines.finish_by) && !rests {
        let class = FailureClass::FinishTimeout;
        return Some((Next::Failed(class), "all attempts together took too long"));
    }
    if past(deadlines.start_by) && task.state == TaskState::Ready {
        let class = FailureClass::StartTimeout;
        return Some((Next::Failed(class), "nobody claimed it in time"));
    }
    None
}
