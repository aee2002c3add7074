//! Reports as they are shown.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{
        budget::{BudgetNode, Period},
        ids::{BudgetId, GoalId, LimitId},
        report::{
            GroupBy,
            estimate::{Completion, UnitEstimate},
            money::{dollars, whole},
        },
        spend::Amounts,
    },
    store::reports::{SpendGroup, SpendSum},
};

/// A row of a report on spend: what was used by one of the things that it is grouped by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendRow {
    /// What the row stands for: the id of an agent, goal, task or project; the model as agents have
    /// reported it; the required capabilities, sorted and joined with commas (empty: none are
    /// required); or the day. `null`: what belongs to no project, or was reported without a model.
    #[schema(example = "01990f5c-7e2a-7c41-9d3b-2f60f0a1b2c3")]
    pub key: Option<String>,
    /// The name of the agent or project, or the title of the goal or task; `null` for others.
    #[schema(example = "Ship the importer")]
    pub name: Option<String>,
    /// What was used, by unit, rounded down. Units that the service measures itself are left out.
    #[schema(example = json!({"usd_micros": 47608895, "output_tokens": 912000}))]
    pub amounts: Amounts,
    /// The money in US dollars, exactly: a decimal with at least two and at most twelve places.
    #[schema(example = "47.608895")]
    pub usd: String,
    /// How many attempts used something of it.
    #[schema(example = 12, minimum = 0)]
    pub attempts: i64,
}

/// What was used by everything that a report is about, also by rows of other pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendTotal {
    /// What was used, by unit, rounded down. It can be a little more than the sum of the rows, each
    /// of which is rounded down for itself.
    #[schema(example = json!({"usd_micros": 102300120, "output_tokens": 2040000}))]
    pub amounts: Amounts,
    /// The money in US dollars, exactly: the sum of all rows.
    #[schema(example = "102.30012")]
    pub usd: String,
    /// How many attempts used something. Less than the sum of the rows when an attempt is in
    /// several of them, for example because it used two models.
    #[schema(example = 31, minimum = 0)]
    pub attempts: i64,
}

/// How the limits of a budget will fare if everything goes on as in the last 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetForecast {
    /// The budget.
    pub budget_id: BudgetId,
    /// What it limits.
    pub node: BudgetNode,
    /// Which one.
    pub node_id: Uuid,
    /// The instant of the forecast: `burn_per_hour` is measured over the 24 hours before it.
    pub at: DateTime<Utc>,
    /// A line for each limit.
    pub limits: Vec<LimitForecast>,
}

/// How a limit will fare if everything goes on as in the last 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LimitForecast {
    /// The limit.
    pub limit_id: LimitId,
    /// In which unit.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// For how long it counts.
    pub period: Period,
    /// How much may be used.
    #[schema(example = 5_000_000)]
    pub limit: i64,
    /// What attempts that were started in the current period have used, rounded up. What running
    /// attempts have set aside is not in it: see the budget.
    #[schema(example = 1_200_000)]
    pub used: i64,
    /// When the current period began; for a lifetime 1970.
    pub starts_at: DateTime<Utc>,
    /// When it ends, and the limit begins anew; `null`: never.
    pub ends_at: Option<DateTime<Utc>>,
    /// What was used per hour over the last 24 hours, rounded, by everything that the limit is
    /// above, whenever its attempts were started.
    #[schema(example = 90_000)]
    pub burn_per_hour: i64,
    /// When nothing will be left at this rate; `at` when nothing is left now. `null`: nothing was
    /// used in the last 24 hours, or the limit begins anew before that.
    #[schema(example = "2026-03-03T06:13:20Z")]
    pub exhausted_at: Option<DateTime<Utc>>,
}

/// What a goal will have used when it is done, by unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GoalEstimate {
    /// The goal.
    pub goal_id: GoalId,
    /// Its tasks that are done, without containers.
    #[schema(example = 12, minimum = 0)]
    pub tasks_done: i64,
    /// Its tasks that have not ended, without containers.
    #[schema(example = 8, minimum = 0)]
    pub tasks_open: i64,
    /// A line for each unit of which something was used or is expected, `wall_ms` and `attempts` too.
    pub units: Vec<UnitEstimate>,
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
    pub(in crate::app) fn new(goal_id: GoalId, completion: Completion) -> Self {
        let Completion { tasks_done, tasks_open, units } = completion;
        Self { goal_id, tasks_done, tasks_open, units }
    }
}
