//! What happens when nobody decides in time, for each way that a policy may say.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Crowd, mails, policy, read, told};
use crate::support::{
    agent::Agent,
    fleet::{Fleet, text},
    invariants::verify_rested,
};

async fn expiring(fleet: &Fleet, on_expiry: &str, more: Value) -> Value {
    let mut settings = json!({"expires_after_seconds": 60, "on_expiry": on_expiry});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    policy(fleet, settings).await
}

async fn start() -> (Fleet, Agent) {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    (fleet, agent)
}

/// The one that asked learns of it by its long poll, by an event, and with its next claim.
#[tokio::test]
async fn the_asker_learns_that_nobody_decided() {
    let (fleet, agent) = start().await;
    expiring(&fleet, "reject", json!({})).await;
    let goal = fleet.lone_task(json!({})).await;
    let asked = agent.ask(&agent.take().await, "action").await;
    assert_eq!(asked["policy"]["expires_at"], "2026-03-01T12:01:00Z");
    assert_eq!(fleet.after(59).await, 0);
    assert_eq!(read(&fleet, &asked).await["state"], "pending");
    let path = format!("/v1/approvals/{}?wait_seconds=30", text(&asked["id"]));
    let waiter = agent.client.get(path);
    let waiter = tokio::spawn(async move { waiter.await.value(200) });
    // It has had the time to answer many others meanwhile.
    for _ in 0..20 {
        assert_eq!(read(&fleet, &asked).await["state"], "pending");
        assert!(!waiter.is_finished(), "it was answered before anything happened");
    }
    fleet.after(1).await;
    let heard = tokio::time::timeout(Duration::from_secs(20), waiter).await.unwrap().unwrap();
    assert_eq!((&heard["state"], &heard["verdict"]), (&json!("expired"), &Value::Null));
    assert!(text(&heard["reason"]).contains("nobody decided in time"));
    assert_eq!(heard["decided_by"], Value::Null);
    assert_eq!(told(&fleet, &asked).await, ["approval.requested", "approval.expired"]);
    fleet.expect_states(&goal, "a:ready").await;
    let held = agent.take().await;
    let [outcome] = held.claim["decisions"].as_array().unwrap().as_slice() else {
        panic!("one outcome is told: {}", held.claim["decisions"])
    };
    assert_eq!((&outcome["state"], &outcome["verdict"]), (&json!("expired"), &Value::Null));
    agent.release(&held).await;
    assert_eq!(agent.take().await.claim["decisions"], json!([]), "told once");
    let body = crate::support::fleet::about(&asked, json!({"decision": "approve"}));
    let late = fleet.admin.post(format!("/v1/approvals/{}/decide", text(&asked["id"])), &body);
    late.await.problem(409, "already_decided");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// `reject` has the effect of a rejection for what each kind asks, and is none.
#[tokio::test]
async fn what_expires_has_the_effect_of_a_rejection_and_is_none() {
    let (fleet, agent) = start().await;
    expiring(&fleet, "reject", json!({})).await;
    let plan = json!({"title": "g", "approval": {"plan": true},
                      "tasks": [{"ref": "a", "title": "a"}]});
    let planned = fleet.post_goal(plan).await;
    let started = fleet.lone_task(json!({"approval": {"start": true}})).await;
    let reviewed = fleet.lone_task(json!({"approval": {"result": true}})).await;
    agent.complete(&agent.take().await).await;
    let questions = fleet.questions().await;
    assert_eq!(questions.len(), 3);
    fleet.after(60).await;
    for question in &questions {
        let now = read(&fleet, question).await;
        assert_eq!((&now["state"], &now["verdict"]), (&json!("expired"), &Value::Null));
    }
    assert_eq!(fleet.goal_state(&planned).await, "cancelled");
    assert_eq!(fleet.goal_state(&started).await, "cancelled");
    let reason = text(&fleet.task(&started, "a").await["end_reason"]);
    assert!(reason.contains("nobody decided") && !reason.contains("rejected"), "{reason}");
    fleet.expect_states(&reviewed, "a:ready").await;
    let held = agent.take().await;
    let feedback = text(&held.claim["earlier_attempts"][0]["feedback"]);
    assert!(feedback.contains("nobody decided"), "{feedback}");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_expires_may_be_cancelled() {
    let (fleet, agent) = start().await;
    expiring(&fleet, "cancel_task", json!({})).await;
    let plan = json!({"title": "g", "approval": {"plan": true},
                      "tasks": [{"ref": "a", "title": "a"}]});
    let planned = fleet.post_goal(plan).await;
    let reviewed = fleet
        .goal(json!([{"ref": "a", "title": "a", "approval": {"result": true}},
                     {"ref": "b", "title": "b", "needs": ["a"]}]))
        .await;
    agent.complete(&agent.take().await).await;
    let asked = fleet.lone_task(json!({})).await;
    agent.ask(&agent.take().await, "input").await;
    let questions = fleet.questions().await;
    fleet.after(60).await;
    for question in &questions {
        assert_eq!(read(&fleet, question).await["state"], "expired");
    }
    for goal in [&planned, &reviewed, &asked] {
        assert_eq!(fleet.goal_state(goal).await, "cancelled");
    }
    fleet.expect_states(&reviewed, "a:cancelled b:cancelled").await;
    assert!(text(&fleet.task(&asked, "a").await["end_reason"]).contains("nobody decided"));
    agent.find_nothing().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_waits_goes_on_waiting_and_people_are_reminded() {
    let (fleet, agent) = start().await;
    expiring(&fleet, "wait", json!({"remind_every_seconds": 25})).await;
    fleet.lone_task(json!({})).await;
    let asked = agent.ask(&agent.take().await, "action").await;
    for _ in 0..4 {
        fleet.after(25).await;
    }
    let now = read(&fleet, &asked).await;
    assert_eq!((&now["state"], &now["policy"]["expires_at"]), (&json!("pending"), &Value::Null));
    assert_eq!(now["policy"]["reminded"], 3, "and once that the time is over");
    let reminders = told(&fleet, &asked).await;
    assert_eq!(reminders.iter().filter(|kind| *kind == "approval.reminded").count(), 4);
    // Nobody who ignored so many reads one more.
    for _ in 0..40 {
        fleet.after(25).await;
    }
    let reminders = told(&fleet, &asked).await;
    assert_eq!(reminders.iter().filter(|kind| *kind == "approval.reminded").count(), 21);
    fleet.decide(json!({"decision": "approve"})).await;
    agent.take().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_default_is_decided_by_nobody() {
    let (fleet, agent) = start().await;
    let default = json!({"decision": "approve", "answer": {"choice": "staging"}});
    expiring(&fleet, "default", json!({"default": default})).await;
    let started = fleet.lone_task(json!({"approval": {"start": true}})).await;
    let mut asked = Vec::new();
    for (options, state, answer) in [
        (json!(["staging", "live"]), "answered", json!({"choice": "staging"})),
        // What the policy declares is no answer to this question.
        (json!(["yes", "no"]), "rejected", Value::Null),
    ] {
        fleet.lone_task(json!({})).await;
        let body = json!({"kind": "input", "title": "which?", "options": options});
        let question = agent.write(&agent.take().await, "approvals", body).await.value(201);
        asked.push((question, state, answer));
    }
    fleet.after(60).await;
    for (question, state, answer) in &asked {
        let now = read(&fleet, question).await;
        assert_eq!((&now["state"], &now["answer"]), (&json!(state), answer), "{now}");
        assert_eq!(now["decided_by"], Value::Null);
        assert!(text(&now["reason"]).contains("policy `p`"), "{now}");
        assert_eq!(told(&fleet, question).await, ["approval.requested", "approval.decided"]);
    }
    fleet.expect_states(&started, "a:ready").await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A budget's question expires like any other, and cancels what waits for a limit of a lifetime.
#[tokio::test]
async fn a_limit_that_nobody_raises_is_given_up() {
    let (fleet, agent) = start().await;
    expiring(&fleet, "reject", json!({"match": {"kinds": ["budget"]}})).await;
    let limits =
        json!({"limits": [{"unit": "usd_micros", "amount": 5}], "on_exhausted": "park_and_ask"});
    let body = json!({"node": "workspace", "budget": limits});
    fleet.admin.post("/v1/budgets", &body).await.expect(201);
    let goal = fleet.lone_task(json!({"estimate": {"usd_micros": 10}})).await;
    agent.find_nothing().await;
    fleet.round().await;
    let asked = fleet.question().await;
    assert_eq!((&asked["kind"], &asked["policy"]["name"]), (&json!("budget"), &json!("p")));
    fleet.after(60).await;
    assert_eq!(read(&fleet, &asked).await["state"], "expired");
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Those who are asked next decide alone, with a clock of their own; after the last of them it is over.
#[tokio::test]
async fn what_is_too_slow_is_put_before_others() {
    let crowd = Crowd::of(&["ann", "bob", "cid", "head", "boss"]).await;
    let fleet = &crowd.fleet;
    let more = json!({
        "stages": [{"approvers": mails(&["ann", "bob"]), "quorum": 2}],
        "escalation": [{"approvers": mails(&["head"]), "expires_after_seconds": 30},
                       {"approvers": mails(&["boss", "ann"]), "quorum": 2, "expires_after_seconds": 10}],
        "escalation_ends": "reject",
    });
    expiring(fleet, "escalate", more).await;
    let (decided, ..) = crowd.ask("action").await;
    let (ignored, ..) = crowd.ask("action").await;
    for asked in [&decided, &ignored] {
        assert_eq!(crowd.yes("ann", asked).await.value(200)["state"], "pending");
        crowd.yes("head", asked).await.problem(403, "not_an_approver");
    }
    fleet.after(60).await;
    let now = read(fleet, &decided).await["policy"].clone();
    assert_eq!((&now["escalation"], &now["approvers"]), (&json!(1), &mails(&["head"])));
    assert_eq!((&now["agree"], &now["quorum"]), (&json!(0), &json!(1)), "a round of its own");
    assert_eq!(now["expires_at"], "2026-03-01T12:01:30Z");
    crowd.yes("bob", &decided).await.problem(403, "not_an_approver");
    assert_eq!(crowd.yes("head", &decided).await.value(200)["state"], "approved");
    let events = ["approval.requested", "approval.voted", "approval.escalated", "approval.decided"];
    assert_eq!(told(fleet, &decided).await, events);

    fleet.after(30).await;
    assert_eq!(crowd.yes("ann", &ignored).await.value(200)["state"], "pending", "in another round");
    fleet.after(10).await;
    assert_eq!(read(fleet, &ignored).await["state"], "expired");
    verify_rested(&fleet.pool, fleet.now()).await;
}
