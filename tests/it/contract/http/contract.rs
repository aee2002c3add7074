//! The contract check itself: it refuses what it should.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{client::Answer, contract::Contract};

const WHOAMI: &str = "/v1/whoami";

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &Value) -> Answer {
    let headers = headers
        .iter()
        .chain(&[("x-request-id", "r")])
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    Answer {
        call: "GET".to_owned(),
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::from_iter(headers),
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
    }
}

fn whoami() -> Value {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    json!({
        "workspace_id": id, "key_id": id, "role": "viewer", "agent_id": null, "limits": [],
        "caps": [], "scope": {"access": "all", "projects": null},
    })
}

fn problem(status: u16, code: &str) -> Value {
    json!({
        "type": format!("/problems/{code}"), "title": "t", "status": status, "detail": "d",
        "code": code, "retryable": false, "request_id": "r",
    })
}

fn with(mut value: Value, name: &str, member: Value) -> Value {
    value[name] = member;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const PROBLEM: &[(&str, &str)] = &[("content-type", "application/problem+json")];
const UNAUTHENTICATED: &[(&str, &str)] =
    &[("content-type", "application/problem+json"), ("www-authenticate", "Bearer")];

#[test]
fn what_is_documented_passes() {
    Contract::check(&Method::GET, WHOAMI, &answer(200, JSON, &whoami()));
    let unauthenticated = problem(401, "unauthenticated");
    Contract::check(&Method::GET, WHOAMI, &answer(401, UNAUTHENTICATED, &unauthenticated));
    Contract::check(&Method::HEAD, WHOAMI, &answer(200, JSON, &Value::Null));
    Contract::check(&Method::GET, "/no", &answer(404, PROBLEM, &problem(404, "not_found")));
}

#[test]
fn what_is_not_documented_does_not() {
    let unauthenticated = problem(401, "unauthenticated");
    for (why, method, path, answer) in [
        ("status", "GET", WHOAMI, answer(201, JSON, &whoami())),
        ("status", "GET", WHOAMI, answer(404, PROBLEM, &problem(404, "not_found"))),
        ("missing field", "GET", WHOAMI, answer(200, JSON, &without(whoami(), "role"))),
        ("extra field", "GET", WHOAMI, answer(200, JSON, &with(whoami(), "x", json!(1)))),
        ("enum", "GET", WHOAMI, answer(200, JSON, &with(whoami(), "role", json!("king")))),
        ("format", "GET", WHOAMI, answer(200, JSON, &with(whoami(), "key_id", json!("1")))),
        ("type", "GET", WHOAMI, answer(200, JSON, &json!([]))),
        ("no body", "GET", WHOAMI, answer(200, JSON, &Value::Null)),
        ("content type", "GET", WHOAMI, answer(200, &[("content-type", "text/html")], &whoami())),
        ("content type", "GET", WHOAMI, answer(401, JSON, &unauthenticated)),
        ("header", "GET", WHOAMI, answer(401, PROBLEM, &unauthenticated)),
        ("code", "GET", WHOAMI, answer(403, PROBLEM, &problem(403, "not_your_attempt"))),
        ("other status", "GET", WHOAMI, answer(403, PROBLEM, &problem(409, "forbidden"))),
        (
            "other request id",
            "GET",
            WHOAMI,
            answer(403, PROBLEM, &with(problem(403, "forbidden"), "request_id", json!("s"))),
        ),
        ("no operation", "GET", "/no", answer(200, JSON, &whoami())),
        ("no operation", "GET", "/no", answer(404, JSON, &problem(404, "not_found"))),
        ("no allow", "PUT", WHOAMI, answer(405, PROBLEM, &problem(405, "method_not_allowed"))),
        ("no method", "PUT", WHOAMI, answer(200, &[("allow", "GET")], &whoami())),
        ("body of HEAD", "HEAD", WHOAMI, answer(200, JSON, &whoami())),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let checked = std::panic::catch_unwind(|| Contract::check(&method, path, &answer));
        assert!(checked.is_err(), "{why} was not noticed: {}", answer.describe());
    }
}

#[test]
fn an_answer_without_a_request_id_is_noticed() {
    let mut answer = answer(200, JSON, &whoami());
    answer.headers.remove("x-request-id");
    let checked = std::panic::catch_unwind(|| Contract::check(&Method::GET, WHOAMI, &answer));
    assert!(checked.is_err());
}
