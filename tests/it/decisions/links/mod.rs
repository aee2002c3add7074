//! Links: people without a key decide with one, once, and nothing else decides by opening them.

mod decisions;
mod making;
mod pages;
mod secrets;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Client},
    fleet::{Fleet, router, text},
};

const FORM: &str = "application/x-www-form-urlencoded";

/// Somebody without a key, at a service of their own process.
pub fn nobody(fleet: &Fleet) -> Client {
    Client::of(router(&fleet.app))
}

/// A fleet with an agent's question; returns the fleet and the approval.
async fn asked(question: Value) -> (Fleet, Value) {
    let fleet = Fleet::start().await;
    let approval = ask(&fleet, question).await;
    (fleet, approval)
}

/// An agent's question about a task of its own goal.
pub async fn ask(fleet: &Fleet, question: Value) -> Value {
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    agent.write(&held, "approvals", question).await.value(201)
}

pub fn action() -> Value {
    json!({"kind": "action", "title": "Drop the table?", "body": "It is **old**.",
           "payload": {"command": "drop table users_old"}})
}

pub fn links(approval: &Value) -> String {
    format!("/v1/approvals/{}/links", text(&approval["id"]))
}

/// Makes a link; returns the whole answer.
pub async fn make(fleet: &Fleet, approval: &Value, person: &str) -> Value {
    fleet.admin.post(links(approval), &json!({"person": person})).await.value(201)
}

/// The path of a new link for alice.
async fn path_for_alice(fleet: &Fleet, approval: &Value) -> String {
    text(&make(fleet, approval, "alice@example.com").await["path"])
}

/// What a browser sends of a form.
fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Sends a form about exactly what an approval asks.
pub async fn send(client: &Client, path: &str, approval: &Value, pairs: &[(&str, &str)]) -> Answer {
    let hash = text(&approval["payload_sha256"]);
    let mut all = vec![("payload_sha256", hash.as_str())];
    all.extend_from_slice(pairs);
    client.call(Method::POST, path).bytes(FORM, form(&all)).await
}

/// The page, which has this status.
#[track_caller]
pub fn page(answer: Answer, status: u16) -> String {
    let answer = answer.expect(status);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    String::from_utf8(answer.body).unwrap()
}

pub async fn read(fleet: &Fleet, approval: &Value) -> Value {
    fleet.admin.get(format!("/v1/approvals/{}", text(&approval["id"]))).await.value(200)
}

async fn count(fleet: &Fleet, kind: &str) -> i64 {
    sqlx::query_scalar("select count(*) from journal where kind = $1")
        .bind(kind)
        .fetch_one(&fleet.pool)
        .await
        .unwrap()
}
