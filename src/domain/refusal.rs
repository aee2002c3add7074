//! Refusals: why muster does not do what a request asks.
//!
//! Every refusal, from the JSON reader to the check of a lease, is one [`Refusal`]: a [`Code`] for
//! programs, a sentence for people, and the places in the request that must change.
//!
//! [`codes!`] is the one table of codes. The response, the page under `/problems/{code}`, the
//! OpenAPI document and the tables of the handbook are derived from it, and a code without a page
//! does not compile. The table stands in the domain because use cases report `retryable` too, for
//! each item of a batch. A status is only a number here: the domain names no HTTP library.

use serde::{Deserialize, Serialize};

use super::words::words;

/// The table of codes: name, word, HTTP status, [`Retry`], title. `$then` is the macro that gets the
/// rows. A title says which problem it is, in a few words; the page of the code explains it.
macro_rules! codes {
    ($then:ident) => {
        $then! {
            MalformedRequest,      "malformed_request",       400, Never,           "Malformed request";
            Unauthenticated,       "unauthenticated",         401, Never,           "Missing or invalid key";
            Forbidden,             "forbidden",               403, Never,           "Forbidden for this role";
            NotYourAttempt,        "not_your_attempt",        403, Never,           "Attempt of another agent";
            NotFound,              "not_found",               404, Never,           "Not found";
            MethodNotAllowed,      "method_not_allowed",      405, Never,           "Method not allowed";
            AlreadyExists,         "already_exists",          409, Never,           "Already exists";
            LeaseLost,             "lease_lost",              409, Never,           "Lease lost";
            AlreadyCompleted,      "already_completed",       409, Never,           "Attempt already completed with another result";
            GoalEnded,             "goal_ended",              409, Never,           "Goal has ended";
            TaskEnded,             "task_ended",              409, Never,           "Task has ended";
            AlreadyDecided,        "already_decided",         409, Never,           "Approval already decided";
            SeparationOfDuties,    "separation_of_duties",    403, Never,           "Excluded by separation of duties";
            NotAnApprover,         "not_an_approver",         403, Never,           "Not an approver at this stage";
            AlreadyVoted,          "already_voted",           409, Never,           "Already voted at this stage";
            PayloadChanged,        "payload_changed",         409, Never,           "Payload changed since it was read";
            PlanChanged,           "plan_changed",            409, Never,           "Plan changed since it was read";
            SignInRefused,         "sign_in_refused",         403, Never,           "Sign-in refused";
            LinkRefused,           "link_refused",            403, Never,           "Decision not permitted with a link";
            BudgetExhausted,       "budget_exhausted",        409, Never,           "Budget exhausted";
            ResourceHeld,          "resource_held",           409, Later,           "Resource held by another attempt";
            AgentNotActive,        "agent_not_active",        409, Later,           "Agent not active";
            Frozen,                "frozen",                  409, Later,           "Frozen by an operator";
            WrongState,            "wrong_state",             409, Never,           "Invalid state for this operation";
            WorkspaceFull,         "workspace_full",          409, Later,           "Workspace is at a cap";
            LastAdminKey,          "last_admin_key",          409, Never,           "Last admin key cannot be revoked";
            IdempotencyInProgress, "idempotency_in_progress", 409, AfterSeconds(1), "Request with the same Idempotency-Key in progress";
            PreconditionFailed,    "precondition_failed",     412, Never,           "Precondition failed";
            PreconditionRequired,  "precondition_required",   428, Never,           "Precondition required";
            BodyTooSlow,           "body_too_slow",           408, Later,           "Request body too slow";
            BodyTooLarge,          "body_too_large",          413, Never,           "Request body too large";
            UnsupportedMediaType,  "unsupported_media_type",  415, Never,           "Unsupported media type";
            RangeNotSatisfiable,   "range_not_satisfiable",   416, Never,           "Range beyond the end of the artifact";
            DigestMismatch,        "digest_mismatch",         422, Never,           "Bytes do not have the digest of the path";
            Invalid,               "invalid",                 422, Never,           "Invalid values in the request";
            PlanInvalid,           "plan_invalid",            422, Never,           "Invalid plan";
            NoTasksFound,          "no_tasks_found",          422, Never,           "No tasks found in the brief";
            IdempotencyKeyReused,  "idempotency_key_reused",  422, Never,           "Idempotency-Key reused for another request";
            EvidenceMissing,       "evidence_missing",        422, Never,           "Required evidence missing";
            RateLimited,           "rate_limited",            429, AfterSeconds(1), "Too many requests";
            Internal,              "internal",                500, Later,           "Internal error";
            Unavailable,           "unavailable",             503, AfterSeconds(1), "Service unavailable";
        }
    };
}
pub(crate) use codes;

/// Whether the same request may succeed later without being changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No: the same request gets the same answer.
    Never,
    /// Yes, at a time that muster does not know.
    Later,
    /// Yes, after this many seconds at the earliest: sent as `Retry-After`.
    AfterSeconds(u32),
}

struct Row {
    status: u16,
    retry: Retry,
    title: &'static str,
}

macro_rules! define {
    ($($name:ident, $word:tt, $status:literal, $retry:expr, $title:literal;)+) => {
        words! {
            /// The kind of a problem: stable, for programs to branch on. Each has a page under
            /// `/problems/{code}`.
            pub enum Code {
                $(#[doc = $title] $name => $word,)+
            }
        }

        impl Code {
            const fn row(self) -> Row {
                use Retry::{AfterSeconds, Later, Never};
                match self {
                    $(Self::$name => Row { status: $status, retry: $retry, title: $title },)+
                }
            }
        }
    };
}
codes!(define);

impl Code {
    /// The HTTP status of every problem with this code.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// The title of every problem with this code: a few words for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// Whether and when the same request may succeed.
    #[must_use]
    pub const fn retry(self) -> Retry {
        self.row().retry
    }

    /// Whether the same request may succeed later without being changed.
    #[must_use]
    pub const fn retryable(self) -> bool {
        !matches!(self.retry(), Retry::Never)
    }
}

/// One place in a request that must change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The place: a JSON Pointer (RFC 6901) into the request's body, `?name` for a query parameter or
    /// `@Name` for a header. Empty for the body as a whole.
    #[schema(example = "/tasks/3/needs/0")]
    pub pointer: String,
    /// What is wrong at this place, and which values are accepted. For people; the text may change.
    #[schema(example = "there is no task with the ref `T012`")]
    pub detail: String,
    /// The kind of the error, for programs. Errors of plans have one (`plan_invalid`: the codes of a plan's
    /// findings), others none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "unknown_ref")]
    pub code: Option<String>,
}

impl FieldError {
    /// One error at `pointer`. Texts that quote too much of the request are cut.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: quoted(pointer.into(), POINTER_CHARS),
            detail: quoted(detail.into(), DETAIL_CHARS),
            code: None,
        }
    }

    /// The same with the kind of the error.
    #[must_use]
    pub fn coded(self, code: &'static str) -> Self {
        Self { code: Some(code.to_owned()), ..self }
    }
}

/// The most characters of the request that a refusal repeats in the pointer of an error.
const POINTER_CHARS: usize = 250;
/// The most characters of the detail of an error or a refusal.
const DETAIL_CHARS: usize = 1_000;
/// The most errors that a refusal lists; the last one counts the others.
const ERRORS_LISTED: usize = 100;

/// A text that may quote the request, cut to `most` characters: an answer must not grow with the
/// request.
fn quoted(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
        // Hundreds of errors are kept, and each would keep the room of the whole name.
        text.shrink_to_fit();
    }
    text
}

/// A refusal. Nothing of the request was stored, its spend included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// The kind of refusal, for programs.
    pub code: Code,
    /// What happened and what to do, for people.
    pub detail: String,
    /// The places in the request that must change; often empty.
    pub errors: Vec<FieldError>,
}

impl Refusal {
    /// A refusal without places.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self::at(code, detail, Vec::new())
    }

    /// A refusal with the places that must change. Only the first errors are listed.
    pub fn at(code: Code, detail: impl Into<String>, mut errors: Vec<FieldError>) -> Self {
        if errors.len() > ERRORS_LISTED {
            let left_out = errors.len() + 1 - ERRORS_LISTED;
            errors.truncate(ERRORS_LISTED - 1);
            errors.push(FieldError::new("", format!("{left_out} more errors are not listed")));
        }
        Self { code, detail: quoted(detail.into(), DETAIL_CHARS), errors }
    }

    /// Invalid input, with every place that must change.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] if only.pointer.is_empty() => format!("the body: {}", only.detail),
            [only] => format!("{}: {}", only.pointer, only.detail),
            many => format!("{} values of the request are invalid; see `errors`", many.len()),
        };
        Self::at(Code::Invalid, detail, errors)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_does_not_grow_with_the_request() {
        let name = "é".repeat(1_000_000);
        let errors = (0..5_000).map(|_| FieldError::new(format!("/{name}"), &name)).collect();
        let refusal = Refusal::at(Code::Invalid, &name, errors);
        assert_eq!(refusal.errors.len(), ERRORS_LISTED);
        assert_eq!(refusal.errors[ERRORS_LISTED - 1].detail, "4901 more errors are not listed");
        assert_eq!(refusal.errors[0].pointer.chars().count(), POINTER_CHARS + 1);
        assert!(serde_json::to_string(&refusal).unwrap().len() < 400_000);
        assert!(Refusal::invalid_at(name, "x").detail.chars().count() <= DETAIL_CHARS + 1);
    }
}
