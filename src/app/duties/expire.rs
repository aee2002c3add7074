//! Duty `expire`: ends attempts whose lease or hard deadline passed, tasks past their deadline, and
//! cancellations past their grace period.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Duty, Report, Tally};
use crate::{
    app::{
        App, Result, Unit,
        attempts::end::{End, end},
        caller::Actor,
        tasks::change::Change,
        unit::locks::{lock_goal, locked},
    },
    domain::{
        ids::{AttemptId, GoalId, TaskId, WorkspaceId},
        states::{AttemptState, FailureClass, TaskState},
        task::{self, AttemptFacts, Ending, Next, TaskFacts},
    },
    store::{self, tasks::deadlines::Deadlines},
};

pub(super) const DUTY: Duty = Duty {
    name: "expire",
    pace: Duration::ZERO,
    is_due: |due| due.expire,
    run: |app, workspace| Box::pin(app.expire(workspace)),
};

impl App {
    /// Ends everything whose time has passed, in one unit of work per goal.
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
    let (mut ends, mut others) = (Vec::new(), Vec::new());
    for task in facts {
        // The task's own time comes first: when it is over, it does not matter how its attempt is.
        let attempt = task.current_attempt.and_then(|id| held.get(&id));
        let own = deadlines.get(&task.task_id).and_then(|own| verdict(&task, own, unit));
        match (own, attempt) {
            (Some((next, reason)), Some(attempt)) if is_live(&task) => {
                let ending = Ending::unchanged(&task, AttemptState::Cancelled, next);
                ends.push(End::new(attempt, task, ending, reason.to_owned()));
            }
            (Some((next, reason)), _) => {
                others.push(Change::of_task(task, next, reason.to_owned()))
            }
            (None, Some(attempt)) => ends.extend(expired(unit, task, attempt)),
            (None, None) => {}
        }
    }
    let count = (ends.len() + others.len()) as u64;
    end(unit, ends, others).await?;
    Ok(count)
}

/// Whether the last attempt of a task runs or waits for its review.
fn is_live(task: &TaskFacts) -> bool {
    matches!(task.state, TaskState::Running | TaskState::Reviewing) && !task.container
}

/// The end of a silent attempt.
fn expired<'a>(unit: &Unit, task: TaskFacts, attempt: &'a AttemptFacts) -> Option<End<'a>> {
    let now = unit.now();
    let ending = task::expire(&task, attempt, unit.entropy().jitter(), now)?;
    let (class, said) = if attempt.hard_deadline <= now {
        (FailureClass::Timeout, "ran into its hard deadline")
    } else {
        (FailureClass::Lost, "was silent for longer than its lease")
    };
    let message = format!("attempt {} {said}", attempt.number);
    Some(End { failure: Some(class), ..End::new(attempt, task, ending, message) })
}

/// The end of a task past a deadline, and its reason.
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
