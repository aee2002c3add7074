//! Each condition about tasks holds from its threshold on, and not before.

use serde_json::{Value, json};

use super::{
    expect_silence, fail_with, go_round, intervention, interventions, nudge, rule, spend, step,
    tell,
};
use crate::support::{
    fleet::{Fleet, text},
    invariants::verify,
};

/// The rules are looked at and one acts, about this task.
async fn expect_caught(fleet: &Fleet, goal: &str, name: &str) -> Value {
    fleet.round().await;
    let found = intervention(fleet).await;
    assert_eq!(found["task_id"], json!(fleet.task_id(goal, name).await), "{found}");
    assert_eq!((&found["goal_id"], &found["subject"]), (&json!(goal), &json!("task")));
    // Once is enough.
    expect_silence(fleet).await;
    verify(&fleet.pool).await;
    found
}

#[tokio::test]
async fn failures_are_counted() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    rule(&fleet, json!({"failures": {"count": 2}}), nudge()).await;
    let goal = fleet.lone_task(json!({"max_attempts": 5})).await;
    fail_with(&fleet, &agent, "one").await;
    expect_silence(&fleet).await;
    // An agent that gives the task back has not failed.
    agent.release(&agent.take().await).await;
    expect_silence(&fleet).await;
    // One that falls silent has.
    agent.take().await;
    fleet.pass(600);
    let found = expect_caught(&fleet, &goal, "a").await;
    assert_eq!(
        (&found["detail"], &found["attempt_id"]),
        (&json!("2 attempts failed"), &Value::Null)
    );
}

#[tokio::test]
async fn the_same_failure_twice_is_found() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    rule(&fleet, json!({"same_failure": {}}), nudge()).await;
    let goal = fleet.lone_task(json!({"max_attempts": 9})).await;
    for message in ["no crate `x`, line 1", "no crate `y`", "no crate `x`, line 2"] {
        fail_with(&fleet, &agent, message).await;
        expect_silence(&fleet).await;
    }
    fail_with(&fleet, &agent, "No crate `x`, line 77").await;
    let found = expect_caught(&fleet, &goal, "a").await;
    assert!(text(&found["detail"]).contains("line 77"), "{found}");
}

#[tokio::test]
async fn the_same_progress_again_is_no_progress() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    rule(&fleet, json!({"no_progress": {"seconds": 1000}}), nudge()).await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.claim_with(json!({"lease_seconds": 3600})).await.remove(0);
    let says = async |body: Value| agent.write(&held, "heartbeat", body).await.value(200);
    fleet.pass(999);
    expect_silence(&fleet).await;
    let same = json!({"progress": {"percent": 10}, "checkpoint": {"at": 1}});
    says(same.clone()).await;
    fleet.pass(600);
    says(same.clone()).await;
    // A step is news, and one that is told again is not.
    let first = json!({"progress": {"step": step(1, "look", "seen")}});
    says(first.clone()).await;
    fleet.pass(999);
    says(same.clone()).await;
    says(first).await;
    expect_silence(&fleet).await;
    fleet.pass(1);
    let found = expect_caught(&fleet, &goal, "a").await;
    assert_eq!(found["attempt_id"], json!(held.attempt));
    // News close it.
    says(json!({"checkpoint": {"at": 2}})).await;
    fleet.round().await;
    let closed = interventions(&fleet, "open=false").await;
    assert_eq!((closed.len(), &closed[0]["closing"]), (1, &json!("cleared")));
}

#[tokio::test]
async fn what_is_over_its_estimate_is_found() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let when = json!({"cost_over_estimate": {"percent": 200, "unit": "usd_micros"}});
    rule(&fleet, when, nudge()).await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a", "estimate": {"usd_micros": {"want": 100, "min": 1}}},
            {"ref": "b", "title": "b", "estimate": {"output_tokens": 5}},
        ]))
        .await;
    let held = agent.claim(2).await;
    spend(&agent, &held[0], 200).await;
    spend(&agent, &held[1], 9_999).await;
    expect_silence(&fleet).await;
    spend(&agent, &held[0], 201).await;
    let found = expect_caught(&fleet, &goal, "a").await;
    assert_eq!(found["detail"], "it used 201 usd_micros; 100 were expected");
}

#[tokio::test]
async fn rejections_are_counted() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    rule(&fleet, json!({"rework_over": {"count": 1}}), nudge()).await;
    let goal = fleet.lone_task(json!({"approval": {"result": true}})).await;
    for _ in 0..2 {
        expect_silence(&fleet).await;
        agent.complete(&agent.take().await).await;
        fleet.decide(json!({"decision": "reject", "reason": "not yet"})).await;
    }
    expect_caught(&fleet, &goal, "a").await;
}

#[tokio::test]
async fn too_many_subtasks_are_found() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    rule(&fleet, json!({"subtasks_over": {"count": 2}}), nudge()).await;
    let few = fleet.lone_task(json!({})).await;
    let sub = |n: i32| json!({"ref": format!("s{n}"), "title": "s"});
    agent.subtasks(&agent.take().await, json!([sub(1), sub(2)])).await;
    expect_silence(&fleet).await;
    assert_eq!(agent.work_off().await, ["s1", "s2", "a"]);
    // A container is no task that was split.
    let boxed = json!([{"ref": "box", "title": "b"},
        {"ref": "1", "title": "t", "parent": "box"}, {"ref": "2", "title": "t", "parent": "box"},
        {"ref": "3", "title": "t", "parent": "box"}]);
    fleet.goal(boxed).await;
    expect_silence(&fleet).await;
    agent.work_off().await;
    let many = fleet.lone_task(json!({})).await;
    agent.subtasks(&agent.take().await, json!([sub(1), sub(2), sub(3)])).await;
    expect_caught(&fleet, &many, "a").await;
    assert_eq!(fleet.goal_state(&few).await, "completed");
}

#[tokio::test]
async fn what_requires_something_risky_is_found_when_it_is_offered() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("deployer", &["rust", "deploy"], 9).await;
    rule(&fleet, json!({"risky_capability": {"capabilities": ["deploy", "pay"]}}), nudge()).await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a", "capabilities": ["rust"]},
            {"ref": "b", "title": "b", "capabilities": ["deploy", "rust"], "needs": ["a"]},
        ]))
        .await;
    let held = agent.take().await;
    expect_silence(&fleet).await;
    agent.complete(&held).await;
    let found = expect_caught(&fleet, &goal, "b").await;
    assert_eq!(found["detail"], "it requires `deploy`");
}

#[tokio::test]
async fn agents_in_loops_are_found() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    rule(&fleet, json!({"looping": {"patterns": ["same_step"]}}), nudge()).await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let held = agent.claim(2).await;
    for n in 1..=3 {
        tell(&agent, &held[0], &step(n, "cargo test", "failed")).await;
        tell(&agent, &held[1], &super::failed(n, n, "disk full")).await;
    }
    // Another pattern than the one that is asked for.
    expect_silence(&fleet).await;
    go_round(&agent, &held[0], 4).await;
    expect_caught(&fleet, &goal, &held[0].name).await;
    tell(&agent, &held[0], &step(9, "something", "else")).await;
    fleet.round().await;
    assert_eq!(interventions(&fleet, "open=true").await, [] as [Value; 0]);
    // A new loop is new; the end of the attempt is the end of its loop.
    go_round(&agent, &held[0], 10).await;
    expect_caught(&fleet, &goal, &held[0].name).await;
    agent.release(&held[0]).await;
    fleet.round().await;
    assert_eq!(interventions(&fleet, "open=true").await, [] as [Value; 0]);
    let open: i64 = sqlx::query_scalar("select count(*) from attempt_loops where left_at is null")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(open, 1, "the loop of the attempt that ended is still open");
}

#[tokio::test]
async fn the_budget_of_a_task_is_watched() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    rule(&fleet, json!({"budget_used": {"of": "task", "percent": 80}}), nudge()).await;
    let budget = json!({"limits": [{"unit": "usd_micros", "amount": 1000}]});
    let goal = fleet.lone_task(json!({"budget": budget})).await;
    let held = agent.take().await;
    spend(&agent, &held, 799).await;
    expect_silence(&fleet).await;
    spend(&agent, &held, 800).await;
    let found = expect_caught(&fleet, &goal, "a").await;
    assert_eq!(found["detail"], "80 % of its limit of 1000 usd_micros is used");
}

#[tokio::test]
async fn a_rule_is_only_about_what_is_in_its_scope() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("both", &["rust", "go"], 9).await;
    let task = |name: &str, capability: &str| json!({"ref": name, "title": name, "capabilities": [capability], "max_attempts": 9});
    let tasks = json!([task("a", "rust"), task("b", "go")]);
    let ours = json!({"title": "g", "project": "ours", "tasks": tasks});
    let goal = fleet.post_goal(ours.clone()).await;
    let mut theirs = ours;
    theirs["project"] = json!("theirs");
    fleet.post_goal(theirs).await;
    for held in agent.claim(4).await {
        agent.fail(&held, "transient").await;
    }
    let project = fleet.read_goal(&goal).await["project_id"].clone();
    let body = json!({"name": "scoped", "when": {"failures": {"count": 1}}, "then": nudge(),
                      "scope": {"project_id": project, "capabilities": ["go", "zig"]}});
    fleet.admin.post("/v1/rules", &body).await.expect(201);
    expect_caught(&fleet, &goal, "b").await;
}

#[tokio::test]
async fn without_rules_nothing_is_looked_at() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    go_round(&agent, &held, 1).await;
    let workspace = fleet.workspace;
    let due = async || fleet.app.due(workspace).await.unwrap().intervene;
    assert!(!due().await);
    let mut off =
        json!({"name": "off", "enabled": false, "when": {"looping": {}}, "then": nudge()});
    fleet.admin.post("/v1/rules", &off).await.expect(201);
    assert!(!due().await);
    expect_silence(&fleet).await;
    off["name"] = json!("on");
    off["enabled"] = json!(true);
    fleet.admin.post("/v1/rules", &off).await.expect(201);
    assert!(due().await);
    fleet.round().await;
    assert_eq!(intervention(&fleet).await["rule"], "on");
}
