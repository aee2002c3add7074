//! Whose goals they are.

use muster::domain::access::role::Role;
use serde_json::{Value, json};

use super::{last_goal, path, read, told};
use crate::support::{
    client::Client,
    fleet::{Fleet, text},
    invariants::verify,
};

/// A client with a key of an operator, and the id of the key.
async fn operator(fleet: &Fleet, person: &str) -> (Client, String) {
    let client = fleet.client(&fleet.key_of(Role::Operator, Some(person)).await);
    let key = text(&client.get("/v1/whoami").await.value(200)["key_id"]);
    (client, key)
}

async fn made_by(client: &Client) -> Value {
    let new = json!({"name": "s", "cron": "0 * * * *", "overlap": "cancel",
        "goal": {"title": "g", "approval": {"plan": true}, "tasks": [{"ref": "a", "title": "a"}]}});
    client.post("/v1/schedules", &new).await.value(201)
}

async fn poster_of(fleet: &Fleet, goal: &str) -> String {
    text(&fleet.read_goal(goal).await["created_by"])
}

#[tokio::test]
async fn the_maker_posts_and_does_not_decide() {
    let fleet = Fleet::start().await;
    let (alice, key) = operator(&fleet, "alice").await;
    let made = made_by(&alice).await;
    fleet.after(3_600).await;
    assert_eq!(poster_of(&fleet, &last_goal(&fleet, &made).await).await, key);
    let question = fleet.questions().await.remove(0);
    let decision = json!({"decision": "approve", "payload_sha256": question["payload_sha256"]});
    let decide = format!("/v1/approvals/{}/decide", text(&question["id"]));
    alice.post(decide.clone(), &decision).await.problem(403, "separation_of_duties");
    // Nor does who fired it by hand.
    let (bob, _) = operator(&fleet, "bob").await;
    let fire = bob.post(path(&made, "/fire"), &json!({})).await.value(201);
    let goal = fleet.read_goal(&text(&fire["goal_id"])).await;
    assert_eq!((&goal["created_by"], &goal["on_behalf_of"]), (&json!(key), &json!(["bob"])));
    let question = fleet.questions().await.remove(0);
    let decision = json!({"decision": "approve", "payload_sha256": question["payload_sha256"]});
    let decide = format!("/v1/approvals/{}/decide", text(&question["id"]));
    bob.post(decide.clone(), &decision).await.problem(403, "separation_of_duties");
    fleet.admin.post(decide, &decision).await.expect(200);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_schedule_whose_key_was_revoked_pauses_until_somebody_takes_it_over() {
    let fleet = Fleet::start().await;
    let (alice, key) = operator(&fleet, "alice").await;
    let made = made_by(&alice).await;
    fleet.admin.post(format!("/v1/keys/{key}/revoke"), &json!({})).await.expect(200);
    fleet.after(3_600).await;
    assert_eq!(told(&fleet, &made).await, [""; 0]);
    let paused = read(&fleet, &made).await;
    assert_eq!((&paused["state"], &paused["pause"]), (&json!("paused"), &json!("key_ended")));
    let page = fleet.admin.get("/v1/attention?kind=paused_schedule").await.value(200);
    assert_eq!(page["items"][0]["id"], made["id"], "{page:#}");
    fleet.poster.post(path(&made, "/fire"), &json!({})).await.problem(409, "wrong_state");
    let (bob, bobs) = operator(&fleet, "bob").await;
    let action = &page["items"][0]["action"];
    let resumed = bob.post(text(&action["path"]), &action["body"]).await.value(200);
    assert_eq!((&resumed["posts_as"], &resumed["state"]), (&json!(bobs), &json!("active")));
    fleet.after(3_600).await;
    assert_eq!(poster_of(&fleet, &last_goal(&fleet, &made).await).await, bobs);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_successor_of_a_rotated_key_posts() {
    let fleet = Fleet::start().await;
    let (alice, key) = operator(&fleet, "alice").await;
    let made = made_by(&alice).await;
    let body = json!({"overlap_seconds": 60});
    let rotated = fleet.admin.post(format!("/v1/keys/{key}/rotate"), &body).await.value(201);
    fleet.after(3_600).await;
    let poster = poster_of(&fleet, &last_goal(&fleet, &made).await).await;
    assert_eq!(json!(poster), rotated["key"]["id"], "{rotated:#}");
}

#[tokio::test]
async fn whoever_edits_the_goal_posts_it() {
    let fleet = Fleet::start().await;
    let (alice, key) = operator(&fleet, "alice").await;
    let (bob, bobs) = operator(&fleet, "bob").await;
    let made = made_by(&alice).await;
    let change = json!({"name": "renamed"});
    let edited = bob.patch(path(&made, ""), &change).if_match("\"v1\"").await.value(200);
    assert_eq!((&edited["posts_as"], &edited["version"]), (&json!(key), &json!(2)));
    let change = json!({"goal": {"title": "other", "tasks": [{"ref": "b", "title": "b"}]}});
    let edited = bob.patch(path(&made, ""), &change).if_match("\"v2\"").await.value(200);
    assert_eq!((&edited["posts_as"], &edited["created_by"]), (&json!(bobs), &json!(key)));
}
