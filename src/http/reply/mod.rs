//! What handlers answer with when they do what was asked.
//!
//! | type | says |
//! |---|---|
//! | [`Reply`] | 200 with a JSON body |
//! | [`Replayable`] | the same, of something that happens once per `Idempotency-Key` |
//! | [`Created`] | 201 with a JSON body and its `Location`, replayable |
//! | [`Maybe`] | 200 with a JSON body, or 204 when there is nothing |
//! | [`NoContent`] | 204 |
//!
//! [`super::extract::conditional::Versioned`] is [`Reply`] with an `ETag`, [`super::extract::page::Paged`] is a page.

pub mod csv;
pub mod ndjson;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    describe::{Describe, Description},
    problem::Error,
};
use crate::app::unit::idempotency::Outcome;

/// Set on answers of an earlier request with the same `Idempotency-Key`.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const REPLAYED_DOC: (&str, &str) = (
    "Idempotent-Replayed",
    "`true` when this is the answer to an earlier request with the same `Idempotency-Key`; \
     absent otherwise.",
);

/// 200 with a JSON body.
#[derive(Debug, Clone)]
pub struct Reply<T>(pub T);

/// 200 with a JSON body; says whether it was given before.
#[derive(Debug, Clone)]
pub struct Replayable<T>(pub Outcome<T>);

/// 201 with a JSON body and where to find it.
#[derive(Debug, Clone)]
pub struct Created<T> {
    location: String,
    version: Option<i64>,
    outcome: Outcome<T>,
}

/// 200 with a JSON body, or 204 when there is nothing.
#[derive(Debug, Clone)]
pub struct Maybe<T>(pub Option<T>);

/// 204.
#[derive(Debug, Clone, Copy)]
pub struct NoContent;

impl<T> Created<T> {
    /// What was made is at `location`, a path like `/v1/goals/...`.
    pub fn new(location: impl Into<String>, outcome: Outcome<T>) -> Self {
        Self { location: location.into(), version: None, outcome }
    }

    /// Also says the version as an `ETag`.
    #[must_use]
    pub fn version(self, version: i64) -> Self {
        Self { version: Some(version), ..self }
    }
}

/// A response with a JSON body.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            Error::internal(format!("an answer cannot be written: {error}")).into_response()
        }
    }
}

/// Sets a header whose value comes from data; what is no header value is left out.
pub fn set_header(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
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
            set_header(&mut response, header::ETAG, &super::reply::etag(version));
        }
        mark_replayed(&mut response, self.outcome.replayed);
        response
    }
}

impl<T: ToSchema> Describe for Created<T> {
    fn describe(doc: &mut Description<'_>) {
        let location = ("Location", "The path of what was made.");
        doc.json_response::<T>(201, "Made.", &[location, REPLAYED_DOC]);
    }
}

impl<T: Serialize> IntoResponse for Maybe<T> {
    fn into_response(self) -> Response {
        match self.0 {
            Some(value) => json(StatusCode::OK, &value),
            None => NoContent.into_response(),
        }
    }
}

impl<T: ToSchema> Describe for Maybe<T> {
    fn describe(doc: &mut Description<'_>) {
        doc.json_response::<T>(200, "Done.", &[]);
        doc.empty_response(204, "There is nothing.", &[]);
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

fn mark_replayed(response: &mut Response, replayed: bool) {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

/// The entity tag of a version.
#[must_use]
pub fn etag(version: i64) -> String {
    format!("\"v{version}\"")
}
