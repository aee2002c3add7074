//! Versions and repeated requests.

use super::fixture::{Seen, fixture, send};
use axum::{Router, body::Body, http::Request};
use muster::http::state::Limits;

fn router() -> Router {
    fixture(Limits::default())
}

async fn edit(if_match: Option<&str>) -> Seen {
    let mut request = Request::patch("/edited");
    if let Some(tag) = if_match {
        request = request.header("if-match", tag);
    }
    send(&router(), request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn if_match_takes_the_tag_of_a_read() {
    assert_eq!(edit(Some("\"v7\"")).await.json(), 7);
    assert_eq!(edit(Some("*")).await.json(), serde_json::Value::Null);
    edit(None).await.problem(428, "precondition_required");
    for foreign in [
        "v7",
        "\"7\"",
        "W/\"v7\"",
        "\"v\"",
        "\"v+7\"",
        "\"v7\", \"v8\"",
        "",
        "\"v99999999999999999999\"",
    ] {
        edit(Some(foreign)).await.problem(412, "precondition_failed");
    }
}

#[tokio::test]
async fn if_none_match_answers_304_while_it_is_the_same() {
    for (tag, status) in
        [("\"v7\"", 304), ("W/\"v7\"", 304), ("\"v6\"", 200), ("nonsense", 200), ("", 200)]
    {
        let request = Request::get("/edited").header("if-none-match", tag);
        let seen = send(&router(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(seen.status, status, "{tag}");
        assert_eq!(seen.header("etag"), "\"v7\"");
        assert_eq!(seen.body.is_empty(), status == 304);
    }
}

async fn create(path: &str, key: Option<&str>, body: &'static str) -> Seen {
    let mut request = Request::post(path).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    send(&router(), request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_creation_says_where_and_which() {
    let seen = create("/create", None, r#"{"title": "t"}"#).await;
    assert_eq!(seen.status, 201);
    assert_eq!(seen.header("location"), "/things/1");
    assert_eq!(seen.header("etag"), "\"v1\"");
    assert_eq!(seen.header("idempotent-replayed"), "");
    let seen = create("/create", None, r#"{"title": "again"}"#).await;
    assert_eq!(seen.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn the_fingerprint_is_of_everything_that_was_sent() {
    let print =
        async |path, body| create(path, Some("k"), body).await.json()["idempotency"][1].to_string();
    let first = print("/create", r#"{"title": "t"}"#).await;
    assert_eq!(print("/create", r#"{"title": "t"}"#).await, first);
    assert_ne!(print("/create", r#"{"title":  "t"}"#).await, first);
    assert_ne!(print("/create", r#"{"title": "u"}"#).await, first);
    assert_ne!(print("/create?a=1", r#"{"title": "t"}"#).await, first);
    let none = create("/create", None, r#"{"title": "t"}"#).await;
    assert_eq!(none.json()["idempotency"], serde_json::Value::Null);
}

#[tokio::test]
async fn keys_are_short_and_visible() {
    let longest = "k".repeat(255);
    assert_eq!(create("/create", Some(&longest), r#"{"title": "t"}"#).await.status, 201);
    for bad in ["", "a b", "ü", &"k".repeat(256)] {
        let seen = create("/create", Some(bad), r#"{"title": "t"}"#).await;
        assert_eq!(seen.problem(422, "invalid"), ["@Idempotency-Key"], "{bad:?}");
    }
    let request = Request::post("/create")
        .header("content-type", "application/json")
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    let seen = send(&router(), request.body(Body::from("{}")).unwrap()).await;
    assert_eq!(seen.problem(422, "invalid"), ["@Idempotency-Key"]);
}
