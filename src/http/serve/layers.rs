//! The layers of every request.
//!
//! From the outside in: compression; the id, span and metrics of the request and the completion of its
//! response ([`around`]); panics; the caps and the time of the request ([`guard`]). So every failure further
//! in becomes a problem with the id of the request and a log line under the same id, and no request
//! occupies a place for ever.
//!
//! All but compression is one layer of the router, because each one copies the routes and allocates for every
//! request.
//!
//! Input is never logged: a span has the method, the template of the route and the id, but not the path
//! (it has ids and tokens), the query, the headers or the body.

use std::{any::Any, collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt as _, StreamExt as _};
use http_body_util::Full;
use tower_http::compression::{
    CompressionLayer,
    predicate::{NotForContentType, Predicate, SizeAbove},
};
use tracing::Instrument;
use utoipa::openapi::{OpenApi, path::Operation};

use super::{
    request_id::RequestId,
    telemetry::{InFlight, Measure},
};
use crate::{
    app::App,
    domain::refusal::{Code, Refusal},
    http::{
        describe,
        fairness::{
            Caps,
            admission::{Admission, RouteCaps},
        },
        problem::{Error, Result, UNAVAILABLE_DETAIL},
        reply::artifact::AsStored,
        state::{HttpState, LONGEST_WAIT, Limits},
    },
};

/// The header with the id of a request: the sender's if it is valid, otherwise a new one.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 64;
/// The time of a waiting request beyond the longest wait.
const WAIT_MARGIN: Duration = Duration::from_secs(15);
/// The longest time of an upload or of the beginning of a download.
const LONGEST_TRANSFER: Duration = Duration::from_secs(24 * 3600);
/// The smallest body in bytes whose compression saves more than it costs.
const SMALLEST_COMPRESSED: u64 = 1024;

/// Puts the layers around `routes`, which `table` tells apart.
pub fn layered(routes: Router<HttpState>, state: &HttpState, table: &RouteTable) -> Router {
    let layers = Arc::new(Layers::new(state, table));
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(layers, around))
        .layer(
            CompressionLayer::new().gzip(true).compress_when(
                SizeAbove::new(SMALLEST_COMPRESSED)
                    .and(NotForContentType::IMAGES)
                    .and(may_be_compressed),
            ),
        )
        .with_state(state.clone())
}

/// Whether a body may be changed on its way. The bytes of an artifact have a digest and ranges.
fn may_be_compressed(
    _: axum::http::StatusCode,
    _: axum::http::Version,
    _: &HeaderMap,
    extensions: &axum::http::Extensions,
) -> bool {
    extensions.get::<AsStored>().is_none()
}

async fn not_found() -> Error {
    Refusal::new(Code::NotFound, "there is no such path; `/openapi.json` lists all paths").into()
}

async fn method_not_allowed() -> Error {
    Refusal::new(Code::MethodNotAllowed, "the path has only the methods in the `Allow` header")
        .into()
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Error::internal(format!("a handler panicked: {text}")).into_response()
}

/// Assigns the id and the span of the request, and completes its response.
async fn around(State(layers): State<Arc<Layers>>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let (route, caps) = layers.table.find(&request);
    let measure = Measure::start(request.method(), route);
    let head = request.method() == Method::HEAD;
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));

    let span = measure.span(&id);
    let guarded = AssertUnwindSafe(guard(&layers, caps, request, next)).catch_unwind();
    let response = guarded.instrument(span.clone()).await.unwrap_or_else(panicked);
    let response = complete(response, &id, head);
    let error = response.extensions().get::<Error>();
    if error.is_some_and(Error::is_no_room) {
        layers.app.storage().fail();
    }
    span.in_scope(|| measure.stop(response.status(), error));
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

/// The problem of `error` with the id of the request. Keeps the headers of the router (`Allow`), and how
/// long the answer is held back.
fn with_body_of(response: Response, error: Error, id: &str) -> Response {
    let (given, _) = response.into_parts();
    let mut response = error.into_response_for(id);
    response.headers_mut().extend(given.headers);
    response.extensions_mut().extend(given.extensions);
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

/// What a document says of its routes; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RouteTable(Arc<HashMap<String, Route>>);

#[derive(Debug)]
struct Route {
    /// Its template, the label of its metrics.
    template: Arc<str>,
    methods: HashMap<Method, RouteCaps>,
}

impl RouteTable {
    /// Reads the markers of every operation of `document`.
    #[must_use]
    pub fn of(document: &mut OpenApi) -> Self {
        let mut routes = HashMap::new();
        for (path, item) in &mut document.paths.paths {
            let methods = describe::operations(item)
                .map(|(method, operation)| (method, route_caps(operation)))
                .collect();
            routes.insert(path.clone(), Route { template: path.as_str().into(), methods });
        }
        Self(Arc::new(routes))
    }

    /// The template of the route, if there is one, and what the page says of it. `HEAD` is answered by the
    /// handler of `GET`. Another method has no handler: its answer takes a place, and no key.
    fn find(&self, request: &Request) -> (Option<Arc<str>>, RouteCaps) {
        let Some(path) = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) else {
            return (None, RouteCaps::default());
        };
        let Some(route) = self.0.get(path) else {
            return (Some(path.into()), RouteCaps::default());
        };
        let method = match request.method() {
            &Method::HEAD => &Method::GET,
            other => other,
        };
        let caps = route.methods.get(method).copied().unwrap_or_default();
        (Some(Arc::clone(&route.template)), caps)
    }
}

#[derive(Debug)]
struct Layers {
    app: Arc<App>,
    caps: Arc<Caps>,
    timeout: Duration,
    table: RouteTable,
}

impl Layers {
    fn new(state: &HttpState, table: &RouteTable) -> Self {
        Self {
            app: Arc::clone(&state.app),
            caps: Arc::new(Caps::new(Limits::clone(&state.limits))),
            timeout: state.limits.timeout,
            table: table.clone(),
        }
    }

    fn timeout(&self, route: RouteCaps) -> Duration {
        if route.transfer {
            // The handler holds the sender of a body to a rate, and the connection whoever takes an answer.
            return LONGEST_TRANSFER;
        }
        if route.long_poll || route.scan {
            return self.timeout.max(LONGEST_WAIT + WAIT_MARGIN);
        }
        self.timeout
    }
}

fn route_caps(operation: &Operation) -> RouteCaps {
    let is = |marker| describe::is_marked(operation, marker);
    RouteCaps {
        always: is(describe::ALWAYS),
        keyed: operation.security.as_ref().is_some_and(|schemes| !schemes.is_empty()),
        reads_body: operation.request_body.is_some(),
        long_poll: is(describe::LONG_POLL),
        list: is(describe::LIST),
        scan: is(describe::SCAN),
        transfer: is(describe::TRANSFER),
    }
}

/// Whether the query of a request asks to wait. What cannot be read is refused by its extractor.
fn asks_to_wait(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "wait_seconds" && !value.trim_matches('0').is_empty())
}

/// Takes the request through the caps ([`crate::http::fairness`]), and ends it if it takes too long.
///
/// The extractors of a handler call its [`Admission`]: for the key, then for the body, and for the
/// place. Here only requests without key and body get their places.
async fn guard(layers: &Layers, route: RouteCaps, request: Request, next: Next) -> Response {
    let waits = route.long_poll && asks_to_wait(&request);
    let admission =
        Admission::new(&layers.caps, route, waits, request.headers(), request.extensions());
    let answered = admitted(layers, admission.clone(), request, next).await;
    let mut response = answered.into_response();
    if response.extensions().get::<Error>().is_some_and(Error::is_limited) {
        response.extensions_mut().insert(admission.refuse());
    }
    response
}

async fn admitted(
    layers: &Layers,
    admission: Admission,
    mut request: Request,
    next: Next,
) -> Result<Response> {
    let route = admission.route();
    if !route.keyed && !route.reads_body {
        admission.enter().await?;
    }
    request.extensions_mut().insert(admission.clone());
    let _in_flight = InFlight::start();
    let answered = tokio::time::timeout(layers.timeout(route), next.run(request)).await;
    let response = answered.map_err(|_| unavailable("the request took too long"))?;
    if (route.scan || route.transfer)
        && axum::body::HttpBody::size_hint(response.body()).exact().is_none()
    {
        return Ok(response.map(|body| until_sent(body, admission)));
    }
    Ok(response)
}

/// A body that keeps the place of its request until it is sent.
fn until_sent(body: Body, admission: Admission) -> Body {
    Body::from_stream(body.into_data_stream().inspect(move |_| {
        let _ = &admission;
    }))
}

fn unavailable(cause: &str) -> Error {
    Error::unavailable(UNAVAILABLE_DETAIL, cause)
}
