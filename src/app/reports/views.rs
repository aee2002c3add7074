//! Wire types of reports.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{
        budget::{BudgetNode, Period},
        ids::{BudgetId, GoalId, LimitId, TaskId},
        report::{
            GroupBy,
            estimate::{Completion, UnitEstimate},
            money::{dollars, whole},
        },
        spend::Amounts,
    },
    store::reports::{SpendGroup, SpendSum},
};

/// A row of a spend report: the usage of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendRow {
    /// Subject of the row: id of an agent, goal, task or project; model as reported by agents;
    /// required capabilities, sorted and joined with commas (empty: none required); or day. `null`:
    /// usage without a project, reported without a model, or of pruned goals and their tasks.
    #[schema(example = "01990f5c-7e2a-7c41-9d3b-2f60f0a1b2c3")]
    pub key: Option<String>,
    /// Name of the agent or project, or title of the goal or task; `null` for other subjects.
    #[schema(example = "Ship the importer")]
    pub name: Option<String>,
    /// Usage by unit, rounded down; without the units measured by the service.
    #[schema(example = json!({"usd_micros": 47608895, "output_tokens": 912000}))]
    pub amounts: Amounts,
    /// Cost in US dollars, exact: a decimal with at least two and at most twelve places.
    #[schema(example = "47.608895")]
    pub usd: String,
    /// Number of attempts with any usage in this row.
    #[schema(example = 12, minimum = 0)]
    pub attempts: i64,
}

/// Total usage of a report, including rows on other pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendTotal {
    /// Usage by unit, rounded down. May exceed the sum of the rows a little, because each row is
    /// rounded down separately.
    #[schema(example = json!({"usd_micros": 102300120, "output_tokens": 2040000}))]
    pub amounts: Amounts,
    /// Cost in US dollars, exact: the sum of all rows.
    #[schema(example = "102.30012")]
    pub usd: String,
    /// Number of attempts with any usage. Less than the sum of the rows if an attempt is in several
    /// of them, for example because it used two models.
    #[schema(example = 31, minimum = 0)]
    pub attempts: i64,
}

/// Forecast for the limits of a budget at the rate of the last 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetForecast {
    /// Id of the forecast budget: `GET /v1/budgets/{budget_id}`.
    pub budget_id: BudgetId,
    /// Kind of the node that the budget limits.
    pub node: BudgetNode,
    /// Id of the node that the budget limits.
    pub node_id: Uuid,
    /// Time of the forecast: `burn_per_hour` is measured over the 24 hours before it.
    pub at: DateTime<Utc>,
    /// One forecast for each limit of the budget.
    pub limits: Vec<LimitForecast>,
}

/// Forecast for a limit at the rate of the last 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LimitForecast {
    /// Id of the limit within its budget.
    pub limit_id: LimitId,
    /// Unit of `limit`, `used` and `burn_per_hour`.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// Period after which the limit renews.
    pub period: Period,
    /// Amount that may be used per period, in `unit`.
    #[schema(example = 5_000_000)]
    pub limit: i64,
    /// Usage of attempts that started in the current period, rounded up. Excludes the reservations
    /// of running attempts: see the budget.
    #[schema(example = 1_200_000)]
    pub used: i64,
    /// When the current period began; 1970 for a lifetime limit.
    pub starts_at: DateTime<Utc>,
    /// When the current period ends and the limit renews; `null`: never.
    pub ends_at: Option<DateTime<Utc>>,
    /// Usage per hour over the last 24 hours, rounded, of everything under the limit, including
    /// attempts started in earlier periods.
    #[schema(example = 90_000)]
    pub burn_per_hour: i64,
    /// When the limit will be exhausted at this rate; equal to `at` if nothing is left now. `null`:
    /// no usage in the last 24 hours, or the limit renews before.
    #[schema(example = "2026-03-03T06:13:20Z")]
    pub exhausted_at: Option<DateTime<Utc>>,
}

/// Estimate of a goal's total usage at its completion, by unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GoalEstimate {
    /// Id of the estimated goal: `GET /v1/goals/{goal_id}`.
    pub goal_id: GoalId,
    /// Number of its tasks that are done, without containers.
    #[schema(example = 12, minimum = 0)]
    pub tasks_done: i64,
    /// Number of its tasks that have not ended, without containers.
    #[schema(example = 8, minimum = 0)]
    pub tasks_open: i64,
    /// One estimate for each unit with actual or expected usage, including `wall_ms` and
    /// `attempts`.
    pub units: Vec<UnitEstimate>,
    /// Open tasks without an estimate of their own that are expected to use what done tasks with similar titles
    /// did, in the order of the plan; the first 50 are looked for, as far as time allows.
    #[serde(default)]
    #[schema(required = true)]
    pub nearest: Vec<NearestEstimate>,
}

/// The done tasks by which an open one is estimated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NearestEstimate {
    /// The open task.
    pub task_id: TaskId,
    /// The done tasks whose titles are most like its own, at most 3.
    pub from: Vec<TaskId>,
    /// The mean of what they used, by unit.
    #[schema(example = json!({"usd_micros": 250_000}))]
    pub mean: Amounts,
}

pub(in crate::app) fn row(group_by: GroupBy, group: SpendGroup) -> SpendRow {
    let SpendGroup { key, name, sums, attempts, place: _ } = group;
    let none = key.is_empty() && group_by.may_be_none();
    SpendRow {
        key: (!none).then_some(key),
        name,
        amounts: whole(&sums),
        usd: dollars(&sums),
        attempts,
    }
}

impl From<SpendSum> for SpendTotal {
    fn from(sum: SpendSum) -> Self {
        let SpendSum { sums, attempts } = sum;
        Self { amounts: whole(&sums), usd: dollars(&sums), attempts }
    }
}

impl GoalEstimate {
    pub(in crate::app) fn new(
        goal_id: GoalId,
        completion: Completion,
        nearest: Vec<NearestEstimate>,
    ) -> Self {
        let Completion { tasks_done, tasks_open, units } = completion;
        Self { goal_id, tasks_done, tasks_open, units, nearest }
    }
}
