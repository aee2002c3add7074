//! An export as lines of JSON, streamed.
//!
//! One batch of rows is in memory at a time; the next is read when the client has received the previous
//! one. If the database fails in between, the connection is closed without the last line, which marks a
//! complete export.

use std::io;

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use futures_util::stream;

use super::{attachment, describe_attachment};
use crate::{
    app::journal::export::AuditExport,
    domain::journal::Line,
    http::describe::{Describe, Description},
};

const NDJSON_TYPE: &str = "application/x-ndjson";

/// 200 with the lines of an export.
#[derive(Debug)]
pub struct Ndjson(pub AuditExport);

impl IntoResponse for Ndjson {
    fn into_response(self) -> Response {
        let Self(export) = self;
        let name = format!("audit-{}.ndjson", export.exported_at().format("%Y%m%dT%H%M%SZ"));
        let chunks = stream::try_unfold(export, next);
        attachment(NDJSON_TYPE, &name, Body::from_stream(chunks))
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
        describe_attachment(doc, NDJSON_TYPE, schema, lines);
    }
}
