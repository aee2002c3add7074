//! Wire types of limits: their use in the current period, and the limit that a task waits for.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BudgetNode, Period};
use crate::domain::ids::LimitId;

/// A limit of a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetLimit {
    /// Id of the limit; kept when its amount changes.
    pub id: LimitId,
    /// Unit of the limit and its amounts.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// Period after which the limit renews.
    pub period: Period,
    /// Most that may be used in one period, in the unit.
    #[schema(example = 5_000_000)]
    pub amount: i64,
    /// Version of the limit, raised when its amount changes.
    pub version: i32,
    /// Whether spend in the unit was ever counted against the limit. `false` although attempts have ended:
    /// nothing was ever reported in its unit, so it limits nothing. Compare its name with the units in
    /// the `spend` of a task.
    pub reported: bool,
    /// Use in the current period; `null` if no attempt started in it yet.
    pub window: Option<BudgetWindow>,
}

/// Use of a limit in one period. Amounts are in the limit's unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetWindow {
    /// Start of the period; 1970 for a lifetime.
    pub starts_at: DateTime<Utc>,
    /// End of the period; `null`: never.
    pub ends_at: Option<DateTime<Utc>>,
    /// Reported spend of attempts that started in the period, rounded up.
    #[schema(example = 1_200_000)]
    pub settled: i64,
    /// Open reservations of running attempts.
    #[schema(example = 500_000)]
    pub reserved: i64,
    /// Amount that can still be reserved.
    #[schema(example = 3_300_000)]
    pub remaining: i64,
    /// What `settled` exceeds the limit by: reported spend is never refused.
    pub overrun: i64,
    /// Highest threshold reported for this version of the limit, in percent.
    pub warned_percent: i16,
}

/// A limit without enough room for a task. Amounts are in the limit's unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetWait {
    /// Id of the limit that is short.
    pub limit_id: LimitId,
    /// Kind of the limited node.
    pub node: BudgetNode,
    /// Id of the limited node: a task, goal, agent, project or the workspace.
    pub node_id: Uuid,
    /// Unit of the limit and of these amounts.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// Period after which the limit renews.
    pub period: Period,
    /// Most that may be used in one period.
    pub limit: i64,
    /// Spend so far in the period.
    pub settled: i64,
    /// Open reservations of running attempts.
    pub reserved: i64,
    /// Least amount that the task needs.
    pub requested: i64,
    /// Amount that can still be reserved: a task that needs no more of this limit would start.
    pub remaining: i64,
}
