//! What waits for a person, and what follows from the decision: at once, once, and told once.

mod again;
mod authority;
mod links;
mod review;
mod revisions;
mod scoped;
mod separation_of_duties;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    agent::Agent,
    dump::{dump, same},
    fleet::{Fleet, about, text},
    invariants::{verify, verify_rested},
};

fn approve() -> Value {
    json!({"decision": "approve"})
}

fn reject() -> Value {
    json!({"decision": "reject", "reason": "too dear"})
}

async fn start() -> (Fleet, Agent) {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    (fleet, agent)
}

#[tokio::test]
async fn a_plan_is_laid_out_when_it_is_approved() {
    let (fleet, agent) = start().await;
    let plan = json!({"title": "g", "approval": {"plan": true},
                      "tasks": [{"ref": "a", "title": "a"}]});
    let goal = fleet.post_goal(plan.clone()).await;
    assert_eq!(fleet.goal_state(&goal).await, "proposed");
    agent.find_nothing().await;
    let decided = fleet.decide(approve()).await;
    assert_eq!((&decided["kind"], &decided["state"]), (&json!("plan"), &json!("approved")));
    assert_eq!(agent.work_off().await, ["a"]);
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");

    let goal = fleet.post_goal(plan).await;
    fleet.decide(reject()).await;
    let read = fleet.read_goal(&goal).await;
    assert_eq!((&read["state"], &read["tasks"]["total"]), (&json!("cancelled"), &json!(0)));
    assert!(text(&read["end_reason"]).contains("too dear"), "{read}");
    fleet.after(3600).await;
    assert_eq!(fleet.goal_state(&goal).await, "cancelled", "an empty goal is never complete");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_start_is_asked_for_when_nothing_else_is_in_the_way_and_once() {
    let (fleet, agent) = start().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a"},
            {"ref": "b", "title": "b", "needs": ["a"], "approval": {"start": true}},
            {"ref": "c", "title": "c", "needs": ["b"]},
        ]))
        .await;
    assert!(fleet.questions().await.is_empty());
    assert_eq!(agent.work_off().await, ["a"]);
    fleet.expect_states(&goal, "a:done b:parked c:waiting").await;
    let path = format!("/v1/approvals/{}", text(&fleet.question().await["id"]));
    let asked = fleet.admin.get(path).await.value(200);
    assert_eq!((&asked["payload"]["ref"], &asked["payload"]["title"]), (&json!("b"), &json!("b")));
    fleet.decide(approve()).await;
    // A failure does not ask again.
    agent.fail(&agent.take().await, "transient").await;
    fleet.after(5).await;
    assert_eq!(agent.work_off().await, ["b", "c"]);

    let goal = fleet
        .goal(json!([
            {"ref": "b", "title": "b", "approval": {"start": true}},
            {"ref": "c", "title": "c", "needs": ["b"]},
        ]))
        .await;
    fleet.decide(reject()).await;
    fleet.expect_states(&goal, "b:cancelled c:cancelled").await;
    assert!(text(&fleet.task(&goal, "b").await["end_reason"]).contains("too dear"));
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_result_counts_when_it_is_accepted() {
    let (fleet, agent) = start().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a", "approval": {"result": true}, "max_attempts": 1},
            {"ref": "b", "title": "b", "needs": ["a"]},
        ]))
        .await;
    let held = agent.take().await;
    let answer = agent.complete(&held).await;
    assert_eq!(
        (&answer["attempt_state"], &answer["task_state"]),
        (&json!("submitted"), &json!("reviewing"))
    );
    agent.write(&held, "heartbeat", json!({})).await.problem(409, "lease_lost");
    // No lease runs while a person thinks.
    fleet.after(100_000).await;
    fleet.expect_states(&goal, "a:reviewing b:waiting").await;
    fleet.decide(reject()).await;
    fleet.expect_states(&goal, "a:ready b:waiting").await;
    let again = agent.take().await;
    let earlier = &again.claim["earlier_attempts"][0];
    assert_eq!((&earlier["state"], &earlier["feedback"]), (&json!("rejected"), &json!("too dear")));
    assert_eq!(fleet.task(&goal, "a").await["attempts_used"], 0, "a rejection is no failure");
    agent.complete(&again).await;
    fleet.decide(approve()).await;
    fleet.expect_states(&goal, "a:done b:ready").await;
    let held = agent.take().await;
    assert_eq!(held.claim["needs"][0]["result"], json!({"by": "a"}));
    agent.complete(&held).await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_question_parks_the_task_and_its_outcome_is_told_once() {
    let (fleet, agent) = start().await;
    let single = fleet.agent("single", &["one"], 1).await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a", "capabilities": ["one"], "priority": 9},
            {"ref": "b", "title": "b", "capabilities": ["one"], "priority": 1},
        ]))
        .await;
    for (kind, decision, state) in [
        ("input", json!({"decision": "answer", "answer": {"use": "staging"}}), "answered"),
        ("input", reject(), "rejected"),
        ("action", approve(), "approved"),
        ("action", reject(), "rejected"),
    ] {
        let held = single.take().await;
        assert_eq!(held.name, "a");
        assert_eq!(held.claim["decisions"].as_array().unwrap().len(), usize::from(held.number > 1));
        let body = json!({"kind": kind, "title": "may I?", "checkpoint": {"at": held.number}});
        single.write(&held, "approvals", body).await.expect(201);
        // The slot is free for other work, and no lease runs.
        let other = single.take().await;
        assert_eq!(other.name, "b");
        single.hand_back(&other).await;
        fleet.after(2000).await;
        fleet.expect_states(&goal, "a:parked b:ready").await;
        fleet.decide(decision).await;
        let held = single.take().await;
        let [told] = held.claim["decisions"].as_array().unwrap().as_slice() else {
            panic!("one decision is told: {}", held.claim["decisions"]);
        };
        assert_eq!((&told["kind"], &told["state"]), (&json!(kind), &json!(state)));
        assert_eq!(told["answer"].is_null(), state != "answered");
        assert_eq!(told["reason"].is_null(), state != "rejected");
        assert_eq!(held.claim["checkpoint"], json!({"at": held.number - 1}));
        single.hand_back(&held).await;
        let held = single.take().await;
        assert_eq!(held.claim["decisions"], json!([]), "told before");
        let body = json!({"kind": "input", "title": "and now?"});
        single.write(&held, "approvals", body).await.expect(201);
        fleet.decide(json!({"decision": "answer", "answer": 1})).await;
    }
    agent.find_nothing().await;
    fleet.after(5).await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn of_racing_deciders_one_wins() {
    let (fleet, agent) = start().await;
    let goal = fleet.lone_task(json!({"approval": {"result": true}})).await;
    agent.complete(&agent.take().await).await;
    let question = fleet.question().await;
    let id = text(&question["id"]);
    let calls = (0..8).map(|n| {
        let body = about(&question, if n % 2 == 0 { approve() } else { reject() });
        let call = fleet.admin.post(format!("/v1/approvals/{id}/decide"), &body);
        async move { (n, call.await) }
    });
    let (won, lost): (Vec<_>, Vec<_>) =
        join_all(calls).await.into_iter().partition(|(_, answer)| answer.status == 200);
    let [(winner, answer), again @ ..] = won.as_slice() else { panic!("nobody won") };
    assert_eq!(again.len(), 3, "the same decision gets the same answer");
    for (same, repeated) in again {
        assert_eq!(same % 2, winner % 2);
        assert_eq!(repeated.json::<Value>(), answer.json::<Value>());
    }
    for (_, answer) in &lost {
        answer.problem(409, "already_decided");
    }
    let (approval, task) =
        if winner % 2 == 0 { ("approved", "done") } else { ("rejected", "ready") };
    assert_eq!(answer.json::<Value>()["state"], approval);
    fleet.expect_states(&goal, &format!("a:{task}")).await;
    let decided: i64 =
        sqlx::query_scalar("select count(*) from journal where kind = 'approval.decided'")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(decided, 1);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_decision_that_makes_no_sense_changes_nothing() {
    let (fleet, agent) = start().await;
    fleet.lone_task(json!({})).await;
    agent.ask(&agent.take().await, "input").await;
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let before = dump(&fleet.pool).await;
    for (decision, pointer) in [
        (approve(), "/decision"),
        (json!({"decision": "reject"}), "/reason"),
        (json!({"decision": "reject", "reason": " "}), "/reason"),
        (json!({"decision": "answer"}), "/answer"),
        (json!({"decision": "reject", "reason": "no", "answer": 1}), "/answer"),
    ] {
        let answer = fleet.admin.post(&path, &about(&question, decision.clone())).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{decision}");
    }
    same("refused decisions", &before, &dump(&fleet.pool).await);
}

#[tokio::test]
async fn what_ended_is_no_question_any_more() {
    let (fleet, agent) = start().await;
    let goal = fleet.lone_task(json!({})).await;
    agent.ask(&agent.take().await, "action").await;
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}", text(&question["id"]));
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    let before = dump(&fleet.pool).await;
    let answer = fleet.admin.post(format!("{path}/decide"), &about(&question, approve())).await;
    answer.problem(409, "already_decided");
    same("a late decision", &before, &dump(&fleet.pool).await);
    assert_eq!(fleet.admin.get(path).await.value(200)["state"], "cancelled");
    verify(&fleet.pool).await;
}
