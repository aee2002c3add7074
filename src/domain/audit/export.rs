//! An exported audit: a line of JSON for each sealed entry, and the head at the end.
//!
//! What is missing at the end of a file that broke off is the line with the head, so half a file never
//! passes for a whole one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AuditEntry, Digest, Head, Link, Seal};
use crate::domain::ids::{AuditEntryId, WorkspaceId};

/// A sealed entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SealedEntry {
    /// Its number in the workspace, from 1 without gaps.
    #[schema(example = 5119)]
    pub seq: i64,
    /// The entry.
    pub entry_id: AuditEntryId,
    /// SHA-256 of the canonical form of `entry` when it was sealed.
    pub entry_sha256: Digest,
    /// SHA-256 of 32 bytes, the `chain_sha256` before it (zeros for the first); `seq` in 8 bytes, the
    /// highest first; and 32 bytes, `entry_sha256`.
    pub chain_sha256: Digest,
    /// The entry as it is now; `null`: it was removed.
    pub entry: Option<AuditEntry>,
}

/// How far an export goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExportHead {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The number of the last entry.
    #[schema(example = 5120)]
    pub seq: i64,
    /// The chain up to it.
    pub chain_sha256: Digest,
    /// When it was exported.
    pub exported_at: DateTime<Utc>,
}

/// A line of an export.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A sealed entry, and the workspace that it says it is of.
    Sealed(Link, Option<Value>),
    /// The head: the last line.
    Head(ExportHead),
}

#[derive(Deserialize)]
struct RawHead {
    head: ExportHead,
}

/// The entry is taken as it is written, so that it is hashed with whatever a later version put in.
#[derive(Deserialize)]
struct RawSealed {
    seq: i64,
    entry_id: AuditEntryId,
    entry_sha256: Digest,
    chain_sha256: Digest,
    entry: Option<Value>,
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if value.get("head").is_some() {
            let raw: RawHead = serde_json::from_value(value).map_err(|error| error.to_string())?;
            return Ok(Self::Head(raw.head));
        }
        let raw: RawSealed = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let RawSealed { seq, entry_id, entry_sha256, chain_sha256, entry } = raw;
        let seal = Seal { seq, entry_id, entry_sha256, chain_sha256 };
        let own = |entry: &Value| entry["entry_id"] == serde_json::json!(entry_id);
        // What stands under another's name is not what was sealed.
        let found = entry.as_ref().map(|entry| match own(entry) {
            true => Digest::of(entry),
            false => Digest::default(),
        });
        let workspace = entry.as_ref().map(|entry| entry["workspace_id"].clone());
        Ok(Self::Sealed(Link { seal, found }, workspace))
    }
}

impl ExportHead {
    /// The head itself.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq, chain_sha256: self.chain_sha256 }
    }
}
