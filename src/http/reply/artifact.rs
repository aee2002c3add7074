//! Artifacts as answers: their bytes, and what was uploaded.
//!
//! The bytes are from agents, and what they claim to be is no promise. A browser saves them and does nothing else:
//! `attachment`, no guess of the type, and a policy that lets a page do nothing should it be shown all the same.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa::openapi::{Content, Header, response::ResponseBuilder};

use super::{json, set_header};
use crate::{
    app::artifacts::{store::Chunks, upload::Uploaded, views::Artifact},
    http::describe::{self, Describe, Description},
};

/// The policy of bytes from strangers.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Marks an answer whose bytes must arrive as they are stored.
#[derive(Debug, Clone, Copy)]
pub struct AsStored;

/// What is answered of an artifact.
pub enum Answered {
    /// 304: the sender has it.
    Known,
    /// 200 without its bytes.
    Head,
    /// 200 with its bytes.
    Whole(Chunks),
    /// 206 with the bytes from the first to the last.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
        /// The bytes.
        chunks: Chunks,
    },
}

/// The bytes of an artifact, or a part of them.
pub struct ArtifactFile {
    /// What is known of it.
    pub artifact: Artifact,
    /// What is answered.
    pub answered: Answered,
}

impl IntoResponse for ArtifactFile {
    fn into_response(self) -> Response {
        let Self { artifact, answered } = self;
        let size = artifact.size.unsigned_abs();
        let (status, length, range, body) = match answered {
            Answered::Known => (StatusCode::NOT_MODIFIED, None, None, Body::empty()),
            Answered::Head => (StatusCode::OK, Some(size), None, Body::empty()),
            Answered::Whole(chunks) => {
                (StatusCode::OK, Some(size), None, Body::from_stream(chunks))
            }
            Answered::Part { first, last, chunks } => (
                StatusCode::PARTIAL_CONTENT,
                Some(last.saturating_sub(first).saturating_add(1)),
                Some(format!("bytes {first}-{last}/{size}")),
                Body::from_stream(chunks),
            ),
        };
        let hex = artifact.digest.hex();
        let mut response = (status, body).into_response();
        set_header(&mut response, header::ETAG, &format!("\"{hex}\""));
        // Never changed, but it may be deleted, and keys are revoked: a cache asks each time.
        set_header(&mut response, header::CACHE_CONTROL, "private, no-cache");
        if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            set_header(&mut response, header::CONTENT_TYPE, &artifact.media_type);
            set_header(&mut response, header::ACCEPT_RANGES, "bytes");
            set_header(&mut response, header::CONTENT_SECURITY_POLICY, POLICY);
            let disposition = format!("attachment; filename=\"{hex}\"");
            set_header(&mut response, header::CONTENT_DISPOSITION, &disposition);
        }
        if let Some(range) = range {
            set_header(&mut response, header::CONTENT_RANGE, &range);
        }
        response.extensions_mut().insert(AsStored);
        response
    }
}

impl Describe for ArtifactFile {
    fn describe(doc: &mut Description<'_>) {
        let header = |text: &str| {
            let mut header = Header::new(describe::string());
            header.description = Some(text.to_owned());
            header
        };
        for (status, text) in [
            (200, "The bytes, with the media type of the artifact."),
            (206, "The bytes of the range, with the media type of the artifact."),
        ] {
            let response = ResponseBuilder::new()
                .description(text)
                // Generators of clients know no other type for bytes.
                .content("application/octet-stream", Content::new(Some(describe::binary())))
                .header("ETag", header("The digest: 64 hexadecimal digits in quotes."))
                .header("Content-Disposition", header("`attachment`, named by the digest."));
            doc.response(status, response);
        }
        doc.empty_response(304, "Not modified: the artifact of `If-None-Match`.", &[]);
    }
}

/// 201 with a new artifact, or 200 with the one that has the same bytes.
#[derive(Debug, Clone)]
pub struct StoredArtifact(pub Uploaded);

impl IntoResponse for StoredArtifact {
    fn into_response(self) -> Response {
        let Uploaded { artifact, created } = self.0;
        let status = if created { StatusCode::CREATED } else { StatusCode::OK };
        let hex = artifact.digest.hex();
        let mut response = json(status, &artifact);
        set_header(&mut response, header::LOCATION, &format!("/v1/artifacts/{hex}"));
        set_header(&mut response, header::ETAG, &format!("\"{hex}\""));
        response
    }
}

impl Describe for StoredArtifact {
    fn describe(doc: &mut Description<'_>) {
        let location = ("Location", "The path of the artifact.");
        let tag = ("ETag", "The digest: 64 hexadecimal digits in quotes.");
        doc.json_response::<Artifact>(201, "Stored.", &[location, tag]);
        doc.json_response::<Artifact>(200, "The bytes were there already.", &[location, tag]);
    }
}
