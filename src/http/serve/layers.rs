//! The layers of every request.
//!
//! From the outside in: compression; the id, span and metrics of the request and the completion of its
//! response ([`finish`]); panics; the limits on concurrent requests and their time ([`guard`]). So every
//! failure further in becomes a problem with the id of the request and a log line under the same id, and
//! no request occupies a permit for ever.
//!
//! Input is never logged: a span has the method, the template of the route and the id, but not the path
//! (it has ids and tokens), the query, the headers or the body.

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
};
use tracing::Instrument;
use utoipa::openapi::OpenApi;

use super::{
    request_id::RequestId,
    telemetry::{InFlight, Measure},
};
use crate::{
    domain::refusal::{Code, Refusal},
    http::{
        describe,
        problem::{Error, Result, UNAVAILABLE_DETAIL},
        state::{HttpState, LONGEST_WAIT, Limits},
    },
};

/// The header with the id of a request: the sender's if it is valid, otherwise a new one.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 64;
/// The time of a waiting request beyond the longest wait.
const WAIT_MARGIN: Duration = Duration::from_secs(15);
/// The smallest body in bytes whose compression saves more than it costs.
const SMALLEST_COMPRESSED: u64 = 1024;

/// Puts the layers around `routes`. `document` describes them and has their markers.
pub fn layered(routes: Router<HttpState>, state: &HttpState, document: &mut OpenApi) -> Router {
    let guarded = Arc::new(Guard::new(state.limits, document));
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(guarded, guard))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(finish))
        .layer(
            CompressionLayer::new()
                .gzip(true)
                .compress_when(SizeAbove::new(SMALLEST_COMPRESSED).and(NotForContentType::IMAGES)),
        )
        .with_state(state.clone())
}

async fn not_found() -> Error {
    Refusal::new(Code::NotFound, "there is no such path; `/openapi.json` lists all paths").into()
}

async fn method_not_allowed() -> Error {
    Refusal::new(Code::MethodNotAllowed, "the path has only the methods in the `Allow` header")
        .into()
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Error::internal(format!("a handler panicked: {text}")).into_response()
}

/// Assigns the id and the span of the request, and completes its response.
async fn finish(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().map(|path| Arc::from(path.as_str()));
    let measure = Measure::start(request.method(), route);
    let head = request.method() == Method::HEAD;
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));

    let span = measure.span(&id);
    let response = next.run(request).instrument(span.clone()).await;
    let response = complete(response, &id, head);
    span.in_scope(|| measure.stop(response.status(), response.extensions().get::<Error>()));
    response
}

fn complete(mut response: Response, id: &str, head: bool) -> Response {
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        response = with_body_of(response, error, id);
    }
    if head {
        response = without_body(response);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in DEFAULT_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The problem of `error` with the id of the request. Keeps the headers of the router (`Allow`).
fn with_body_of(response: Response, error: Error, id: &str) -> Response {
    let (given, _) = response.into_parts();
    let mut response = error.into_response_for(id);
    response.headers_mut().extend(given.headers);
    response
}

fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = axum::body::HttpBody::size_hint(&body).exact()
        && length > 0
    {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::new(Full::default()))
}

/// The headers of every response whose handler sets no others. An answer depends on a key and a moment,
/// so no cache may store it; no browser may run or frame it.
const DEFAULT_HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
];

fn request_id(headers: &HeaderMap) -> Arc<str> {
    let valid = |text: &&str| {
        (1..=LONGEST_REQUEST_ID).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(valid);
    given.map_or_else(|| format!("req_{:032x}", rand::random::<u128>()).into(), Arc::from)
}

#[derive(Debug)]
struct Guard {
    short: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    timeout: Duration,
    /// Method and path of the operations with the marker `long_poll`.
    long_polls: HashSet<(Method, String)>,
    /// The paths with the marker `always`.
    always: HashSet<String>,
}

impl Guard {
    fn new(limits: Limits, document: &mut OpenApi) -> Self {
        let mut long_polls = HashSet::new();
        let mut always = HashSet::new();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in describe::operations(item) {
                if describe::is_marked(operation, describe::LONG_POLL) {
                    long_polls.insert((method, path.clone()));
                }
                if describe::is_marked(operation, describe::ALWAYS) {
                    always.insert(path.clone());
                }
            }
        }
        Self {
            short: Arc::new(Semaphore::new(limits.in_flight)),
            waiting: Arc::new(Semaphore::new(limits.waiting)),
            timeout: limits.timeout,
            long_polls,
            always,
        }
    }

    fn permits(&self, request: &Request) -> Option<(&Arc<Semaphore>, Duration)> {
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        if self.always.contains(path) {
            return None;
        }
        // The owned key of the lookup costs two small allocations per request.
        if self.long_polls.contains(&(request.method().clone(), path.to_owned())) {
            return Some((&self.waiting, self.timeout.max(LONGEST_WAIT + WAIT_MARGIN)));
        }
        Some((&self.short, self.timeout))
    }
}

/// Refuses requests beyond the limit, and ends those that take too long.
async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Result<Response> {
    let Some((permits, timeout)) = guard.permits(&request) else {
        return Ok(next.run(request).await);
    };
    let Ok(_permit) = permits.try_acquire() else {
        return Err(unavailable("too many concurrent requests"));
    };
    let _in_flight = InFlight::start();
    tokio::time::timeout(timeout, next.run(request))
        .await
        .map_err(|_| unavailable("the request took too long"))
}

fn unavailable(cause: &str) -> Error {
    Error::unavailable(UNAVAILABLE_DETAIL, cause)
}
