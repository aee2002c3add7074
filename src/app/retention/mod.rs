//! Retention: ended goals and old rows of the journal are deleted when the workspace says so.
//!
//! A goal goes as a whole, in one transaction, with everything that the catalogue of tables
//! ([`crate::store::tables`]) counts to it. Of its spend the daily totals stay, added in the same transaction:
//! sums of reports, budgets and checks are the same before and after. A goal that something alive refers to
//! stays ([`PruningHold`]), judged again under the locks.
//!
//! A transaction deletes goals of up to [`BATCH_TASKS`] tasks, or one larger goal. A killed pruning has deleted
//! whole goals only. With a directory for exports each goal is written and synced before ([`export`]).
//!
//! **Bounds.** The transaction locks no row that a claim needs. It shares the workspace's lock on limits and
//! freezes, as every unit of work does: a change of a limit or a freeze waits for it, and claims wait behind that
//! change. A batch takes a small part of a second. In the duty a statement is given up after
//! [`STATEMENT_WITHIN_MS`] and a transaction after [`TRANSACTION_WITHIN`], so nobody waits for more than five
//! seconds. A goal that is too large for that is passed over with a warning ([`progress`]) and left to `muster
//! prune`, which has only the limits of its connection.

pub mod export;
pub(in crate::app) mod progress;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    App, Error, Result, Stopwatch, access::keys::LocalAdmin, caller::Actor, journal::remove,
    workspace,
};
use crate::{
    domain::{
        ids::{GoalId, WorkspaceId},
        journal::{Kind, NewRow},
        retention::{PruningHold, due_before, due_before_day},
    },
    store::{self, journal::seals, retention::RowCount, tables::Owned},
};
use progress::{START, Standing, first_batch};

/// Most tasks of the goals of one transaction; a goal with more is alone in its own.
const BATCH_TASKS: i64 = 50;
/// Time limit of a statement of a transaction in the duty, in milliseconds. Waiting for locks counts.
const STATEMENT_WITHIN_MS: i64 = 2_000;
/// Time limit of a transaction in the duty.
const TRANSACTION_WITHIN: Duration = Duration::from_secs(3);
/// Time limit of the exports of a transaction in the duty.
const EXPORTS_WITHIN: Duration = Duration::from_secs(10);
/// Goals that are looked at for one transaction.
const CANDIDATES: i64 = 20;
/// Seals of the journal per step beside a running service: at most 10,240 rows.
const SEALS: i64 = 10;

/// Who prunes.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) enum Pruner {
    /// The duty: a run begins no transaction after this time, and the next one goes on from there.
    Duty(Duration),
    /// A command, which goes through all goals.
    Command,
}

/// The versions of the rows of goals that were exported.
type Exported = HashMap<GoalId, Vec<String>>;

/// Rows by table, in the order of deletion.
type Counts = Vec<(&'static str, RowCount)>;

/// What was pruned, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneReport {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Whether nothing was deleted.
    pub dry_run: bool,
    /// Its retention of ended goals in days; `None`: for ever.
    pub goal_retention_days: Option<i32>,
    /// Its retention of the journal in days; `None`: for ever.
    pub journal_retention_days: Option<i32>,
    /// Number of goals.
    pub goals: u64,
    /// Number of these that were exported before.
    pub exported: u64,
    /// Rows by table, in the order of deletion; tables without rows are left out.
    pub tables: Vec<PrunedTable>,
    /// Number of ended goals whose retention is over and that stay, by reason.
    pub held: BTreeMap<PruningHold, i64>,
    /// Number of goals that failed or changed meanwhile; the next run tries them again.
    pub left: u64,
}

/// Rows of a table that were pruned, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedTable {
    /// Name of the table.
    pub table: String,
    /// Number of rows.
    pub rows: i64,
    /// Their size in bytes, without indexes; `None`: not measured.
    pub bytes: Option<i64>,
}

/// Goals that one run pruned.
#[derive(Debug, Default)]
pub(in crate::app) struct PrunedGoals {
    pub goals: u64,
    pub exported: u64,
    /// Goals that failed or changed meanwhile.
    pub left: u64,
    /// Whether the run ended at its time limit.
    pub more: bool,
    /// The first failure; the other goals were tried.
    pub failure: Option<Error>,
    tables: Counts,
}

impl PrunedGoals {
    fn add(&mut self, counts: Counts) {
        if self.tables.is_empty() {
            self.tables = counts;
            return;
        }
        for ((_, sum), (_, count)) in self.tables.iter_mut().zip(counts) {
            sum.rows += count.rows;
            sum.bytes += count.bytes;
        }
    }

    fn tables(&self) -> Vec<PrunedTable> {
        let present = self.tables.iter().filter(|(_, count)| count.rows > 0);
        present.map(|(name, count)| PrunedTable::new(name, *count)).collect()
    }
}

impl PrunedTable {
    fn new(name: &str, count: RowCount) -> Self {
        Self { table: name.to_owned(), rows: count.rows, bytes: Some(count.bytes) }
    }
}

impl App {
    /// Prunes due goals, batch by batch, until none is left or the time is over.
    pub(in crate::app) async fn prune_goals(
        &self,
        workspace: WorkspaceId,
        pruner: Pruner,
    ) -> Result<PrunedGoals> {
        let began = Stopwatch::start();
        let mut pruned = PrunedGoals::default();
        let mut after = match pruner {
            Pruner::Duty(_) => self.pruning.after(workspace),
            Pruner::Command => START,
        };
        loop {
            let mut tx = self.reader(workspace).await?;
            let Some(days) = workspace::read(&mut tx).await?.goal_retention_days else { break };
            let Some(before) = due_before(tx.now, days) else { break };
            let due = store::retention::due(&mut tx, before, after, CANDIDATES).await?;
            drop(tx);
            let batch = first_batch(&due, BATCH_TASKS, |goal| match pruner {
                Pruner::Duty(_) => self.pruning.standing(workspace, goal),
                Pruner::Command => Standing::Fresh,
            });
            let Some(last) = batch.last else {
                if let Pruner::Duty(_) = pruner {
                    self.pruning.end(workspace);
                }
                break;
            };
            if let Pruner::Duty(within) = pruner {
                if began.elapsed() >= within {
                    pruned.more = true;
                    break;
                }
                self.pruning.begin(workspace, &batch);
            }
            after = last;
            pruned.left += batch.passed;
            if batch.goals.is_empty() {
                continue;
            }
            let count = batch.goals.len() as u64;
            match self.prune_batch(workspace, &batch.goals, before, pruner, &mut pruned).await {
                Ok(done) => {
                    pruned.left += count - done;
                    if let Pruner::Duty(_) = pruner {
                        self.pruning.succeed(workspace, &batch);
                    }
                }
                Err(error) => {
                    let goals = &batch.goals;
                    tracing::warn!(%error, ?goals, "goals cannot be pruned; they are tried again");
                    pruned.left += count;
                    pruned.failure.get_or_insert(error);
                }
            }
        }
        Ok(pruned)
    }

    /// Exports the goals, and prunes those that are still due, in one transaction. Returns their number.
    async fn prune_batch(
        &self,
        workspace: WorkspaceId,
        goals: &[GoalId],
        before: DateTime<Utc>,
        pruner: Pruner,
        pruned: &mut PrunedGoals,
    ) -> Result<u64> {
        let exported = in_time(pruner, EXPORTS_WITHIN, self.export_goals(workspace, goals)).await?;
        let deleting = self.delete_batch(workspace, goals, before, pruner, &exported);
        let counts = in_time(pruner, TRANSACTION_WITHIN, deleting).await?;
        let Some((done, counts)) = counts else { return Ok(0) };
        pruned.goals += done;
        pruned.exported += if exported.is_empty() { 0 } else { done };
        pruned.add(counts);
        Ok(done)
    }

    async fn export_goals(&self, workspace: WorkspaceId, goals: &[GoalId]) -> Result<Exported> {
        let mut exported = Exported::new();
        if let Some(files) = &self.goal_files {
            for goal in goals {
                exported.insert(*goal, self.export_goal(workspace, *goal, files).await?);
            }
        }
        Ok(exported)
    }

    /// Deletes those of the goals that are still due and as they were exported. Returns their number and their
    /// rows; `None`: there is none.
    async fn delete_batch(
        &self,
        workspace: WorkspaceId,
        goals: &[GoalId],
        before: DateTime<Utc>,
        pruner: Pruner,
        exported: &Exported,
    ) -> Result<Option<(u64, Counts)>> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        if let Pruner::Duty(_) = pruner {
            store::verify::limit_statements(unit.tx(), STATEMENT_WITHIN_MS).await?;
        }
        let locked = store::retention::lock(unit.tx(), goals, before).await?;
        let mut ended = Vec::with_capacity(locked.len());
        for goal in locked {
            let written = match exported.get(&goal.goal_id) {
                None => true,
                Some(versions) => {
                    let owned = store::retention::owned(unit.tx(), &[goal.goal_id]).await?;
                    store::retention::versions(unit.tx(), &owned).await? == *versions
                }
            };
            if written {
                ended.push(goal);
            }
        }
        if ended.is_empty() {
            self.undo(unit).await?;
            return Ok(None);
        }
        let ids: Vec<GoalId> = ended.iter().map(|goal| goal.goal_id).collect();
        let owned: Owned = store::retention::owned(unit.tx(), &ids).await?;
        store::retention::fold::days(unit.tx(), &owned).await?;
        store::retention::fold::windows(unit.tx(), &owned).await?;
        let counts = store::retention::remove(unit.tx(), &owned).await?;
        for goal in &ended {
            let data = json!({"title": goal.title, "state": goal.state, "tasks": goal.tasks,
                              "ended_at": goal.ended_at, "project_id": goal.project_id,
                              "exported": exported.contains_key(&goal.goal_id)});
            unit.record(NewRow::new(Kind::GoalPruned).goal(goal.goal_id).data(data));
        }
        self.commit(unit).await?;
        Ok(Some((ended.len() as u64, counts)))
    }

    /// Removes due rows of the journal until none is left or the time is over. Returns their number, and
    /// whether there are more.
    pub(in crate::app) async fn prune_old_journal(
        &self,
        workspace: WorkspaceId,
        within: Option<Duration>,
    ) -> Result<(u64, bool)> {
        let began = Stopwatch::start();
        let mut tx = self.reader(workspace).await?;
        let Some(days) = workspace::read(&mut tx).await?.journal_retention_days else {
            return Ok((0, false));
        };
        let Some(before) = due_before_day(tx.now, days) else { return Ok((0, false)) };
        let to = remove::last_before(&mut tx, before).await?;
        drop(tx);
        let mut removed = 0;
        loop {
            let step = self.prune_journal(workspace, to, SEALS).await?;
            removed += step;
            if step == 0 {
                return Ok((removed, false));
            }
            if within.is_some_and(|within| began.elapsed() >= within) {
                return Ok((removed, true));
            }
        }
    }
}

/// Bounds work of the duty. What is given up is rolled back.
async fn in_time<T>(
    pruner: Pruner,
    within: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    match pruner {
        Pruner::Command => work.await,
        Pruner::Duty(_) => tokio::time::timeout(within, work).await.unwrap_or_else(|_| {
            let detail = format!("not pruned within {within:?}; `muster prune` takes its time");
            Err(Error::Unavailable(detail))
        }),
    }
}

impl LocalAdmin<'_> {
    /// Prunes everything that is due in the workspace, as the duties of the supervisor do.
    ///
    /// # Errors
    /// The first failure; what could be pruned was pruned.
    pub async fn prune(&self) -> Result<PruneReport> {
        let (app, workspace) = (self.app(), self.workspace());
        let goals = app.prune_goals(workspace, Pruner::Command).await?;
        let (rows, _) = app.prune_old_journal(workspace, None).await?;
        if let Some(failure) = goals.failure {
            return Err(failure);
        }
        let mut tables = goals.tables();
        if rows > 0 {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            tables.push(PrunedTable { table: "journal".to_owned(), rows, bytes: None });
        }
        let report = self.report().await?;
        let PrunedGoals { goals, exported, left, .. } = goals;
        Ok(PruneReport { goals, exported, left, tables, ..report })
    }

    /// What [`Self::prune`] would delete now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prunable(&self) -> Result<PruneReport> {
        let (app, workspace) = (self.app(), self.workspace());
        let mut report = self.report().await?;
        report.dry_run = true;
        let mut found = PrunedGoals::default();
        let mut tx = app.still(workspace).await?;
        if let Some(before) = report.goal_retention_days.and_then(|days| due_before(tx.now, days)) {
            let mut after = START;
            loop {
                let due = store::retention::due(&mut tx, before, after, CANDIDATES).await?;
                let Some(last) = due.last() else { break };
                after = (last.ended_at, last.goal_id);
                let goals: Vec<GoalId> = due.iter().map(|goal| goal.goal_id).collect();
                let owned = store::retention::owned(&mut tx, &goals).await?;
                found.add(store::retention::measure(&mut tx, &owned).await?);
                found.goals += goals.len() as u64;
            }
        }
        (report.goals, report.tables) = (found.goals, found.tables());
        let days = report.journal_retention_days;
        if let Some(before) = days.and_then(|days| due_before_day(tx.now, days)) {
            let to = remove::last_before(&mut tx, before).await?;
            if let Some(end) = seals::end_at_or_before(&mut tx, to, i64::MAX).await? {
                let count = store::retention::measure_journal(&mut tx, end.number).await?;
                report.tables.push(PrunedTable::new("journal", count));
            }
        }
        tx.rollback().await?;
        Ok(report)
    }

    /// The settings and the held goals; no counts.
    async fn report(&self) -> Result<PruneReport> {
        let mut tx = self.app().reader(self.workspace()).await?;
        let settings = workspace::read(&mut tx).await?;
        let before = settings.goal_retention_days.and_then(|days| due_before(tx.now, days));
        let held = match before {
            Some(before) => store::retention::held(&mut tx, before).await?,
            None => Vec::new(),
        };
        Ok(PruneReport {
            workspace_id: self.workspace(),
            dry_run: false,
            goal_retention_days: settings.goal_retention_days,
            journal_retention_days: settings.journal_retention_days,
            goals: 0,
            exported: 0,
            tables: Vec::new(),
            held: held.into_iter().collect(),
            left: 0,
        })
    }
}
