//! What goes wrong inside, and what is too much.

use std::{sync::Arc, time::Duration};

use super::fixture::{Seen, fetch, fixture, send, service, state};
use axum::{Router, body::Body, http::Request, routing::get};
use metrics_exporter_prometheus::PrometheusBuilder;
use muster::http::{
    describe::LONG_POLL,
    serve::{
        layers::{self, RouteTable},
        telemetry,
    },
    state::Limits,
};
use tokio::sync::Semaphore;
use utoipa::openapi::{
    HttpMethod, OpenApi, PathItem, extensions::ExtensionsBuilder, path::OperationBuilder,
};

fn brief() -> Limits {
    Limits { timeout: Duration::from_millis(50), ..Limits::default() }
}

#[tokio::test]
async fn a_panic_is_a_500_that_says_nothing() {
    let seen = fetch(&fixture(Limits::default()), "/panic").await;
    seen.problem(500, "internal");
    assert!(!String::from_utf8_lossy(&seen.body).contains("secret"));
}

#[tokio::test]
async fn what_takes_too_long_is_a_503() {
    let seen = fetch(&fixture(brief()), "/slow").await;
    seen.problem(503, "unavailable");
    assert_eq!(seen.header("retry-after"), "1");
}

/// A request that really waits.
const WAIT: &str = "/wait?wait_seconds=60";

/// Routes that do not answer before the gate opens; `/wait` is a long poll.
fn gated(limits: Limits) -> (Router, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = |gate: Arc<Semaphore>| {
        get(async move || {
            let _pass = gate.acquire().await;
        })
    };
    let routes = Router::new()
        .route("/short", held(Arc::clone(&gate)))
        .route("/wait", held(Arc::clone(&gate)));
    let marked = ExtensionsBuilder::new().add(LONG_POLL, true).build();
    let operation = OperationBuilder::new().extensions(Some(marked)).build();
    let mut document = OpenApi::default();
    document.paths.paths.insert("/wait".into(), PathItem::new(HttpMethod::Get, operation));
    (layers::layered(routes, &state(true, limits), &RouteTable::of(&mut document)), gate)
}

fn spawn(router: &Router, path: &'static str) -> tokio::task::JoinHandle<Seen> {
    let router = router.clone();
    tokio::spawn(async move { fetch(&router, path).await })
}

#[tokio::test]
async fn too_many_requests_are_refused_and_waiting_ones_counted_apart() {
    let (router, gate) = gated(Limits { in_flight: 1, waiting: 3, ..Limits::default() });
    // One address has two of three places.
    let held = [spawn(&router, "/short"), spawn(&router, WAIT), spawn(&router, WAIT)];
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    // The one short place is taken; of the waiting ones the address has its share.
    for (path, status, code) in [("/short", 503, "unavailable"), (WAIT, 429, "rate_limited")] {
        let seen = fetch(&router, path).await;
        seen.problem(status, code);
        assert_eq!(seen.header("retry-after"), "1");
    }
    gate.add_permits(1);
    for answer in held {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    assert_eq!(fetch(&router, "/short").await.status, 200, "the places are free again");
}

#[tokio::test]
async fn a_request_that_waits_may_take_longer() {
    let (router, gate) = gated(brief());
    let waiting = spawn(&router, WAIT);
    fetch(&router, "/short").await.problem(503, "unavailable");
    tokio::time::sleep(brief().timeout * 3).await;
    assert!(!waiting.is_finished());
    gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().status, 200);
}

#[tokio::test]
async fn health_answers_while_everything_else_is_refused() {
    let limits = Limits { in_flight: 0, waiting: 0, ..Limits::default() };
    let router = muster::http::router(&state(true, limits));
    fetch(&router, "/openapi.json").await.problem(503, "unavailable");
    assert_eq!(fetch(&router, "/livez").await.status, 200);
    assert_eq!(fetch(&router, "/readyz").await.status, 200);
}

#[tokio::test]
async fn a_database_that_is_away_is_a_503() {
    let request = Request::get("/v1/whoami").header("authorization", "Bearer mst_a_b");
    let seen = send(&service(), request.body(Body::empty()).unwrap()).await;
    assert!([401, 503].contains(&seen.status.as_u16()), "{}", seen.json());
}

#[tokio::test]
async fn requests_are_counted_under_labels_that_strangers_do_not_choose() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    telemetry::describe_metrics();
    let router = fixture(Limits::default());
    fetch(&router, "/goals/not-counted-by-name?q=secret").await;
    fetch(&router, "/no/such/path").await;
    fetch(&router, "/panic").await;
    let odd = Request::builder().method("ODDMETHOD").uri("/edited").body(Body::empty());
    send(&router, odd.unwrap()).await;
    let shown = metrics.render();
    for line in [
        r#"muster_http_requests_total{method="GET",route="/goals/{id}",status="404"} "#,
        r#"muster_http_requests_total{method="GET",route="none",status="404"} "#,
        r#"muster_http_requests_total{method="other",route="/edited",status="405"} "#,
        r#"muster_http_problems_total{code="internal"} "#,
        r#"muster_http_request_seconds_count{method="GET",route="/panic"} "#,
        "muster_http_requests_in_flight ",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    for stranger in ["not-counted-by-name", "secret", "no/such", "ODDMETHOD"] {
        assert!(!shown.contains(stranger), "{shown}");
    }
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_ask() {
    let router = fixture(Limits::default());
    let request = Request::get("/large").header("accept-encoding", "gzip");
    let seen = send(&router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(seen.header("content-encoding"), "gzip");
    assert!(seen.body.len() < 2000);
    assert_eq!(fetch(&router, "/large").await.header("content-encoding"), "");
}
