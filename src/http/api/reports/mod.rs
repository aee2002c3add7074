//! Reports: who used what, when a limit will be used up, what a goal will cost.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        caller::MonitorCaller,
        reports::{BudgetForecast, GoalEstimate, SpendAsk, SpendRow, SpendTotal},
    },
    domain::{
        ids::{AgentId, BudgetId, GoalId, ProjectId, TaskId},
        report::{GroupBy, Place, Span},
    },
    http::{
        describe::{Describe, Description, handlers},
        extract::{
            auth::Auth,
            page::{Listing, Page, SortKey},
            path::ApiPath,
            query::ApiQuery,
        },
        problem::Result,
        reply::{
            Reply,
            csv::{Csv, Table},
            json, set_header,
        },
        state::HttpState,
    },
};

mod focus;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![
        get_spend_report,
        export_spend_report,
        export_focus,
        forecast_budget[NotFound],
        estimate_goal,
    ]
}

/// Which spend a report is about, and how it is grouped.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SpendQuery {
    /// What its rows stand for. Default: `day`.
    pub group_by: Option<GroupBy>,
    /// Only what was reported at this instant or later.
    #[param(example = "2026-03-01T00:00:00Z")]
    pub from: Option<DateTime<Utc>>,
    /// Only what was reported before this instant.
    #[param(example = "2026-04-01T00:00:00Z")]
    pub to: Option<DateTime<Utc>>,
    /// Where the days of `group_by=day` begin: an IANA name.
    #[param(example = "Europe/Vienna", default = "UTC")]
    pub time_zone: Option<String>,
    /// Only what was used for goals of this project.
    pub project_id: Option<ProjectId>,
    /// Only what was used for this goal.
    pub goal_id: Option<GoalId>,
    /// Only what this agent used.
    pub agent_id: Option<AgentId>,
    /// Only what was used for this task.
    pub task_id: Option<TaskId>,
    /// Only what was reported with this model, spelt as it was reported.
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

impl SortKey for Place {
    const LIST: &'static str = "spend";
}

/// Who used what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupedSpend {
    /// What the rows stand for.
    pub group_by: GroupBy,
    /// The rows: those with the most money first, days from the first to the last.
    pub items: Vec<SpendRow>,
    /// All rows together, those of other pages too.
    pub total: SpendTotal,
    /// Send this as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

struct SpendReply {
    report: GroupedSpend,
    link: Option<String>,
}

impl IntoResponse for SpendReply {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::OK, &self.report);
        if let Some(link) = &self.link {
            set_header(&mut response, header::LINK, link);
        }
        response
    }
}

impl Describe for SpendReply {
    fn describe(doc: &mut Description<'_>) {
        let link = ("Link", "The next page, with `rel=\"next\"`; absent on the last.");
        doc.json_response::<GroupedSpend>(200, "A page of the report, and its total.", &[link]);
    }
}

/// Report who used what.
///
/// Sums of the entries that agents have reported, by agent, model, goal, task, project, required
/// capabilities or day. A report is about when entries were stored; a budget counts by when attempts
/// were started. Sums are exact: `usd` has every digit. Corrections count as of when they were made,
/// so a row may be below zero.
///
/// While work goes on, the money of rows changes between two pages, and a row can move from one to
/// the other: set `to` to an instant that has passed, or take the report as CSV, which is made in
/// one piece.
#[utoipa::path(get, path = "/v1/reports/spend", tag = "reports")]
async fn get_spend_report(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    list: Listing<SpendQuery, Place>,
) -> Result<SpendReply> {
    let ask = list.filter.clone().ask();
    let (rows, total) = app.spend_report(&caller, &ask, list.after.as_ref(), list.rows()).await?;
    let (Page { items, next_cursor }, link) =
        list.page(rows, |(_, place)| place.clone())?.into_parts();
    let items = items.into_iter().map(|(row, _)| row).collect();
    let report = GroupedSpend { group_by: ask.group_by, items, total, next_cursor };
    Ok(SpendReply { report, link })
}

/// Report who used what, as CSV.
///
/// The same as `GET /v1/reports/spend`, all rows in one piece: `key`, `name`, `usd`, `attempts`, and
/// a column `amount_<unit>` for each unit. No more than 10,000 rows: what is more is refused. A text
/// that a spreadsheet would take for a formula has a `'` before it.
#[utoipa::path(get, path = "/v1/reports/spend.csv", tag = "reports")]
async fn export_spend_report(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
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

/// Which time to export.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FocusQuery {
    /// Its beginning.
    #[param(required = true, example = "2026-03-01T00:00:00Z")]
    pub from: Option<DateTime<Utc>>,
    /// Its end: later than the beginning, by no more than 92 days.
    #[param(required = true, example = "2026-04-01T00:00:00Z")]
    pub to: Option<DateTime<Utc>>,
}

/// Export what was used for billing tools.
///
/// CSV with the columns of FOCUS 1, the open specification of the FinOps Foundation: a row for each
/// day, project, goal, agent, model and unit. Money is a row of its own, and only it has costs:
/// costs add up, and quantities do by their unit. The workspace is the billing account, a project
/// the sub-account, an agent the resource, a model the service. `Tags` has the goal, and the task
/// and capabilities where the row is about a single one. Corrections have the `ChargeClass`
/// `Correction` and the day on which they were made.
///
/// No more than 50,000 rows: what is more is refused, and is exported in parts.
#[utoipa::path(get, path = "/v1/reports/focus.csv", tag = "reports")]
async fn export_focus(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    ApiQuery(query): ApiQuery<FocusQuery>,
) -> Result<Csv> {
    let FocusQuery { from, to } = query;
    let export = app.day_export(&caller, Span { from, to }).await?;
    Ok(Csv { name: "focus".to_owned(), table: focus::table(export) })
}

/// Which budget to look at.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ForecastQuery {
    /// The budget.
    #[param(required = true)]
    pub budget_id: Option<BudgetId>,
}

/// Forecast when a budget will be used up.
///
/// For each of its limits: what is used, what was used per hour over the last 24 hours, and when
/// nothing will be left at this rate. It knows nothing of what is planned; for a goal, see
/// `GET /v1/goals/{goal_id}/estimate`.
#[utoipa::path(get, path = "/v1/reports/forecast", tag = "reports")]
async fn forecast_budget(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    ApiQuery(query): ApiQuery<ForecastQuery>,
) -> Result<Reply<BudgetForecast>> {
    Ok(Reply(app.forecast_budget(&caller, query.budget_id).await?))
}

/// Estimate what a goal will have used when it is done.
///
/// What it has used, and what its open tasks are expected to use beyond that: by their own
/// estimates, else by what nine of ten tasks with the same capabilities stayed within (known where
/// something is limited), else by the mean of the goal's done tasks, less what each has used
/// already. `basis` says how much of it rests on what.
#[utoipa::path(get, path = "/v1/goals/{goal_id}/estimate", tag = "reports")]
async fn estimate_goal(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(goal): ApiPath<GoalId>,
) -> Result<Reply<GoalEstimate>> {
    Ok(Reply(app.estimate_goal(&caller, goal).await?))
}
