//! Start times of goals and tasks.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{
    fleet::{Fleet, text},
    invariants::{verify, verify_rested},
};

fn instant(value: &Value) -> DateTime<Utc> {
    text(value).parse().unwrap()
}

/// So long that no attempt is lost while the test lets time pass.
const LEASE_SECONDS: u32 = 3600;

async fn move_start(fleet: &Fleet, goal: &str, start: Value) -> Value {
    let edit = fleet.admin.patch(format!("/v1/goals/{goal}"), &json!({"start_at": start}));
    edit.if_match("*").await.value(200)
}

#[tokio::test]
async fn tasks_wait_for_the_start_of_their_goal_and_their_own() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let (start, own) =
        (fleet.now() + TimeDelta::seconds(600), fleet.now() + TimeDelta::seconds(900));
    let early = fleet.now() + TimeDelta::seconds(60);
    let goal = fleet
        .post_goal(json!({"title": "g", "start_at": start, "tasks": [
            {"ref": "a", "title": "a", "start_within_seconds": 100},
            {"ref": "b", "title": "b", "not_before": own},
            {"ref": "c", "title": "c", "not_before": early},
            {"ref": "d", "title": "d", "needs": ["a"]},
        ]}))
        .await;
    assert_eq!(instant(&fleet.read_goal(&goal).await["start_at"]), start);
    assert_eq!(instant(&fleet.task(&goal, "a").await["ready_from"]), start);
    assert_eq!(instant(&fleet.task(&goal, "b").await["ready_from"]), own);
    fleet.after(599).await;
    fleet.expect_states(&goal, "a:waiting b:waiting c:waiting d:waiting").await;
    agent.find_nothing().await;
    fleet.after(1).await;
    fleet.expect_states(&goal, "a:ready b:waiting c:ready d:waiting").await;
    // `start_within_seconds` counts from the start.
    fleet.after(99).await;
    fleet.expect_states(&goal, "a:ready b:waiting c:ready d:waiting").await;
    let claim = json!({"max": 10, "lease_seconds": LEASE_SECONDS});
    assert_eq!(agent.claim_with(claim).await.len(), 2);
    fleet.after(201).await;
    fleet.expect_states(&goal, "a:running b:ready c:running d:waiting").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_moved_start_moves_what_nobody_has_begun() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let own = fleet.now() + TimeDelta::seconds(300);
    let goal = fleet
        .goal(json!([
            {"ref": "begun", "title": "a", "priority": 9},
            {"ref": "offered", "title": "b", "start_within_seconds": 60},
            {"ref": "asks", "title": "c", "approval": {"start": true}},
            {"ref": "later", "title": "d", "not_before": own},
        ]))
        .await;
    let held = agent.claim_with(json!({"lease_seconds": LEASE_SECONDS})).await;
    assert_eq!(held[0].name, "begun");
    move_start(&fleet, &goal, json!(fleet.now() + TimeDelta::seconds(600))).await;
    fleet.expect_states(&goal, "begun:running offered:waiting asks:waiting later:waiting").await;
    assert!(fleet.questions().await.is_empty(), "nobody is asked about what does not start yet");
    fleet.after(120).await;
    fleet.expect_states(&goal, "begun:running offered:waiting asks:waiting later:waiting").await;
    // Earlier again: the own start stays.
    move_start(&fleet, &goal, Value::Null).await;
    fleet.round().await;
    fleet.expect_states(&goal, "begun:running offered:ready asks:parked later:waiting").await;
    assert_eq!(instant(&fleet.task(&goal, "later").await["ready_from"]), own);
    // An edit of a task does not get around the goal.
    move_start(&fleet, &goal, json!(fleet.now() + TimeDelta::seconds(600))).await;
    let task = fleet.task_id(&goal, "later").await;
    let edit = fleet.admin.patch(format!("/v1/tasks/{task}"), &json!({"not_before": null}));
    let edited = edit.if_match("*").await.value(200);
    assert_eq!(instant(&edited["ready_from"]), fleet.now() + TimeDelta::seconds(600));
    let added = json!({"tasks": [{"ref": "added", "title": "e"}]});
    let added = fleet.poster.post(format!("/v1/goals/{goal}/tasks"), &added).await.value(201);
    assert_eq!(added["tasks"][0]["state"], "waiting");
    fleet.after(600).await;
    fleet
        .expect_states(&goal, "begun:running offered:ready asks:parked later:ready added:ready")
        .await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn an_own_start_is_edited_below_that_of_the_goal() {
    let fleet = Fleet::start().await;
    let at = |seconds| fleet.now() + TimeDelta::seconds(seconds);
    let (start, own) = (at(600), at(300));
    let goal = fleet
        .post_goal(json!({"title": "g", "start_at": start, "tasks": [
            {"ref": "dropped", "title": "a", "not_before": own},
            {"ref": "given", "title": "b"},
        ]}))
        .await;
    for (name, edit) in [("dropped", Value::Null), ("given", json!(own))] {
        let path = format!("/v1/tasks/{}", fleet.task_id(&goal, name).await);
        let edited = fleet.admin.patch(path, &json!({"not_before": edit})).if_match("*");
        assert_eq!(instant(&edited.await.value(200)["ready_from"]), start, "{name}");
    }
    move_start(&fleet, &goal, Value::Null).await;
    fleet.round().await;
    fleet.expect_states(&goal, "dropped:ready given:waiting").await;
    assert_eq!(instant(&fleet.task(&goal, "given").await["ready_from"]), own);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_start_is_before_the_deadline() {
    let fleet = Fleet::start().await;
    let now = fleet.now();
    let goal = |start| {
        json!({"title": "g", "deadline": now + TimeDelta::hours(1), "start_at": start,
               "tasks": [{"ref": "a", "title": "a"}]})
    };
    let late = fleet.poster.post("/v1/goals", &goal(now + TimeDelta::hours(1))).await;
    assert_eq!(late.problem(422, "invalid"), ["/start_at"]);
    let id = fleet.post_goal(goal(now + TimeDelta::minutes(59))).await;
    let edit = json!({"deadline": now + TimeDelta::minutes(59)});
    let edit = fleet.admin.patch(format!("/v1/goals/{id}"), &edit).if_match("*").await;
    assert_eq!(edit.problem(422, "invalid"), ["/start_at"]);
}
