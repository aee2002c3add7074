//! The token buckets of a key.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::cap::bucket::{BURST_SECONDS, Bucket, Quota},
    http::problem::{Error, Result, limited::Limited},
};

const REFUSALS: &str = "muster_http_limited_total";

/// What a bucket counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Requests.
    Requests,
    /// Entries of spend.
    SpendEntries,
    /// Bytes of checkpoints.
    CheckpointBytes,
    /// Created tasks.
    Tasks,
    /// Bytes of uploaded artifacts.
    ArtifactBytes,
}

impl Counted {
    const ALL: [Self; 5] = [
        Self::Requests,
        Self::SpendEntries,
        Self::CheckpointBytes,
        Self::Tasks,
        Self::ArtifactBytes,
    ];

    /// Its name in answers, headers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::SpendEntries => "spend_entries",
            Self::CheckpointBytes => "checkpoint_bytes",
            Self::Tasks => "tasks",
            Self::ArtifactBytes => "artifact_bytes",
        }
    }

    const fn unit(self) -> Option<&'static str> {
        match self {
            Self::Requests => None,
            Self::SpendEntries => Some("spend-entries"),
            Self::CheckpointBytes | Self::ArtifactBytes => Some("content-bytes"),
            Self::Tasks => Some("tasks"),
        }
    }
}

/// The rates of every key.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// Requests per second.
    pub requests: Quota,
    /// Spend entries per second.
    pub spend_entries: Quota,
    /// Bytes of checkpoints per second.
    pub checkpoint_bytes: Quota,
    /// Created tasks per second.
    pub tasks: Quota,
    /// Bytes of uploaded artifacts per second.
    pub artifact_bytes: Quota,
}

impl Default for Quotas {
    /// More than `muster bench` uses on a machine with two cores.
    fn default() -> Self {
        Self {
            requests: Quota::per_second(1000),
            spend_entries: Quota::per_second(5000),
            checkpoint_bytes: Quota::per_second(4 * 1024 * 1024),
            tasks: Quota::per_second(10_000),
            artifact_bytes: Quota::per_second(64 << 20),
        }
    }
}

impl Quotas {
    fn of(&self, counted: Counted) -> Quota {
        match counted {
            Counted::Requests => self.requests,
            Counted::SpendEntries => self.spend_entries,
            Counted::CheckpointBytes => self.checkpoint_bytes,
            Counted::Tasks => self.tasks,
            Counted::ArtifactBytes => self.artifact_bytes,
        }
    }
}

/// What the key of the request may use in this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyLimit {
    /// What is counted: `requests`, `spend_entries`, `checkpoint_bytes`, `tasks` or
    /// `artifact_bytes`.
    #[schema(example = "requests")]
    pub name: String,
    /// The most that is available at once. It comes back in 5 seconds.
    #[schema(example = 5000)]
    pub limit: u64,
    /// What is available now.
    #[schema(example = 4999)]
    pub remaining: u64,
    /// Whole seconds until all of `limit` is available, if nothing more is used.
    #[schema(example = 1)]
    pub resets_in_seconds: u64,
}

/// The buckets of one key.
#[derive(Debug)]
pub struct Buckets(Mutex<[Bucket; Counted::ALL.len()]>);

impl Buckets {
    /// Full buckets.
    #[must_use]
    pub fn full(quotas: &Quotas, now: Duration) -> Self {
        Self(Mutex::new(Counted::ALL.map(|counted| Bucket::full(quotas.of(counted), now))))
    }

    /// Takes `amount`.
    ///
    /// # Errors
    /// `rate_limited` while nothing is available.
    pub fn take(
        &self,
        quotas: &Quotas,
        counted: Counted,
        amount: u64,
        now: Duration,
    ) -> Result<()> {
        let quota = quotas.of(counted);
        let level = {
            let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let bucket = &mut buckets[counted as usize];
            if bucket.take(quota, now, amount) {
                return Ok(());
            }
            bucket.level(quota, now)
        };
        let name = counted.as_str();
        metrics::counter!(REFUSALS, "bucket" => name).increment(1);
        let limited = Limited {
            policy: name,
            quota: quota.burst(),
            unit: counted.unit(),
            window: Some(BURST_SECONDS),
            retry_after: level.passes_in.max(1),
        };
        let detail = format!(
            "this key has used up its {name}; `GET /v1/whoami` shows the limits of the key"
        );
        Err(Error::limited(&detail, limited))
    }

    /// Takes `amount`, or tells how long nothing is available.
    pub fn take_later(
        &self,
        quotas: &Quotas,
        counted: Counted,
        amount: u64,
        now: Duration,
    ) -> Option<Duration> {
        let quota = quotas.of(counted);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = &mut buckets[counted as usize];
        if bucket.take(quota, now, amount) {
            return None;
        }
        Some(Duration::from_secs(bucket.level(quota, now).passes_in.max(1)))
    }

    /// What is available.
    #[must_use]
    pub fn levels(&self, quotas: &Quotas, now: Duration) -> Vec<KeyLimit> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = |counted: Counted| {
            let quota = quotas.of(counted);
            let level = buckets[counted as usize].level(quota, now);
            KeyLimit {
                name: counted.as_str().to_owned(),
                limit: quota.burst(),
                remaining: level.remaining,
                resets_in_seconds: level.full_in,
            }
        };
        Counted::ALL.map(limit).into()
    }

    /// Whether all are full.
    #[must_use]
    pub fn are_full(&self, quotas: &Quotas, now: Duration) -> bool {
        self.levels(quotas, now).iter().all(|limit| limit.resets_in_seconds == 0)
    }
}

/// Registers the descriptions of these metrics, which `/metrics` shows.
pub fn describe_metrics() {
    metrics::describe_counter!(
        REFUSALS,
        "Requests refused because their key had used up what `bucket` counts; \
         `failed_keys`: their address had."
    );
}

/// Counts a refusal for failed keys.
pub fn count_failed_keys() {
    metrics::counter!(REFUSALS, "bucket" => "failed_keys").increment(1);
}
