//! An export of lessons as lines of JSON, streamed.
//!
//! Some lessons are in memory at a time; the next are read when the client has received these. If the database fails in
//! between, the connection is closed before its end, and the client sees an incomplete answer.

use std::{io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use futures_util::stream;

use super::{attachment, describe_attachment, ndjson::ExportType};
use crate::{
    app::{App, caller::ProjectReaderCaller, knowledge::transfer::LessonLine},
    domain::ids::LessonId,
    http::describe::{self, Describe, Description},
};

/// 200 with the lines of an export.
#[derive(Debug)]
pub struct LessonFile {
    /// The app.
    pub app: Arc<App>,
    /// Who exports.
    pub caller: ProjectReaderCaller,
    /// Its media type.
    pub media_type: ExportType,
}

/// Where an export goes on.
enum Place {
    After(Option<LessonId>),
    End,
}

impl IntoResponse for LessonFile {
    fn into_response(self) -> Response {
        let media_type = self.media_type.name();
        let start = (self, Place::After(None));
        let chunks = stream::try_unfold(start, |(export, place)| next(export, place));
        attachment(media_type, "lessons.ndjson", Body::from_stream(chunks))
    }
}

async fn next(
    export: LessonFile,
    place: Place,
) -> io::Result<Option<(Bytes, (LessonFile, Place))>> {
    let Place::After(after) = place else { return Ok(None) };
    let (lines, last) =
        export.app.export_lessons(&export.caller, after).await.map_err(|error| {
            tracing::warn!(%error, "an export of lessons broke off");
            io::Error::other("the export broke off")
        })?;
    let place = if last.is_some() { Place::After(last) } else { Place::End };
    Ok(Some((bytes(&lines)?, (export, place))))
}

fn bytes(lines: &[LessonLine]) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
    }
    Ok(bytes.into())
}

impl Describe for LessonFile {
    fn describe(doc: &mut Description<'_>) {
        let schema = doc.schema::<LessonLine>();
        let lines = "One lesson per line.";
        let file = describe::binary();
        let [ndjson, octets] = ExportType::NAMES;
        describe_attachment(doc, &[(ndjson, schema), (octets, file.into())], lines);
    }
}
