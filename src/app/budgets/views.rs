//! Budgets as they are asked for and shown.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    app::{Result, error::corrupt},
    domain::{
        budget::{
            BudgetNode, BudgetSpec, LimitSpec, OnExhausted, Period, Range, UnknownModel,
            check_limits, check_reserve, check_thresholds,
        },
        check::Checks,
        ids::{BudgetId, KeyId, LimitId, WorkspaceId},
        refusal::Refusal,
        settings,
    },
    store::budgets::read::BudgetRow,
};

/// A budget to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBudget {
    /// What it limits.
    pub node: BudgetNode,
    /// Which task, goal, agent or project; left out for the workspace.
    #[serde(default)]
    pub node_id: Option<Uuid>,
    /// Its limits and settings. `allocated` is given with the goal that it belongs to.
    pub budget: BudgetSpec,
}

impl NewBudget {
    /// Refuses values out of bounds; returns the id of the node.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub(in crate::app) fn check(
        &self,
        workspace: WorkspaceId,
    ) -> std::result::Result<Uuid, Refusal> {
        let mut checks = Checks::new();
        let whole = self.node == BudgetNode::Workspace;
        let id = self.node_id.or(whole.then_some(workspace.0));
        checks.ensure(id.is_some(), "/node_id", format!("must say which {}", self.node));
        self.budget.check(&mut checks, "/budget", self.node);
        checks.ensure(
            !self.budget.allocated,
            "/budget/allocated",
            "is decided when a goal is posted, as `budget.allocated`: afterwards its attempts may \
             have used what is above it",
        );
        checks.finish()?;
        Ok(id.unwrap_or_default())
    }
}

/// An edit of a budget; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetChange {
    /// All its limits from now on: one that is not listed is removed. Tasks that wait for a limit
    /// that is raised or removed go on at once.
    pub limits: Option<Vec<LimitSpec>>,
    /// What becomes of tasks that it cannot fund.
    pub on_exhausted: Option<OnExhausted>,
    /// Thresholds in percent, rising.
    pub warn_percent: Option<Vec<i16>>,
    /// What a task reserves of a unit of which nothing is known.
    pub reserve: Option<BTreeMap<String, Range>>,
    /// What money tokens cost when their model has no price.
    pub unknown_model: Option<UnknownModel>,
    /// Why, for the record.
    #[schema(example = "agreed with finance on Monday", max_length = 1000)]
    pub reason: Option<String>,
}

impl BudgetChange {
    pub(in crate::app) fn check(&self) -> std::result::Result<(), Refusal> {
        let mut checks = Checks::new();
        if let Some(limits) = &self.limits {
            check_limits(&mut checks, "/limits", limits);
        }
        if let Some(percents) = &self.warn_percent {
            check_thresholds(&mut checks, "/warn_percent", percents);
        }
        if let Some(reserve) = &self.reserve {
            check_reserve(&mut checks, "/reserve", reserve);
        }
        if let Some(reason) = &self.reason {
            checks.chars("/reason", reason, settings::TITLE_CHARS * 2);
        }
        checks.finish()
    }
}

/// What is limited about one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Budget {
    /// Its id.
    pub id: BudgetId,
    /// What it limits.
    pub node: BudgetNode,
    /// Which one.
    pub node_id: Uuid,
    /// Its limits, and what each holds at this moment.
    pub limits: Vec<BudgetLimit>,
    /// Where its days, weeks and months begin.
    #[schema(example = "Europe/Vienna")]
    pub time_zone: String,
    /// What becomes of tasks that it cannot fund.
    pub on_exhausted: OnExhausted,
    /// Thresholds in percent; each is told once for every version of a limit and period.
    #[schema(example = json!([50, 80, 100]))]
    pub warn_percent: Vec<i16>,
    /// Whether the goal has set its whole limits aside from the nodes above it.
    pub allocated: bool,
    /// What a task reserves of a unit of which nothing is known.
    pub reserve: BTreeMap<String, Range>,
    /// What money tokens cost when their model has no price.
    pub unknown_model: UnknownModel,
    /// Rises with every edit; the `ETag`.
    pub version: i32,
    /// The key that made it.
    pub created_by: Option<KeyId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

/// A limit of a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetLimit {
    /// Its id.
    pub id: LimitId,
    /// In which unit.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// For how long it counts.
    pub period: Period,
    /// How much.
    #[schema(example = 5_000_000)]
    pub amount: i64,
    /// Rises when the amount changes.
    pub version: i32,
    /// What it holds in the period of this moment; `null`: nothing was started in it yet.
    pub window: Option<BudgetWindow>,
}

/// What a limit holds in one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetWindow {
    /// When the period begins; for a lifetime 1970.
    pub starts_at: DateTime<Utc>,
    /// When it ends; `null`: never.
    pub ends_at: Option<DateTime<Utc>>,
    /// What attempts that were started in it have used, rounded up.
    #[schema(example = 1_200_000)]
    pub settled: i64,
    /// What running attempts have set aside.
    #[schema(example = 500_000)]
    pub reserved: i64,
    /// What can still be set aside.
    #[schema(example = 3_300_000)]
    pub remaining: i64,
    /// What was used without a reservation and without room: reported spend is never refused.
    pub overrun: i64,
    /// The highest threshold that was told for this version of the limit, in percent.
    pub warned_percent: i16,
}

/// A budget as its row says.
///
/// # Errors
/// When what is stored cannot be read.
pub(in crate::app) fn view(row: BudgetRow) -> Result<Budget> {
    let BudgetRow {
        budget_id,
        node,
        node_id,
        time_zone,
        on_exhausted,
        warn_percent,
        allocated,
        reserve,
        unknown_model,
        limits,
        version,
        created_by,
        created_at,
        updated_at,
    } = row;
    Ok(Budget {
        id: budget_id,
        node,
        node_id,
        limits: read(limits)?,
        time_zone,
        on_exhausted,
        warn_percent,
        allocated,
        reserve: read(reserve)?,
        unknown_model,
        version,
        created_by,
        created_at,
        updated_at,
    })
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(corrupt)
}
