//! Stages: one after the other, each with its own people and its own clock.

use serde_json::{Value, json};

use super::{Crowd, mails, policy, read, told};
use crate::support::{
    fleet::{about, text},
    invariants::{verify, verify_rested},
};

fn two_stages() -> Value {
    json!([{"approvers": mails(&["ann", "bob"])}, {"approvers": mails(&["cid", "bob"]), "quorum": 2}])
}

#[tokio::test]
async fn one_stage_comes_after_the_other() {
    let crowd = Crowd::of(&["ann", "bob", "cid"]).await;
    let fleet = &crowd.fleet;
    let settings =
        json!({"stages": two_stages(), "expires_after_seconds": 60, "on_expiry": "reject"});
    policy(fleet, settings).await;
    let (asked, _, goal) = crowd.ask("action").await;
    crowd.yes("cid", &asked).await.problem(403, "not_an_approver");
    fleet.pass(50);
    let next = crowd.yes("bob", &asked).await.value(200);
    assert_eq!((&next["state"], &next["policy"]["stage"]), (&json!("pending"), &json!(2)));
    assert_eq!((&next["policy"]["agree"], &next["policy"]["quorum"]), (&json!(0), &json!(2)));
    assert_eq!(next["policy"]["expires_at"], "2026-03-01T12:01:50Z", "a clock of its own");
    crowd.yes("ann", &asked).await.problem(403, "not_an_approver");
    fleet.after(50).await;
    assert_eq!(crowd.yes("cid", &asked).await.value(200)["state"], "pending");
    fleet.expect_states(&goal, "a:parked").await;
    let done = crowd.yes("bob", &asked).await.value(200);
    assert_eq!(done["state"], "approved");
    let events = ["approval.requested", "approval.voted", "approval.voted", "approval.decided"];
    assert_eq!(told(fleet, &asked).await, events);
    fleet.expect_states(&goal, "a:ready").await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_revision_begins_with_the_first_stage_again() {
    let crowd = Crowd::of(&["ann", "bob", "cid"]).await;
    let fleet = &crowd.fleet;
    policy(fleet, json!({"stages": two_stages()})).await;
    let (asked, ..) = crowd.ask("action").await;
    crowd.yes("ann", &asked).await.expect(200);
    // Who decides in the second stage alone approves no other payload than the first did.
    let edits = json!({"decision": "approve", "payload": {"run": "that"}});
    crowd.vote("cid", &asked, edits).await.problem(403, "not_an_approver");
    assert_eq!(read(fleet, &asked).await["revision"], 1);
    let path = format!("/v1/approvals/{}/revise", text(&asked["id"]));
    let body = about(&asked, json!({"payload": {"run": "this"}}));
    let revised = crowd.people["cid"].post(path, &body).await.value(200);
    assert_eq!(revised["policy"]["stage"], 1);
    for who in ["ann", "bob", "cid"] {
        crowd.yes(who, &asked).await.expect(200);
    }
    assert_eq!(read(fleet, &asked).await["state"], "approved");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn later_stages_answer_as_the_first_did() {
    let crowd = Crowd::of(&["ann", "bob", "cid"]).await;
    let fleet = &crowd.fleet;
    policy(
        fleet,
        json!({"stages": [{"approvers": mails(&["ann"])}, {"approvers": mails(&["cid"])}]}),
    )
    .await;
    let (asked, ..) = crowd.ask("input").await;
    let answer = |value: i32| json!({"decision": "answer", "answer": value});
    crowd.vote("ann", &asked, answer(1)).await.expect(200);
    let other = crowd.vote("cid", &asked, answer(2)).await;
    assert_eq!(other.problem(422, "invalid"), ["/answer"]);
    let done = crowd.vote("cid", &asked, answer(1)).await.value(200);
    assert_eq!((&done["state"], &done["answer"]), (&json!("answered"), &json!(1)));
    verify(&fleet.pool).await;
}

/// Who asks for little cannot be made to approve much: what it costs is looked at again.
#[tokio::test]
async fn a_revision_that_costs_more_finds_the_policy_for_that() {
    let crowd = Crowd::of(&["ann", "bob"]).await;
    let fleet = &crowd.fleet;
    let dear = json!({"name": "dear", "priority": 1, "stages": [{"approvers": mails(&["ann"])}],
                      "match": {"cost_at_least": {"unit": "usd_micros", "amount": 1000}}});
    policy(fleet, dear).await;
    let task =
        |amount: i64| json!([{"ref": "a", "title": "a", "estimate": {"usd_micros": amount}}]);
    let goal = json!({"title": "g", "approval": {"plan": true}, "tasks": task(10)});
    let goal = fleet.post_goal(goal).await;
    let asked = fleet.question().await;
    assert_eq!(asked["policy"], Value::Null);
    let edits = json!({"decision": "approve", "payload": task(1000)});
    crowd.vote("bob", &asked, edits.clone()).await.problem(403, "not_an_approver");
    assert_eq!(read(fleet, &asked).await["policy"], Value::Null, "nothing is changed");
    let done = crowd.vote("ann", &asked, edits).await.value(200);
    assert_eq!((&done["state"], &done["policy"]["name"]), (&json!("approved"), &json!("dear")));
    assert_eq!(fleet.goal_state(&goal).await, "active");
    verify(&fleet.pool).await;
}
