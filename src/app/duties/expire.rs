//! Ends what ran out of time: silent attempts, tasks past their deadline, cancellations past their grace.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::json;

use super::{Duty, Report, Tally};
use crate::{
    app::{
        App, Result, Unit,
        caller::Actor,
        spend::charge::charge,
        tasks::{cascade, change::Change},
        unit::locks::{lock_goal, locked},
    },
    domain::{
        ids::{AttemptId, GoalId, TaskId, WorkspaceId},
        states::{AttemptState, FailureClass, TaskState},
        task::{self, AttemptFacts, Next, TaskFacts},
    },
    store::{self, attempts::results::NewResult, tasks::deadlines::Deadlines},
};

/// The duty.
pub(super) const DUTY: Duty = Duty {
    name: "expire",
    pace: Duration::ZERO,
    is_due: |due| due.expire,
    run: |app, workspace| Box::pin(app.expire(workspace)),
};

impl App {
    /// Ends attempts that were silent for longer than their lease or ran into their hard
    /// deadline, tasks that ran out of time, and cancellations whose grace is over.
    async fn expire(&self, workspace: WorkspaceId) -> Result<Report> {
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
        Ok(tally.report())
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
    let places = store::attempts::locate(unit.tx(), attempts).await?;
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
    cascade::apply(unit, changes).await?;
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
