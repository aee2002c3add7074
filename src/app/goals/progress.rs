//! Progress of a goal, read in constant work.
//!
//! The percentage and the counts are those of this moment: they are kept in the row of the goal, in the
//! transaction of every task that ends. What is left, the path and the blockers were computed behind the commit,
//! at `as_of` ([`crate::app::duties`], `keep_progress`). The agents online are counted when it is read, so the time of
//! the end follows them. A read takes the row of the goal, that of what was computed, the names of at most thirty
//! tasks, and the agents online; it never reads the tasks of the goal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        goal::{
            TaskCounts,
            progress::{
                Band,
                eta::{self, AbleAgents, Eta, EtaGap, OnlineAgents},
                left::{Ahead, Blocker, BlockerReason, Estimated, PathStep, rank},
                weight::{Weights, percent},
            },
        },
        ids::{ApprovalId, GoalId, TaskId},
        refusal::Refusal,
        settings,
        spend::{ATTEMPTS, Amounts, WALL_MS},
        states::{GoalState, TaskState},
    },
    store::{
        self, Tx,
        goals::{
            progress::{Computed, ProgressRow, TaskName},
            read::GoalRow,
        },
    },
};

/// The short form of a goal's progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShortProgress {
    /// Part of its work that is done, by weight, in percent with one decimal, rounded down. 100 exactly when the
    /// goal is completed.
    #[schema(example = 62.5, minimum = 0, maximum = 100)]
    pub percent: f64,
    /// When it may be done, if its tasks take as long as usual; `null` if that cannot be estimated.
    /// `GET /v1/goals/{goal_id}/progress` has the reason, and the band.
    #[schema(example = "2026-03-01T12:40:00Z")]
    pub eta: Option<DateTime<Utc>>,
}

/// How far a goal is, what is left of it, and who holds it up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GoalProgress {
    /// Id of the goal: `GET /v1/goals/{goal_id}`.
    pub goal_id: GoalId,
    /// Its state.
    pub state: GoalState,
    /// Part of its work that is done, by weight, in percent with one decimal, rounded down. 100 exactly when the
    /// goal is completed. Falls only when work is added, estimated anew or brought back.
    #[schema(example = 62.5, minimum = 0, maximum = 100)]
    pub percent: f64,
    /// The weights behind `percent`.
    pub weight: WeightSums,
    /// Number of its tasks, by state.
    pub tasks: TaskCounts,
    /// When the fields below were computed, except for `agents` and `spent`: within seconds of a change, later for
    /// goals with many thousand tasks. `null`: not yet.
    pub as_of: Option<DateTime<Utc>>,
    /// Length of the longest path through its open tasks, in milliseconds of work; `null` if no duration is known.
    pub critical_path_left_ms: Option<Band>,
    /// The first tasks of that path, in order; at most 20.
    pub critical_path: Vec<PathTask>,
    /// Work of all its open tasks, in milliseconds; `null` if no duration is known.
    pub work_left_ms: Option<Band>,
    /// The agents online now that can do some of its open tasks.
    pub agents: AbleAgents,
    /// When it may be done: the longer of the longest path and the work divided by the agents that can do it, from
    /// `as_of` on. Work of other goals, freezes and the time that people take to answer are not in it.
    /// `null` if it cannot be estimated.
    pub eta: Option<Eta>,
    /// Why there is no `eta`; `null` if there is one.
    pub eta_missing: Option<EtaGap>,
    /// What was spent, against the sum of the estimates of its tasks; one entry per unit.
    pub spend: Vec<SpendAgainst>,
    /// The tasks that wait for a person, a budget, a price or an agent, with the most work behind them first; at
    /// most 10.
    pub blockers: Vec<BlockingTask>,
}

/// Sums of the weights of a goal's tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WeightSums {
    /// The unit of the estimates by which its tasks weigh; a task without one in it weighs the mean of those with
    /// one. `null`: no task has an estimate, and each weighs 1.
    #[schema(example = "wall_ms")]
    pub unit: Option<String>,
    /// Of its tasks without the cancelled ones. Containers, and tasks that verify the goal, weigh nothing.
    #[schema(example = 4_800_000, minimum = 0)]
    pub total: i64,
    /// Of its done tasks.
    #[schema(example = 3_000_000, minimum = 0)]
    pub done: i64,
}

/// A task of the longest path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PathTask {
    /// Id of the task: `GET /v1/tasks/{task_id}`.
    pub task_id: TaskId,
    /// Its name in the plan.
    #[schema(example = "T004")]
    pub r#ref: String,
    /// Its title.
    #[schema(example = "Write the manual")]
    pub title: String,
    /// Its state now.
    pub state: TaskState,
    /// Its own work left at `as_of`, in milliseconds.
    #[schema(example = 300_000, minimum = 0)]
    pub work_ms: i64,
    /// From its begin to the end of the path, in milliseconds.
    #[schema(example = 900_000, minimum = 0)]
    pub left_ms: i64,
}

/// A task that holds others up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BlockingTask {
    /// Id of the task: `GET /v1/tasks/{task_id}`.
    pub task_id: TaskId,
    /// Its name in the plan.
    #[schema(example = "T002")]
    pub r#ref: String,
    /// Its title.
    #[schema(example = "Choose the format")]
    pub title: String,
    /// Its state now.
    pub state: TaskState,
    /// What it waits for.
    pub reason: BlockerReason,
    /// The question that somebody must answer: `GET /v1/approvals/{approval_id}`; `null` without one.
    pub approval_id: Option<ApprovalId>,
    /// Number of tasks that cannot be done before it.
    #[schema(example = 7, minimum = 0)]
    pub tasks_behind: i64,
    /// Their work, in milliseconds; 0 if no duration is known.
    #[schema(example = 4_200_000, minimum = 0)]
    pub work_behind_ms: i64,
}

/// Spend of a goal in one unit against the estimates of its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendAgainst {
    /// The unit; `wall_ms` and `attempts` are measured by the service, as of `as_of`.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// Spent by its attempts so far.
    #[schema(example = 41_000)]
    pub spent: i64,
    /// Sum of the estimates of its tasks, done ones included and cancelled ones not; `null` without any.
    #[schema(example = 96_000)]
    pub estimate: Option<i64>,
    /// Number of tasks with an estimate in the unit.
    #[schema(example = 12, minimum = 0)]
    pub tasks_estimated: i64,
}

impl App {
    /// Reads the progress of a goal.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn goal_progress(
        &self,
        caller: &ProjectReaderCaller,
        goal: GoalId,
    ) -> Result<GoalProgress> {
        self.see_goal(caller.principal(), goal).await?;
        let mut tx = self.reader(caller.principal().workspace).await?;
        let row = store::goals::progress::read(&mut tx, goal).await?;
        let row = row.ok_or_else(|| Refusal::not_found("goal"))?;
        let ahead = row.computed.as_ref().map(|computed| &computed.left.ahead);
        let fleet = fleet(&mut tx, row.state, ahead).await?;
        let blockers = blockers(&row, &fleet);
        let path = row.computed.iter().flat_map(|computed| &computed.left.path);
        let mut tasks: Vec<TaskId> = path.map(|step| step.task_id).collect();
        tasks.extend(blockers.iter().map(|blocker| blocker.behind.task_id));
        let names = match tasks.as_slice() {
            [] => Vec::new(),
            some @ [_, ..] => store::goals::progress::names(&mut tx, some).await?,
        };
        Ok(shown(goal, row, &fleet, &blockers, names, tx.now))
    }
}

/// Those that wait for people and budgets as computed, and those that no agent online can do.
fn blockers(row: &ProgressRow, fleet: &[OnlineAgents]) -> Vec<Blocker> {
    let Some(computed) = row.computed.as_ref().filter(|_| is_worked_on(row.state)) else {
        return Vec::new();
    };
    let nobody = eta::nobody_able(&computed.left.ahead, fleet);
    rank(computed.left.blockers.iter().copied().chain(nobody).collect())
}

async fn fleet(tx: &mut Tx, state: GoalState, ahead: Option<&Ahead>) -> Result<Vec<OnlineAgents>> {
    online(tx, ahead.filter(|_| is_worked_on(state)).into_iter()).await
}

/// The agents online that can do some of what is ahead. Reads nothing if nothing is.
async fn online<'a>(
    tx: &mut Tx,
    ahead: impl Iterator<Item = &'a Ahead>,
) -> Result<Vec<OnlineAgents>> {
    let keys: BTreeSet<&str> =
        ahead.flat_map(|ahead| &ahead.sets).map(|set| set.key.as_str()).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    let since = tx.now - settings::LATE_AFTER;
    Ok(store::goals::progress::online(tx, &keys, since).await?)
}

fn is_worked_on(state: GoalState) -> bool {
    match state {
        GoalState::Active | GoalState::Verifying => true,
        GoalState::Planning
        | GoalState::Proposed
        | GoalState::Completed
        | GoalState::Failed
        | GoalState::Cancelled => false,
    }
}

fn shown(
    goal: GoalId,
    row: ProgressRow,
    fleet: &[OnlineAgents],
    blockers: &[Blocker],
    names: Vec<TaskName>,
    now: DateTime<Utc>,
) -> GoalProgress {
    let ProgressRow { state, counts, weighing, weights, spend, computed } = row;
    let names: HashMap<TaskId, TaskName> =
        names.into_iter().map(|name| (name.task_id, name)).collect();
    let as_of = computed.as_ref().map(|computed| computed.at);
    let (attempts, wall_ms, estimates, left) = match computed {
        Some(Computed { at: _, attempts, wall_ms, estimates, left }) => {
            (attempts, wall_ms, estimates, left)
        }
        None => Default::default(),
    };
    let ahead = &left.ahead;
    let known = ahead.path.filter(|_| as_of.is_some());
    let estimated = eta::eta(state, as_of.map(|at| (ahead, at)), fleet, now);
    GoalProgress {
        goal_id: goal,
        state,
        percent: percent(state, weights),
        weight: WeightSums {
            unit: weighing.unit,
            total: weights.total - weights.cancelled,
            done: weights.done,
        },
        tasks: counts,
        as_of,
        critical_path_left_ms: known,
        critical_path: left.path.iter().filter_map(|step| path_task(step, &names)).collect(),
        work_left_ms: known.map(|_| ahead.work),
        agents: eta::able(ahead, fleet),
        eta: estimated.ok(),
        eta_missing: estimated.err(),
        spend: against(spend, &estimates, attempts, wall_ms),
        blockers: blockers.iter().filter_map(|blocker| blocking(blocker, &names)).collect(),
    }
}

fn path_task(step: &PathStep, names: &HashMap<TaskId, TaskName>) -> Option<PathTask> {
    let TaskName { task_id, reference, title, state } = names.get(&step.task_id)?;
    Some(PathTask {
        task_id: *task_id,
        r#ref: reference.clone(),
        title: title.clone(),
        state: *state,
        work_ms: step.work_ms,
        left_ms: step.left_ms,
    })
}

fn blocking(blocker: &Blocker, names: &HashMap<TaskId, TaskName>) -> Option<BlockingTask> {
    let Blocker { behind, reason, approval_id } = blocker;
    let TaskName { task_id, reference, title, state } = names.get(&behind.task_id)?;
    Some(BlockingTask {
        task_id: *task_id,
        r#ref: reference.clone(),
        title: title.clone(),
        state: *state,
        reason: *reason,
        approval_id: *approval_id,
        tasks_behind: behind.tasks,
        work_behind_ms: behind.work_ms,
    })
}

fn against(
    mut spend: Amounts,
    estimates: &BTreeMap<String, Estimated>,
    attempts: i64,
    wall_ms: i64,
) -> Vec<SpendAgainst> {
    for (unit, amount) in [(ATTEMPTS, attempts), (WALL_MS, wall_ms)] {
        if amount > 0 {
            spend.insert(unit.to_owned(), amount);
        }
    }
    let units: BTreeSet<&String> = spend.keys().chain(estimates.keys()).collect();
    let line = |unit: &String| {
        let estimate = estimates.get(unit);
        SpendAgainst {
            unit: unit.clone(),
            spent: spend.get(unit).copied().unwrap_or_default(),
            estimate: estimate.map(|sum| sum.amount),
            tasks_estimated: estimate.map_or(0, |sum| sum.tasks),
        }
    };
    units.into_iter().map(line).collect()
}

/// The short forms of the progress of goals, in their order. Reads the agents online once for all.
pub(super) async fn short(tx: &mut Tx, rows: &[GoalRow]) -> Result<Vec<ShortProgress>> {
    let worked_on = rows.iter().filter(|row| is_worked_on(row.state));
    let ahead = worked_on.filter_map(|row| Some(&row.ahead.as_ref()?.0));
    let fleet = online(tx, ahead).await?;
    let now = tx.now;
    let progress = rows.iter().map(|row| {
        let ahead = row.ahead.as_ref().map(|ahead| &ahead.0).zip(row.computed_at);
        let weights = Weights {
            total: row.weight_total,
            done: row.weight_done,
            cancelled: row.weight_cancelled,
        };
        ShortProgress {
            percent: percent(row.state, weights),
            eta: eta::eta(row.state, ahead, &fleet, now).ok().map(|eta| eta.p50),
        }
    });
    Ok(progress.collect())
}
