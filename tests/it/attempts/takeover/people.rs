//! Tasks that people take over.

use muster::domain::access::role::Role;
use serde_json::{Value, json};

use super::find_lost;
use crate::support::{
    agent::{Agent, Held, claims},
    client::Client,
    dump::{dump, same},
    fleet::{Fleet, about, text},
    invariants::{verify, verify_rested},
};

/// A person with a key of their own: what they hold they write like an agent.
async fn person(fleet: &Fleet) -> Agent {
    let key = fleet.key("operator").await;
    Agent::new(fleet.client(&key), &key, String::new())
}

async fn take_over(person: &Client, task: &str, body: Value) -> Held {
    let answer = person.post(format!("/v1/tasks/{task}/takeover"), &body).await;
    held(&answer.value(201))
}

/// The claim of an answer.
pub fn held(claim: &Value) -> Held {
    Held {
        attempt: text(&claim["attempt_id"]),
        lease: text(&claim["lease"]),
        task: text(&claim["task"]["id"]),
        name: text(&claim["task"]["ref"]),
        number: claim["number"].as_i64().unwrap(),
        claim: claim.clone(),
    }
}

#[tokio::test]
async fn a_person_goes_on_where_the_agent_was_and_completes() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let alice = person(&fleet).await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a", "criteria": [{"text": "it works"}],
             "attempt_timeout_seconds": 60},
            {"ref": "b", "title": "b", "needs": ["a"]},
        ]))
        .await;
    let before = agent.take().await;
    agent.write(&before, "heartbeat", json!({"checkpoint": "half"})).await.expect(200);
    let mine = take_over(&alice.client, &before.task, json!({"reason": "by hand"})).await;
    assert_eq!((mine.number, &mine.claim["checkpoint"]), (2, &json!("half")));
    assert_eq!(mine.claim["lease_ms"], 8 * 3_600_000);
    assert_eq!(mine.claim["earlier_attempts"][0]["state"], "released");
    find_lost(&fleet, &agent, &before).await;
    agent.find_nothing().await;

    let task = fleet.task(&goal, "a").await;
    assert_eq!((&task["state"], &task["agent_id"]), (&json!("running"), &Value::Null));
    assert!(task["held_by_key"].is_string());
    fleet.after(7 * 3600).await;
    let beat = alice.write(&mine, "heartbeat", json!({"progress": {"percent": 50}})).await;
    let beat = beat.value(200);
    assert_eq!(
        (&beat["directive"], &beat["lease_expires_in_ms"]),
        (&json!("continue"), &json!(28_800_000))
    );
    fleet.after(7 * 3600).await;
    alice.write(&mine, "spend", json!({"totals": {"usd_micros": 30}})).await.expect(200);
    alice.write(&mine, "complete", json!({})).await.problem(422, "evidence_missing");
    let body = json!({"result": 1, "evidence": [{"criterion": 1, "text": "seen"}]});
    alice.write(&mine, "complete", body).await.expect(200);
    fleet.expect_states(&goal, "a:done b:ready").await;
    // 7 were reported late by the agent.
    assert_eq!(fleet.read_goal(&goal).await["spend"]["usd_micros"], 37);
    let report = fleet.admin.get("/v1/reports/spend?group_by=agent").await.value(200);
    let sums: Vec<_> =
        report["items"].as_array().unwrap().iter().map(|r| text(&r["key"])).collect();
    assert_eq!(sums, ["".to_owned(), agent.id.clone()]);
    let focus = "/v1/reports/focus.csv?from=2026-03-01T00:00:00Z&to=2026-03-04T00:00:00Z";
    fleet.admin.get(focus).await.expect(200);
    agent.complete(&agent.take().await).await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A person whose key is rotated while they hold a task goes on with the new key.
#[tokio::test]
async fn a_rotated_key_takes_its_attempts_along() {
    let fleet = Fleet::start().await;
    let alice = person(&fleet).await;
    let goal = fleet.lone_task(json!({})).await;
    let task = fleet.task_id(&goal, "a").await;
    let mine = take_over(&alice.client, &task, json!({"reason": "by hand"})).await;
    let overlap = json!({"overlap_seconds": 600});
    let issued = alice.client.post("/v1/keys/rotate", &overlap).await.value(201);
    let token = text(&issued["token"]);
    let successor = Agent::new(fleet.client(&token), &token, String::new());
    let read = fleet.task(&goal, "a").await;
    assert_eq!(read["held_by_key"], issued["key"]["id"]);
    let refused = alice.write(&mine, "heartbeat", json!({})).await;
    refused.problem(403, "not_your_attempt");
    successor.write(&mine, "heartbeat", json!({})).await.expect(200);
    successor.complete(&mine).await;
    fleet.expect_states(&goal, "a:done").await;
}

/// A person may give the task back, ask, or have subtasks done like an agent; and a lease that runs out
/// is lost like an agent's.
#[tokio::test]
async fn a_person_lets_go_like_an_agent() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let alice = person(&fleet).await;
    let goal = fleet.lone_task(json!({})).await;
    let task = fleet.task_id(&goal, "a").await;
    let mine = take_over(&alice.client, &task, json!({})).await;
    alice.release(&mine).await;
    let mine = take_over(&alice.client, &task, json!({"lease_seconds": 100})).await;
    alice.subtasks(&mine, json!([{"ref": "s", "title": "s"}])).await;
    fleet.expect_states(&goal, "a:parked s:ready").await;
    agent.complete(&agent.take().await).await;
    let mine = take_over(&alice.client, &task, json!({"lease_seconds": 100})).await;
    assert_eq!(mine.claim["children"].as_array().unwrap().len(), 1);
    alice.ask(&mine, "input").await;
    fleet.decide(json!({"decision": "answer", "answer": 1})).await;
    let mine = take_over(&alice.client, &task, json!({"lease_seconds": 100})).await;
    fleet.after(101).await;
    assert_eq!(fleet.task(&goal, "a").await["attempts_used"], 1);
    alice.write(&mine, "heartbeat", json!({})).await.problem(409, "lease_lost");
    fleet.after(5).await;
    agent.complete(&agent.take().await).await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_comes_first_is_said() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a", "priority": 9},
            {"ref": "needs", "title": "n", "needs": ["a"]},
            {"ref": "start", "title": "s", "approval": {"start": true}},
            {"ref": "result", "title": "r", "approval": {"result": true}},
        ]))
        .await;
    let held = agent.take().await;
    agent.complete(&agent.take().await).await;
    agent.subtasks(&held, json!([{"ref": "sub", "title": "s"}])).await;
    fleet
        .expect_states(&goal, "a:parked needs:waiting start:parked result:reviewing sub:ready")
        .await;
    let before = dump(&fleet.pool).await;
    for name in ["a", "needs", "start", "result"] {
        let path = format!("/v1/tasks/{}/takeover", fleet.task_id(&goal, name).await);
        fleet.admin.post(path, &json!({})).await.problem(409, "wrong_state");
    }
    let path = format!("/v1/tasks/{}/takeover", fleet.task_id(&goal, "sub").await);
    for (body, pointer) in [
        (json!({"lease_seconds": 0}), "/lease_seconds"),
        (json!({"lease_seconds": 604_801}), "/lease_seconds"),
        (json!({"reason": "x".repeat(20_000)}), "/reason"),
    ] {
        assert_eq!(fleet.admin.post(&path, &body).await.problem(422, "invalid"), [pointer]);
    }
    same("refused", &before, &dump(&fleet.pool).await);
    let freeze = json!({"scope": "goal", "scope_id": goal, "mode": "drain"});
    let freeze = fleet.admin.post("/v1/freezes", &freeze).await.value(201);
    fleet.admin.post(&path, &json!({})).await.problem(409, "frozen");
    let lift = format!("/v1/freezes/{}/lift", text(&freeze["id"]));
    fleet.admin.post(lift, &json!({})).await.expect(200);
    fleet.admin.post(&path, &json!({})).await.expect(201);
    verify(&fleet.pool).await;
}

/// A backoff does not stop a person, nor does the question that the agent asked.
#[tokio::test]
async fn what_rests_can_be_taken_over() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let alice = person(&fleet).await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let body = json!({"class": "transient", "retry_after_seconds": 3600});
    agent.write(&held, "fail", body).await.expect(200);
    let mine = take_over(&alice.client, &held.task, json!({})).await;
    alice.release(&mine).await;
    agent.ask(&agent.take().await, "action").await;
    let question = text(&fleet.question().await["id"]);
    let mine = take_over(&alice.client, &held.task, json!({})).await;
    let asked = fleet.admin.get(format!("/v1/approvals/{question}")).await.value(200);
    assert_eq!(asked["state"], "cancelled");
    alice.complete(&mine).await;
    fleet.expect_states(&goal, "a:done").await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A person's attempt is paid for like any: from the same budget, or not at all.
#[tokio::test]
async fn a_takeover_needs_money_like_a_claim() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let alice = person(&fleet).await;
    let limits = json!([{"unit": "usd_micros", "amount": 10}]);
    let tasks = json!([{"ref": "a", "title": "a", "estimate": {"usd_micros": 10}},
                       {"ref": "b", "title": "b", "estimate": {"usd_micros": 5}}]);
    let goal = json!({"title": "g", "budget": {"limits": limits}, "tasks": tasks});
    let goal = fleet.post_goal(goal).await;
    let held = agent.take().await;
    let other = fleet.task_id(&goal, "b").await;
    let before = dump(&fleet.pool).await;
    let path = format!("/v1/tasks/{other}/takeover");
    alice.client.post(&path, &json!({})).await.problem(409, "budget_exhausted");
    same("short", &before, &dump(&fleet.pool).await);
    // What the agent had set aside is what the person sets aside.
    let mine = take_over(&alice.client, &held.task, json!({})).await;
    let budgets = fleet.admin.get(format!("/v1/budgets?node_id={goal}")).await.value(200);
    verify(&fleet.pool).await;
    alice.write(&mine, "spend", json!({"totals": {"usd_micros": 4}})).await.expect(200);
    alice.complete(&mine).await;
    let mine = take_over(&alice.client, &other, json!({})).await;
    alice.complete(&mine).await;
    drop(budgets);
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A person who worked on a task does not decide about its result, now or later, with any key.
#[tokio::test]
async fn whoever_took_over_does_not_decide_about_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let (fleet, name) = (&fleet, "alice@example.com");
    // Not made by the admin, who could not decide then.
    let key = || fleet.key_of(Role::Operator, Some(name));
    let (alice, other_key) = (fleet.client(&key().await), fleet.client(&key().await));
    let goal = fleet.lone_task(json!({"approval": {"result": true}})).await;
    let task = fleet.task_id(&goal, "a").await;
    let mine = take_over(&alice, &task, json!({})).await;
    for round in 0..2 {
        if round == 0 {
            let path = format!("/v1/attempts/{}/complete", mine.attempt);
            alice.post(path, &json!({"lease": mine.lease})).await.expect(200);
        } else {
            agent.complete(&agent.take().await).await;
        }
        let question = fleet.question().await;
        let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
        for who in [&alice, &other_key] {
            let decision = about(&question, json!({"decision": "approve"}));
            who.post(&path, &decision).await.problem(403, "separation_of_duties");
        }
        fleet.decide(json!({"decision": "reject", "reason": "no"})).await;
    }
    verify(&fleet.pool).await;
}

/// An answer that got lost can be had again, lease included.
#[tokio::test]
async fn the_same_takeover_again_is_the_same_attempt() {
    let fleet = Fleet::start().await;
    let alice = person(&fleet).await;
    let goal = fleet.lone_task(json!({})).await;
    let path = format!("/v1/tasks/{}/takeover", fleet.task_id(&goal, "a").await);
    let call = || alice.client.post(&path, &json!({})).idempotency_key("one");
    let (once, again) = (call().await.value(201), call().await.value(201));
    assert_eq!(once, again);
    alice.complete(&held(&again)).await;
    fleet.expect_states(&goal, "a:done").await;
    verify(&fleet.pool).await;
}

/// Of two agents that wait, the one for which a task is kept is called, at once.
#[tokio::test]
async fn whoever_waits_is_called_when_a_task_is_kept_for_it() {
    let fleet = Fleet::start().await;
    let first = fleet.agent("first", &[], 1).await;
    let second = fleet.agent("second", &[], 1).await;
    let goal = fleet.lone_task(json!({})).await;
    let task = fleet.task_id(&goal, "a").await;
    let alice = person(&fleet).await;
    let mine = take_over(&alice.client, &task, json!({})).await;
    let wait = |agent: Agent| {
        tokio::spawn(async move {
            claims(&agent.client.post("/v1/claims", &json!({"wait_seconds": 20})).await)
        })
    };
    let (of_first, of_second) = (wait(first.clone()), wait(second.clone()));
    let body = json!({"agent_id": second.id});
    fleet.admin.post(format!("/v1/tasks/{task}/reassign"), &body).await.expect(200);
    let given = of_second.await.unwrap();
    assert_eq!(given.len(), 1);
    assert!(!of_first.is_finished());
    alice.write(&mine, "complete", json!({})).await.problem(409, "lease_lost");
    second.release(&given[0]).await;
    assert_eq!(of_first.await.unwrap().len(), 1, "given back, it is anybody's");
    verify(&fleet.pool).await;
}
