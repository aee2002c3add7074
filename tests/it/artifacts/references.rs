//! Results, evidence and handovers refer to artifacts by their digests.

use serde_json::json;

use crate::support::{
    artifacts::{digest, put},
    fleet::{Fleet, text},
    invariants::verify,
};

#[tokio::test]
async fn an_unknown_digest_is_refused_with_its_place_and_nothing_is_stored() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    put(&agent.client, b"known").await.expect(201);
    let other = fleet.other_workspace().await;
    put(&other, b"theirs").await.expect(201);
    let path = format!("/v1/attempts/{}/complete", held.attempt);
    let body = held.with(json!({
        "artifacts": [digest(b"known"), digest(b"unknown")],
        "evidence": [{"text": "a", "artifact": digest(b"known")},
                     {"text": "b", "artifact": digest(b"theirs")}],
    }));
    let refused = agent.client.post(&path, &body).await;
    assert_eq!(refused.problem(422, "invalid"), ["/artifacts/1", "/evidence/1/artifact"]);
    fleet.expect_states(&goal, "a:running").await;
    let malformed = held.with(json!({"evidence": [{"text": "a", "artifact": "sha256:abc"}]}));
    let refused = agent.client.post(&path, &malformed).await;
    assert_eq!(refused.problem(422, "invalid"), ["/evidence/0/artifact"]);
    // After the upload the same request is good.
    for bytes in [&b"unknown"[..], b"theirs"] {
        put(&agent.client, bytes).await.expect(201);
    }
    agent.client.post(&path, &body).await.expect(200);
    agent.client.post(&path, &body).await.expect(200);
    let attempt = fleet.admin.get(format!("/v1/attempts/{}", held.attempt)).await.value(200);
    assert_eq!(attempt["evidence"][1]["artifact"], digest(b"theirs"));
    assert_eq!(attempt["artifacts"].as_array().unwrap().len(), 2);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_artifacts_of_a_result_are_handed_to_the_tasks_that_need_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet
        .goal(json!([
            {"ref": "a", "title": "a"},
            {"ref": "b", "title": "b"},
            {"ref": "c", "title": "c", "needs": ["a", "b"]},
        ]))
        .await;
    put(&agent.client, b"report").await.expect(201);
    put(&agent.client, b"log").await.expect(201);
    for held in agent.claim(2).await {
        let body = match held.name.as_str() {
            "a" => json!({"artifacts": [digest(b"report")],
                          "evidence": [{"text": "log", "artifact": digest(b"log")}]}),
            _ => json!({"result": 1}),
        };
        let path = format!("/v1/attempts/{}/complete", held.attempt);
        agent.client.post(path, &held.with(body)).await.expect(200);
    }
    let claim = agent.take().await.claim;
    let needs = claim["needs"].as_array().unwrap();
    let of =
        |name: &str| needs.iter().find(|need| need["ref"] == name).unwrap()["artifacts"].clone();
    let report = json!({"digest": digest(b"report"), "size": 6, "media_type": "text/plain"});
    assert_eq!((of("a"), of("b")), (json!([report]), json!([])));
}

#[tokio::test]
async fn a_reviewer_sees_the_artifacts_of_the_result() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({"approval": {"result": true}})).await;
    let held = agent.take().await;
    put(&agent.client, b"report").await.expect(201);
    let path = format!("/v1/attempts/{}/complete", held.attempt);
    let body = held.with(json!({"artifacts": [digest(b"report")]}));
    agent.client.post(path, &body).await.expect(200);
    // Lists leave payloads out.
    let approval = format!("/v1/approvals/{}", text(&fleet.question().await["id"]));
    let approval = fleet.admin.get(approval).await.value(200);
    assert_eq!(approval["payload"]["artifacts"], json!([digest(b"report")]));
}
