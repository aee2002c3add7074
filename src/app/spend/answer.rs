//! Wire types of spend reports.

use serde::{Deserialize, Serialize};

use crate::domain::spend::{Amounts, SpendEntry};

/// A report of spend on an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// Spend since the last report, each entry with its key. At most 500.
    #[serde(default)]
    pub entries: Vec<SpendEntry>,
    /// Totals of this attempt so far, by unit; only the rise over the highest earlier total counts.
    #[serde(default)]
    #[schema(example = json!({"output_tokens": 5200}))]
    pub totals: Amounts,
}

/// Spend of the attempt after a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendAnswer {
    /// Total spend charged to the attempt, by unit.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 5200}))]
    pub attempt_spend: Amounts,
    /// Whether the attempt had already ended; the spend is stored all the same.
    pub late: bool,
}
