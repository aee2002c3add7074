//! A decision sent again gets the same answer, and another one none.

use serde_json::{Value, json};

use super::{approve, reject, start};
use crate::support::{
    dump::{dump, same},
    fleet::{about, text},
    invariants::verify,
};

#[tokio::test]
async fn the_same_decision_of_the_same_person_gets_the_same_answer() {
    let (fleet, agent) = start().await;
    let bob = fleet.client(&fleet.key("operator").await);
    for decision in [approve(), reject()] {
        fleet.lone_task(json!({"approval": {"result": true}})).await;
        agent.complete(&agent.take().await).await;
        let question = fleet.question().await;
        let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
        let body = about(&question, decision);
        let first = fleet.admin.post(&path, &body).await.value(200);
        let before = dump(&fleet.pool).await;
        assert_eq!(fleet.admin.post(&path, &body).await.value(200), first);

        let mut other = about(&question, approve());
        if body["decision"] == "approve" {
            other = about(&question, reject());
        }
        fleet.admin.post(&path, &other).await.problem(409, "already_decided");
        bob.post(&path, &body).await.problem(409, "already_decided");
        same("decisions again", &before, &dump(&fleet.pool).await);
        if first["state"] == "rejected" {
            agent.complete(&agent.take().await).await;
            fleet.decide(approve()).await;
        }
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_answer_counts_as_the_same_only_with_the_same_words() {
    let (fleet, agent) = start().await;
    fleet.lone_task(json!({})).await;
    agent.ask(&agent.take().await, "input").await;
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let answer = |words: Value| about(&question, json!({"decision": "answer", "answer": words}));
    let first = fleet.admin.post(&path, &answer(json!({"a": 1, "b": 2}))).await.value(200);
    let again = fleet.admin.post(&path, &answer(json!({"b": 2.0, "a": 1}))).await.value(200);
    assert_eq!(again, first);
    let other = fleet.admin.post(&path, &answer(json!({"a": 1}))).await;
    other.problem(409, "already_decided");
}

#[tokio::test]
async fn a_decision_takes_an_idempotency_key() {
    let (fleet, agent) = start().await;
    fleet.lone_task(json!({})).await;
    agent.ask(&agent.take().await, "action").await;
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let send = |body: Value| {
        let body = about(&question, body);
        fleet.admin.post(&path, &body).idempotency_key("one")
    };
    let first = send(approve()).await.expect(200);
    assert_eq!(first.headers.get("idempotent-replayed"), None);
    let again = send(approve()).await.expect(200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json::<Value>(), first.json::<Value>());
    assert_eq!(again.header("etag"), first.header("etag"));
    send(reject()).await.problem(422, "idempotency_key_reused");
}
