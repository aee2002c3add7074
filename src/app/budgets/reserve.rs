//! Reservations for claims, made before the attempts start.
//!
//! The transaction of a batch of claims reads the windows above all its tasks and agents without a
//! lock, decides, and writes the reservations on condition that there is still room. So it locks
//! windows only for a moment. If that fails, it runs again and locks the windows first, in the
//! common order. A task is reserved for at every limit above it, in all units, or not at all. A
//! task that no agent can be funded for is parked: it is not offered, names the limit that is
//! short, and leaves its place in the queue to later tasks. It is offered again when that limit has
//! room ([`super::resume`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::windows::{LockMode, LockedWindows, apply, hold_now, unopened};
use crate::{
    app::{Error, Result, Unit},
    domain::{
        budget::{
            BudgetNode, Range,
            ask::{Estimates, Known, ask},
            ledger::{Ledger, Reservation, Shortage, WindowKey},
            lineage::Lineage,
        },
        ids::{AgentId, GoalId, LimitId, TaskId, WorkspaceId},
        task::claim::Funding,
    },
    store::{
        self, Tx,
        attempts::NewAttempt,
        attempts::claim::ReadyTask,
        budgets::{
            charged::{Above, Expected},
            reservations::Row,
            windows::{LiveLimit, WindowRow},
        },
    },
};

/// Expected spend of a task.
#[derive(Debug, Default)]
struct Expectation {
    estimates: Estimates,
    usual: BTreeMap<String, i64>,
    /// Spend of its earlier attempts, rounded up.
    used: BTreeMap<String, i64>,
}

/// Funds for a batch of claims: the windows above its tasks and agents.
#[derive(Debug, Default)]
pub(in crate::app) struct Funds {
    ledger: Ledger,
    by_node: HashMap<(BudgetNode, Uuid), Vec<WindowKey>>,
    /// Reservations for units without an estimate, as budgets set them, by limit.
    policies: HashMap<WindowKey, BTreeMap<String, Range>>,
    above: HashMap<GoalId, Above>,
    expected: HashMap<TaskId, Expectation>,
    granted: HashMap<TaskId, BTreeMap<String, i64>>,
    short: BTreeMap<TaskId, Vec<Shortage>>,
    agent_short: bool,
}

/// Assignments refused by a budget; tasks further back in the queue may still fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::app) enum Refused {
    /// None.
    #[default]
    Nothing,
    /// Only for budgets of agents in this batch.
    Agents,
    /// For budgets that no agent avoids; the tasks are parked.
    Tasks,
}

impl Funds {
    /// Reads or locks the windows above tasks and agents; `None` without limits.
    pub(in crate::app) async fn open(
        unit: &mut Unit,
        ready: &[ReadyTask],
        agents: &[AgentId],
        lock_mode: LockMode,
    ) -> Result<Option<Self>> {
        let workspace = unit.workspace();
        if !store::budgets::windows::any(unit.tx()).await? {
            return Ok(None);
        }
        let goals: BTreeSet<GoalId> = ready.iter().map(|task| task.goal_id).collect();
        let goals: Vec<GoalId> = goals.into_iter().collect();
        let tasks: Vec<TaskId> = ready.iter().map(|task| task.task_id).collect();
        let above = store::budgets::charged::above(unit.tx(), &goals).await?;
        let nodes = store::budgets::charged::nodes(workspace, &tasks, &above, agents);
        let now = unit.now();
        let (limits, mut rows) =
            store::budgets::survey::survey(unit.tx(), &nodes, now, now).await?;
        // Limits from which every goal here has an allocation are not touched.
        let limits: Vec<LiveLimit> =
            limits.into_iter().filter(|limit| is_touched(limit, &above)).collect();
        if limits.is_empty() {
            return Ok(None);
        }
        let open: BTreeSet<LimitId> = rows.iter().map(|row| row.limit_id).collect();
        let all_open = limits.iter().all(|limit| open.contains(&limit.limit_id));
        if !all_open || lock_mode == LockMode::Locked {
            rows = hold_now(unit, &limits).await?;
        }
        let expected = store::budgets::charged::expected(unit.tx(), &tasks).await?;
        Ok(Some(Self::of(above, limits, rows, expected)))
    }

    /// Reads the windows above tasks and agents without a lock, and opens none: a limit without a window in this
    /// period counts with its whole amount, unused. Enough to say what is short, and no more; `None` without limits.
    pub(in crate::app) async fn look(
        tx: &mut Tx,
        tasks: &[(TaskId, GoalId)],
        agents: &[AgentId],
    ) -> Result<Option<Self>> {
        if tasks.is_empty() || !store::budgets::windows::any(tx).await? {
            return Ok(None);
        }
        let goals: BTreeSet<GoalId> = tasks.iter().map(|(_, goal)| *goal).collect();
        let ids: Vec<TaskId> = tasks.iter().map(|(task, _)| *task).collect();
        let above = store::budgets::charged::above(tx, &Vec::from_iter(goals)).await?;
        let nodes = store::budgets::charged::nodes(tx.workspace, &ids, &above, agents);
        let now = tx.now;
        let (mut limits, mut rows) = store::budgets::survey::survey(tx, &nodes, now, now).await?;
        limits.retain(|limit| is_touched(limit, &above));
        if limits.is_empty() {
            return Ok(None);
        }
        let unopened = unopened(tx, &limits, &rows).await?;
        rows.extend(unopened);
        let expected = store::budgets::charged::expected(tx, &ids).await?;
        Ok(Some(Self::of(above, limits, rows, expected)))
    }

    /// Every limit that is short for an attempt at a task. `agent`: `None` leaves the budgets of agents out.
    pub(in crate::app) fn lacks(
        &self,
        workspace: WorkspaceId,
        (task, goal): (TaskId, GoalId),
        agent: Option<AgentId>,
    ) -> Vec<Shortage> {
        let path = self.path(workspace, (task, goal), agent);
        let asks = self.asks(task, &path);
        self.ledger.clone().reserve(&path, &asks).err().unwrap_or_default()
    }

    fn of(
        above: Vec<Above>,
        limits: Vec<LiveLimit>,
        rows: Vec<WindowRow>,
        expected: Vec<Expected>,
    ) -> Self {
        let above = above.into_iter().map(|above| (above.goal_id, above)).collect();
        let mut funds = Self { above, ..Self::default() };
        funds.take_in(limits, rows);
        for row in expected {
            let expectation = Expectation {
                estimates: row.estimate.unwrap_or_default().0,
                usual: row.usual.unwrap_or_default().0,
                used: row.used.unwrap_or_default().0,
            };
            funds.expected.insert(row.task_id, expectation);
        }
        funds
    }

    fn take_in(&mut self, limits: Vec<LiveLimit>, rows: Vec<WindowRow>) {
        let held = LockedWindows::of(limits, rows);
        for (key, _) in held.ledger.windows() {
            let Some(limit) = held.limits.get(&key.limit) else { continue };
            self.by_node.entry((limit.node, limit.node_id)).or_default().push(*key);
            if let Some(says) = &limit.reserve {
                self.policies.insert(*key, says.0.clone());
            }
        }
        self.ledger = held.ledger;
    }

    /// Reserves the expected spend of an attempt at a task from every limit above it. `agent`:
    /// `None` for a person.
    pub(in crate::app) fn fund(
        &mut self,
        unit: &Unit,
        task: &ReadyTask,
        agent: Option<AgentId>,
    ) -> Funding {
        if self.short.contains_key(&task.task_id) {
            return Funding::Short;
        }
        let path = self.path(unit.workspace(), (task.task_id, task.goal_id), agent);
        let asks = self.asks(task.task_id, &path);
        match self.ledger.reserve(&path, &asks) {
            Ok(granted) => {
                self.granted.insert(task.task_id, granted);
                Funding::Granted
            }
            Err(short) if short.iter().all(|short| short.node == BudgetNode::Agent) => {
                self.agent_short = true;
                Funding::AgentShort
            }
            Err(mut short) => {
                short.retain(|short| short.node != BudgetNode::Agent);
                self.short.insert(task.task_id, short);
                Funding::Short
            }
        }
    }

    fn path(
        &self,
        workspace: WorkspaceId,
        (task, goal): (TaskId, GoalId),
        agent: Option<AgentId>,
    ) -> Vec<WindowKey> {
        let above = self.above.get(&goal);
        let project = above.and_then(|above| above.project_id);
        let lineage = Lineage { task, goal, agent, project, workspace };
        let windows = lineage.budget_nodes().filter_map(|node| self.by_node.get(&node)).flatten();
        let set_aside =
            |key: &&WindowKey| above.is_some_and(|above| above.allocated.contains(&key.limit));
        windows.filter(|key| !set_aside(key)).copied().collect()
    }

    fn asks(&self, task: TaskId, path: &[WindowKey]) -> BTreeMap<String, Range> {
        let none = Expectation::default();
        let Expectation { estimates, usual, used } = self.expected.get(&task).unwrap_or(&none);
        // The smallest limit and the least room by unit.
        let mut least: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for window in path.iter().filter_map(|key| self.ledger.window(key)) {
            let (tightest, left) = least.entry(&window.unit).or_insert((window.amount, i64::MAX));
            *tightest = window.amount.min(*tightest);
            if window.enforced() {
                *left = window.room().min(*left);
            }
        }
        let asks = least.into_iter().map(|(name, (tightest, left))| {
            // The path runs from the task upwards: the first policy is the nearest.
            let says = |key| self.policies.get(key).and_then(|says| says.get(name));
            let policy = path.iter().find_map(says).copied();
            let usual = usual.get(name).copied();
            let used = used.get(name).copied().unwrap_or_default();
            let known = Known { estimates, usual, policy, tightest, used, left };
            (name.to_owned(), ask(name, known))
        });
        asks.collect()
    }

    /// Tasks that no agent can be funded for, with every limit that is short.
    pub(in crate::app) fn short(&self) -> &BTreeMap<TaskId, Vec<Shortage>> {
        &self.short
    }

    pub(in crate::app) fn refused(&self) -> Refused {
        match (self.short.is_empty(), self.agent_short) {
            (false, _) => Refused::Tasks,
            (true, true) => Refused::Agents,
            (true, false) => Refused::Nothing,
        }
    }

    /// Writes the reservations of the started attempts.
    ///
    /// # Errors
    /// [`Error::Again`] if an optimistic check lost a race; the caller retries with locks.
    pub(in crate::app) async fn write<'a>(
        self,
        unit: &mut Unit,
        started: impl Iterator<Item = &'a NewAttempt>,
    ) -> Result<()> {
        let Self { ledger, mut granted, .. } = self;
        let mut rows = Vec::new();
        for attempt in started {
            let units = granted.remove(&attempt.task_id).unwrap_or_default();
            rows.extend(units.into_iter().map(|(unit, amount)| Row {
                attempt_id: attempt.attempt_id,
                unit,
                reservation: Reservation { granted: amount, held: amount, authorized: 0 },
                closed_at: None,
            }));
        }
        if !granted.is_empty() {
            return Err(Error::Corrupt("a task was paid for and not started".into()));
        }
        if !rows.is_empty() {
            store::budgets::reservations::begin(unit.tx(), &rows).await?;
        }
        apply(unit, ledger.into_moves()).await.map(drop)
    }
}

/// Whether attempts of one of the goals touch a limit.
fn is_touched(limit: &LiveLimit, above: &[Above]) -> bool {
    let below = |above: &&Above| match limit.node {
        BudgetNode::Task | BudgetNode::Goal | BudgetNode::Agent | BudgetNode::Workspace => true,
        BudgetNode::Project => above.project_id.is_some_and(|id| id.0 == limit.node_id),
    };
    above.iter().filter(below).any(|above| !above.allocated.contains(&limit.limit_id))
}
