//! Artifacts: files that results and evidence refer to by the SHA-256 of their bytes.
//!
//! The digest is the name: an artifact never changes, and who knows the digest can check the bytes. Rules of its
//! digest, its media type, the ranges of a download and the time of an upload are here; the bytes are not.

pub mod digest;
pub mod media_type;
pub mod range;

use std::time::Duration;

use chrono::{DateTime, Days, Utc};
use serde::{Deserialize, Serialize};

use super::ids::{UploadId, WorkspaceId};
use digest::ArtifactDigest;

/// Most artifacts that one result lists.
pub const RESULT_ARTIFACTS: usize = 100;
/// The largest artifact that a service may be set to take: the largest object of S3 without several parts.
pub const LARGEST: u64 = 5 << 30;
/// What an artifact counts at least against the cap of its workspace: a block of a file system. So their number is
/// bounded, too.
pub const LEAST_COUNTED: i64 = 4096;
/// The least rate of an upload and of a download, in bytes per second.
pub const SLOWEST: u64 = 64 << 10;
/// Time of an upload beside its bytes.
const BESIDE: Duration = Duration::from_secs(600);
/// Time between the end of the longest upload and the sweep of its bytes: clocks of servers differ.
const GRACE: Duration = Duration::from_secs(300);

/// An artifact that a task may read: it belongs to the result of a needed task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ArtifactRef {
    /// Its digest: read it with `GET /v1/artifacts/{sha256}`.
    pub digest: ArtifactDigest,
    /// Number of bytes.
    #[schema(minimum = 0, example = 48_213)]
    pub size: i64,
    /// Media type as its uploader said.
    #[schema(example = "text/plain")]
    pub media_type: String,
}

/// The name of stored bytes. Every upload has another, so no deletion takes away the bytes of another upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoredName {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The digest of the bytes.
    pub digest: ArtifactDigest,
    /// The upload.
    pub upload: UploadId,
}

impl StoredName {
    /// The path of the bytes in a store, fanned out by the first two digits of the digest. It is made of
    /// hexadecimal digits, `-`, `.` and `/` alone.
    #[must_use]
    pub fn path(&self) -> String {
        let hex = self.digest.hex();
        let fan = hex.get(..2).unwrap_or_default();
        format!("{}/{fan}/{hex}.{}", self.workspace, self.upload)
    }
}

/// What an artifact of `size` bytes counts against the cap of its workspace.
#[must_use]
pub fn counted(size: i64) -> i64 {
    size.max(LEAST_COUNTED)
}

/// The longest time of an upload of `bytes`.
#[must_use]
pub fn upload_within(bytes: u64) -> Duration {
    BESIDE + Duration::from_secs(bytes / SLOWEST)
}

/// When the bytes of an upload that began at `now` may be swept, if no artifact has them.
#[must_use]
pub fn sweep_from(now: DateTime<Utc>, bytes: u64) -> DateTime<Utc> {
    now.checked_add_signed(
        chrono::TimeDelta::from_std(upload_within(bytes) + GRACE).unwrap_or_default(),
    )
    .unwrap_or(now)
}

/// When an artifact expires that no open goal refers to; `None`: never.
#[must_use]
pub fn expires_at(uploaded_at: DateTime<Utc>, days: Option<i32>) -> Option<DateTime<Utc>> {
    uploaded_at.checked_add_days(Days::new(days?.unsigned_abs().into()))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_bytes_of_two_uploads_have_two_names() {
        let name = |upload| StoredName {
            workspace: WorkspaceId(Uuid::nil()),
            digest: ArtifactDigest([0xab; 32]),
            upload: UploadId(Uuid::from_u128(upload)),
        };
        assert_ne!(name(1).path(), name(2).path());
        assert!(name(1).path().starts_with("00000000-0000-0000-0000-000000000000/ab/abab"));
    }

    #[test]
    fn bytes_are_swept_after_the_longest_upload() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for bytes in [0, 1, SLOWEST, LARGEST] {
            let left = sweep_from(now, bytes) - now;
            assert!(left.to_std().unwrap() > upload_within(bytes), "{bytes}");
        }
        assert_eq!(sweep_from(DateTime::<Utc>::MAX_UTC, 1), DateTime::<Utc>::MAX_UTC);
    }
}
