//! Duty `keep_progress`: computes what is left of goals that changed.
//!
//! The longest path through the open tasks, the work behind those that wait, and the sums of estimates cannot
//! be kept by adding, and need all tasks of a goal. So they are computed behind the commit, and cost its writers
//! nothing: the duty reads the rows that were added to the journal, marks the goals in them, and computes each
//! marked goal once, however often it changed. After a computation the goal rests for a time that grows with its
//! tasks, so a large goal that changes all the time costs no more than a small one: about [`TASKS_PER_SECOND`]
//! tasks are read per second of its life. A goal that does not change costs nothing.
//!
//! The number of the newest row is read before the tasks. A change that comes later has a higher number, and the
//! goal is due again. Two processes that compute the same goal store the same; the older of two computations is
//! not stored over the newer.
//!
//! Marking by `goals.updated_at` was rejected: it does not change when a task is parked or claimed. Marking in the
//! transaction of each change was rejected: it is one more row for every claim.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};

use super::{Duty, Report, Tally};
use crate::{
    app::{App, Result},
    domain::{
        goal::progress::left::{BlockerReason, OpenTask, left, sum_estimates},
        ids::{ApprovalId, GoalId, WorkspaceId},
        spend::measured::Quantiles,
        states::TaskState,
    },
    store::{
        self, Tx,
        goals::progress::{NewProgress, TaskRow},
    },
};

/// Rows of the journal read per statement.
const ROWS: i64 = 20_000;
/// Most statements per run; the next run continues.
const READS: usize = 10;
/// Most goals computed per run.
const GOALS: i64 = 200;
/// Time after which a run begins no further goal, so that many goals at work cost a workspace about a twentieth of a
/// processor, and less beside other work. The goals that were due first are computed first. Not a number of tasks:
/// how many a goal has is not known before its first computation, and what they cost differs by machine.
const BUSY: Duration = Duration::from_millis(50);
/// Tasks of one goal computed per second, on average.
const TASKS_PER_SECOND: i64 = 500;
/// Shortest and longest time between two computations of a goal, in milliseconds.
const PAUSE_MS: (i64, i64) = (1_000, 60_000);

pub(super) const DUTY: Duty = Duty {
    name: "keep_progress",
    pace: Duration::from_secs(1),
    is_due: |due| due.progress,
    run: |app, workspace| Box::pin(app.keep_progress(workspace)),
};

impl App {
    async fn keep_progress(&self, workspace: WorkspaceId) -> Result<Report> {
        for _ in 0..READS {
            let marked =
                store::goals::progress::mark(&mut self.reader(workspace).await?, ROWS).await?;
            if marked.read_to >= marked.newest {
                break;
            }
        }
        let mut tx = self.reader(workspace).await?;
        let due = store::goals::progress::due(&mut tx, GOALS).await?;
        let measured = if due.is_empty() {
            HashMap::new()
        } else {
            store::goals::progress::durations(&mut tx).await?
        };
        drop(tx);
        let (mut tally, bound) = (Tally::default(), self.clock.bound(BUSY));
        for goal in due {
            if bound.is_over() {
                tally.left();
                continue;
            }
            tally.note(self.compute_progress(workspace, goal, &measured).await);
        }
        Ok(tally.report())
    }

    async fn compute_progress(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        measured: &HashMap<String, Quantiles>,
    ) -> Result<u64> {
        let mut tx = self.reader(workspace).await?;
        let new = compute(&mut tx, goal, measured).await?;
        store::goals::progress::store(&mut tx, goal, &new).await?;
        if new.tasks == 0 {
            store::goals::progress::forget(&mut tx, goal).await?;
        }
        Ok(1)
    }
}

async fn compute(
    tx: &mut Tx,
    goal: GoalId,
    measured: &HashMap<String, Quantiles>,
) -> Result<NewProgress> {
    let number = store::journal::newest(tx).await?;
    let rows = store::goals::progress::tasks(tx, goal).await?;
    let needs = store::goals::progress::needs(tx, goal).await?;
    let (attempts, wall_ms) = store::goals::progress::attempts(tx, goal).await?;
    let tasks = i32::try_from(rows.len()).unwrap_or(i32::MAX);
    let counted = rows.iter().filter(|row| !row.container && row.state != TaskState::Cancelled);
    let estimates = sum_estimates(counted.filter_map(|row| Some(&row.estimate.as_ref()?.0)));
    let now = tx.now;
    let open = rows.into_iter().filter(|row| !row.state.is_terminal());
    let open: Vec<OpenTask> = open.map(|row| open_task(row, now)).collect();
    let (least, most) = PAUSE_MS;
    Ok(NewProgress {
        number,
        tasks,
        attempts,
        wall_ms,
        estimates,
        left: left(&open, &needs, measured),
        pause_ms: (i64::from(tasks) * 1_000 / TASKS_PER_SECOND).clamp(least, most),
    })
}

fn open_task(row: TaskRow, now: DateTime<Utc>) -> OpenTask {
    let waits = waits(&row);
    let TaskRow { task_id, parent, container, state, capability_key, estimate, started_at, .. } =
        row;
    OpenTask {
        task_id,
        parent,
        container,
        state,
        capability_key,
        estimates: estimate.map(|estimate| estimate.0).unwrap_or_default(),
        running_ms: started_at.map_or(0, |at| (now - at).num_milliseconds().max(0)),
        waits,
    }
}

/// What a task waits for that is no other task.
fn waits(row: &TaskRow) -> Option<(BlockerReason, Option<ApprovalId>)> {
    match row.state {
        TaskState::Parked | TaskState::Reviewing => {}
        TaskState::Waiting
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Done
        | TaskState::Failed
        | TaskState::Cancelled => return None,
    }
    let reason = match (row.short, row.priced, row.approval_id) {
        (true, _, _) => BlockerReason::Budget,
        (false, true, _) => BlockerReason::Price,
        (false, false, Some(_)) => BlockerReason::Person,
        // It goes on when its subtasks have ended.
        (false, false, None) if row.children_open > 0 => return None,
        (false, false, None) => BlockerReason::Person,
    };
    Some((reason, row.approval_id))
}
