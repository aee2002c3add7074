//! Versions of things: `ETag`, `If-Match`, `If-None-Match`.
//!
//! The version number of a thing is its entity tag: version 7 is `"v7"`. Somebody who edits sends
//! back the tag of what was read in `If-Match`; when the thing was changed in between, the use
//! case refuses with `precondition_failed` and nobody's change is lost. Somebody who waits for a
//! change sends it in `If-None-Match` and is answered when the version is another, or with 304.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    domain::refusal::{Code, Refusal},
    http::{
        describe::{self, Describe, Description},
        problem::{Error, Result},
        reply::{etag, json, set_header},
    },
};

const ETAG_DOC: (&str, &str) =
    ("ETag", "The version of this, as `If-Match` and `If-None-Match` take it: `\"v7\"`.");

/// `If-Match`, which the route requires (428 without it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch {
    /// The version that the sender has read; `None` for `*`: whichever there is.
    pub version: Option<i64>,
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Err(Refusal::new(
                Code::PreconditionRequired,
                "send the `ETag` of what you read in `If-Match`, so that no change of somebody \
                 else is lost",
            )
            .into());
        };
        let value = value.to_str().unwrap_or_default().trim();
        if value == "*" {
            return Ok(Self { version: None });
        }
        match version(value) {
            Some(version) => Ok(Self { version: Some(version) }),
            // Whatever this tag is, muster never gave it: it matches nothing.
            None => Err(Refusal::new(
                Code::PreconditionFailed,
                "`If-Match` is not one `ETag` that muster gave for this; read it again",
            )
            .into()),
        }
    }
}

impl Describe for IfMatch {
    fn describe(doc: &mut Description<'_>) {
        doc.header(
            "If-Match",
            true,
            describe::string(),
            "The `ETag` of what you read, for example `\"v7\"`; or `*` to change whatever is \
             there.",
        );
        doc.refuses(&[Code::PreconditionRequired, Code::PreconditionFailed]);
    }
}

/// `If-None-Match`, optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfNoneMatch {
    /// The version that the sender knows already.
    pub version: Option<i64>,
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> std::result::Result<Self, Self::Rejection> {
        Ok(Self { version: known(&parts.headers) })
    }
}

impl Describe for IfNoneMatch {
    fn describe(doc: &mut Description<'_>) {
        doc.header(
            "If-None-Match",
            false,
            describe::string(),
            "The `ETag` of what you know: the answer is 304 while it is still that.",
        );
        doc.empty_response(304, "It is still the version in `If-None-Match`.", &[ETAG_DOC]);
    }
}

fn known(headers: &HeaderMap) -> Option<i64> {
    let value = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?.trim();
    // A proxy that compresses weakens the tag; for reads that is the same version.
    version(value.strip_prefix("W/").unwrap_or(value))
}

fn version(tag: &str) -> Option<i64> {
    let digits = tag.strip_prefix("\"v")?.strip_suffix('"')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// 200 with a JSON body and its version as `ETag`; 304 when the sender knows that version.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    version: i64,
    value: T,
    known: Option<i64>,
}

impl<T> Versioned<T> {
    /// `value` in this version.
    pub fn new(version: i64, value: T) -> Self {
        Self { version, value, known: None }
    }

    /// Says 304 when the sender knows this version.
    #[must_use]
    pub fn unless(self, known: IfNoneMatch) -> Self {
        Self { known: known.version, ..self }
    }
}

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let mut response = if self.known == Some(self.version) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            json(StatusCode::OK, &self.value)
        };
        set_header(&mut response, header::ETAG, &etag(self.version));
        response
    }
}

impl<T: ToSchema> Describe for Versioned<T> {
    fn describe(doc: &mut Description<'_>) {
        doc.json_response::<T>(200, "Done.", &[ETAG_DOC]);
    }
}
