//! Cancelling: asked for first, forced after the grace; a success that arrives first wins.

use serde_json::{Value, json};

use crate::support::{
    dump::{dump, same},
    fleet::Fleet,
    invariants::{verify, verify_rested},
};

async fn cancel_task(fleet: &Fleet, goal: &str, name: &str) -> Value {
    let id = fleet.task_id(goal, name).await;
    let body = json!({"reason": "not needed"});
    fleet.admin.post(format!("/v1/tasks/{id}/cancel"), &body).await.value(200)
}

async fn cancel_goal(fleet: &Fleet, goal: &str) -> Value {
    let path = format!("/v1/goals/{goal}/cancel");
    fleet.admin.post(path, &json!({"reason": "not needed"})).await.value(200)
}

#[tokio::test]
async fn who_runs_is_told_to_stop_and_then_stopped() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"lease_seconds": 3600})).await;
    let held = agent.take().await;
    assert_eq!(agent.beat(&held).await["directive"], "continue");
    let task = cancel_task(&fleet, &goal, "a").await;
    assert_eq!(task["state"], "running");
    assert!(task["cancel_requested_at"].is_string());
    assert_eq!(agent.beat(&held).await["directive"], "stop");
    for (verb, body) in [
        ("subtasks", json!({"tasks": [{"ref": "s", "title": "s"}]})),
        ("approvals", json!({"kind": "input", "title": "why?"})),
    ] {
        agent.write(&held, verb, body).await.problem(409, "task_ended");
    }
    fleet.after(59).await;
    assert_eq!(agent.beat(&held).await["directive"], "stop");
    fleet.after(1).await;
    fleet.expect_states(&goal, "a:cancelled").await;
    agent.write(&held, "heartbeat", json!({})).await.problem(409, "lease_lost");
    agent.write(&held, "complete", json!({})).await.problem(409, "lease_lost");
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_success_that_arrives_first_wins_and_nothing_else_does() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for (verb, body, state) in [
        ("complete", json!({"result": 1}), "done"),
        ("fail", json!({"class": "transient"}), "cancelled"),
        ("release", json!({}), "cancelled"),
    ] {
        let goal = fleet.lone_task(json!({})).await;
        let held = agent.take().await;
        cancel_task(&fleet, &goal, "a").await;
        let answer = agent.write(&held, verb, body).await.value(200);
        assert_eq!(answer["task_state"], state, "{verb}");
        fleet.after(120).await;
        fleet.expect_states(&goal, &format!("a:{state}")).await;
    }
    // Silence is no success.
    let goal = fleet.lone_task(json!({"lease_seconds": 5})).await;
    agent.take().await;
    cancel_task(&fleet, &goal, "a").await;
    fleet.after(5).await;
    fleet.expect_states(&goal, "a:cancelled").await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_ended_stays_as_it_is() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let done = fleet.lone_task(json!({})).await;
    agent.complete(&agent.take().await).await;
    let failed = fleet.lone_task(json!({})).await;
    agent.fail(&agent.take().await, "permanent").await;
    fleet.round().await;
    let before = dump(&fleet.pool).await;
    for (goal, state) in [(&done, "completed"), (&failed, "failed")] {
        let task = fleet.task_id(goal, "a").await;
        let path = format!("/v1/tasks/{task}");
        fleet.admin.post(format!("{path}/cancel"), &json!({})).await.problem(409, "task_ended");
        // A failed task may be mended before its retry.
        if state == "completed" {
            let edit = fleet.admin.patch(&path, &json!({"priority": 1})).if_match("*").await;
            edit.problem(409, "task_ended");
        }
        let path = format!("/v1/goals/{goal}");
        fleet.admin.post(format!("{path}/cancel"), &json!({})).await.problem(409, "goal_ended");
        fleet
            .admin
            .patch(path, &json!({"priority": 1}))
            .if_match("*")
            .await
            .problem(409, "goal_ended");
        assert_eq!(fleet.goal_state(goal).await, state);
    }
    same("refused edits", &before, &dump(&fleet.pool).await);

    let goal = fleet.lone_task(json!({})).await;
    cancel_goal(&fleet, &goal).await;
    let before = dump(&fleet.pool).await;
    cancel_goal(&fleet, &goal).await;
    cancel_task(&fleet, &goal, "a").await;
    same("cancelling twice", &before, &dump(&fleet.pool).await);
}

#[tokio::test]
async fn a_cancelled_goal_takes_everything_with_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "running", "title": "t", "priority": 9},
            {"ref": "submitted", "title": "t", "priority": 8, "approval": {"result": true}},
            {"ref": "asking", "title": "t", "priority": 7},
            {"ref": "split", "title": "t", "priority": 6},
            {"ref": "ready", "title": "t", "priority": 1},
            {"ref": "waiting", "title": "t", "needs": ["ready"]},
            {"ref": "to start", "title": "t", "approval": {"start": true}},
            {"ref": "box", "title": "t"},
            {"ref": "inside", "title": "t", "parent": "box", "needs": ["ready"]},
        ]))
        .await;
    let running = agent.take().await;
    let submitted = agent.take().await;
    agent.complete(&submitted).await;
    agent.ask(&agent.take().await, "input").await;
    agent.subtasks(&agent.take().await, json!([{"ref": "sub", "title": "t"}])).await;
    assert_eq!(fleet.questions().await.len(), 3);
    let other = fleet.lone_task(json!({})).await;

    assert_eq!(cancel_goal(&fleet, &goal).await["state"], "cancelled");
    fleet
        .expect_states(
            &goal,
            "running:running submitted:cancelled asking:cancelled split:cancelled \
             ready:cancelled waiting:cancelled to start:cancelled box:cancelled inside:cancelled \
             sub:cancelled",
        )
        .await;
    assert!(fleet.questions().await.is_empty(), "questions about it are taken back");
    verify(&fleet.pool).await;
    fleet.expect_states(&other, "a:ready").await;
    assert_eq!(agent.beat(&running).await["directive"], "stop");
    agent.complete(&running).await;
    fleet.after(120).await;
    let read = fleet.read_goal(&goal).await;
    assert_eq!((&read["state"], &read["tasks"]["done"]), (&json!("cancelled"), &json!(1)));
    assert_eq!((&read["tasks"]["open"], &read["end_reason"]), (&json!(0), &json!("not needed")));
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_paused_agent_is_told_to_pause_and_a_draining_one_is_not() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.goal(json!([{"ref": "a", "title": "t"}, {"ref": "b", "title": "t"}])).await;
    let held = agent.take().await;
    for (state, directive) in
        [("paused", "pause"), ("draining", "continue"), ("active", "continue")]
    {
        let path = format!("/v1/agents/{}", agent.id);
        fleet.admin.patch(path, &json!({"state": state})).if_match("*").await.expect(200);
        assert_eq!(agent.beat(&held).await["directive"], directive, "{state}");
        let answer = agent.client.post("/v1/claims", &json!({})).await;
        if state == "active" {
            answer.expect(200);
        } else {
            answer.problem(409, "agent_not_active");
        }
    }
}

/// A child that nobody wants fails nothing: the container and its goal end as a flat goal does.
#[tokio::test]
async fn a_cancelled_child_fails_no_container() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let plan = json!([
        {"ref": "box", "title": "t"},
        {"ref": "good", "title": "t", "parent": "box"},
        {"ref": "unwanted", "title": "t", "parent": "box"},
        {"ref": "lost", "title": "t", "parent": "box", "needs": ["unwanted"]},
        {"ref": "after", "title": "t", "needs": ["box"]},
    ]);
    let goal = fleet.goal(plan.clone()).await;
    cancel_task(&fleet, &goal, "unwanted").await;
    assert_eq!(agent.work_off().await, ["good"]);
    let states = "box:cancelled good:done unwanted:cancelled lost:cancelled after:cancelled";
    fleet.expect_states(&goal, states).await;
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");

    // A failure beside it is retried, and then it is the same.
    let goal = fleet.goal(plan).await;
    cancel_task(&fleet, &goal, "unwanted").await;
    agent.fail(&agent.take().await, "permanent").await;
    let failed = "box:failed good:failed unwanted:cancelled lost:cancelled after:cancelled";
    fleet.expect_states(&goal, failed).await;
    assert_eq!(fleet.goal_state(&goal).await, "failed");
    fleet.admin.post(format!("/v1/goals/{goal}/retry"), &json!({})).await.expect(200);
    assert_eq!(agent.work_off().await, ["good"]);
    fleet.expect_states(&goal, states).await;
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// What a failure took along and a person cancels too does not come back, with what needs it.
#[tokio::test]
async fn what_is_cancelled_again_stays_so() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "t"},
            {"ref": "box", "title": "t"},
            {"ref": "b", "title": "t", "parent": "box", "needs": ["a"]},
            {"ref": "c", "title": "t", "needs": ["b"]},
            {"ref": "d", "title": "t", "needs": ["a"]},
        ]))
        .await;
    agent.fail(&agent.take().await, "permanent").await;
    let states = "a:failed box:failed b:cancelled c:cancelled d:cancelled";
    fleet.expect_states(&goal, states).await;
    cancel_task(&fleet, &goal, "b").await;
    let told = dump(&fleet.pool).await;
    cancel_task(&fleet, &goal, "b").await;
    same("a repeated cancellation", &told, &dump(&fleet.pool).await);
    fleet.admin.post(format!("/v1/goals/{goal}/retry"), &json!({})).await.expect(200);
    let states = "a:ready box:failed b:cancelled c:cancelled d:waiting";
    fleet.expect_states(&goal, states).await;
    assert_eq!(agent.work_off().await, ["a", "d"]);
    // No task has failed that a retry could bring back.
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    verify_rested(&fleet.pool, fleet.now()).await;
}
