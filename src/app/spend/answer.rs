//! Wire types of spend reports.

use serde::{Deserialize, Serialize};

use crate::domain::spend::{
    Amounts, SpendEntry, UnreadUsage,
    amount::{self, Reported},
    unit::UnitHint,
};

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
    #[schema(schema_with = amount::schema)]
    pub totals: Reported,
}

/// Spend of the attempt after a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendAnswer {
    /// Total spend charged to the attempt, by unit, rounded down.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 5200}))]
    pub attempt_spend: Amounts,
    /// Numbers in the reported usage that no count was made from: they cost nothing here, and may cost
    /// something at the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadUsage>,
    /// Reported units that count as your own, though their names are close to known units: limits of
    /// those do not count them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unit_hints: Vec<UnitHint>,
    /// Whether the attempt had already ended; the spend is stored all the same.
    pub late: bool,
}
