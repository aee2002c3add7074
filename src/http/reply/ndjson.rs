//! An export as lines of JSON, streamed.
//!
//! One batch of rows is in memory at a time; the next is read when the client has received the previous
//! one. If the database fails in between, the connection is closed without the last line, which marks a
//! complete export.
//!
//! Generated clients know no lines of JSON. With `Accept: application/octet-stream` they get the same bytes as
//! a plain file.

use std::{convert::Infallible, io};

use axum::{
    body::{Body, Bytes},
    extract::FromRequestParts,
    http::{header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::stream;

use super::{attachment, describe_attachment};
use crate::{
    app::journal::export::AuditExport,
    domain::journal::Line,
    http::describe::{self, Describe, Description},
};

const NDJSON_TYPE: &str = "application/x-ndjson";
const FILE_TYPE: &str = "application/octet-stream";

/// The media type of an export: lines of JSON, or a plain file if `Accept` names that.
#[derive(Debug, Clone, Copy)]
pub struct ExportType(&'static str);

impl ExportType {
    /// The media types of an export.
    pub const NAMES: [&'static str; 2] = [NDJSON_TYPE, FILE_TYPE];

    /// The media type.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ExportType {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let accept = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let file = accept.is_some_and(|accept| accept.contains(FILE_TYPE));
        Ok(Self(if file { FILE_TYPE } else { NDJSON_TYPE }))
    }
}

impl Describe for ExportType {
    fn describe(_: &mut Description<'_>) {}
}

/// 200 with the lines of an export.
#[derive(Debug)]
pub struct Ndjson {
    /// The export.
    pub export: AuditExport,
    /// Its media type.
    pub media_type: ExportType,
}

impl IntoResponse for Ndjson {
    fn into_response(self) -> Response {
        let Self { export, media_type } = self;
        let name = format!("audit-{}.ndjson", export.exported_at().format("%Y%m%dT%H%M%SZ"));
        let chunks = stream::try_unfold(export, next);
        attachment(media_type.0, &name, Body::from_stream(chunks))
    }
}

/// The next lines, and the rest of the export; none at the end.
async fn next(mut export: AuditExport) -> io::Result<Option<(Bytes, AuditExport)>> {
    let lines = export.next().await.map_err(|error| {
        tracing::warn!(%error, "an export of the journal broke off");
        io::Error::other("the export broke off")
    })?;
    let mut bytes = Vec::new();
    for line in &lines {
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
    }
    Ok((!lines.is_empty()).then(|| (bytes.into(), export)))
}

impl Describe for Ndjson {
    fn describe(doc: &mut Description<'_>) {
        let schema = doc.schema::<Line>();
        let lines = "Each line as described; the last is the head.";
        let file = describe::binary();
        describe_attachment(doc, &[(NDJSON_TYPE, schema), (FILE_TYPE, file.into())], lines);
    }
}
