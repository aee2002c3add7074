//! Reading approvals and waiting for their decision.

mod floors;
mod policies;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    goals::all_pages,
    support::fleet::{Fleet, about, text},
};

#[tokio::test]
async fn what_waits_longest_is_on_top() {
    let fleet = Fleet::start().await;
    let mut goals = Vec::new();
    for _ in 0..5 {
        fleet.pass(1);
        goals.push(fleet.lone_task(json!({"approval": {"start": true}})).await);
    }
    fleet.pass(1);
    let tasks = json!([{"ref": "a", "title": "a"}]);
    let body =
        json!({"title": "planned", "brief": "why", "approval": {"plan": true}, "tasks": tasks});
    let proposed = fleet.post_goal(body).await;
    let pending = all_pages(&fleet.admin, "/v1/approvals?state=pending&limit=2").await;
    assert_eq!(pending.len(), 6);
    assert!(pending.is_sorted());
    let plans = fleet.admin.get("/v1/approvals?state=pending&kind=plan").await.value(200);
    assert_eq!(plans["items"][0]["goal_id"], json!(proposed));
    assert_eq!(plans["items"][0]["body"], Value::Null, "lists are short");
    let of_goal = format!("/v1/approvals?goal_id={}", goals[3]);
    let found = all_pages(&fleet.admin, &of_goal).await;
    assert_eq!(found, [&*pending[3]]);

    let path = format!("/v1/approvals/{}", found[0]);
    let yes = about(&fleet.admin.get(&path).await.value(200), json!({"decision": "approve"}));
    fleet.admin.post(format!("{path}/decide"), &yes).await.expect(200);
    let approved = all_pages(&fleet.admin, "/v1/approvals?state=approved&state=rejected").await;
    assert_eq!(approved, found);
    assert_eq!(all_pages(&fleet.admin, "/v1/approvals").await.len(), 6);
    let none = format!("{of_goal}&state=pending");
    assert!(all_pages(&fleet.admin, &none).await.is_empty());
}

#[tokio::test]
async fn a_person_sees_what_is_decided() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let settings = json!({
        "criteria": [{"text": "green"}], "approval": {"result": true}, "description": "Do it.",
    });
    fleet.lone_task(settings).await;
    let held = worker.take().await;
    let done = json!({"result": {"n": 1}, "evidence": [{"criterion": 1, "text": "57 passed"}]});
    worker.write(&held, "complete", done).await.expect(200);
    let id = text(&fleet.question().await["id"]);
    let answer = fleet.admin.get(format!("/v1/approvals/{id}")).await.expect(200);
    assert_eq!(answer.etag(), "\"v1\"");
    let approval: Value = answer.json();
    assert_eq!((&approval["kind"], &approval["state"]), (&json!("result"), &json!("pending")));
    assert_eq!(approval["attempt_id"], json!(held.attempt));
    let payload = &approval["payload"];
    assert_eq!(payload["result"], json!({"n": 1}), "{payload}");
    assert_eq!(payload["evidence"][0]["text"], "57 passed");
    assert_eq!(payload["criteria"][0]["text"], "green");
}

#[tokio::test]
async fn an_agent_waits_for_the_decision() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = worker.take().await;
    let approval = worker.ask(&held, "action").await;
    let path = format!("/v1/approvals/{}", text(&approval["id"]));
    let began = Instant::now();
    let same = worker.client.get(format!("{path}?wait_seconds=1")).await.value(200);
    assert_eq!(same["state"], "pending");
    assert!(began.elapsed() >= Duration::from_secs(1));

    let wait = format!("{path}?wait_seconds=30");
    let waiting = async { worker.client.get(&wait).if_none_match("\"v1\"").await.value(200) };
    let deciding = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        fleet.decide(json!({"decision": "reject", "reason": "too risky"})).await;
    };
    let began = Instant::now();
    let (seen, _) = tokio::join!(waiting, deciding);
    assert_eq!((&seen["state"], &seen["reason"]), (&json!("rejected"), &json!("too risky")));
    assert!(seen["decided_by"].is_string() && seen["decided_at"].is_string());
    assert!(began.elapsed() < Duration::from_secs(5));
    let known = worker.client.get(&path).if_none_match("\"v2\"").await;
    known.expect(304);
    let yes = about(&seen, json!({"decision": "approve"}));
    let decide = worker.client.post(format!("{path}/decide"), &yes);
    decide.await.problem(403, "forbidden");
}

#[tokio::test]
async fn approvals_that_do_not_exist_are_404() {
    let fleet = Fleet::start().await;
    for id in ["0195a000-0000-7000-8000-000000000000", "nonsense"] {
        let path = format!("/v1/approvals/{id}");
        fleet.admin.get(&path).await.problem(404, "not_found");
        fleet.admin.get(format!("{path}?wait_seconds=9")).await.problem(404, "not_found");
        let hash = "0".repeat(64);
        let yes = json!({"decision": "approve", "payload_sha256": hash});
        let decide = fleet.admin.post(format!("{path}/decide"), &yes);
        decide.await.problem(404, "not_found");
    }
}
