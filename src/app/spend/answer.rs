//! Reports of spend as the API has them.

use serde::{Deserialize, Serialize};

use crate::domain::spend::{Amounts, SpendEntry};

/// A report of spend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendRequest {
    /// The lease of the attempt, as its claim was answered.
    pub lease: String,
    /// Things used since the last report, each with a key. At most 500.
    #[serde(default)]
    pub entries: Vec<SpendEntry>,
    /// Totals of this attempt so far, by unit; only a rise counts.
    #[serde(default)]
    #[schema(example = json!({"output_tokens": 5200}))]
    pub totals: Amounts,
}

/// What an attempt has used by now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendAnswer {
    /// Everything that is charged to the attempt, by unit.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 5200}))]
    pub attempt_spend: Amounts,
    /// Whether the attempt had ended: the spend is stored all the same.
    pub late: bool,
}
