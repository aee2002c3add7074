//! Replies: the answers of handlers that succeed.
//!
//! | type | answer |
//! |---|---|
//! | [`Reply`] | 200 with a JSON body |
//! | [`Replayable`] | the same, once per `Idempotency-Key` |
//! | [`Created`] | 201 with a JSON body and its `Location`, once per `Idempotency-Key` |
//! | [`NoContent`] | 204 |
//! | [`redirected::Redirected`] | 303 with cookies |
//! | [`csv::Csv`], [`ndjson::Ndjson`] | 200 with a file |
//! | [`artifact::ArtifactFile`], [`artifact::StoredArtifact`] | 200, 206, 304 with the bytes of an artifact; 201 or 200 after an upload |
//!
//! [`super::extract::conditional::Versioned`] is a [`Reply`] with an `ETag`;
//! [`super::extract::page::Paged`] is a page of a list.

pub mod artifact;
pub mod csv;
pub mod lessons;
pub mod ndjson;
pub mod redirected;
pub mod signed_in;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{Content, Header, RefOr, Schema, response::ResponseBuilder},
};

use super::{
    describe::{self, Describe, Description},
    problem::Error,
};
use crate::app::unit::idempotency::Outcome;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const REPLAYED_DOC: (&str, &str) = (
    "Idempotent-Replayed",
    "`true` if this is the stored answer to an earlier request with the same `Idempotency-Key`; \
     absent otherwise.",
);

/// 200 with a JSON body.
#[derive(Debug, Clone)]
pub struct Reply<T>(pub T);

/// 200 with a JSON body; a header tells whether the answer was stored.
#[derive(Debug, Clone)]
pub struct Replayable<T>(pub Outcome<T>);

/// 201 with a JSON body and its path; a header tells whether the answer was stored.
#[derive(Debug, Clone)]
pub struct Created<T> {
    location: String,
    version: Option<i64>,
    outcome: Outcome<T>,
}

/// 204.
#[derive(Debug, Clone, Copy)]
pub struct NoContent;

impl<T> Created<T> {
    /// The created object, and its path, for example `/v1/goals/...`.
    pub fn new(outcome: Outcome<T>, location: impl FnOnce(&T) -> String) -> Self {
        Self { location: location(&outcome.value), version: None, outcome }
    }

    /// Adds the version of the object as `ETag`.
    #[must_use]
    pub fn version<V: Into<i64>>(self, version: impl FnOnce(&T) -> V) -> Self {
        Self { version: Some(version(&self.outcome.value).into()), ..self }
    }
}

/// A response with a JSON body.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let content_type = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, content_type)], bytes).into_response()
        }
        Err(error) => {
            Error::internal(format!("an answer cannot be written: {error}")).into_response()
        }
    }
}

/// Sets a header to a value from data; leaves it out if the value is not valid in a header.
pub fn set_header(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The entity tag of a version.
#[must_use]
pub fn etag(version: i64) -> String {
    format!("\"v{version}\"")
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

impl<T: ToSchema> Describe for Reply<T> {
    fn describe(doc: &mut Description<'_>) {
        doc.json_response::<T>(200, "Done.", &[]);
    }
}

impl<T: Serialize> IntoResponse for Replayable<T> {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::OK, &self.0.value);
        mark_replayed(&mut response, self.0.replayed);
        response
    }
}

impl<T: ToSchema> Describe for Replayable<T> {
    fn describe(doc: &mut Description<'_>) {
        doc.json_response::<T>(200, "Done.", &[REPLAYED_DOC]);
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::CREATED, &self.outcome.value);
        set_header(&mut response, header::LOCATION, &self.location);
        if let Some(version) = self.version {
            set_header(&mut response, header::ETAG, &etag(version));
        }
        mark_replayed(&mut response, self.outcome.replayed);
        response
    }
}

impl<T: ToSchema> Describe for Created<T> {
    fn describe(doc: &mut Description<'_>) {
        let location = ("Location", "The path of the created object.");
        doc.json_response::<T>(201, "Created.", &[location, REPLAYED_DOC]);
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Describe for NoContent {
    fn describe(doc: &mut Description<'_>) {
        doc.empty_response(204, "Done.", &[]);
    }
}

/// Marks the answer to a repeated request.
pub fn mark_replayed(response: &mut Response, replayed: bool) {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

/// 200 with a file that a browser saves under `name`.
fn attachment(media_type: &'static str, name: &str, body: Body) -> Response {
    let media_type = HeaderValue::from_static(media_type);
    let mut response = ([(header::CONTENT_TYPE, media_type)], body).into_response();
    let disposition = format!("attachment; filename=\"{name}\"");
    set_header(&mut response, header::CONTENT_DISPOSITION, &disposition);
    response
}

fn describe_attachment(
    doc: &mut Description<'_>,
    media_types: &[(&str, RefOr<Schema>)],
    description: &str,
) {
    let mut disposition = Header::new(describe::string());
    disposition.description = Some("`attachment`, with the name of the file.".to_owned());
    let mut response = ResponseBuilder::new().description(description);
    for (media_type, schema) in media_types {
        response = response.content(*media_type, Content::new(Some(schema.clone())));
    }
    doc.response(200, response.header("Content-Disposition", disposition));
}
