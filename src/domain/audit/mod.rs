//! The audit: what an entry is, how it is hashed, and how entries are chained.
//!
//! An entry's hash is SHA-256 of the canonical form ([`super::canonical`]) of the very object that the
//! export has as `entry`: every column that is not null, by its name. Two entries that differ in
//! anything differ in that form, so they differ in their hash; a column that a later version adds is
//! null in old entries and leaves their hashes as they are. The chain binds each hash, and the number
//! of the entry, to everything before it. So whoever keeps one head (a number and a chain hash) can
//! tell later that nothing up to it was touched. [`ChainCheck`] finds what was, and where.
//!
//! What is sealed is protected, what is not sealed yet (for a second or so) is not: somebody who owns
//! the database can write an entry that never was, but cannot take back or change one that is sealed.
//!
//! What is a mutation: whatever changes what somebody reads later. So reports of spend, progress and
//! checkpoints are; the mere renewal of a lease, the note of when an agent was last heard of, a replayed
//! answer, and a request that found everything as it asks for are not. Nor are the books that the
//! service keeps of itself (counters, learned averages, answers that it forgets after a day).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    canonical,
    ids::{AuditEntryId, KeyId, WorkspaceId},
};

mod chain;
mod export;
mod mutation;
#[cfg(test)]
mod tests;

pub use chain::{Break, BreakKind, Breaks, ChainCheck, Link};
pub use export::{ExportHead, Line, SealedEntry};
pub use mutation::{Mutation, state};

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$",
         example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// That of the canonical form of a value.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self(canonical::sha256(value))
    }

    /// What was stored as one; what is no hash any more is zeros, which nothing hashes to.
    #[must_use]
    pub fn stored(bytes: &[u8]) -> Self {
        Self(bytes.try_into().unwrap_or_default())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl std::str::FromStr for Digest {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("must be 64 hexadecimal digits")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// One mutation. Its SHA-256 is that of exactly this object in its canonical form (RFC 8785).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The entry.
    pub entry_id: AuditEntryId,
    /// The transaction of the database that wrote it; entries of one request share it.
    #[schema(example = 48211)]
    pub xid: i64,
    /// What was done: the kind of the event that tells of it, or for what has no event a word of the
    /// same form, such as `attempt.spend_reported`. Later versions add some.
    #[schema(example = "task.running")]
    pub action: String,
    /// What kind of thing it was done to: `task`, `goal`, `key`, ...
    #[schema(example = "task")]
    pub subject: String,
    /// Which one; the workspace where nothing smaller is meant.
    pub subject_id: Uuid,
    /// The key that did it; absent: the service itself, or somebody at its command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_key_id: Option<KeyId>,
    /// The person that the key belonged to then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "alice@example.com")]
    pub actor_person: Option<String>,
    /// For whom it was done, if for somebody else: the owner of the agent, and whoever the goal is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["bob@example.com"]))]
    pub on_behalf_of: Option<Value>,
    /// The request: `X-Request-Id` of its answer, and in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "req_5b1f6c1d5e0a4f0f9be6d5f2a7c3e811")]
    pub request_id: Option<String>,
    /// SHA-256 of the canonical form of the subject before; absent: it did not exist, or what was
    /// written is a record of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub before_sha256: Option<String>,
    /// The same after; absent: it does not exist any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
    pub after_sha256: Option<String>,
    /// A few facts for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<Value>,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl AuditEntry {
    /// Its hash.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        // Nothing in it can fail to be JSON; should it ever, the entry verifies as edited.
        Digest::of(&serde_json::to_value(self).unwrap_or_default())
    }
}

/// An entry that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// What was done.
    pub action: String,
    /// What kind of thing it was done to.
    pub subject: &'static str,
    /// Which one.
    pub subject_id: Uuid,
    /// The key that did it.
    pub actor_key: Option<KeyId>,
    /// The person of that key.
    pub actor_person: Option<String>,
    /// The persons for whom it was done.
    pub on_behalf_of: Vec<String>,
    /// The request.
    pub request_id: Option<String>,
    /// The subject before.
    pub before: Option<Digest>,
    /// The subject after.
    pub after: Option<Digest>,
    /// A few facts; never secrets.
    pub details: Option<Value>,
}

/// The place of an entry in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Its number, from 1.
    pub seq: i64,
    /// The entry.
    pub entry_id: AuditEntryId,
    /// The hash that the entry had when it was sealed.
    pub entry_sha256: Digest,
    /// The chain up to it.
    pub chain_sha256: Digest,
}

/// The end of the chain: keep it somewhere else, and nothing up to it can be changed unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Head {
    /// The number of the last sealed entry; 0: none.
    #[schema(example = 5120)]
    pub seq: i64,
    /// The chain up to it; zeros: nothing is sealed.
    pub chain_sha256: Digest,
}

/// The head of a chain without an entry.
pub const START: Head = Head { seq: 0, chain_sha256: Digest([0; 32]) };

/// The chain hash of entry `seq` with the hash `entry`, after `before`.
#[must_use]
pub fn chained(before: Digest, seq: i64, entry: Digest) -> Digest {
    let hash = Sha256::new()
        .chain_update(before.0)
        .chain_update(seq.to_be_bytes())
        .chain_update(entry.0)
        .finalize();
    Digest(hash.into())
}

/// Seals entries in their order behind a head.
#[must_use]
pub fn seal(mut head: Head, entries: &[AuditEntry]) -> (Vec<Seal>, Head) {
    let mut seals = Vec::with_capacity(entries.len());
    for entry in entries {
        let (seq, entry_sha256) = (head.seq + 1, entry.sha256());
        let chain_sha256 = chained(head.chain_sha256, seq, entry_sha256);
        seals.push(Seal { seq, entry_id: entry.entry_id, entry_sha256, chain_sha256 });
        head = Head { seq, chain_sha256 };
    }
    (seals, head)
}
