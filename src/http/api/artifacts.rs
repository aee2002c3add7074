//! Artifacts: files that results and evidence refer to.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        artifacts::{upload::Announced, views::Artifact},
        caller::{ArtifactReaderCaller, OperatorCaller, ReaderCaller, UploadCaller},
    },
    domain::{
        artifact::{digest::DigestInPath, range::Wanted},
        ids::{AttemptId, UploadId},
        refusal::{Code, Refusal},
    },
    http::{
        extract::{
            auth::Auth,
            download::Download,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
            query::ApiQuery,
            upload::UploadBody,
        },
        problem::Result,
        reply::{
            NoContent,
            artifact::{Answered, ArtifactFile, StoredArtifact},
        },
    },
};

/// Of what an upload is a part.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// The running attempt during which an agent uploads it.
    #[serde(default)]
    pub attempt_id: Option<AttemptId>,
}

/// Upload an artifact.
///
/// The path has the SHA-256 of the bytes, in hexadecimal digits and lower case. The bytes are hashed while they
/// arrive; other bytes are refused with `digest_mismatch`, and nothing of them is kept. The same bytes may be sent
/// again: they are stored once, their retention begins anew, and their media type stays.
///
/// The body has no limit of time, but must arrive with at least 64 KiB per second. Send
/// `Expect: 100-continue`, as curl does, and bytes that are there already need not be sent.
#[utoipa::path(put, path = "/v1/artifacts/{sha256}")]
pub async fn put_artifact(
    Auth { app, caller }: Auth<UploadCaller>,
    ApiPath(DigestInPath(digest)): ApiPath<DigestInPath>,
    ApiQuery(query): ApiQuery<UploadQuery>,
    body: UploadBody,
) -> Result<StoredArtifact> {
    let announced = Announced {
        digest,
        size: body.size,
        media_type: body.media_type.clone(),
        attempt: query.attempt_id,
    };
    let upload = app.begin_upload(&caller, announced).await?;
    Ok(StoredArtifact(body.send(upload).await?))
}

/// Read an artifact.
///
/// The bytes as they were uploaded, with the media type that the uploader said. Do not trust it: the bytes are
/// from an agent. `HEAD` shows the size and the media type.
#[utoipa::path(get, path = "/v1/artifacts/{sha256}")]
pub async fn get_artifact(
    Auth { app, caller }: Auth<ArtifactReaderCaller>,
    ApiPath(DigestInPath(digest)): ApiPath<DigestInPath>,
    download: Download,
) -> Result<ArtifactFile> {
    let found = app.find_artifact(&caller, digest).await?;
    let size = found.artifact.size.unsigned_abs();
    let answered = if download.has(&digest) {
        Answered::Known
    } else if download.head {
        Answered::Head
    } else {
        match download.wanted(&digest, size) {
            Wanted::Whole => Answered::Whole(app.read_artifact(&found, 0, size).await?),
            Wanted::Part { first, last } => {
                let length = last.saturating_sub(first).saturating_add(1);
                let chunks = app.read_artifact(&found, first, length).await?;
                Answered::Part { first, last, chunks }
            }
            Wanted::Nothing => {
                let detail =
                    format!("the artifact has {size} bytes, and the range begins after them");
                return Err(Refusal::new(Code::RangeNotSatisfiable, detail).into());
            }
        }
    };
    Ok(ArtifactFile { artifact: found.artifact, answered })
}

/// List artifacts.
///
/// Newest first.
#[utoipa::path(get, path = "/v1/artifacts")]
pub async fn list_artifacts(
    Auth { app, caller }: Auth<ReaderCaller>,
    list: Listing<NoFilter, UploadId>,
) -> Result<Paged<Artifact>> {
    let rows = app.list_artifacts(&caller, list.after, list.rows()).await?;
    list.page(rows, |artifact| artifact.upload_id)
}

/// Delete an artifact.
///
/// Not while an open goal refers to it. What ended goals say of it stays, but the bytes are gone for good.
#[utoipa::path(delete, path = "/v1/artifacts/{sha256}")]
pub async fn delete_artifact(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(DigestInPath(digest)): ApiPath<DigestInPath>,
) -> Result<NoContent> {
    app.delete_artifact(&caller, digest).await?;
    Ok(NoContent)
}
