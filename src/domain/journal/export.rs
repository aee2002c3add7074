//! An exported journal: one JSON object per line.
//!
//! `{"seal": {...}}` comes before the rows of its segment, `{"row": {...}}` once per row, and
//! `{"head": {...}}` is the last line. A file without that line broke off, and never passes for a
//! whole one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Digest, Head, Row, Seal};
use crate::domain::ids::WorkspaceId;

/// A line of an export.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The seal of the rows that follow.
    Seal(Seal),
    /// A row, as it is stored.
    Row(Box<Row>),
    /// The end of the export: the last line.
    Head(ExportHead),
}

/// How far an export goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportHead {
    /// Id of the exported workspace.
    pub workspace_id: WorkspaceId,
    /// Number of the last row; 0 if there is none.
    #[schema(example = 5120)]
    pub number: i64,
    /// Chain hash up to row `number`: the hash of its seal.
    pub chain_sha256: Digest,
    /// Number of the last pruned row; 0 if none was pruned.
    #[schema(example = 0)]
    pub pruned_to: i64,
    /// When the export was made, by the database's clock.
    pub exported_at: DateTime<Utc>,
}

impl ExportHead {
    /// The head of the chain.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { number: self.number, chain_sha256: self.chain_sha256 }
    }
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}
