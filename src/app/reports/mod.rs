//! Reports on spend: usage by subject, forecasts of limits, and estimates of goals.
//!
//! A report reads one snapshot and changes nothing. Reports read much, and the database connections
//! of a process belong to the agents' work, so at most [`AT_ONCE`] run at a time and further
//! requests wait. A result that exceeds one answer is refused, with the filters that narrow it.
//!
//! Reports count entries by the time they were stored, late ones included; budgets count by the
//! start of the attempt. So a month's report and a month's budget may differ by usage across its
//! ends.

pub mod agents;
pub mod bottlenecks;
pub mod views;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    App, Result,
    budgets::{self, views::Budget},
    caller::{Caller as _, ReportCaller},
    error::corrupt,
    goals,
    knowledge::{answers, sight::Sight},
};
use crate::{
    clock::Stopwatch,
    domain::{
        budget::{Window, shown::BudgetLimit},
        check::Checks,
        ids::{AgentId, BudgetId, GoalId, ProjectId, TaskId, WorkspaceId},
        refusal::Refusal,
        report::{
            self, EXPORT_ROWS_MAX, GroupBy, Place, ROWS_MAX,
            estimate::{Standing, TaskFacts, at_completion, mean_of},
            forecast::{Course, HOURS, LOOK_BACK},
        },
        span::{FROM_TO, Span},
        spend::{ATTEMPTS, Amounts, WALL_MS},
        states::TaskState,
    },
    store::{
        self,
        budgets::read::BudgetFilter,
        reports::{SpendGroup, SpendScope, SpendSum, forecasts::TaskSpend},
    },
};

pub use crate::store::reports::DaySpend;
pub use views::{
    BudgetForecast, GoalEstimate, LimitForecast, NearestEstimate, SpendRow, SpendTotal,
};

/// Maximum number of reports in a process at a time.
pub(super) const AT_ONCE: usize = 2;
/// Most open tasks of a goal for which done tasks like them are looked for.
const NEAREST_FOR: usize = 50;
/// Time after which no further one is looked for.
const NEAREST_WITHIN: Duration = Duration::from_millis(500);

/// Filter and grouping of a spend report.
#[derive(Debug, Clone)]
pub struct SpendAsk {
    /// Subject of the rows.
    pub group_by: GroupBy,
    /// Time zone of the days; `None`: UTC.
    pub time_zone: Option<String>,
    /// Range of storage times of the entries.
    pub span: Span,
    /// Only entries of this project.
    pub project: Option<ProjectId>,
    /// Only entries of this goal.
    pub goal: Option<GoalId>,
    /// Only entries of this agent.
    pub agent: Option<AgentId>,
    /// Only entries of this task.
    pub task: Option<TaskId>,
    /// Only entries of this model.
    pub model: Option<String>,
}

impl SpendAsk {
    fn scope(&self) -> std::result::Result<SpendScope<'_>, Refusal> {
        let Self { group_by, time_zone, span, project, goal, agent, task, model } = self;
        let time_zone = time_zone.as_deref().unwrap_or("UTC");
        let mut checks = Checks::new();
        span.check(&mut checks, FROM_TO);
        report::check_time_zone(&mut checks, "?time_zone", time_zone);
        checks.finish()?;
        Ok(SpendScope {
            group_by: *group_by,
            time_zone,
            span: *span,
            project: *project,
            goal: *goal,
            agent: *agent,
            task: *task,
            model: model.as_deref(),
        })
    }
}

/// The complete usage of a time range, for billing tools.
#[derive(Debug, Clone)]
pub struct DayExport {
    /// The exported workspace.
    pub workspace: WorkspaceId,
    /// Begin of the range, inclusive.
    pub from: DateTime<Utc>,
    /// End of the range, exclusive.
    pub to: DateTime<Utc>,
    /// Usage by day, goal, agent, model and unit.
    pub days: Vec<DaySpend>,
}

impl App {
    async fn spend_of(
        &self,
        caller: &ReportCaller,
        scope: &SpendScope<'_>,
        after: Option<&Place>,
        rows: usize,
    ) -> Result<(Vec<SpendGroup>, SpendSum)> {
        let mut tx = self.moment(caller.principal().workspace).await?;
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let found = store::reports::spend(&mut tx, scope, after, rows).await?;
        tx.rollback().await?;
        Ok(found)
    }

    /// Up to `rows` rows of a report after `after`, each with its place, and the total of all rows.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn spend_report(
        &self,
        caller: &ReportCaller,
        ask: &SpendAsk,
        after: Option<&Place>,
        rows: u32,
    ) -> Result<(Vec<(SpendRow, Place)>, SpendTotal)> {
        let scope = ask.scope()?;
        let (groups, sum) = self.spend_of(caller, &scope, after, rows as usize).await?;
        let rows = groups.into_iter().map(|group| {
            let place = group.place.clone();
            (views::row(ask.group_by, group), place)
        });
        Ok((rows.collect(), sum.into()))
    }

    /// All rows of a report, and their total.
    ///
    /// # Errors
    /// `invalid`, also if there are too many rows.
    pub async fn spend_export(
        &self,
        caller: &ReportCaller,
        ask: &SpendAsk,
    ) -> Result<(Vec<SpendRow>, SpendTotal)> {
        let scope = ask.scope()?;
        let (groups, sum) = self.spend_of(caller, &scope, None, ROWS_MAX + 1).await?;
        if groups.len() > ROWS_MAX {
            let filters = "a later `from`, an earlier `to`, `project_id`, `goal_id`, `agent_id`, \
                           `task_id` or `model`";
            return Err(too_many(ROWS_MAX, filters).into());
        }
        let rows = groups.into_iter().map(|group| views::row(ask.group_by, group));
        Ok((rows.collect(), sum.into()))
    }

    /// The complete usage of a time range.
    ///
    /// # Errors
    /// `invalid`, also if the range is too long or there are too many rows.
    pub async fn day_export(&self, caller: &ReportCaller, span: Span) -> Result<DayExport> {
        let mut checks = Checks::new();
        let whole = report::whole(span, &mut checks);
        checks.finish()?;
        let (from, to) = whole.ok_or_else(|| Refusal::invalid_at("?from", "must be given"))?;
        let mut tx = self.moment(caller.principal().workspace).await?;
        let workspace = caller.principal().workspace;
        let most = i64::try_from(EXPORT_ROWS_MAX).unwrap_or(i64::MAX);
        let days = store::reports::days(&mut tx, from, to, most + 1).await?;
        tx.rollback().await?;
        if days.len() > EXPORT_ROWS_MAX {
            return Err(too_many(EXPORT_ROWS_MAX, "a later `from` or an earlier `to`").into());
        }
        Ok(DayExport { workspace, from, to, days })
    }

    /// Forecasts when the limits of a budget will be exhausted.
    ///
    /// # Errors
    /// `invalid` without a budget; `not_found`.
    pub async fn forecast_budget(
        &self,
        caller: &ReportCaller,
        budget: Option<BudgetId>,
    ) -> Result<BudgetForecast> {
        let budget = budget.ok_or_else(|| Refusal::invalid_at("?budget_id", "must be given"))?;
        let mut tx = self.moment(caller.principal().workspace).await?;
        let now = tx.now;
        let filter = BudgetFilter { budget: Some(budget), ..BudgetFilter::default() };
        let found = store::budgets::read::list(&mut tx, filter, None, 1).await?.pop();
        let budget = budgets::views::view(found.ok_or_else(|| Refusal::not_found("budget"))?);
        let (node, since) = ((budget.node, budget.node_id), now - TimeDelta::hours(HOURS));
        let burned = store::reports::forecasts::burned(&mut tx, node, since, LOOK_BACK).await?;
        tx.rollback().await?;
        forecast(&budget, &burned, now)
    }

    /// Estimates the total usage of a goal at its completion.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn estimate_goal(&self, caller: &ReportCaller, goal: GoalId) -> Result<GoalEstimate> {
        let mut tx = self.moment(caller.principal().workspace).await?;
        let mut spent = goals::views::read(&mut tx, goal).await?.spend;
        let rows = store::reports::forecasts::tasks_of(&mut tx, goal).await?;
        tx.rollback().await?;
        let nearest = self.nearest_of(caller.principal().workspace, goal, &rows).await?;
        for row in &rows {
            measure(&mut spent, row.attempts, row.wall_ms);
        }
        let mean = |task: TaskId| nearest.iter().find(|one| one.task_id == task);
        let mean = |task| mean(task).map(|one| one.mean.clone()).unwrap_or_default();
        let tasks: Vec<TaskFacts> = rows
            .into_iter()
            .map(|row| TaskFacts { nearest: mean(row.task_id), ..facts(row) })
            .collect();
        Ok(GoalEstimate::new(goal, at_completion(&spent, &tasks), nearest))
    }

    /// What done tasks used that are like the open ones without an estimate. Nothing is searched in a workspace without
    /// lessons.
    async fn nearest_of(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        rows: &[TaskSpend],
    ) -> Result<Vec<NearestEstimate>> {
        let mut found = Vec::new();
        let open = rows.iter().filter(|row| !row.container && !row.state.is_terminal());
        let open = open.filter(|row| row.estimate.as_ref().is_none_or(|own| own.0.is_empty()));
        let open: Vec<&TaskSpend> = open.take(NEAREST_FOR).collect();
        if open.is_empty() || self.lesson_offer(workspace).await?.is_none() {
            return Ok(found);
        }
        let watch = Stopwatch::start();
        let mut tx = self.reader(workspace).await?;
        let project = store::goals::project_of(&mut tx, goal).await?.flatten();
        let sight = Sight::of_task(project);
        for row in open {
            if watch.elapsed() >= NEAREST_WITHIN {
                break;
            }
            let (title, except) = (row.title.as_str(), Some(row.task_id));
            let near = answers::nearest(&mut tx, &sight, title, except, answers::WITH_TASK).await?;
            let near = near.iter().filter_map(|one| Some((one.task_id, one.used.as_ref()?)));
            let (from, used): (Vec<TaskId>, Vec<&Amounts>) = near.unzip();
            if !from.is_empty() {
                found.push(NearestEstimate { task_id: row.task_id, from, mean: mean_of(&used) });
            }
        }
        Ok(found)
    }
}

fn too_many(most: usize, filters: &str) -> Refusal {
    let detail = format!("there are more than {most} rows: narrow the report with {filters}");
    Refusal::invalid_at("?from", detail)
}

fn forecast(budget: &Budget, burned: &Amounts, now: DateTime<Utc>) -> Result<BudgetForecast> {
    let limits = budget.limits.iter().map(|limit| fare(budget, limit, burned, now));
    Ok(BudgetForecast {
        budget_id: budget.id,
        node: budget.node,
        node_id: budget.node_id,
        at: now,
        limits: limits.collect::<Result<Vec<LimitForecast>>>()?,
    })
}

fn fare(
    budget: &Budget,
    limit: &BudgetLimit,
    burned: &Amounts,
    now: DateTime<Utc>,
) -> Result<LimitForecast> {
    let BudgetLimit { id, unit, period, amount, version: _, reported: _, window } = limit;
    let zone = budget.time_zone.parse().map_err(corrupt)?;
    let Window { starts_at, ends_at } = period.window(zone, now);
    let course = Course {
        limit: *amount,
        used: window.as_ref().map_or(0, |window| window.settled),
        burned: burned.get(unit).copied().unwrap_or_default(),
        ends_at,
    };
    Ok(LimitForecast {
        limit_id: *id,
        unit: unit.clone(),
        period: *period,
        limit: course.limit,
        used: course.used,
        starts_at,
        ends_at,
        burn_per_hour: course.burn_per_hour(),
        exhausted_at: course.exhausted_at(now),
    })
}

/// Adds the units measured by the service; a unit without usage is left out.
fn measure(amounts: &mut Amounts, attempts: i64, wall_ms: i64) {
    if attempts > 0 {
        for (unit, measured) in [(ATTEMPTS, attempts), (WALL_MS, wall_ms)] {
            let amount = amounts.entry(unit.to_owned()).or_default();
            *amount = amount.saturating_add(measured);
        }
    }
}

fn facts(row: TaskSpend) -> TaskFacts {
    let TaskSpend {
        task_id: _,
        title: _,
        state,
        container,
        estimate,
        usual,
        used,
        attempts,
        wall_ms,
    } = row;
    let standing = match state {
        TaskState::Failed | TaskState::Cancelled => Standing::Silent,
        TaskState::Done => {
            if container {
                Standing::Silent
            } else {
                Standing::Done
            }
        }
        TaskState::Waiting
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Parked
        | TaskState::Reviewing => {
            if container {
                Standing::Silent
            } else {
                Standing::Open
            }
        }
    };
    let mut used = used.0;
    measure(&mut used, attempts, wall_ms);
    TaskFacts {
        standing,
        estimates: estimate.unwrap_or_default().0,
        nearest: Amounts::new(),
        usual: usual.0,
        used,
    }
}
