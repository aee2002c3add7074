//! Problems: refusals and failures as RFC 9457 `application/problem+json`.
//!
//! Handlers return [`Error`]; every refusal and every failure of the app becomes one with `?`. What
//! problems with the same code have in common (status, title, whether to retry, header) comes from
//! the table in [`crate::domain::refusal`].
//!
//! A problem with a 5xx status never carries its cause. The log has the cause under the request's id,
//! and the caller gets that id.
//!
//! An [`Error`] does not know its request. It goes into the response's extensions; the outermost layer
//! adds the request's id, logs the error and counts it: in one place for handlers, extractors,
//! fallbacks and panics.

pub mod limited;
pub mod pages;

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use limited::Limited;

use crate::{
    app,
    domain::refusal::{Code, FieldError, Refusal, Retry},
};

/// The content type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// The detail of every `internal` problem, in place of the cause.
const INTERNAL_DETAIL: &str = "an error inside muster; the service's log has it under `request_id`";

/// The detail of `unavailable` problems.
pub const UNAVAILABLE_DETAIL: &str =
    "the service cannot accept the request now; send it again after `Retry-After` seconds";

/// The body of an error response (RFC 9457). Programs branch on `code`; `title` and `detail` are for
/// people, and their texts may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The page of this code, relative to the service: `/problems/{code}`. It says what happened, what
    /// to do and whether to retry.
    #[serde(rename = "type")]
    #[schema(example = "/problems/lease_lost", format = "uri-reference")]
    pub type_: String,
    /// The kind of problem in a few words: the same for every problem with this code.
    #[schema(example = "Lease lost")]
    pub title: String,
    /// The HTTP status of the response: the same for every problem with this code.
    #[schema(example = 409, minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened this time, and what to do.
    #[schema(example = "attempt 2 of this task ended at 12:00:07; stop working on it")]
    pub detail: String,
    /// The kind of problem, for programs. A code never changes its meaning.
    pub code: Code,
    /// Whether the same request may succeed later without being changed.
    #[schema(example = false)]
    pub retryable: bool,
    /// The id of this request, as in the `X-Request-Id` header and in the service's log.
    #[schema(example = "req_5f0c2a9e4b1d4c7f")]
    pub request_id: String,
    /// The places in the request that must change; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// The error of every handler and extractor.
#[derive(Debug, Clone)]
pub struct Error {
    refusal: Refusal,
    /// For the log only; `None` for refusals.
    cause: Option<Arc<str>>,
    /// What was used up, for `rate_limited`.
    limited: Option<Box<Limited>>,
    /// Whether the database had no room to store.
    no_room: bool,
}

/// The result of every handler and extractor.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error inside muster. Only the log gets the `cause`.
    pub fn internal(cause: impl Into<Arc<str>>) -> Self {
        Self {
            refusal: Refusal::new(Code::Internal, INTERNAL_DETAIL),
            cause: Some(cause.into()),
            limited: None,
            no_room: false,
        }
    }

    /// The service cannot accept the request now. Only the log gets the `cause`.
    pub fn unavailable(detail: &str, cause: impl Into<Arc<str>>) -> Self {
        Self {
            refusal: Refusal::new(Code::Unavailable, detail),
            cause: Some(cause.into()),
            limited: None,
            no_room: false,
        }
    }

    /// Too much of something: `rate_limited`.
    #[must_use]
    pub fn limited(detail: &str, limited: Limited) -> Self {
        let refusal = Refusal::new(Code::RateLimited, detail);
        Self { refusal, cause: None, limited: Some(Box::new(limited)), no_room: false }
    }

    /// The code of the problem.
    #[must_use]
    pub fn code(&self) -> Code {
        self.refusal.code
    }

    /// The refusal, for answers of another form: items of a batch, pages.
    #[must_use]
    pub fn into_refusal(self) -> Refusal {
        self.refusal
    }

    /// Whether the caller asked too much.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limited.is_some()
    }

    /// Whether the database had no room to store.
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        self.no_room
    }

    /// The cause of a failure, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The problem as the caller of the request `request_id` sees it.
    #[must_use]
    pub fn to_problem(&self, request_id: &str) -> Problem {
        let code = self.refusal.code;
        Problem {
            type_: format!("/problems/{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            detail: self.refusal.detail.clone(),
            code,
            retryable: code.retryable(),
            request_id: request_id.to_owned(),
            errors: self.refusal.errors.clone(),
        }
    }

    /// The response of the request `request_id`, complete with its body.
    #[must_use]
    pub fn into_response_for(self, request_id: &str) -> Response {
        // Strings and numbers alone: this cannot fail.
        let body = serde_json::to_vec(&self.to_problem(request_id)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status(self.refusal.code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        // A problem depends on the moment and on the key: no proxy may cache it.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(header(self.refusal.code));
        if let Some(limited) = &self.limited {
            limited.write(headers);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, cause: None, limited: None, no_room: false }
    }
}

impl From<app::Error> for Error {
    fn from(error: app::Error) -> Self {
        let code = error.code();
        match error {
            app::Error::Refused(refusal) => refusal.into(),
            inside @ app::Error::NoRoom(lack, _) => Self {
                no_room: true,
                ..Self::unavailable(&format!("{lack}: {UNAVAILABLE_DETAIL}"), chain(&inside))
            },
            inside if code == Code::Unavailable => {
                Self::unavailable(UNAVAILABLE_DETAIL, chain(&inside))
            }
            inside => Self::internal(chain(&inside)),
        }
    }
}

/// An error and the chain of its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Only the status: the outermost layer knows the request, and writes headers and body.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status(self.refusal.code);
        response.extensions_mut().insert(self);
        response
    }
}

/// The HTTP status of a code.
#[must_use]
pub fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The header that every response with this code carries beside the content type.
#[must_use]
pub fn header(code: Code) -> Option<(HeaderName, HeaderValue)> {
    match code.retry() {
        Retry::AfterSeconds(seconds) => Some((header::RETRY_AFTER, seconds.into())),
        // RFC 9110 requires it of every 401.
        Retry::Never | Retry::Later if status(code) == StatusCode::UNAUTHORIZED => {
            Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"muster\"")))
        }
        Retry::Never | Retry::Later => None,
    }
}
