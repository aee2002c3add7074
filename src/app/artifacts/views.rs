//! Artifacts as they are sent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        artifact::{digest::ArtifactDigest, expires_at},
        ids::{AttemptId, KeyId, UploadId},
    },
    store::artifacts::ArtifactRow,
};

/// A file that results and evidence refer to by the SHA-256 of its bytes. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Artifact {
    /// Its digest; results and evidence refer to it with exactly this text.
    pub digest: ArtifactDigest,
    /// Number of bytes.
    #[schema(minimum = 0, example = 48_213)]
    pub size: i64,
    /// Media type as its first uploader said, without parameters.
    #[schema(example = "text/plain")]
    pub media_type: String,
    /// Id of its upload, which orders the list.
    pub upload_id: UploadId,
    /// The key that uploaded it first.
    pub created_by: KeyId,
    /// The attempt during which it was uploaded, as its agent said; `null`: none was named.
    pub attempt_id: Option<AttemptId>,
    /// When it was uploaded first.
    pub created_at: DateTime<Utc>,
    /// When the same bytes were last uploaded: retention counts from here.
    pub uploaded_at: DateTime<Utc>,
    /// When it is deleted unless an open goal refers to it then; `null`: never.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Artifact {
    /// The artifact of a row, in a workspace with this retention in days.
    #[must_use]
    pub fn of(row: ArtifactRow, retention: Option<i32>) -> Self {
        let ArtifactRow {
            sha256,
            upload_id,
            size,
            media_type,
            created_by,
            attempt_id,
            created_at,
            uploaded_at,
        } = row;
        let expires_at = expires_at(uploaded_at, retention);
        Self {
            digest: sha256,
            size,
            media_type,
            upload_id,
            created_by,
            attempt_id,
            created_at,
            uploaded_at,
            expires_at,
        }
    }
}
