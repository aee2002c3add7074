//! Tiers of evidence: computed by the server, demanded by criteria.

use serde_json::json;

use super::{complete, hold, is_check, verdicts};
use crate::support::{
    artifacts::{digest, put},
    fleet::Fleet,
    invariants::{verify, verify_rested},
};

#[tokio::test]
async fn nobody_claims_a_tier() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let (_, held) = hold(&fleet, &worker, json!(["it works"]), json!({})).await;
    for name in ["tier", "criteria_version", "by_attempt_id", "approval_id", "reviewed"] {
        let mut piece = json!({"criterion": 1, "text": "trust me"});
        piece[name] = json!("person");
        let refused = complete(&worker, &held, json!({"evidence": [piece]})).await;
        assert_eq!(refused.problem(422, "invalid").len(), 1, "{name}");
    }
    // An exit code is for checks, a number for metrics.
    for (name, value) in [("exit_code", json!(0)), ("value", json!("1"))] {
        let mut piece = json!({"criterion": 1, "text": "trust me"});
        piece[name] = value;
        let refused = complete(&worker, &held, json!({"evidence": [piece]})).await;
        assert_eq!(refused.problem(422, "invalid"), [format!("/evidence/0/{name}")]);
    }
}

#[tokio::test]
async fn the_tier_of_evidence_is_what_it_shows() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    put(&worker.client, b"log").await.expect(201);
    let (goal, held) = hold(&fleet, &worker, json!(["it works", "it is fast"]), json!({})).await;
    let evidence = json!({"evidence": [
        {"criterion": 1, "text": "see https://example.com", "uri": "https://example.com"},
        {"criterion": 2, "text": "log", "artifact": digest(b"log")},
    ]});
    complete(&worker, &held, evidence).await.expect(200);
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met claimed", "2 met attached"]);
    let attempt = fleet.admin.get(format!("/v1/attempts/{}", held.attempt)).await.value(200);
    let tiers: Vec<_> =
        attempt["evidence"].as_array().unwrap().iter().map(|e| e["tier"].clone()).collect();
    assert_eq!(tiers, ["claimed", "attached"]);
    assert_eq!(attempt["evidence"][0]["criteria_version"], 1);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_attached_tier_wants_an_artifact() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    put(&worker.client, b"log").await.expect(201);
    let (goal, held) =
        hold(&fleet, &worker, json!(["it works"]), json!({"min_tier": "attached"})).await;
    assert_eq!(held.claim["task"]["criteria"][0]["min_tier"], "attached");
    let claimed =
        json!({"evidence": [{"criterion": 1, "text": "it does", "uri": "https://example.com"}]});
    complete(&worker, &held, claimed).await.problem(422, "evidence_missing");
    let attached =
        json!({"evidence": [{"criterion": 1, "text": "it does", "artifact": digest(b"log")}]});
    complete(&worker, &held, attached).await.expect(200);
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met attached"]);
}

#[tokio::test]
async fn a_reviewed_tier_wants_a_review_of_a_text() {
    let fleet = Fleet::start().await;
    let (author, other) = (fleet.worker().await, fleet.agent("other", &["rust"], 3).await);
    let criteria = json!(["it works", {"text": "it is fast", "min_tier": "claimed"}]);
    let (goal, held) = hold(&fleet, &author, criteria, json!({"min_tier": "reviewed"})).await;
    let evidence =
        json!({"evidence": [{"criterion": 1, "text": "a"}, {"criterion": 2, "text": "b"}]});
    complete(&author, &held, evidence).await.expect(200);
    assert_eq!(fleet.state(&goal, "a").await, "reviewing");
    let check = other.take().await;
    assert!(is_check(&check));
    assert_eq!(check.claim["task"]["criteria"].as_array().unwrap().len(), 1);
    other
        .write(&check, "complete", json!({"evidence": [{"criterion": 1, "text": "I saw it"}]}))
        .await
        .expect(200);
    assert_eq!(fleet.state(&goal, "a").await, "done");
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met reviewed", "2 met claimed"]);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn evidence_names_the_version_of_the_criteria() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({"criteria": ["it works"]})).await;
    let task = fleet.task(&goal, "a").await;
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let person = json!([{"text": "it works", "type": "metric",
                         "metric": {"name": "m", "comparison": "equal", "value": "1"}}]);
    fleet.admin.patch(&path, &json!({"criteria": person})).if_match("*").await.expect(200);
    let held = worker.take().await;
    let evidence = json!({"evidence": [{"criterion": 1, "text": "a", "value": "1.0"}]});
    complete(&worker, &held, evidence).await.expect(200);
    let task = fleet.admin.get(&path).await.value(200);
    assert_eq!(
        (&task["criteria_version"], &task["evidence"][0]["criteria_version"]),
        (&json!(2), &json!(2))
    );
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn criteria_of_goals_are_texts() {
    let fleet = Fleet::start().await;
    for (criterion, at) in [
        (json!({"text": "a", "type": "person"}), "/criteria/0/type"),
        (json!({"text": "a", "min_tier": "person"}), "/criteria/0/min_tier"),
    ] {
        let goal =
            json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}], "criteria": [criterion]});
        assert_eq!(fleet.admin.post("/v1/goals", &goal).await.problem(422, "invalid"), [at]);
    }
}
