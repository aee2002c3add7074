//! Refusals, said aloud: RFC 9457 `application/problem+json`.
//!
//! Handlers return [`Error`], which every refusal and every failure of the app turns into with
//! `?`. The status, the title, the page and whether a retry makes sense are all derived from the
//! [`Code`] by exhaustive matches, so a new code does not compile until it has them.
//!
//! What is inside stays inside: a problem of the 5xx kind never carries the cause. The cause is
//! logged under the request's id, and the caller is given that id.
//!
//! An [`Error`] does not know its request. It leaves its [`Problem`] in the response's
//! extensions; [`super::serve::layers`] writes it down together with the request's id, logs it and counts
//! it, in one place for handlers, extractors, fallbacks and panics alike.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app,
    domain::refusal::{Code, FieldError, Refusal},
};

/// The content type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Said instead of the cause of a failure inside.
const INTERNAL_DETAIL: &str = "Something failed inside muster. It is logged under `request_id`.";

/// Said when the service is starting, stopping or has too much to do.
pub const UNAVAILABLE_DETAIL: &str =
    "The service cannot take the request at this moment; try again after `Retry-After` seconds.";

/// What went wrong with a request (RFC 9457). Branch on `code`; show `detail` to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The page that explains this code: `/problems/{code}`, relative to the service.
    #[serde(rename = "type")]
    #[schema(example = "/problems/lease_lost", format = "uri-reference")]
    pub type_: String,
    /// A short text for people, the same for every problem with this code.
    #[schema(example = "The lease was lost")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 409, minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened this time, and what to do.
    #[schema(example = "attempt 2 of this task ended at 12:00:07; stop working on it")]
    pub detail: String,
    /// What kind of problem this is: stable, for programs.
    pub code: Code,
    /// Whether the same request may succeed later without being changed.
    #[schema(example = false)]
    pub retryable: bool,
    /// The id of this request, as in the `X-Request-Id` header and in the service's log.
    #[schema(example = "req_5f0c2a9e4b1d4c7f")]
    pub request_id: String,
    /// The places in the request that must change; absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// Why a handler or an extractor gave no answer. Everything that can fail turns into it with `?`.
#[derive(Debug, Clone)]
pub struct Error {
    refusal: Refusal,
    /// For the log only, and only when something inside failed.
    cause: Option<Arc<str>>,
}

/// What a handler returns.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure inside: the caller learns nothing of `cause`, the log has it.
    pub fn internal(cause: impl Into<Arc<str>>) -> Self {
        Self { refusal: Refusal::new(Code::Internal, INTERNAL_DETAIL), cause: Some(cause.into()) }
    }

    /// The service cannot take the request now; the log has the `cause`.
    pub fn unavailable(detail: &str, cause: impl Into<Arc<str>>) -> Self {
        Self { refusal: Refusal::new(Code::Unavailable, detail), cause: Some(cause.into()) }
    }

    /// The code of the problem.
    #[must_use]
    pub fn code(&self) -> Code {
        self.refusal.code
    }

    /// The refusal, for answers that say it in another way.
    #[must_use]
    pub fn into_refusal(self) -> Refusal {
        self.refusal
    }

    /// What the log is told beside the code.
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
            title: title(code).to_owned(),
            status: status(code).as_u16(),
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
        // A problem holds only strings, numbers and words, so this cannot fail; were it to, an
        // empty body with the right status is still better than a panic.
        let body = serde_json::to_vec(&self.to_problem(request_id)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status(self.refusal.code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        // A refusal depends on the moment and on the key; nobody in between may keep it.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in extra_headers(self.refusal.code) {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, cause: None }
    }
}

impl From<app::Error> for Error {
    fn from(error: app::Error) -> Self {
        let code = error.code();
        match error {
            app::Error::Refused(refusal) => refusal.into(),
            inside if code == Code::Unavailable => {
                Self::unavailable(UNAVAILABLE_DETAIL, chain(&inside))
            }
            inside => Self::internal(chain(&inside)),
        }
    }
}

/// An error and everything that it was caused by, for the log.
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

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.into_response_for("")
    }
}

/// The HTTP status of a code.
#[must_use]
pub const fn status(code: Code) -> StatusCode {
    match code {
        Code::MalformedRequest => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Forbidden
        | Code::NotYourAttempt
        | Code::SeparationOfDuties
        | Code::NotAnApprover
        | Code::LinkRefused => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::AlreadyExists
        | Code::LeaseLost
        | Code::AlreadyCompleted
        | Code::GoalEnded
        | Code::TaskEnded
        | Code::AlreadyDecided
        | Code::AlreadyVoted
        | Code::PayloadChanged
        | Code::BudgetExhausted
        | Code::AgentNotActive
        | Code::Frozen
        | Code::WrongState
        | Code::LastAdminKey
        | Code::IdempotencyInProgress => StatusCode::CONFLICT,
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        Code::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::Invalid
        | Code::PlanInvalid
        | Code::NoTasksFound
        | Code::IdempotencyKeyReused
        | Code::EvidenceMissing => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The title of a code: the same for every problem that has it.
#[must_use]
pub const fn title(code: Code) -> &'static str {
    match code {
        Code::MalformedRequest => "The request could not be read",
        Code::Unauthenticated => "No valid key",
        Code::Forbidden => "The key's role may not do this",
        Code::NotYourAttempt => "The attempt belongs to another agent",
        Code::NotFound => "There is no such thing",
        Code::MethodNotAllowed => "The path exists, the method does not",
        Code::AlreadyExists => "The name is taken",
        Code::LeaseLost => "The lease was lost",
        Code::AlreadyCompleted => "The attempt was completed with another result",
        Code::GoalEnded => "The goal has ended",
        Code::TaskEnded => "The task has ended",
        Code::AlreadyDecided => "The approval was decided before",
        Code::SeparationOfDuties => "Somebody else has to decide",
        Code::NotAnApprover => "The policy lets others decide",
        Code::AlreadyVoted => "You have voted otherwise",
        Code::PayloadChanged => "The payload is not the one that you read",
        Code::LinkRefused => "A link is not enough for this",
        Code::BudgetExhausted => "A budget has no room for it",
        Code::AgentNotActive => "The agent may not claim now",
        Code::Frozen => "The work is stopped",
        Code::WrongState => "Something else comes first",
        Code::LastAdminKey => "The last admin key cannot be revoked",
        Code::IdempotencyInProgress => "The same request is being worked on",
        Code::PreconditionFailed => "It was changed since you read it",
        Code::PreconditionRequired => "If-Match is missing",
        Code::BodyTooLarge => "The body is too large",
        Code::UnsupportedMediaType => "The body is not JSON",
        Code::Invalid => "Values of the request are refused",
        Code::PlanInvalid => "The plan has errors",
        Code::NoTasksFound => "No tasks were found in the brief",
        Code::IdempotencyKeyReused => "The Idempotency-Key was used for another request",
        Code::EvidenceMissing => "Evidence is missing",
        Code::RateLimited => "Too many requests",
        Code::Internal => "Something failed inside",
        Code::Unavailable => "The service cannot take the request now",
    }
}

/// The headers that responses with this code carry beside the content type.
#[must_use]
pub const fn extra_headers(code: Code) -> &'static [(header::HeaderName, &'static str)] {
    match code {
        Code::Unauthenticated => const { &[(header::WWW_AUTHENTICATE, "Bearer realm=\"muster\"")] },
        Code::Unavailable | Code::RateLimited | Code::IdempotencyInProgress => {
            const { &[(header::RETRY_AFTER, "1")] }
        }
        Code::MalformedRequest
        | Code::Forbidden
        | Code::NotYourAttempt
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::AlreadyExists
        | Code::LeaseLost
        | Code::AlreadyCompleted
        | Code::GoalEnded
        | Code::TaskEnded
        | Code::AlreadyDecided
        | Code::SeparationOfDuties
        | Code::NotAnApprover
        | Code::AlreadyVoted
        | Code::PayloadChanged
        | Code::LinkRefused
        | Code::BudgetExhausted
        | Code::AgentNotActive
        | Code::Frozen
        | Code::WrongState
        | Code::LastAdminKey
        | Code::PreconditionFailed
        | Code::PreconditionRequired
        | Code::BodyTooLarge
        | Code::UnsupportedMediaType
        | Code::Invalid
        | Code::PlanInvalid
        | Code::NoTasksFound
        | Code::IdempotencyKeyReused
        | Code::EvidenceMissing
        | Code::Internal => &[],
    }
}
