//! Bringing work back: what the rules of [`crate::domain::task::returns`] decide, written down.
//!
//! The caller holds the lock of the goal. All tasks of the goal are locked, in id order: a claim that
//! came first is seen, a later one skips them. The goal's state is the caller's.

use serde_json::json;

use super::unblock::{self, Needs};
use crate::{
    app::{Result, Unit, approvals::ask, caps, gates::name_again},
    domain::{
        cap::workspace::Holding,
        ids::{AttemptId, GoalId, TaskId},
        journal::{Kind, NewRow},
        states::TaskState,
        task::returns::{Cause, Return, Returns, graph::Graph},
    },
    store::{
        self,
        tasks::{moves::CountChange, returns::Grant},
    },
};

/// Why tasks come back, for their journal rows.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::app) struct Because<'a> {
    /// The words of the caller.
    pub reason: Option<&'a str>,
    /// The attempt whose result is taken back.
    pub attempt: Option<AttemptId>,
}

/// Locks all tasks of a goal and reads them with their dependencies.
pub(in crate::app) async fn lock(unit: &mut Unit, goal: GoalId) -> Result<Graph> {
    let nodes = store::tasks::returns::lock_all(unit.tx(), goal).await?;
    let edges = store::tasks::returns::dependencies(unit.tx(), goal).await?;
    Ok(Graph::new(nodes, &edges))
}

/// Brings tasks back, with everything that follows for others.
///
/// # Errors
/// `workspace_full`.
pub(in crate::app) async fn bring_back(
    unit: &mut Unit,
    goal: GoalId,
    returns: &Returns,
    grant: Grant,
    because: Because<'_>,
) -> Result<()> {
    caps::admit(unit, Holding::OpenTasks, returns.tasks.len()).await?;
    store::tasks::returns::undo(unit.tx(), &returns.undone).await?;
    hold(unit, goal, returns).await?;
    let ids: Vec<TaskId> = returns.tasks.iter().map(|task| task.task_id).collect();
    store::attempts::withdraw(unit.tx(), &ids).await?;
    store::tasks::returns::come_back(unit.tx(), &returns.tasks, grant).await?;
    name_again(unit, goal, &ids).await?;
    store::tasks::returns::count_children(unit.tx(), &returns.parents).await?;
    for task in &returns.tasks {
        let (back, waits) = rows(goal, task, because);
        unit.record(back);
        unit.record(waits);
    }
    let counts = [(goal, counts(&returns.tasks))];
    store::tasks::moves::count(unit.tx(), &counts).await?;
    // All tasks of the goal are locked and read anyway.
    store::goals::progress::recount(unit.tx(), goal).await?;
    let free = store::tasks::returns::free(unit.tx(), &ids).await?;
    let free = store::tasks::lock(unit.tx(), &free).await?;
    unblock::unblock(unit, free, Needs::Written).await
}

/// Makes tasks that were not begun wait for what was reopened. What was asked about their start is
/// asked again when they are free.
async fn hold(unit: &mut Unit, goal: GoalId, returns: &Returns) -> Result<()> {
    let again: Vec<TaskId> = returns.waiting_again().collect();
    let reason = "a task that it needs was reopened";
    if !again.is_empty() {
        ask::withdraw_questions(unit, &again, reason).await?;
    }
    store::tasks::returns::hold(unit.tx(), &returns.held).await?;
    for task in again {
        let row = NewRow::new(Kind::TaskWaiting).goal(goal).task(task);
        unit.record(row.data(json!({"reason": reason})));
    }
    Ok(())
}

/// The rows of a task that comes back: that it does, and its state.
fn rows(goal: GoalId, task: &Return, because: Because<'_>) -> (NewRow, NewRow) {
    let about = |kind| NewRow::new(kind).goal(goal).task(task.task_id);
    let said = because.reason.map(|reason| reason.chars().take(300).collect::<String>());
    let back = match task.cause {
        Cause::Retried => about(Kind::TaskRetried).data(json!({"reason": said})),
        Cause::Reopened => {
            about(Kind::TaskReopened).attempt(because.attempt).data(json!({"reason": said}))
        }
        Cause::Restored => about(Kind::TaskRestored).data(json!({"from": task.from})),
    };
    (back, about(Kind::TaskWaiting))
}

fn counts(tasks: &[Return]) -> CountChange {
    let mut change = CountChange { open: tasks.len() as i32, ..CountChange::default() };
    for task in tasks {
        match task.from {
            TaskState::Done => change.done -= 1,
            TaskState::Failed => change.failed -= 1,
            TaskState::Cancelled => change.cancelled -= 1,
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Parked
            | TaskState::Reviewing => {}
        }
    }
    change
}
