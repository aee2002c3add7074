//! An export as lines of JSON, sent as it is read.
//!
//! What is read from the database is a batch at a time, and the next is read when the one before was
//! taken, so an export of any length takes the memory of a batch. When the database fails in between,
//! the connection is cut: the last line, which says that the export is whole, never comes.

use std::io;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use utoipa::openapi::{Content, Header, response::ResponseBuilder};

use super::set_header;
use crate::{
    app::journal::export::AuditExport,
    domain::journal::Line,
    http::describe::{self, Describe, Description},
};

const NDJSON_TYPE: &str = "application/x-ndjson";

/// 200 with the lines of an export.
#[derive(Debug)]
pub struct Ndjson(pub AuditExport);

impl IntoResponse for Ndjson {
    fn into_response(self) -> Response {
        let Self(export) = self;
        let name = format!("audit-{}", export.exported_at().format("%Y%m%dT%H%M%SZ"));
        let chunks = stream::try_unfold(export, next);
        let content_type = HeaderValue::from_static(NDJSON_TYPE);
        let body = Body::from_stream(chunks);
        let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
        let disposition = format!("attachment; filename=\"{name}.ndjson\"");
        set_header(&mut response, header::CONTENT_DISPOSITION, &disposition);
        response
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
        let mut disposition = Header::new(describe::string());
        disposition.description = Some("`attachment`, with a name for the file.".to_owned());
        let schema = doc.schema::<Line>();
        let response = ResponseBuilder::new()
            .description("Each line as described; the last is the head.")
            .content(NDJSON_TYPE, Content::new(Some(schema)))
            .header("Content-Disposition", disposition);
        doc.response(200, response);
    }
}
