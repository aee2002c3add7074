//! Versions: `ETag`, `If-Match`, `If-None-Match`.
//!
//! The entity tag of an object is its version number: version 7 is `"v7"`. An edit sends the tag of the
//! version that its author read in `If-Match`; if the object has changed since, the use case refuses
//! with `precondition_failed`, and no change is lost. A read sends a known tag in `If-None-Match`; the
//! answer is 304 while the object has that version.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::unit::idempotency::Outcome,
    domain::refusal::{Code, Refusal},
    http::{
        describe::{self, Describe, Description},
        problem::{Error, Result},
        reply::{etag, json, mark_replayed, set_header},
    },
};

const ETAG_DOC: (&str, &str) =
    ("ETag", "The version of the object, for `If-Match` and `If-None-Match`: `\"v7\"`.");

/// `If-Match`, required (428 without it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch {
    /// The version that the sender read; `None` for `*`, which skips the check.
    pub version: Option<i64>,
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Err(Refusal::new(
                Code::PreconditionRequired,
                "send the `ETag` of the version that you read in `If-Match`, so that no other change \
                 is lost",
            )
            .into());
        };
        let value = value.to_str().unwrap_or_default().trim();
        if value == "*" {
            return Ok(Self { version: None });
        }
        match version(value) {
            Some(version) => Ok(Self { version: Some(version) }),
            // muster issues no such tag, so it matches no version.
            None => Err(Refusal::new(
                Code::PreconditionFailed,
                "`If-Match` is not an `ETag` of this object; read the object again",
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
            "The `ETag` of the version that you read, for example `\"v7\"`; `*` skips the check.",
        );
        doc.refuses(&[Code::PreconditionRequired, Code::PreconditionFailed]);
    }
}

/// `If-None-Match`, optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfNoneMatch {
    /// The version that the sender knows; `None` without a tag of muster.
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
            "The `ETag` of the version that you know: the answer is 304 while the object has it.",
        );
        doc.empty_response(
            304,
            "The object still has the version in `If-None-Match`.",
            &[ETAG_DOC],
        );
    }
}

fn known(headers: &HeaderMap) -> Option<i64> {
    let value = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?.trim();
    // A compressing proxy weakens the tag; for a read it is the same version.
    version(value.strip_prefix("W/").unwrap_or(value))
}

fn version(tag: &str) -> Option<i64> {
    let digits = tag.strip_prefix("\"v")?.strip_suffix('"')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// 200 with a JSON body and its version as `ETag`; 304 if the sender knows that version.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    version: i64,
    value: T,
    known: Option<i64>,
    replayed: bool,
}

impl<T> Versioned<T> {
    /// `value`, and how to read its version.
    pub fn new<V: Into<i64>>(value: T, version: impl FnOnce(&T) -> V) -> Self {
        Self { version: version(&value).into(), value, known: None, replayed: false }
    }

    /// The same for a request that takes an `Idempotency-Key`.
    pub fn once<V: Into<i64>>(outcome: Outcome<T>, version: impl FnOnce(&T) -> V) -> Self {
        Self { replayed: outcome.replayed, ..Self::new(outcome.value, version) }
    }

    /// 304 if the sender knows this version.
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
        mark_replayed(&mut response, self.replayed);
        response
    }
}

impl<T: ToSchema> Describe for Versioned<T> {
    fn describe(doc: &mut Description<'_>) {
        doc.json_response::<T>(200, "Done.", &[ETAG_DOC]);
    }
}
