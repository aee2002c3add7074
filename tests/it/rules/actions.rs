//! What rules do, how that ends, and when they do it again.

use serde_json::{Value, json};

use super::{
    expect_silence, fail_with, go_round, id, intervention, interventions, nudge, read, rule,
    rule_events, step, tell,
};
use crate::support::{
    client::Client,
    fleet::{Fleet, router, text},
    invariants::verify,
};

#[tokio::test]
async fn a_nudge_is_handed_over_once_also_after_a_restart() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let made = rule(&fleet, json!({"looping": {}}), nudge()).await;
    fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let held = agent.claim(2).await;
    go_round(&agent, &held[0], 1).await;
    fleet.round().await;
    assert_eq!(agent.beat(&held[1]).await["nudges"], json!([]));
    // Another process, which knows only what is stored.
    let other = Client::of(router(&fleet.another_app().await)).with_key(&agent.key);
    let path = format!("/v1/attempts/{}/heartbeat", held[0].attempt);
    let beats = (0..5).map(|_| other.post(path.clone(), &held[0].with(json!({}))));
    let beats = futures_util::future::join_all(beats.map(IntoFuture::into_future)).await;
    let told: Vec<Value> = beats
        .into_iter()
        .flat_map(|answer| answer.value(200)["nudges"].as_array().unwrap().clone())
        .collect();
    assert_eq!(told, [json!({"text": "think again", "rule_id": made["id"], "loop": null})]);
    // With what the steps themselves say, and with spend, it is the same.
    assert_eq!(agent.beat(&held[0]).await["nudges"], json!([]));
    assert_eq!(intervention(&fleet).await["action"], "nudge");
}

#[tokio::test]
async fn a_nudge_waits_for_whoever_works_on_the_task_next() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    rule(&fleet, json!({"failures": {"count": 1}}), nudge()).await;
    fleet.lone_task(json!({"max_attempts": 5})).await;
    fail_with(&fleet, &agent, "no").await;
    fleet.round().await;
    let held = agent.take().await;
    let spends = json!({"spend": {"totals": {"usd_micros": 1}}});
    let answer = agent.write(&held, "heartbeat", spends).await.value(200);
    assert_eq!(answer["nudges"][0]["text"], "think again");
    agent.complete(&held).await;
    fleet.round().await;
    assert_eq!(rule_events(&fleet).await, ["rule.triggered", "rule.cleared"]);
    assert_eq!(interventions(&fleet, "").await[0]["closing"], "ended");
}

#[tokio::test]
async fn a_question_takes_the_task_from_its_agent_until_it_is_answered() {
    for then in [json!({"ask": {}}), json!({"park": {}})] {
        let fleet = Fleet::start().await;
        let agent = fleet.worker().await;
        let limits = json!({"limits": [{"unit": "usd_micros", "amount": 1000}]});
        rule(&fleet, json!({"looping": {}}), then.clone()).await;
        let goal =
            fleet.lone_task(json!({"budget": limits, "estimate": {"usd_micros": 900}})).await;
        let held = agent.take().await;
        let checkpoint = json!({"checkpoint": {"at": 3}});
        agent.write(&held, "heartbeat", checkpoint).await.expect(200);
        go_round(&agent, &held, 1).await;
        fleet.round().await;
        fleet.expect_states(&goal, "a:parked").await;
        agent.write(&held, "heartbeat", json!({})).await.problem(409, "lease_lost");
        agent.write(&held, "complete", json!({})).await.problem(409, "lease_lost");
        // What it used it can still report, and nothing is set aside for it.
        let late = json!({"entries": [{"key": "late", "amounts": {"usd_micros": 7}}]});
        agent.write(&held, "spend", late).await.expect(200);
        let question = read(&fleet, &fleet.question().await).await;
        assert_eq!((&question["kind"], &question["task_id"]), (&json!("input"), &json!(held.task)));
        assert_eq!(question["payload"]["condition"], "looping");
        assert!(text(&question["title"]).ends_with("its steps repeat: same_step"), "{question}");
        let open = intervention(&fleet).await;
        assert_eq!(
            (&open["approval_id"], &open["action"]),
            (&question["id"], &json!(then.as_object().unwrap().keys().next().unwrap()))
        );
        agent.find_nothing().await;
        verify(&fleet.pool).await;
        // Only what the form offers is an answer.
        let path = format!("/v1/approvals/{}/decide", id(&question));
        let other = json!({"decision": "answer", "answer": {"choice": "perhaps"}});
        let other = crate::support::fleet::about(&question, other);
        fleet.admin.post(path, &other).await.problem(422, "invalid");
        fleet.decide(json!({"decision": "answer", "answer": {"choice": "continue"}})).await;
        assert_eq!(interventions(&fleet, "").await[0]["closing"], "decided");
        let next = agent.take().await;
        assert_eq!(next.claim["checkpoint"], json!({"at": 3}));
        assert_eq!(next.claim["decisions"][0]["answer"]["choice"], "continue", "{}", next.claim);
        // The next attempt is another, and its loop is news.
        expect_silence(&fleet).await;
        go_round(&agent, &next, 1).await;
        fleet.round().await;
        assert_eq!(interventions(&fleet, "").await.len(), 2);
        fleet.decide(json!({"decision": "answer", "answer": {"choice": "cancel"}})).await;
        fleet.expect_states(&goal, "a:cancelled").await;
        assert_eq!(fleet.goal_state(&goal).await, "cancelled");
        fleet.round().await;
        let events = rule_events(&fleet).await;
        assert_eq!(events, ["rule.triggered", "rule.cleared"].repeat(2));
        verify(&fleet.pool).await;
    }
}

/// A rule takes the task also from an attempt whose lease is over and that nobody has followed yet.
#[tokio::test]
async fn what_a_rule_takes_is_not_completed_late() {
    for then in [json!({"park": {}}), json!({"reassign": {}})] {
        let fleet = Fleet::start().await;
        let first = fleet.agent("first", &["deploy"], 9).await;
        let second = fleet.agent("second", &["deploy"], 9).await;
        let goal = fleet.lone_task(json!({"capabilities": ["deploy"]})).await;
        let held = first.take().await;
        fleet.after(61).await;
        fleet.after(5).await;
        fleet.expect_states(&goal, "a:ready").await;
        let when = json!({"risky_capability": {"capabilities": ["deploy"]}});
        rule(&fleet, when, then.clone()).await;
        fleet.round().await;
        first.write(&held, "complete", json!({})).await.problem(409, "lease_lost");
        if then["park"].is_object() {
            fleet.expect_states(&goal, "a:parked").await;
            fleet.decide(json!({"decision": "answer", "answer": {"choice": "continue"}})).await;
        }
        second.complete(&second.take().await).await;
        fleet.expect_states(&goal, "a:done").await;
        verify(&fleet.pool).await;
    }
}

#[tokio::test]
async fn what_was_answered_is_answered_until_it_has_become_worse() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("deployer", &["deploy"], 9).await;
    rule(&fleet, json!({"risky_capability": {"capabilities": ["deploy"]}}), json!({"ask": {}}))
        .await;
    rule(&fleet, json!({"failures": {"count": 1}}), json!({"ask": {}})).await;
    let goal = fleet.lone_task(json!({"capabilities": ["deploy"], "max_attempts": 9})).await;
    fleet.round().await;
    fleet.expect_states(&goal, "a:parked").await;
    // Whoever will not answer has it go on.
    fleet.decide(json!({"decision": "decline"})).await;
    fail_with(&fleet, &agent, "no").await;
    fleet.round().await;
    assert_eq!(intervention(&fleet).await["condition"], "failures");
    fleet.decide(json!({"decision": "answer", "answer": {"choice": "continue"}})).await;
    for _ in 0..3 {
        fleet.pass(7_200);
        expect_silence(&fleet).await;
    }
    fail_with(&fleet, &agent, "no").await;
    fleet.round().await;
    assert_eq!(intervention(&fleet).await["detail"], "2 attempts failed");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_task_that_waits_for_its_subtasks_is_asked_about_meanwhile() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    rule(&fleet, json!({"subtasks_over": {"count": 1}}), json!({"park": {}})).await;
    let sub = |n: i32| json!({"ref": format!("s{n}"), "title": "s"});
    let tasks = json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}]);
    let goal = fleet.goal(tasks).await;
    for (held, n) in agent.claim(2).await.iter().zip([1, 3]) {
        agent.subtasks(held, json!([sub(n), sub(n + 1)])).await;
    }
    fleet.round().await;
    let questions = fleet.questions().await;
    assert_eq!(questions.len(), 2);
    assert_eq!(questions[0]["task_id"], Value::Null);
    verify(&fleet.pool).await;
    let about_a = json!(fleet.task_id(&goal, "a").await);
    let mut questions = [read(&fleet, &questions[0]).await, read(&fleet, &questions[1]).await];
    questions.sort_by_key(|question| question["payload"]["task_id"] != about_a);
    let [cancelled, ended] = questions;
    let path = format!("/v1/approvals/{}/decide", id(&cancelled));
    let cancel = json!({"decision": "answer", "answer": {"choice": "cancel"}});
    let cancel = crate::support::fleet::about(&cancelled, cancel);
    fleet.admin.post(path, &cancel).await.expect(200);
    fleet
        .expect_states(&goal, "a:cancelled b:parked s1:cancelled s2:cancelled s3:ready s4:ready")
        .await;
    // The other goes on and ends; then nobody has to answer any more.
    assert_eq!(agent.work_off().await, ["s3", "s4", "b"]);
    fleet.round().await;
    let path = format!("/v1/approvals/{}", id(&ended));
    assert_eq!(fleet.admin.get(path).await.value(200)["state"], "cancelled");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_rule_freezes_what_it_is_about() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let then = json!({"freeze": {"mode": "stop", "on": "task"}});
    rule(&fleet, json!({"looping": {}}), then).await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let held = agent.claim(2).await;
    go_round(&agent, &held[0], 1).await;
    fleet.round().await;
    agent.write(&held[0], "heartbeat", json!({})).await.problem(409, "lease_lost");
    assert_eq!(agent.beat(&held[1]).await["freeze"], Value::Null);
    fleet.expect_states(&goal, "a:ready b:running").await;
    agent.find_nothing().await;
    let open = intervention(&fleet).await;
    let path = format!("/v1/freezes/{}", text(&open["freeze_id"]));
    let freeze = fleet.admin.get(path.clone()).await.value(200);
    assert_eq!((&freeze["mode"], &freeze["stopped_attempts"]), (&json!("stop"), &json!(1)));
    assert!(text(&freeze["reason"]).ends_with("its steps repeat: same_step"), "{freeze}");
    fleet.admin.post(format!("{path}/lift"), &json!({})).await.expect(200);
    fleet.round().await;
    assert_eq!(interventions(&fleet, "").await[0]["closing"], "lifted");
    agent.take().await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_cooldown_counts_from_the_close() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let body = json!({"name": "loops", "when": {"looping": {}}, "then": nudge(),
                      "cooldown_seconds": 600});
    fleet.admin.post("/v1/rules", &body).await.expect(201);
    fleet.lone_task(json!({})).await;
    let held = agent.claim_with(json!({"lease_seconds": 3600})).await.remove(0);
    go_round(&agent, &held, 1).await;
    fleet.round().await;
    fleet.pass(700);
    // It is open all the time: the cooldown has not begun.
    expect_silence(&fleet).await;
    tell(&agent, &held, &step(5, "out", "of it")).await;
    fleet.round().await;
    go_round(&agent, &held, 6).await;
    fleet.pass(599);
    expect_silence(&fleet).await;
    fleet.pass(1);
    fleet.round().await;
    assert_eq!(interventions(&fleet, "").await.len(), 2);
    assert_eq!(interventions(&fleet, "open=true").await.len(), 1);
}

#[tokio::test]
async fn many_rules_may_be_about_the_same_task() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for then in [nudge(), json!({"freeze": {"mode": "pause", "on": "goal"}}), json!({"ask": {}})] {
        rule(&fleet, json!({"failures": {"count": 1}}), then).await;
    }
    let goal = fleet.lone_task(json!({"max_attempts": 9})).await;
    fail_with(&fleet, &agent, "no").await;
    fleet.round().await;
    assert_eq!(interventions(&fleet, "open=true").await.len(), 3);
    let of_goal = interventions(&fleet, &format!("goal_id={goal}")).await;
    let of_task =
        interventions(&fleet, &format!("task_id={}", fleet.task_id(&goal, "a").await)).await;
    assert_eq!((of_goal.len(), of_task.len()), (3, 3));
    fleet.expect_states(&goal, "a:parked").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_task_is_given_to_another_agent() {
    let fleet = Fleet::start().await;
    let (stuck, other) = (fleet.agent("stuck", &[], 5).await, fleet.agent("other", &[], 5).await);
    rule(&fleet, json!({"looping": {}}), json!({"reassign": {}})).await;
    rule(&fleet, json!({"failures": {"count": 1}}), json!({"reassign": {}})).await;
    let goal = fleet.lone_task(json!({"max_attempts": 9})).await;
    let held = stuck.take().await;
    go_round(&stuck, &held, 1).await;
    fleet.round().await;
    stuck.write(&held, "heartbeat", json!({})).await.problem(409, "lease_lost");
    stuck.find_nothing().await;
    let did = interventions(&fleet, "").await;
    assert_eq!((did.len(), &did[0]["closing"]), (1, &json!("done")));
    expect_silence(&fleet).await;
    // Whoever fails does not have it again at once; the other may.
    fail_with(&fleet, &other, "no").await;
    fleet.round().await;
    other.find_nothing().await;
    expect_silence(&fleet).await;
    let again = stuck.take().await;
    assert_eq!(again.number, 3);
    stuck.complete(&again).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    assert_eq!(rule_events(&fleet).await, ["rule.triggered", "rule.cleared"].repeat(2));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_person_may_choose_another_agent() {
    let fleet = Fleet::start().await;
    let (stuck, other) = (fleet.agent("stuck", &[], 5).await, fleet.agent("other", &[], 5).await);
    rule(&fleet, json!({"looping": {}}), json!({"ask": {}})).await;
    fleet.lone_task(json!({})).await;
    let held = stuck.take().await;
    go_round(&stuck, &held, 1).await;
    fleet.round().await;
    fleet.decide(json!({"decision": "answer", "answer": {"choice": "reassign"}})).await;
    stuck.find_nothing().await;
    assert_eq!(other.take().await.number, 2);
    verify(&fleet.pool).await;
}
