//! Bodies: what is taken, what is refused, and where it is said to be wrong.

use super::fixture::{Seen, fixture, post_json, send};
use axum::{body::Body, http::Request};
use futures_util::stream;
use muster::http::state::Limits;
use proptest::prelude::*;
use serde_json::{Value, json};

async fn post(body: impl Into<Body>) -> Seen {
    post_json(&fixture(Limits::default()), "/things", body).await
}

#[tokio::test]
async fn a_body_arrives_as_it_was_sent() {
    let body = json!({
        "title": "line\nbreak\ttab 🦀 \u{fffd}", "count": i64::MIN, "parts": [{ "kind": "large" }],
        "input": { "a/b": [1.5, u64::MAX, null, true, ""], "~": {} },
    });
    let seen = post(body.to_string()).await;
    assert_eq!(seen.status, 200);
    assert_eq!(seen.json(), body);
}

#[tokio::test]
async fn what_is_not_json_is_400_with_the_place() {
    for body in [
        "",
        "{",
        "{\"title\": nul}",
        "{\"title\": \"a\nb\"}",
        "{} {}",
        "\u{feff}{}",
        "[NaN]",
        "{\"title\": \"\\ud800\"}",
        "{\"count\": 1e400}",
    ] {
        let seen = post(body).await;
        seen.problem(400, "malformed_request");
        assert!(seen.json()["detail"].as_str().unwrap().contains("at line "), "{body}")
    }
    post(vec![b'"', 0xff, b'"']).await.problem(400, "malformed_request");
}

#[tokio::test]
async fn the_wrong_shape_is_422_with_its_pointer() {
    for (body, pointer) in [
        ("[]", ""),
        (r#"["t", 1, [], null]"#, ""),
        (r#"{"title": "t", "parts": [["small"]]}"#, "/parts/0"),
        ("null", ""),
        ("{}", ""),
        (r#"{"title": 1}"#, "/title"),
        (r#"{"title": "t", "count": "1"}"#, "/count"),
        (r#"{"title": "t", "count": 1.5}"#, "/count"),
        (r#"{"title": "t", "parts": [{"kind": "small"}, {"kind": "huge"}]}"#, "/parts/1/kind"),
        (r#"{"title": "t", "parts": [{}]}"#, "/parts/0"),
        (r#"{"title": "t", "tilte": 1}"#, "/tilte"),
        (r#"{"title": "t", "parts": [{"kind": "small", "a/~b": 1}]}"#, "/parts/0/a~1~0b"),
        (r#"{"title": "t", "title": "t"}"#, "/title"),
        (r#"{"title": "t", "input": {"a": [0, {"b": 1, "b": 1}]}}"#, "/input/a/1/b"),
        (r#"{"title": "nul \u0000"}"#, "/title"),
        (r#"{"title": "bell \u0007"}"#, "/title"),
        (r#"{"title": "delete \u007f"}"#, "/title"),
        (r#"{"title": "c1 \u0085"}"#, "/title"),
        (r#"{"title": "t", "input": {"k\u0000": 1}}"#, "/input/k\0"),
        (r#"{"title": "t", "input": [18446744073709551616]}"#, "/input/0"),
        (r#"{"title": "t", "input": [-1e300]}"#, "/input/0"),
    ] {
        let seen = post(body).await;
        assert_eq!(seen.problem(422, "invalid"), [pointer], "{body}");
    }
}

/// What is wrong is said at its place, but a name of a megabyte is not sent back.
#[tokio::test]
async fn an_answer_does_not_grow_with_what_is_wrong() {
    let name = "n".repeat(400_000);
    for body in [
        format!(r#"{{"title": "t", "{name}": 1}}"#),
        format!(r#"{{"title": "t", "input": {{"{name}": "\u0000"}}}}"#),
        format!(r#"{{"title": "t", "parts": [{{"kind": "{name}"}}]}}"#),
        format!(r#"{{"title": "t", "input": {{"{name}": ["\u0000", "\u0000", "\u0000"]}}}}"#),
        format!(r#"{{"title": "t", "input": {{"{name}": 1, "{name}": 2}}}}"#),
    ] {
        let seen = post(body).await;
        assert_eq!(seen.status, 422);
        assert!(seen.body.len() < 8_000, "{} bytes", seen.body.len());
    }
}

#[tokio::test]
async fn every_refused_text_is_listed() {
    let seen = post(r#"{"title": "\u0000", "input": ["\u0001", {"a": "\u0002"}]}"#).await;
    assert_eq!(seen.problem(422, "invalid"), ["/title", "/input/0", "/input/1/a"]);
}

#[tokio::test]
async fn depth_has_a_bound() {
    let nested = |depth: usize| {
        let input = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"title": "t", "input": {input}}}"#)
    };
    assert_eq!(post(nested(63)).await.status, 200);
    post(nested(64)).await.problem(422, "invalid");
    post(nested(100_000)).await.problem(422, "invalid");
    let objects = format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
    post(objects).await.problem(422, "invalid");
}

#[tokio::test]
async fn only_json_is_taken() {
    let router = fixture(Limits::default());
    let good = r#"{"title": "t"}"#;
    for (header, value, status) in [
        ("content-type", "application/json", 200),
        ("content-type", "Application/JSON; charset=utf-8", 200),
        ("content-type", "text/json", 415),
        ("content-type", "application/x-www-form-urlencoded", 415),
        ("content-type", "application/json-patch+json", 415),
        ("x-nothing", "", 415),
    ] {
        let request = Request::post("/things").header(header, value).body(Body::from(good));
        assert_eq!(send(&router, request.unwrap()).await.status, status, "{value}");
    }
    let twice = Request::post("/things")
        .header("content-type", "application/json")
        .header("content-type", "application/yaml");
    let seen = send(&router, twice.body(Body::from(good)).unwrap()).await;
    seen.problem(415, "unsupported_media_type");
    let request = Request::post("/things")
        .header("content-type", "application/json")
        .header("content-encoding", "gzip");
    let seen = send(&router, request.body(Body::from(good)).unwrap()).await;
    seen.problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn bodies_have_a_limit_however_they_come() {
    let text = |length: usize| format!(r#"{{"title":"{}"}}"#, "x".repeat(length - 12));
    let limit = 1024 * 1024;
    assert_eq!(post(text(limit)).await.status, 200);
    post(text(limit + 1)).await.problem(413, "body_too_large");

    let chunks = std::iter::repeat_n(vec![b' '; 1000], 2000).map(Ok::<_, std::io::Error>);
    post(Body::from_stream(stream::iter(chunks))).await.problem(413, "body_too_large");

    let router = fixture(Limits::default());
    assert_eq!(post_json(&router, "/small", text(32)).await.status, 200);
    post_json(&router, "/small", text(33)).await.problem(413, "body_too_large");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let chunks = [Ok(b"{".to_vec()), Err(std::io::Error::other("gone"))];
    post(Body::from_stream(stream::iter(chunks))).await.problem(400, "malformed_request");
}

#[tokio::test]
async fn an_optional_body_may_be_left_out() {
    let router = fixture(Limits::default());
    let request = Request::post("/optional").body(Body::empty()).unwrap();
    assert_eq!(send(&router, request).await.json()["title"], "");
    let empty = Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Vec::new())]));
    let request = Request::post("/optional").body(empty).unwrap();
    assert_eq!(send(&router, request).await.json()["title"], "");
    let seen = post_json(&router, "/optional", r#"{"title": "t"}"#).await;
    assert_eq!(seen.json()["title"], "t");
    let request = Request::post("/optional").body(Body::from("{}")).unwrap();
    send(&router, request).await.problem(415, "unsupported_media_type");
    post_json(&router, "/optional", "{}").await.problem(422, "invalid");
}

#[tokio::test]
async fn a_quoted_value_is_cut() {
    let seen = post(json!({ "title": "t", "count": "ü".repeat(5000) }).to_string()).await;
    seen.problem(422, "invalid");
    assert!(seen.body.len() < 2000);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_taken_but_never_fail(bytes: Vec<u8>) {
        let _ = muster::http::extract::json::read::<Value>(&bytes);
    }

    #[test]
    fn any_storable_json_is_taken_unchanged(value in any_json()) {
        let read: Value = muster::http::extract::json::read(value.to_string().as_bytes()).unwrap();
        prop_assert_eq!(read, value);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[\\PC\n\t]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,6}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
