//! Routes that do nothing but show what reached them.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::Body,
    http::{Request, Response, StatusCode},
    routing::{get, post},
};
use http_body_util::BodyExt as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use muster::{
    app::{App, unit::idempotency::Outcome},
    clock::Clock,
    domain::ids::GoalId,
    entropy::Entropy,
    http::{
        extract::{
            body::{ApiJson, BodyLimit, OptionalJson},
            conditional::{IfMatch, IfNoneMatch, Versioned},
            idempotency::Create,
            long_poll::WaitQuery,
            page::{Listing, Paged},
            path::ApiPath,
            query::ApiQuery,
        },
        problem::Result,
        reply::Created,
        serve::layers::{self, RouteTable},
        state::{Check, HttpState, Limits, Readiness},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use tower::ServiceExt as _;

/// What the fixture's body routes take.
#[derive(Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Thing {
    pub title: String,
    #[serde(default)]
    pub count: i64,
    #[serde(default)]
    pub parts: Vec<Part>,
    #[serde(default)]
    pub input: Value,
}

#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub kind: Kind,
}

#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Small,
    Large,
}

#[derive(Debug, Default, Deserialize, Serialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    #[serde(default)]
    pub state: Vec<String>,
    pub min: Option<i64>,
}

#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Number {
    pub n: u32,
}

#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Foreign {
    pub n: u32,
}

/// Whether the service is ready, as told.
#[derive(Debug)]
pub struct Told(pub bool);

impl Readiness for Told {
    fn check(&self) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>> {
        Box::pin(async { vec![Check::new("database", self.0)] })
    }
}

/// A state whose app has a database that is never reached.
pub fn state(ready: bool, limits: Limits) -> HttpState {
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(50))
        .connect_lazy("postgres://nobody@127.0.0.1:1/nothing")
        .unwrap();
    HttpState {
        app: Arc::new(App::new(pool, Clock::Database, Entropy::seeded(1))),
        readiness: Arc::new(Told(ready)),
        metrics: Arc::new(PrometheusBuilder::new().build_recorder().handle()),
        limits: Arc::new(limits),
    }
}

/// Everything that muster serves.
pub fn service() -> Router {
    muster::http::router(&state(true, Limits::default()))
}

/// The fixture's routes inside the layers of the service.
pub fn fixture(limits: Limits) -> Router {
    let routes = Router::new()
        .route("/things", post(async |ApiJson(thing): ApiJson<Thing>| Json(thing)))
        .route("/optional", post(async |OptionalJson(thing): OptionalJson<Thing>| Json(thing)))
        .route(
            "/small",
            post(async |ApiJson(thing): ApiJson<Thing>| Json(thing))
                .layer(Extension(BodyLimit(32))),
        )
        .route("/create", post(create))
        .route("/goals/{id}", get(async |ApiPath(id): ApiPath<GoalId>| Json(id)))
        .route("/wait", get(async |ApiQuery(q): ApiQuery<WaitQuery>| Json(q.duration().as_secs())))
        .route("/numbers", get(numbers))
        .route("/others", get(async |_: Listing<Filter, Foreign>| Json(json!({}))))
        .route("/edited", get(edited).patch(edit))
        .route("/panic", get(async || -> Json<Value> { panic!("the secret inside") }))
        .route("/slow", get(async || tokio::time::sleep(Duration::from_secs(3600)).await))
        .route("/large", get(async || "all work and no play ".repeat(1000)));
    layers::layered(routes, &state(true, limits), &RouteTable::default())
}

async fn create(Create { body, idempotency }: Create<Thing>) -> Result<Created<Value>> {
    let request = idempotency.map(|request| (request.key, request.fingerprint));
    let replayed = body.title == "again";
    let value = json!({ "title": body.title, "idempotency": request });
    Ok(Created::new(Outcome { value, replayed }, |_| "/things/1".to_owned()).version(|_| 1))
}

async fn numbers(list: Listing<Filter, Number>) -> Result<Paged<Number>> {
    let start = list.after.as_ref().map_or(0, |after| after.n + 1);
    let rows = (start..7).take(list.rows() as usize).map(|n| Number { n }).collect();
    list.page(rows, |number| Number { n: number.n })
}

async fn edited(known: IfNoneMatch) -> Versioned<Value> {
    Versioned::new(json!({ "known": known.version }), |_| 7).unless(known)
}

async fn edit(if_match: IfMatch) -> Json<Option<i64>> {
    Json(if_match.version)
}

/// A response, read to its end.
pub struct Seen {
    pub status: StatusCode,
    pub response: Response<()>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            panic!("{}: not JSON: {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Panics unless it is this problem, and complete; gives its pointers.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Vec<String> {
        let problem = self.json();
        assert_eq!((self.status.as_u16(), &problem["code"]), (status, &json!(code)), "{problem}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["type"], format!("/problems/{code}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(!self.header("x-request-id").is_empty());
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

pub async fn send(router: &Router, request: Request<Body>) -> Seen {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Seen { status: parts.status, response: Response::from_parts(parts, ()), body }
}

pub async fn fetch(router: &Router, path: &str) -> Seen {
    send(router, Request::get(path).body(Body::empty()).unwrap()).await
}

pub async fn post_json(router: &Router, path: &str, body: impl Into<Body>) -> Seen {
    let request = Request::post(path).header("content-type", "application/json");
    send(router, request.body(body.into()).unwrap()).await
}
