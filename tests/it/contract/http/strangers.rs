//! Whatever a stranger sends, the answer is an orderly one.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Method, Request},
};
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::fixture::{fetch, fixture, send, service};
use crate::support::client::Client;
use muster::http::state::Limits;

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let client = Client::of(service());
    for path in ["/v1", "/v1/", "/v1/whoami/", "//", "/v1/%ff", "/V1/whoami", "/..", "/%00"] {
        client.get(path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn the_wrong_method_is_told_the_right_ones() {
    let client = Client::of(service());
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = client.call(method, "/v1/whoami").await;
        answer.problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "GET,HEAD");
    }
}

#[tokio::test]
async fn without_a_good_key_nothing_else_matters() {
    let service = service();
    let long = format!("Bearer mst_{}", "x".repeat(9000)).into_bytes();
    let bad: &[&[u8]] =
        &[b"", b"Bearer", b"Bearer ", b"Basic bXN0", b"mst_a_b", b"Bearer\xff x", &long];
    for value in bad {
        let value = HeaderValue::from_bytes(value).unwrap();
        let request = Request::get("/v1/whoami").header("authorization", value);
        let seen = send(&service, request.body(Body::empty()).unwrap()).await;
        seen.problem(401, "unauthenticated");
        assert!(seen.header("www-authenticate").starts_with("Bearer"));
        // What is no key at all is refused for that, before any key is looked up.
        assert!(seen.json()["detail"].as_str().unwrap().contains("`Authorization"));
    }
    let request = Request::get("/v1/whoami")
        .header("authorization", "Bearer mst_a_b")
        .header("authorization", "Bearer mst_a_b");
    let seen = send(&service, request.body(Body::empty()).unwrap()).await;
    seen.problem(401, "unauthenticated");
    assert!(seen.json()["detail"].as_str().unwrap().contains("one header"));
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_is_made_anew() {
    for (given, kept) in [
        ("trace-1.2:3_4", true),
        (&"x".repeat(64), true),
        (&"x".repeat(65), false),
        ("", false),
        ("a b", false),
        ("<script>", false),
    ] {
        let request = Request::get("/nowhere").header("x-request-id", given);
        let seen = send(&service(), request.body(Body::empty()).unwrap()).await;
        seen.problem(404, "not_found");
        assert_eq!(seen.header("x-request-id") == given, kept, "{given}");
    }
    let ids = [fetch(&service(), "/livez").await, fetch(&service(), "/livez").await];
    assert_ne!(ids[0].header("x-request-id"), ids[1].header("x-request-id"));
}

const ROUTES: &[&str] = &[
    "/things",
    "/optional",
    "/create",
    "/goals/",
    "/numbers",
    "/edited",
    "/wait",
    "/v1/whoami",
    "/problems/",
    "/docs/",
    "/livez",
    "/metrics",
    "/",
];
const HEADERS: &[&str] = &[
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "host",
    "if-none-match",
    "x-request-id",
    "accept",
    "accept-encoding",
    "content-encoding",
    "range",
    "content-length",
    "expect",
    "transfer-encoding",
    "origin",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_request_makes_it_fail(
        method in prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "X"]),
        route in prop::sample::select(ROUTES),
        tail in "[ -~&&[^ \"<>\\\\^`{|}#]]{0,24}",
        headers in prop::collection::vec(
            (prop::sample::select(HEADERS), "[\t -~\u{80}-\u{ff}]{0,40}"), 0..5),
        json: bool,
        body: Vec<u8>,
    ) {
        let Ok(uri) = format!("{route}{tail}").parse::<axum::http::Uri>() else { return Ok(()) };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        if json {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Body::from(body)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let seen = runtime.block_on(async { send(&fixture(Limits::default()), request).await });
        prop_assert!(seen.status.as_u16() < 500, "{} {:?}", seen.status, seen.response);
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(muster::http::serve::serve(listener, router, std::future::pending()));
    address
}

#[tokio::test]
async fn what_announces_itself_as_too_large_is_refused_unread() {
    let address = serve(fixture(Limits::default())).await;
    let request = "POST /things HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                   content-length: 9999999\r\n\r\n";
    let answer = raw(address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may have heard enough before everything is sent.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn broken_requests_over_tcp_do_no_harm() {
    let address = serve(service()).await;
    let huge = format!("GET /livez?{} HTTP/1.1\r\nhost: a\r\n\r\n", "q".repeat(70_000));
    let long = format!("GET /numbers?cursor={} HTTP/1.1\r\nhost: a\r\n\r\n", "q".repeat(30_000));
    let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500));
    for request in [
        "\r\n\r\n",
        "GET",
        "GET /\r\n\r\n",
        "\0\0\0\0",
        "GET /v1/%zz HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /v1/whoami HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        "POST /v1/whoami HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "POST /v1/whoami HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\ncontent-length: 8\r\n\r\n",
        "POST /v1/whoami HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "POST /v1/whoami HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET http://elsewhere/livez HTTP/1.1\r\nhost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /livez HTTP/1.1\r\nx-request-id: \u{80}\r\n\r\n",
        &huge,
        &long,
        &many,
    ] {
        let answer = raw(address, request.as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(!status.starts_with('5'), "{request:.80} -> {answer:.200}");
    }
    let client = Client::at(format!("http://{address}"));
    assert_eq!(client.get("/livez").await.value(200)["live"], true);
}

#[tokio::test]
async fn the_same_calls_go_over_tcp() {
    let client = Client::at(format!("http://{}", serve(service()).await));
    assert_eq!(client.get("/readyz").await.value(200)["ready"], true);
    client.get("/v1/whoami").await.problem(401, "unauthenticated");
    client.call(Method::HEAD, "/v1/whoami").await.expect(401);
    client.post("/v1/whoami", &serde_json::json!({})).await.problem(405, "method_not_allowed");
    client.get("/nowhere").await.problem(404, "not_found");
}
