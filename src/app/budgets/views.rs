//! Wire types of budgets.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{
        budget::{
            BudgetNode, BudgetSpec, LimitSpec, OnExhausted, Range, UnknownModel, check_limits,
            check_reserve, check_thresholds, shown::BudgetLimit,
        },
        check::Checks,
        ids::{BudgetId, KeyId, WorkspaceId},
        refusal::Refusal,
        settings,
    },
    store::budgets::read::BudgetRow,
};

/// A budget to create.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBudget {
    /// Kind of the limited node; each node has at most one budget.
    pub node: BudgetNode,
    /// Id of the task, goal, agent or project; left out for the workspace.
    #[serde(default)]
    pub node_id: Option<Uuid>,
    /// Limits and settings. `allocated` is only possible in the budget posted with a goal.
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

/// An edit of a budget; fields left out stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetChange {
    /// The complete new list of limits: a limit not listed is removed. Tasks waiting for a raised
    /// or removed limit are offered at once.
    pub limits: Option<Vec<LimitSpec>>,
    /// New effect on tasks that the budget cannot fund.
    pub on_exhausted: Option<OnExhausted>,
    /// Warning thresholds in percent, rising.
    pub warn_percent: Option<Vec<i16>>,
    /// Reservation of a task in units without an estimate and without usual spend, by unit.
    pub reserve: Option<BTreeMap<String, Range>>,
    /// How money is computed for tokens of models without a price.
    pub unknown_model: Option<UnknownModel>,
    /// Reason of the change, for the journal; at most 1,000 characters.
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

/// The limits of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Budget {
    /// Id of the budget; stable for its life.
    pub id: BudgetId,
    /// Kind of the limited node.
    pub node: BudgetNode,
    /// Id of the limited node: a task, goal, agent, project or the workspace.
    pub node_id: Uuid,
    /// Its limits, with their use in the current period.
    pub limits: Vec<BudgetLimit>,
    /// Time zone in which its days, weeks and months begin.
    #[schema(example = "Europe/Vienna")]
    pub time_zone: String,
    /// Effect on tasks that it cannot fund.
    pub on_exhausted: OnExhausted,
    /// Warning thresholds in percent; each is reported once per period and version of a limit.
    #[schema(example = json!([50, 80, 100]))]
    pub warn_percent: Vec<i16>,
    /// Whether the goal reserved its whole limits from the nodes above it when it began.
    pub allocated: bool,
    /// Reservation of a task in units without an estimate and without usual spend, by unit.
    pub reserve: BTreeMap<String, Range>,
    /// How money is computed for tokens of models without a price.
    pub unknown_model: UnknownModel,
    /// Version of the budget, raised by every edit; the `ETag`.
    pub version: i32,
    /// Key that created it; `null` if the service did.
    pub created_by: Option<KeyId>,
    /// When the budget was created.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
    /// When it was archived; `null`: it is not, and lists have it.
    pub archived_at: Option<DateTime<Utc>>,
}

pub(in crate::app) fn view(row: BudgetRow) -> Budget {
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
        archived_at,
    } = row;
    Budget {
        id: budget_id,
        node,
        node_id,
        limits: limits.0,
        time_zone,
        on_exhausted,
        warn_percent,
        allocated,
        reserve: reserve.0,
        unknown_model,
        version,
        created_by,
        created_at,
        updated_at,
        archived_at,
    }
}
