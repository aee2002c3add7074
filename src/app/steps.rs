//! The steps of the supervisor: what happens because time passed, not because somebody asked.
//!
//! A step takes a workspace, finds what is due without a lock, and then does each goal's share in a
//! unit of work of its own, judging again under the locks. So two processes may run the same step
//! at once, a step that dies half-way has done whole units only, and one goal's trouble does not
//! keep the others waiting. A step returns how many things it changed.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    App, Result, Unit, free,
    goals::{finish_if_over, lock_goal},
    settle::{self, Change},
    spend::locked,
};
use crate::{
    domain::{
        ids::{AttemptId, GoalId, TaskId, WorkspaceId},
        settings,
        states::{AttemptState, FailureClass, TaskState},
        task::{self, Next, TaskFacts},
    },
    store::{self, deadlines::Deadlines, results::NewResult},
};

impl App {
    /// Ends attempts that were silent for longer than their lease or ran into their hard
    /// deadline, tasks that ran out of time, and cancellations whose grace is over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expire(&self, workspace: WorkspaceId) -> Result<u64> {
        let now = self.now().await?;
        let mut conn = self.reader().await?;
        let silent = store::attempts::silent(&mut conn, workspace, now).await?;
        let overdue = store::deadlines::overdue(&mut conn, workspace, now).await?;
        drop(conn);
        let mut by_goal: BTreeMap<GoalId, (Vec<AttemptId>, Vec<TaskId>)> = BTreeMap::new();
        for place in silent {
            by_goal.entry(place.goal_id).or_default().0.push(place.attempt_id);
        }
        for (task, goal) in overdue {
            by_goal.entry(goal).or_default().1.push(task);
        }
        let mut changed = 0;
        for (goal, (attempts, tasks)) in by_goal {
            let mut unit = self.begin(workspace, None).await?;
            lock_goal(&mut unit, goal).await?;
            changed += expire_attempts(&mut unit, &attempts).await?;
            changed += end_overdue(&mut unit, &tasks).await?;
            self.commit(unit).await?;
        }
        Ok(changed)
    }

    /// Offers tasks whose start time or backoff has passed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn promote(&self, workspace: WorkspaceId) -> Result<u64> {
        let now = self.now().await?;
        let mut conn = self.reader().await?;
        let due = store::deadlines::due(&mut conn, workspace, now).await?;
        drop(conn);
        let mut by_goal: BTreeMap<GoalId, Vec<TaskId>> = BTreeMap::new();
        for (task, goal) in due {
            by_goal.entry(goal).or_default().push(task);
        }
        let mut changed = 0;
        for (goal, tasks) in by_goal {
            let mut unit = self.begin(workspace, None).await?;
            lock_goal(&mut unit, goal).await?;
            changed += tasks.len() as u64;
            free::free(&mut unit, tasks).await?;
            self.commit(unit).await?;
        }
        Ok(changed)
    }

    /// Ends active goals whose last task has ended. An empty goal is never complete.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn roll_up(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut conn = self.reader().await?;
        let goals = store::goals::to_roll_up(&mut conn, workspace).await?;
        drop(conn);
        for goal in &goals {
            let mut unit = self.begin(workspace, None).await?;
            finish_if_over(&mut unit, *goal).await?;
            self.commit(unit).await?;
        }
        Ok(goals.len() as u64)
    }

    /// Forgets answers that can no longer be replayed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_replays(&self, workspace: WorkspaceId) -> Result<u64> {
        let mut unit = self.begin(workspace, None).await?;
        let before = unit.now() - settings::REPLAY_FOR;
        let swept = store::replays::sweep(unit.conn(), workspace, before).await?;
        self.commit(unit).await?;
        Ok(swept)
    }
}

/// Locks the tasks of attempts, then the attempts, and ends those that are still due.
async fn expire_attempts(unit: &mut Unit, ids: &[AttemptId]) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let (workspace, now) = (unit.workspace(), unit.now());
    let places = store::attempts::places(unit.conn(), workspace, ids).await?;
    let tasks: Vec<TaskId> = places.iter().map(|place| place.task_id).collect();
    let tasks = store::tasks::lock(unit.conn(), workspace, &tasks).await?;
    let attempts = locked(unit, ids).await?;
    let mut ends = Vec::new();
    let mut results = Vec::new();
    let mut changes = Vec::new();
    for task in tasks {
        let Some(attempt) = task.current_attempt.and_then(|id| attempts.get(&id)) else { continue };
        let Some(ending) = task::expire(&task, attempt, unit.entropy().jitter(), now) else {
            continue;
        };
        let (class, said) = if attempt.hard_deadline <= now {
            (FailureClass::Timeout, "ran into its hard deadline")
        } else {
            (FailureClass::Lost, "was silent for longer than its lease")
        };
        let message = format!("attempt {} {said}", attempt.number);
        ends.push((attempt.attempt_id, ending.attempt));
        results.push(service_result(attempt.attempt_id, ending.attempt, class, &message));
        changes.push(Change::by_attempt(
            task,
            attempt.attempt_id,
            attempt.agent_id,
            ending,
            Some(message),
        ));
    }
    let count = changes.len() as u64;
    if count > 0 {
        store::attempts::end(unit.conn(), workspace, now, &ends).await?;
        store::results::insert(unit.conn(), workspace, now, &results).await?;
        settle::settle(unit, changes).await?;
    }
    Ok(count)
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
    if past(deadlines.finish_by) {
        let class = FailureClass::FinishTimeout;
        return Some((Next::Failed(class), "all attempts together took too long"));
    }
    if past(deadlines.start_by) && task.state == TaskState::Ready {
        let class = FailureClass::StartTimeout;
        return Some((Next::Failed(class), "nobody claimed it in time"));
    }
    None
}

async fn end_overdue(unit: &mut Unit, ids: &[TaskId]) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let (workspace, now) = (unit.workspace(), unit.now());
    let tasks = store::tasks::lock(unit.conn(), workspace, ids).await?;
    let deadlines: BTreeMap<TaskId, Deadlines> =
        store::deadlines::deadlines(unit.conn(), workspace, ids)
            .await?
            .into_iter()
            .map(|row| (row.task_id, row))
            .collect();
    let mut ends = Vec::new();
    let mut changes = Vec::new();
    for task in tasks {
        let Some(deadlines) = deadlines.get(&task.task_id) else { continue };
        let Some((next, reason)) = verdict(&task, deadlines, unit) else { continue };
        let live = matches!(task.state, TaskState::Running | TaskState::Reviewing);
        let attempt = task.current_attempt.filter(|_| live && !task.container);
        let attempt = attempt.map(|id| (id, AttemptState::Cancelled));
        ends.extend(attempt);
        let change = Change::of_task(task, next, reason.to_owned());
        changes.push(Change { attempt, ..change });
    }
    let count = changes.len() as u64;
    if count > 0 {
        if !ends.is_empty() {
            store::attempts::end(unit.conn(), workspace, now, &ends).await?;
        }
        settle::settle(unit, changes).await?;
    }
    Ok(count)
}
