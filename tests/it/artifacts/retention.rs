//! How long artifacts stay.

use axum::http::Method;
use serde_json::json;

use super::{count, nothing_is_left};
use crate::support::{
    artifacts::{digest, path, put},
    fleet::Fleet,
    invariants::verify,
};

const DAY: u64 = 24 * 3600;

async fn keep(fleet: &Fleet, days: Option<i32>) {
    let change = json!({"artifact_retention_days": days});
    fleet.admin.patch("/v1/workspace", &change).if_match("*").await.expect(200);
}

#[tokio::test]
async fn an_artifact_is_deleted_when_its_retention_is_over_and_not_before() {
    let fleet = Fleet::start().await;
    put(&fleet.admin, b"a").await.expect(201);
    fleet.after(400 * DAY).await;
    fleet.admin.get(path(b"a")).await.expect(200);
    keep(&fleet, Some(10)).await;
    // Sent again in time: it counts anew.
    put(&fleet.admin, b"a").await.expect(200);
    fleet.after(10 * DAY - 60).await;
    let list = fleet.admin.get("/v1/artifacts").await.value(200);
    assert!(list["items"][0]["expires_at"].is_string());
    fleet.after(120).await;
    fleet.admin.get(path(b"a")).await.problem(404, "not_found");
    fleet.after(120).await;
    nothing_is_left(&fleet).await;
    let deleted = "select exists (select from journal where kind = 'artifact.deleted')";
    fleet.until(deleted).await;
}

#[tokio::test]
async fn an_open_goal_keeps_what_it_refers_to() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    keep(&fleet, Some(1)).await;
    for bytes in [&b"result"[..], b"evidence", b"nobody's"] {
        put(&agent.client, bytes).await.expect(201);
    }
    let goal = fleet
        .goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b", "needs": ["a"]}]))
        .await;
    let held = agent.take().await;
    let complete = held.with(json!({
        "artifacts": [digest(b"result")],
        "evidence": [{"text": "the log", "artifact": digest(b"evidence")}],
    }));
    let done = format!("/v1/attempts/{}/complete", held.attempt);
    agent.client.post(done, &complete).await.expect(200);
    fleet.after(2 * DAY).await;
    fleet.admin.get(path(b"nobody's")).await.problem(404, "not_found");
    for bytes in [&b"result"[..], b"evidence"] {
        fleet.admin.get(path(bytes)).await.expect(200);
        fleet.admin.call(Method::DELETE, path(bytes)).await.problem(409, "wrong_state");
    }
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    fleet.after(120).await;
    fleet.after(120).await;
    nothing_is_left(&fleet).await;
    // What was said stays said.
    let attempt = fleet.admin.get(format!("/v1/attempts/{}", held.attempt)).await.value(200);
    assert_eq!(attempt["evidence"][0]["artifact"], digest(b"evidence"));
    assert_eq!(attempt["artifacts"], json!([]));
    assert_eq!(count(&fleet, "artifact_refs").await, 0);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn bytes_that_cannot_be_removed_keep_no_others() {
    let fleet = Fleet::start().await;
    keep(&fleet, Some(1)).await;
    for bytes in [&b"a"[..], b"b", b"c"] {
        put(&fleet.admin, bytes).await.expect(201);
        fleet.pass(1);
    }
    fleet.artifacts.stuck(Some(b"a"));
    fleet.after(2 * DAY).await;
    assert_eq!(fleet.artifacts.holds(), (1, 0));
    assert_eq!(count(&fleet, "artifact_uploads").await, 1);
    // It is asked for again, and not at every run.
    fleet.artifacts.stuck(None);
    fleet.after(120).await;
    assert_eq!(fleet.artifacts.holds(), (1, 0));
    fleet.after(900).await;
    nothing_is_left(&fleet).await;
}
