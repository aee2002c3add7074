//! Consequences of tasks that change state: dependents, containers, the goal.
//!
//! Every use case that ends or frees tasks passes its [`Change`]s to [`apply`]; it never writes a
//! task's state itself. In the same transaction:
//!
//! - Each dependency on a done task is satisfied once. A task without unmet needs is freed: it is
//!   offered, opened, or parked for the approval of its start.
//! - Tasks that need or are contained in a failed or cancelled task are cancelled, at any depth. Those that
//!   a failure took along are marked as lost.
//! - A container ends with its last child: done if all are, failed if a failure is at fault, else
//!   cancelled, as a goal does. A task parked for its subtasks is offered again.
//! - A task that waits for the price of a model is parked instead of offered.
//! - The goal's counters change, and the goal ends with its last task, or is verified by its own
//!   criteria first. It waits for the decision about discovered work that is required.
//! - The last check of a result decides about it, and a result that is decided ends its checks.
//!
//! The caller holds the locks of the goals. So a cascade sees a stable state, and two cascades of
//! one goal run one after the other.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    cascade_events,
    change::Change,
    checks,
    unblock::{self, Needs},
    verification,
};
use crate::{
    app::{
        Error, Result, Unit,
        approvals::{ask, proposed},
        unit::locks::lock_goal,
    },
    domain::{
        goal::{TaskCounts, roll_up},
        ids::{AttemptId, GoalId, LimitId, TaskId},
        journal::{Kind, NewRow},
        price::PriceWait,
        settings,
        states::{AttemptState, FailureClass, GoalState, TaskState},
        task::{self, Next, TaskFacts},
    },
    store::{
        self,
        tasks::moves::{CountChange, TaskMove},
    },
};

/// Tasks that ended in this unit, with consequences still to be written.
#[derive(Debug, Default)]
struct Ended {
    done: Vec<TaskId>,
    failed: Vec<TaskId>,
    cancelled: Vec<TaskId>,
    with_parent: Vec<TaskId>,
    /// Attempts of which a check ended.
    checked: Vec<AttemptId>,
    /// Tasks that were reviewing: their result waits for no check any more.
    reviewed: Vec<TaskId>,
}

impl Ended {
    fn is_empty(&self) -> bool {
        self.done.is_empty()
            && self.failed.is_empty()
            && self.cancelled.is_empty()
            && self.reviewed.is_empty()
    }

    fn extend(&mut self, more: Self) {
        self.done.extend(more.done);
        self.failed.extend(more.failed);
        self.cancelled.extend(more.cancelled);
        self.with_parent.extend(more.with_parent);
        self.checked.extend(more.checked);
        self.reviewed.extend(more.reviewed);
    }
}

/// Writes changes and all their consequences.
pub async fn apply(unit: &mut Unit, changes: Vec<Change>) -> Result<()> {
    let mut counts = BTreeMap::new();
    let mut ended = write(unit, changes, &mut counts).await?;
    while !ended.is_empty() {
        let Ended { done, failed, cancelled, with_parent, checked, reviewed } = ended;
        let mut more = Vec::new();
        if !reviewed.is_empty() {
            let moot = store::tasks::checks::open(unit.tx(), &reviewed).await?;
            if !moot.is_empty() {
                more.extend(cancel(unit, &moot, "the result that it checks is decided").await?);
            }
        }
        if !checked.is_empty() {
            more.extend(checks::advance(unit, &checked).await?);
        }
        if !done.is_empty() {
            let freed = store::tasks::moves::satisfy(unit.tx(), &done).await?;
            unblock::unblock(unit, freed, Needs::JustMet).await?;
        }
        if !(failed.is_empty() && cancelled.is_empty()) {
            more.extend(lost_causes(unit, &failed, &cancelled).await?);
        }
        let mut next = write(unit, more, &mut counts).await?;
        if !with_parent.is_empty() {
            let parents = finished_parents(unit, &with_parent).await?;
            next.extend(write(unit, parents, &mut counts).await?);
        }
        ended = next;
    }
    let changes: Vec<(GoalId, CountChange)> = counts.into_iter().collect();
    if changes.is_empty() {
        return Ok(());
    }
    let counted = store::tasks::moves::count(unit.tx(), &changes).await?;
    for (goal, state, counts) in counted {
        finish_goal(unit, goal, state, counts).await?;
    }
    Ok(())
}

/// Ends an active goal whose tasks have all ended, or verifies it first; continues the verification
/// of a verifying one. The caller holds its lock.
pub async fn finish_goal(
    unit: &mut Unit,
    goal: GoalId,
    state: GoalState,
    counts: TaskCounts,
) -> Result<()> {
    if state == GoalState::Verifying {
        return verification::advance(unit, goal, counts).await;
    }
    if roll_up(state, counts).is_none() {
        return Ok(());
    }
    let (failed, cancelled) = if counts.done == counts.total {
        (0, 0)
    } else {
        store::goals::not_made_up_for(unit.tx(), goal).await?
    };
    let judged = TaskCounts { failed, cancelled, ..counts };
    let Some(state) = roll_up(state, judged) else { return Ok(()) };
    if state == GoalState::Completed && store::goals::discovered::holds_up(unit.tx(), goal).await? {
        // The decision about what is required finishes the goal.
        return Ok(());
    }
    if state == GoalState::Completed && verification::begin(unit, goal, counts).await? {
        return Ok(());
    }
    let (kind, reason) = match state {
        GoalState::Completed => (Kind::GoalCompleted, None),
        GoalState::Cancelled => (Kind::GoalCancelled, Some("some of its tasks were cancelled")),
        GoalState::Failed => (Kind::GoalFailed, Some("some of its tasks failed")),
        GoalState::Planning | GoalState::Proposed | GoalState::Active | GoalState::Verifying => {
            return Ok(());
        }
    };
    store::goals::set_state(unit.tx(), goal, state, reason).await?;
    let data = json!({"tasks": counts, "reason": reason});
    unit.record(NewRow::new(kind).goal(goal).data(data));
    proposed::supersede(unit, goal, "the goal has ended").await
}

/// The stored state for a step.
fn target(next: Next, now: DateTime<Utc>) -> (TaskState, Option<FailureClass>) {
    match next {
        Next::Done => (TaskState::Done, None),
        Next::Review => (TaskState::Reviewing, None),
        Next::Failed(class) => (TaskState::Failed, Some(class)),
        Next::Cancelled => (TaskState::Cancelled, None),
        Next::Retry(at) if at > now => (TaskState::Waiting, None),
        Next::Retry(_) => (TaskState::Ready, None),
        Next::Park => (TaskState::Parked, None),
    }
}

async fn write(
    unit: &mut Unit,
    changes: Vec<Change>,
    counts: &mut BTreeMap<GoalId, CountChange>,
) -> Result<Ended> {
    let mut ended = Ended::default();
    if changes.is_empty() {
        return Ok(ended);
    }
    let now = unit.now();
    let mut moves = Vec::with_capacity(changes.len());
    let waits = awaited(unit, &changes).await?;
    for change in &changes {
        let prices = waits.get(&change.task.task_id).map(Vec::as_slice).unwrap_or_default();
        let next = task::held_back(change.next, !prices.is_empty());
        let (state, failure) = target(next, now);
        if state == TaskState::Parked && change.task.state == state {
            // What it waited for is over, and it goes on waiting for the price.
            continue;
        }
        let at = match change.next {
            Next::Retry(at) if state == TaskState::Ready => at.max(now),
            Next::Retry(at) => at,
            Next::Done | Next::Review | Next::Failed(_) | Next::Cancelled | Next::Park => {
                change.task.ready_from
            }
        };
        moves.push(TaskMove {
            ready_from: at,
            attempts_used: change.attempts_used,
            lost_in_row: change.lost_in_row,
            released_in_row: change.released_in_row,
            failure,
            reason: state.is_terminal().then(|| change.reason.clone()).flatten(),
            ..TaskMove::of(&change.task, state, at.min(now))
        });
        unit.record(cascade_events::event(change, state, failure, at, prices));
        note_end(&mut ended, counts, change, state);
    }
    store::tasks::moves::apply(unit.tx(), &moves).await?;
    let not_done = ended.failed.iter().chain(&ended.cancelled);
    let over: Vec<TaskId> = ended.done.iter().chain(not_done).copied().collect();
    if !over.is_empty() {
        ask::withdraw_questions(unit, &over, "the task it was about has ended").await?;
    }
    Ok(ended)
}

/// Prices that tasks to be offered wait for. Reads nothing if none is to be offered.
async fn awaited(unit: &mut Unit, changes: &[Change]) -> Result<HashMap<TaskId, Vec<PriceWait>>> {
    let offered = changes.iter().filter(|change| matches!(change.next, Next::Retry(_)));
    let tasks: Vec<TaskId> = offered.map(|change| change.task.task_id).collect();
    if tasks.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(store::spend::waits::of_tasks(unit.tx(), &tasks).await?)
}

fn note_end(
    ended: &mut Ended,
    counts: &mut BTreeMap<GoalId, CountChange>,
    change: &Change,
    state: TaskState,
) {
    let id = change.task.task_id;
    if change.task.state == TaskState::Reviewing && state != TaskState::Reviewing {
        ended.reviewed.push(id);
    }
    if !state.is_terminal() {
        return;
    }
    ended.checked.extend(change.task.checks);
    let count = counts.entry(change.task.goal_id).or_default();
    count.open -= 1;
    match state {
        TaskState::Done => {
            count.done += 1;
            count.weight_done += change.task.weight;
            ended.done.push(id);
        }
        TaskState::Failed => {
            count.failed += 1;
            ended.failed.push(id);
        }
        TaskState::Cancelled => {
            count.cancelled += 1;
            count.weight_cancelled += change.task.weight;
            ended.cancelled.push(id);
        }
        TaskState::Waiting
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Parked
        | TaskState::Reviewing => {}
    }
    if change.task.parent_id.is_some() {
        ended.with_parent.push(id);
    }
}

/// Cancels tasks that cannot continue because others failed or were cancelled. Only those that a failure
/// took along are marked as lost, and come back with its retry: a request to cancel a task is one to cancel
/// all that cannot be done without it.
async fn lost_causes(
    unit: &mut Unit,
    failed: &[TaskId],
    cancelled: &[TaskId],
) -> Result<Vec<Change>> {
    let ended = [failed, cancelled].concat();
    let lost = store::tasks::moves::lost_with(unit.tx(), &ended).await?;
    if lost.is_empty() {
        return Ok(Vec::new());
    }
    store::tasks::lock(unit.tx(), &lost).await?;
    if !failed.is_empty() {
        let with_failed = match cancelled {
            [] => lost.clone(),
            [_, ..] => store::tasks::moves::lost_with(unit.tx(), failed).await?,
        };
        store::tasks::returns::mark_lost(unit.tx(), &with_failed).await?;
    }
    cancel(unit, &lost, "a task that it needs, or that contains it, was not done").await
}

/// Requests the end of running tasks among `tasks`; returns the changes that cancel the others at
/// once.
pub async fn cancel(unit: &mut Unit, tasks: &[TaskId], reason: &str) -> Result<Vec<Change>> {
    let now = unit.now();
    let facts = store::tasks::lock(unit.tx(), tasks).await?;
    let mut changes = Vec::new();
    let mut asked = Vec::new();
    for task in facts {
        match task.state {
            TaskState::Done | TaskState::Failed | TaskState::Cancelled => {}
            TaskState::Running if !task.container => asked.push(task),
            TaskState::Running | TaskState::Waiting | TaskState::Ready | TaskState::Parked => {
                changes.push(Change::of_task(task, Next::Cancelled, reason.to_owned()));
            }
            TaskState::Reviewing => {
                let attempt = task.current_attempt.map(|id| (id, AttemptState::Cancelled));
                let change = Change::of_task(task, Next::Cancelled, reason.to_owned());
                changes.push(Change { attempt, ..change });
            }
        }
    }
    let submitted: Vec<_> = changes.iter().filter_map(|change| change.attempt).collect();
    if !submitted.is_empty() {
        let ids: Vec<AttemptId> = submitted.iter().map(|(attempt, _)| *attempt).collect();
        store::attempts::lock(unit.tx(), &ids).await?;
        store::attempts::end(unit.tx(), &submitted).await?;
    }
    let asked: Vec<TaskFacts> = asked.into_iter().filter(|task| !task.cancelling).collect();
    if !asked.is_empty() {
        let ids: Vec<TaskId> = asked.iter().map(|task| task.task_id).collect();
        let by = now + settings::CANCEL_GRACE;
        store::tasks::moves::request_cancel(unit.tx(), by, &ids).await?;
    }
    for task in asked {
        unit.record(
            NewRow::new(Kind::TaskCancelRequested)
                .goal(task.goal_id)
                .task(task.task_id)
                .attempt(task.current_attempt)
                .data(json!({"reason": reason})),
        );
    }
    Ok(changes)
}

/// Changes of parents whose last child ended: containers end, tasks parked for subtasks are
/// offered.
async fn finished_parents(unit: &mut Unit, children: &[TaskId]) -> Result<Vec<Change>> {
    let parents = store::tasks::moves::children_ended(unit.tx(), children).await?;
    endings(unit, &parents).await
}

/// Ends open containers whose last open child moved to another one. The caller holds the lock of their goal.
pub(in crate::app) async fn end_emptied(unit: &mut Unit, containers: &[TaskId]) -> Result<()> {
    if containers.is_empty() {
        return Ok(());
    }
    let emptied = store::tasks::replan::emptied(unit.tx(), containers).await?;
    let changes = endings(unit, &emptied).await?;
    apply(unit, changes).await
}

/// Changes of parents without an open child.
async fn endings(unit: &mut Unit, parents: &[TaskId]) -> Result<Vec<Change>> {
    let now = unit.now();
    if parents.is_empty() {
        return Ok(Vec::new());
    }
    let facts = store::tasks::lock(unit.tx(), parents).await?;
    let lacking = facts.iter().filter(|task| task.container && task.children_failed > 0);
    let lacking: Vec<TaskId> = lacking.map(|task| task.task_id).collect();
    let with_failure = match lacking.as_slice() {
        [] => Vec::new(),
        some @ [_, ..] => store::tasks::returns::with_failed_children(unit.tx(), some).await?,
    };
    let changes = facts.into_iter().filter_map(|task| match (task.container, task.state) {
        (true, _) => {
            let next = task::container_ending(&task, with_failure.contains(&task.task_id));
            let reason = (next != Next::Done).then(|| "not all of its children are done".into());
            Some(Change::of_task(task, next, reason))
        }
        (false, TaskState::Parked) => Some(Change::of_task(task, Next::Retry(now), None)),
        (
            false,
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Reviewing
            | TaskState::Done
            | TaskState::Failed
            | TaskState::Cancelled,
        ) => None,
    });
    Ok(changes.collect())
}

/// Offers a parked task whose approval is decided, either way; its next attempt gets the decision.
pub(in crate::app) async fn resume(unit: &mut Unit, task: TaskFacts) -> Result<()> {
    if task.state != TaskState::Parked {
        return Err(Error::Corrupt("a question about a task that is not parked".into()));
    }
    let now = unit.now();
    apply(unit, vec![Change::of_task(task, Next::Retry(now), None)]).await
}

/// Cancels all tasks that wait for a limit. The unit holds the workspace alone.
pub(in crate::app) async fn cancel_waiting_for_limit(
    unit: &mut Unit,
    limit: LimitId,
    reason: &str,
) -> Result<()> {
    let waiting = store::budgets::waits::waiting_for(unit.tx(), limit, -1).await?;
    for (goal, tasks) in by_goal(waiting) {
        lock_goal(unit, goal).await?;
        apply_cancel(unit, &tasks, reason).await?;
    }
    Ok(())
}

pub(in crate::app) fn by_goal(tasks: Vec<(TaskId, GoalId)>) -> BTreeMap<GoalId, Vec<TaskId>> {
    let mut by_goal: BTreeMap<GoalId, Vec<TaskId>> = BTreeMap::new();
    for (task, goal) in tasks {
        by_goal.entry(goal).or_default().push(task);
    }
    by_goal
}

/// Cancels tasks, with all consequences. The caller holds the lock of their goal.
pub(in crate::app) async fn apply_cancel(
    unit: &mut Unit,
    tasks: &[TaskId],
    reason: &str,
) -> Result<()> {
    let changes = cancel(unit, tasks, reason).await?;
    apply(unit, changes).await
}
