//! Why muster says no.
//!
//! Every refusal, from the JSON reader to the lease fence, is one [`Refusal`]: a [`Code`] that
//! programs branch on, a sentence for people, and for invalid input the places that must change.
//! The code is the whole contract: the HTTP status, the page under `/problems/{code}` and the
//! OpenAPI document are all derived from it, so a refusal cannot be spelt in two ways.
//!
//! The domain knows no HTTP. It says *what* was refused; `http` decides how that is said aloud.

use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// What kind of problem this is: stable, for programs to branch on. Each has a page under
    /// `/problems/{code}`.
    pub enum Code {
        /// The request could not be read: not JSON, or not the JSON this route takes.
        MalformedRequest => "malformed_request",
        /// No key, or one that is unknown, expired or revoked.
        Unauthenticated => "unauthenticated",
        /// The key's role may not do this.
        Forbidden => "forbidden",
        /// The attempt belongs to another agent.
        NotYourAttempt => "not_your_attempt",
        /// There is no such thing in this workspace.
        NotFound => "not_found",
        /// The path exists, the method does not.
        MethodNotAllowed => "method_not_allowed",
        /// The name is taken by another.
        AlreadyExists => "already_exists",
        /// The attempt no longer holds the task: its lease was lost, or it has ended.
        LeaseLost => "lease_lost",
        /// This attempt was already completed with another result.
        AlreadyCompleted => "already_completed",
        /// The goal has ended; nothing can be added to it or changed in it.
        GoalEnded => "goal_ended",
        /// The task has ended; terminal states absorb.
        TaskEnded => "task_ended",
        /// Somebody decided this approval before.
        AlreadyDecided => "already_decided",
        /// Whoever wants something or wrote it does not decide about it.
        SeparationOfDuties => "separation_of_duties",
        /// The approval's policy lets others decide.
        NotAnApprover => "not_an_approver",
        /// This person has voted on the approval before, otherwise.
        AlreadyVoted => "already_voted",
        /// The payload of the approval is not the one that was read.
        PayloadChanged => "payload_changed",
        /// A link is not enough for this: it takes a key.
        LinkRefused => "link_refused",
        /// A budget has no room for what was asked.
        BudgetExhausted => "budget_exhausted",
        /// The agent is paused, draining or retired and may not claim.
        AgentNotActive => "agent_not_active",
        /// An operator has stopped or paused what this is about.
        Frozen => "frozen",
        /// The task is in a state in which this cannot be done: something else comes first.
        WrongState => "wrong_state",
        /// Without this key nobody could make another.
        LastAdminKey => "last_admin_key",
        /// A request with the same `Idempotency-Key` is being worked on at this moment.
        IdempotencyInProgress => "idempotency_in_progress",
        /// The thing was changed since it was read (`If-Match` does not match).
        PreconditionFailed => "precondition_failed",
        /// This request needs an `If-Match` header.
        PreconditionRequired => "precondition_required",
        /// The body is larger than this route takes.
        BodyTooLarge => "body_too_large",
        /// The body is not `application/json`.
        UnsupportedMediaType => "unsupported_media_type",
        /// The request was read, and some of its values are refused.
        Invalid => "invalid",
        /// The plan has errors: unknown or double refs, a cycle, too many tasks.
        PlanInvalid => "plan_invalid",
        /// The brief has nothing in it that the outline planner recognises as a task.
        NoTasksFound => "no_tasks_found",
        /// The `Idempotency-Key` was used before with another request.
        IdempotencyKeyReused => "idempotency_key_reused",
        /// A required criterion has no evidence.
        EvidenceMissing => "evidence_missing",
        /// Too many requests.
        RateLimited => "rate_limited",
        /// Something inside failed. Nothing of the request was stored.
        Internal => "internal",
        /// The service cannot take the request at this moment: starting, stopping or overloaded.
        Unavailable => "unavailable",
    }
}

impl Code {
    /// Whether the same request may succeed later without being changed.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::IdempotencyInProgress
            | Self::RateLimited
            | Self::Internal
            | Self::Unavailable
            | Self::AgentNotActive
            | Self::Frozen => true,
            Self::MalformedRequest
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::NotYourAttempt
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::AlreadyExists
            | Self::LeaseLost
            | Self::AlreadyCompleted
            | Self::GoalEnded
            | Self::TaskEnded
            | Self::AlreadyDecided
            | Self::SeparationOfDuties
            | Self::NotAnApprover
            | Self::AlreadyVoted
            | Self::PayloadChanged
            | Self::LinkRefused
            | Self::BudgetExhausted
            | Self::WrongState
            | Self::LastAdminKey
            | Self::PreconditionFailed
            | Self::PreconditionRequired
            | Self::BodyTooLarge
            | Self::UnsupportedMediaType
            | Self::Invalid
            | Self::PlanInvalid
            | Self::NoTasksFound
            | Self::IdempotencyKeyReused
            | Self::EvidenceMissing => false,
        }
    }
}

/// One place in a request that must change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) into the request's body, or `?name` for a query parameter and
    /// `@Name` for a header.
    #[schema(example = "/tasks/3/needs/0")]
    pub pointer: String,
    /// What is wrong there and what would be right.
    #[schema(example = "there is no task with the ref `T012`")]
    pub detail: String,
}

impl FieldError {
    /// One error at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// A refusal: nothing of the request was stored, its spend included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people: what happened and what to do.
    pub detail: String,
    /// The places that must change; empty unless the input itself was refused.
    pub errors: Vec<FieldError>,
}

impl Refusal {
    /// A refusal without places.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new() }
    }

    /// Invalid input, with every place that must change.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            // The whole body has the empty pointer: there is no place to name.
            [only] if only.pointer.is_empty() => format!("the body: {}", only.detail),
            [only] => format!("{}: {}", only.pointer, only.detail),
            many => format!("{} values of the request are refused; see `errors`", many.len()),
        };
        Self { code: Code::Invalid, detail, errors }
    }

    /// Invalid input in one place.
    pub fn invalid_at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    /// There is no such `noun` in the caller's workspace.
    #[must_use]
    pub fn not_found(noun: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {noun} in this workspace"))
    }
}
