//! What the approval of a person shows, and what it does not stand in for.

use serde_json::{Value, json};

use super::{complete, hold, verdicts};
use crate::support::{
    artifacts::{digest, put},
    client::Answer,
    fleet::{Fleet, about, text},
    invariants::{verify, verify_rested},
};

/// Decides the only pending approval.
async fn decide(fleet: &Fleet, decision: Value) -> Answer {
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    fleet.admin.post(path, &about(&question, decision)).await
}

#[tokio::test]
async fn an_approval_is_no_artifact() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    put(&worker.client, b"wanted").await.expect(201);
    let criteria = json!([{"text": "the archive", "type": "artifact", "min_tier": "person",
                           "artifact": {"digest": digest(b"wanted")}}]);
    let (goal, held) = hold(&fleet, &worker, criteria, json!({})).await;
    complete(&worker, &held, json!({})).await.expect(200);
    let approve = json!({"decision": "approve"});
    decide(&fleet, approve.clone()).await.problem(422, "evidence_missing");
    assert_eq!(fleet.state(&goal, "a").await, "reviewing");
    decide(&fleet, json!({"decision": "reject", "reason": "where is it?"})).await.expect(200);
    let held = worker.take().await;
    let evidence = json!([{"criterion": 1, "text": "here", "artifact": digest(b"wanted")}]);
    complete(&worker, &held, json!({"evidence": evidence})).await.expect(200);
    assert_eq!(verdicts(&fleet, &goal).await, ["1 open machine_checked"]);
    decide(&fleet, approve).await.expect(200);
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met person"]);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_is_waived_is_not_shown_by_the_same_approval() {
    let fleet = Fleet::start().await;
    let (author, runner) =
        (fleet.worker().await, fleet.agent("runner", &["verify:command"], 3).await);
    let criteria = json!([
        {"text": "tests pass", "type": "command", "command": {"program": ["t"]}, "min_tier": "person"},
        {"text": "nice", "type": "person"},
    ]);
    let (goal, held) = hold(&fleet, &author, criteria, json!({})).await;
    complete(&author, &held, json!({})).await.expect(200);
    runner.fail(&runner.take().await, "permanent").await;
    decide(&fleet, json!({"decision": "approve"})).await.problem(422, "evidence_missing");
    let waive = json!({"decision": "approve", "waive": [{"criterion": 1, "reason": "no machine"}]});
    decide(&fleet, waive).await.expect(200);
    assert_eq!(verdicts(&fleet, &goal).await, ["1 waived -", "2 met person"]);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_review_does_not_stand_in_for_the_program() {
    let fleet = Fleet::start().await;
    let (author, runner) =
        (fleet.worker().await, fleet.agent("runner", &["verify:command"], 3).await);
    let criteria = json!([{"text": "tests pass", "type": "command", "command": {"program": ["t"]},
                           "min_tier": "reviewed"}]);
    let (goal, held) = hold(&fleet, &author, criteria, json!({})).await;
    complete(&author, &held, json!({})).await.expect(200);
    let checks = runner.claim(5).await;
    assert_eq!(checks.len(), 2);
    for check in checks {
        if check.claim["task"]["criteria"][0]["type"] == "command" {
            runner.fail(&check, "permanent").await;
        } else {
            let seen = json!({"evidence": [{"criterion": 1, "text": "it looks right"}]});
            complete(&runner, &check, seen).await.expect(200);
        }
    }
    decide(&fleet, json!({"decision": "approve"})).await.problem(422, "evidence_missing");
    assert_eq!(fleet.state(&goal, "a").await, "reviewing");
    verify(&fleet.pool).await;
}
