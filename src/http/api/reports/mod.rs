//! Reports: spend by group, forecasts of limits, estimates of goals.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::{
        caller::ReportCaller,
        reports::{
            BudgetForecast, GoalEstimate, SpendAsk, SpendRow, SpendTotal,
            agents::{AgentPerformance, AgentPlace, AgentsAsk, ReportPeriod},
            bottlenecks::BottleneckReport,
        },
        routing::report::{RoutingAsk, RoutingReport},
    },
    domain::{
        ids::{AgentId, BudgetId, GoalId, ProjectId, TaskId},
        report::{GroupBy, Place},
        span::Span,
    },
    http::{
        extract::{
            auth::Auth,
            page::{Linked, Listing, Page},
            path::ApiPath,
            query::ApiQuery,
        },
        problem::Result,
        reply::{
            Reply,
            csv::{Csv, Table},
        },
    },
};

mod focus;

/// The filters and the grouping of a spend report.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SpendQuery {
    /// The meaning of a row. Default: `day`.
    pub group_by: Option<GroupBy>,
    /// Only entries reported at this instant or later.
    #[param(example = "2026-03-01T00:00:00Z")]
    pub from: Option<DateTime<Utc>>,
    /// Only entries reported before this instant.
    #[param(example = "2026-04-01T00:00:00Z")]
    pub to: Option<DateTime<Utc>>,
    /// The time zone of the days of `group_by=day`: an IANA name.
    #[param(example = "Europe/Vienna", default = "UTC")]
    pub time_zone: Option<String>,
    /// Only spend for goals of this project.
    pub project_id: Option<ProjectId>,
    /// Only spend for this goal.
    pub goal_id: Option<GoalId>,
    /// Only spend of this agent.
    pub agent_id: Option<AgentId>,
    /// Only spend for this task.
    pub task_id: Option<TaskId>,
    /// Only spend reported with exactly this model name.
    #[param(example = "claude-sonnet-4-5")]
    pub model: Option<String>,
}

impl SpendQuery {
    fn ask(self) -> SpendAsk {
        let Self { group_by, from, to, time_zone, project_id, goal_id, agent_id, task_id, model } =
            self;
        SpendAsk {
            group_by: group_by.unwrap_or(GroupBy::Day),
            time_zone,
            span: Span { from, to },
            project: project_id,
            goal: goal_id,
            agent: agent_id,
            task: task_id,
            model,
        }
    }
}

/// A page of a spend report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupedSpend {
    /// The meaning of a row, as requested.
    pub group_by: GroupBy,
    /// The rows of this page: highest cost first, days in their order.
    pub items: Vec<SpendRow>,
    /// The sum of all rows, on all pages.
    pub total: SpendTotal,
    /// Send this as `cursor` for the next page; `null` on the last page.
    pub next_cursor: Option<String>,
}

/// Report spend.
///
/// Sums of the reported entries by agent, model, goal, task, project, required capabilities or day.
/// Entries count at the instant they were stored, while budgets count them at the start of their
/// attempt. Sums are exact: `usd` has every digit. Corrections count at the instant they were made,
/// so a row may be negative.
///
/// While work goes on, rows change between two pages and may move from one page to another: set
/// `to` to a past instant, or use the CSV report, which is made at one moment.
#[utoipa::path(get, path = "/v1/reports/spend")]
pub async fn get_spend_report(
    Auth { app, caller }: Auth<ReportCaller>,
    list: Listing<SpendQuery, Place>,
) -> Result<Linked<GroupedSpend>> {
    let ask = list.filter.clone().ask();
    let (rows, total) = app.spend_report(&caller, &ask, list.after.as_ref(), list.rows()).await?;
    let page = list.page(rows, |(_, place)| place.clone())?;
    Ok(page.map(|Page { items, next_cursor }| {
        let items = items.into_iter().map(|(row, _)| row).collect();
        GroupedSpend { group_by: ask.group_by, items, total, next_cursor }
    }))
}

/// Report spend as CSV.
///
/// All rows of `GET /v1/reports/spend`: `key`, `name`, `usd`, `attempts`, and a column
/// `amount_<unit>` for each unit. At most 10,000 rows; a larger report is refused. A text that a
/// spreadsheet would run as a formula has the prefix `'`.
#[utoipa::path(get, path = "/v1/reports/spend.csv")]
pub async fn export_spend_report(
    Auth { app, caller }: Auth<ReportCaller>,
    ApiQuery(query): ApiQuery<SpendQuery>,
) -> Result<Csv> {
    let ask = query.ask();
    let (rows, total) = app.spend_export(&caller, &ask).await?;
    let table = spend_table(rows, &total);
    Ok(Csv { name: format!("spend-by-{}", ask.group_by), table })
}

fn spend_table(rows: Vec<SpendRow>, total: &SpendTotal) -> Table {
    let fixed = ["key", "name", "usd", "attempts"].map(str::to_owned);
    let units: Vec<&String> = total.amounts.keys().collect();
    let header = fixed.into_iter().chain(units.iter().map(|unit| format!("amount_{unit}")));
    let mut table = Table::new(header);
    for row in rows {
        let SpendRow { key, name, amounts, usd, attempts } = row;
        let amount = |unit: &&String| amounts.get(*unit).copied().unwrap_or_default().to_string();
        let fixed = [key.unwrap_or_default(), name.unwrap_or_default(), usd, attempts.to_string()];
        table.row(fixed.into_iter().chain(units.iter().map(amount)));
    }
    table
}

/// The period of an export.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FocusQuery {
    /// The start of the period.
    #[param(required = true, example = "2026-03-01T00:00:00Z")]
    pub from: Option<DateTime<Utc>>,
    /// The end of the period, exclusive: later than `from`, by at most 92 days.
    #[param(required = true, example = "2026-04-01T00:00:00Z")]
    pub to: Option<DateTime<Utc>>,
}

/// Export spend for billing tools.
///
/// CSV with the columns of FOCUS 1, the open specification of the FinOps Foundation: one row per
/// day, project, goal, agent, model and unit. Money is a separate row, and only it has costs, so
/// costs add up; quantities add up by unit. The workspace is the billing account, a project the
/// sub-account, an agent the resource, a model the service. `Tags` has the goal, and the task and
/// capabilities of rows about a single task. Corrections have the `ChargeClass` `Correction` and
/// the day on which they were made.
///
/// At most 50,000 rows; a larger export is refused: request it in parts.
#[utoipa::path(get, path = "/v1/reports/focus.csv")]
pub async fn export_focus(
    Auth { app, caller }: Auth<ReportCaller>,
    ApiQuery(query): ApiQuery<FocusQuery>,
) -> Result<Csv> {
    let FocusQuery { from, to } = query;
    let export = app.day_export(&caller, Span { from, to }).await?;
    Ok(Csv { name: "focus".to_owned(), table: focus::table(export) })
}

/// The budget of a forecast.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ForecastQuery {
    /// The id of the budget to forecast.
    #[param(required = true)]
    pub budget_id: Option<BudgetId>,
}

/// Forecast the exhaustion of a budget.
///
/// Returns for each limit its use, its use per hour over the last 24 hours, and the instant at
/// which nothing would be left at this rate. Planned work is not considered; for a goal, see `GET
/// /v1/goals/{goal_id}/estimate`.
#[utoipa::path(get, path = "/v1/reports/forecast")]
pub async fn forecast_budget(
    Auth { app, caller }: Auth<ReportCaller>,
    ApiQuery(query): ApiQuery<ForecastQuery>,
) -> Result<Reply<BudgetForecast>> {
    Ok(Reply(app.forecast_budget(&caller, query.budget_id).await?))
}

/// Estimate the final spend of a goal.
///
/// Adds the expected spend of its open tasks to its spend so far. The expectation for a task is its own estimate,
/// otherwise the mean of done tasks with similar titles (`nearest`), otherwise the amount that nine of ten tasks with the
/// same capabilities stayed within (known for limited units), otherwise the mean of the done tasks of the goal; the
/// spend of the task so far is subtracted. `basis` shows the share of each source.
#[utoipa::path(get, path = "/v1/goals/{goal_id}/estimate")]
pub async fn estimate_goal(
    Auth { app, caller }: Auth<ReportCaller>,
    ApiPath(goal): ApiPath<GoalId>,
) -> Result<Reply<GoalEstimate>> {
    Ok(Reply(app.estimate_goal(&caller, goal).await?))
}

/// The range and the filters of a report on routing.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RoutingQuery {
    /// Only attempts that began at this instant or later. Default: seven days before `to`.
    #[param(example = "2026-03-01T00:00:00Z")]
    pub from: Option<DateTime<Utc>>,
    /// Only attempts that began before this instant. Default: now.
    #[param(example = "2026-04-01T00:00:00Z")]
    pub to: Option<DateTime<Utc>>,
    /// Only what is believed about this capability.
    #[param(example = "rust")]
    pub capability: Option<String>,
    /// Only what is believed about this agent.
    pub agent_id: Option<AgentId>,
}

/// Report on routing.
///
/// Compares the ended attempts of tasks that were routed with those of the control, the small share that is
/// assigned at random: success, cost and duration with 95 % intervals. Then what is believed of each agent at each
/// capability, and how a new model or version of an agent compares with the one before. Assignments are kept for 30
/// days, so nothing older is compared.
#[utoipa::path(get, path = "/v1/reports/routing")]
pub async fn get_routing_report(
    Auth { app, caller }: Auth<ReportCaller>,
    ApiQuery(query): ApiQuery<RoutingQuery>,
) -> Result<Reply<RoutingReport>> {
    let RoutingQuery { from, to, capability, agent_id } = query;
    let ask = RoutingAsk { span: Span { from, to }, capability, agent: agent_id };
    Ok(Reply(app.routing_report(&caller, &ask).await?))
}

/// The range and the filters of a report on agents.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AgentsQuery {
    /// Only attempts that began at this instant or later. Default: seven days before `to`; at most 92 days before it.
    #[param(example = "2026-03-01T00:00:00Z")]
    pub from: Option<DateTime<Utc>>,
    /// Only attempts that began before this instant. Default: now.
    #[param(example = "2026-04-01T00:00:00Z")]
    pub to: Option<DateTime<Utc>>,
    /// Only attempts of this agent.
    pub agent_id: Option<AgentId>,
    /// Only attempts at tasks that require this capability.
    #[param(example = "rust")]
    pub capability: Option<String>,
}

/// A page of a report on agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentsReport {
    /// The period of the report.
    pub period: ReportPeriod,
    /// The rows of this page, by capability and agent.
    pub items: Vec<AgentPerformance>,
    /// Send this as `cursor` for the next page; `null` on the last page.
    pub next_cursor: Option<String>,
}

/// Report on agents.
///
/// Of each agent at each capability, with each model and version: how its attempts ended, how many were accepted at
/// the first try, rework, failures by class and lost leases, each share with a 95 % interval (Wilson); durations, cost
/// of an accepted task, the trend over the period, and what the router believes of it.
///
/// Attempts count by the time they began. An attempt at a task that requires several capabilities counts at each of
/// them, so rows do not add up. A period with more than 200,000 attempts is shortened to the newest of them.
#[utoipa::path(get, path = "/v1/reports/agents")]
pub async fn get_agents_report(
    Auth { app, caller }: Auth<ReportCaller>,
    list: Listing<AgentsQuery, AgentPlace>,
) -> Result<Linked<AgentsReport>> {
    let AgentsQuery { from, to, agent_id, capability } = list.filter.clone();
    let ask = AgentsAsk { span: Span { from, to }, agent: agent_id, capability };
    let (period, rows) = app.agents_report(&caller, &ask, list.after.as_ref(), list.rows()).await?;
    let page = list.page(rows, |(_, place)| place.clone())?;
    Ok(page.map(|Page { items, next_cursor }| {
        let items = items.into_iter().map(|(row, _)| row).collect();
        AgentsReport { period, items, next_cursor }
    }))
}

/// Report on bottlenecks.
///
/// Where work waits now: sets of capabilities with more ready tasks than agents online can start, people who are
/// waited for, limits that tasks wait for, and goals whose critical path ends after their deadline or nearly does. Then
/// how long all open work takes by list scheduling with the agents online, and with one more agent for each set of
/// capabilities that is short.
#[utoipa::path(get, path = "/v1/reports/bottlenecks")]
pub async fn get_bottlenecks_report(
    Auth { app, caller }: Auth<ReportCaller>,
) -> Result<Reply<BottleneckReport>> {
    Ok(Reply(app.bottlenecks_report(&caller).await?))
}
