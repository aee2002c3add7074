//! Rules about goals: their budgets and deadlines, and questions that nothing waits for.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{expect_silence, id, intervention, interventions, nudge, rule, rule_events, spend};
use crate::support::{
    fleet::{Fleet, about, text},
    invariants::verify,
};

/// A goal of two tasks of 1,500 s each, one after the other, and due in an hour; returns its id.
async fn due_in_an_hour(fleet: &Fleet) -> String {
    let task = |name: &str, needs: Value| json!({"ref": name, "title": name, "needs": needs, "estimate": {"wall_ms": 1_500_000}});
    let tasks = json!([task("a", json!([])), task("b", json!(["a"]))]);
    let deadline = fleet.now() + TimeDelta::seconds(3_600);
    fleet.post_goal(json!({"title": "due", "tasks": tasks, "deadline": deadline})).await
}

#[tokio::test]
async fn a_deadline_that_will_be_missed_is_found_by_the_critical_path() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    rule(&fleet, json!({"deadline_slack": {}}), nudge()).await;
    let goal = due_in_an_hour(&fleet).await;
    // Without a deadline nothing is late.
    let other = json!({"estimate": {"wall_ms": 900_000_000}, "capabilities": ["another"]});
    fleet.lone_task(other).await;
    fleet.pass(600);
    expect_silence(&fleet).await;
    // While somebody works, the rest becomes shorter with the time.
    let held = agent.claim_with(json!({"lease_seconds": 3600})).await.remove(0);
    assert_eq!(held.name, "a");
    fleet.pass(1_500);
    expect_silence(&fleet).await;
    fleet.pass(1);
    fleet.round().await;
    let found = intervention(&fleet).await;
    assert_eq!((&found["goal_id"], &found["task_id"]), (&json!(goal), &Value::Null));
    assert_eq!(found["detail"], "its slack is -1 s: the remaining work takes at least 25 min");
    // Everybody who works on it is told.
    assert_eq!(agent.beat(&held).await["nudges"][0]["text"], "think again");
    agent.complete(&held).await;
    agent.work_off().await;
    fleet.round().await;
    assert_eq!(interventions(&fleet, "").await[0]["closing"], "ended");
    assert_eq!(rule_events(&fleet).await, ["rule.triggered", "rule.cleared"]);
}

#[tokio::test]
async fn the_budget_of_a_goal_is_watched_and_freezes_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let then = json!({"freeze": {"mode": "drain", "on": "goal"}});
    rule(&fleet, json!({"budget_used": {"percent": 80, "unit": "usd_micros"}}), then).await;
    let budget = json!({"limits": [{"unit": "usd_micros", "amount": 1000},
                                   {"unit": "output_tokens", "amount": 0}], "on_exhausted": "notify"});
    let tasks = json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}]);
    let goal = fleet.post_goal(json!({"title": "g", "tasks": tasks, "budget": budget})).await;
    let held = agent.take().await;
    spend(&agent, &held, 799).await;
    expect_silence(&fleet).await;
    spend(&agent, &held, 800).await;
    fleet.round().await;
    let found = intervention(&fleet).await;
    let freeze = fleet.admin.get(format!("/v1/freezes/{}", found["freeze_id"].as_str().unwrap()));
    let freeze = freeze.await.value(200);
    assert_eq!((&freeze["scope"], &freeze["scope_id"]), (&json!("goal"), &json!(goal)));
    agent.find_nothing().await;
    expect_silence(&fleet).await;
    // What an operator has lifted is answered until it has become worse.
    let lift = format!("/v1/freezes/{}/lift", id(&freeze));
    fleet.admin.post(lift, &json!({})).await.expect(200);
    expect_silence(&fleet).await;
    assert_eq!(interventions(&fleet, "").await[0]["closing"], "lifted");
    spend(&agent, &held, 810).await;
    fleet.round().await;
    assert_eq!(interventions(&fleet, "").await.len(), 2);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_question_about_a_goal_is_asked_while_it_goes_on() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let then = json!({"ask": {"title": "Too late?", "body": "See *the plan*.", "risk": "high"}});
    rule(&fleet, json!({"deadline_slack": {"below_seconds": 1200}}), then).await;
    let mut goals = [due_in_an_hour(&fleet).await, due_in_an_hour(&fleet).await];
    let held = agent.take().await;
    goals.sort_by_key(|goal| *goal != text(&held.claim["task"]["goal_id"]));
    fleet.round().await;
    let questions = fleet.questions().await;
    assert_eq!(questions.len(), 2);
    for question in &questions {
        assert_eq!((&question["kind"], &question["task_id"]), (&json!("input"), &Value::Null));
        assert_eq!((&question["title"], &question["risk"]), (&json!("Too late?"), &json!("high")));
    }
    verify(&fleet.pool).await;
    agent.beat(&held).await;
    let decide = async |goal: &str, decision: Value| {
        let mine = |question: &&Value| question["goal_id"] == json!(goal);
        let question = questions.iter().find(mine).unwrap();
        let path = format!("/v1/approvals/{}/decide", id(question));
        fleet.admin.post(path, &about(question, decision)).await.value(200)
    };
    decide(&goals[0], json!({"decision": "answer", "answer": {"choice": "cancel"}})).await;
    assert_eq!(fleet.read_goal(&goals[1]).await["state"], "active");
    // The task at work is told to stop, everything else is cancelled.
    assert_eq!(agent.beat(&held).await["directive"], "stop");
    agent.release(&held).await;
    assert_eq!(fleet.goal_state(&goals[0]).await, "cancelled");
    // What it was about ends before anybody answers.
    let path = format!("/v1/goals/{}/cancel", goals[1]);
    fleet.admin.post(path, &json!({})).await.expect(200);
    fleet.round().await;
    assert_eq!(fleet.questions().await, [] as [Value; 0]);
    let closings: Vec<Value> = interventions(&fleet, "open=false")
        .await
        .iter()
        .map(|one| one["closing"].clone())
        .collect();
    assert_eq!(closings.len(), 2);
    assert!(closings.contains(&json!("decided")) && closings.contains(&json!("ended")));
    verify(&fleet.pool).await;
}
