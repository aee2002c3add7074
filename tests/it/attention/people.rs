//! Approvals, and tasks in quarantine.

use axum::http::Method;
use serde_json::{Value, json};

use super::{items, nothing, only, operator, send};
use crate::support::{
    fleet::{Fleet, text},
    invariants::verify,
};

#[tokio::test]
async fn each_approval_is_cleared_by_its_action() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let agent = fleet.worker().await;
    nothing(&fleet).await;

    let plan = json!({"title": "g", "approval": {"plan": true},
        "tasks": [{"ref": "a", "title": "a", "approval": {"start": true, "result": true}}]});
    let goal = fleet.post_goal(plan).await;
    let plan = only(&fleet, "approval").await;
    assert_eq!((&plan["goal_id"], &plan["waiting_tasks"]), (&json!(goal), &json!(0)));
    assert_eq!(plan["since"], fleet.question().await["created_at"]);
    send(&operator, &plan).await;

    let start = only(&fleet, "approval").await;
    assert_eq!(start["approval_id"], start["id"]);
    assert_eq!(start["risk"], fleet.question().await["risk"]);
    send(&operator, &start).await;
    nothing(&fleet).await;

    for kind in ["action", "input"] {
        let held = agent.take().await;
        agent.ask(&held, kind).await;
        let asked = only(&fleet, "approval").await;
        assert_eq!((&asked["task_id"], &asked["agent_id"]), (&json!(held.task), &json!(agent.id)));
        send(&operator, &asked).await;
        nothing(&fleet).await;
    }
    let held = agent.take().await;
    agent.complete(&held).await;
    send(&operator, &only(&fleet, "approval").await).await;
    nothing(&fleet).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_approval_that_is_decided_otherwise_or_cancelled_is_gone() {
    let fleet = Fleet::start().await;
    let start = json!({"approval": {"start": true}});
    fleet.lone_task(start.clone()).await;
    fleet.decide(json!({"decision": "reject", "reason": "no"})).await;
    nothing(&fleet).await;
    let goal = fleet.lone_task(start).await;
    only(&fleet, "approval").await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    nothing(&fleet).await;
}

/// A question about a budget is the approval, and not the limit once more.
#[tokio::test]
async fn a_budget_that_people_are_asked_about_is_one_item() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let agent = fleet.worker().await;
    let limits = json!({"limits": [{"unit": "usd_micros", "amount": 10}]});
    let budget = json!({"node": "workspace", "budget": limits});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    let task = |n| json!({"ref": format!("t{n}"), "title": "t", "estimate": {"usd_micros": 60}});
    let goal = fleet.goal((0..3).map(task).collect()).await;
    agent.find_nothing().await;
    fleet.expect_states(&goal, "t0:parked t1:parked t2:parked").await;
    let item = only(&fleet, "approval").await;
    assert_eq!(item["waiting_tasks"], 3);
    assert!(item["budget_id"].is_string() && item["limit_id"].is_string());
    send(&operator, &item).await;
    nothing(&fleet).await;
    verify(&fleet.pool).await;
}

/// Takes the task and falls silent, until it has failed.
async fn fall_silent(fleet: &Fleet, agent: &crate::support::agent::Agent, times: usize) {
    for _ in 0..times {
        let held = agent.claim_with(json!({"lease_seconds": 10})).await;
        assert_eq!(held.len(), 1);
        fleet.after(11).await;
        fleet.after(60).await;
    }
}

#[tokio::test]
async fn a_task_in_quarantine_stays_until_it_was_seen() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    fall_silent(&fleet, &agent, 2).await;
    nothing(&fleet).await;
    fall_silent(&fleet, &agent, 1).await;
    assert_eq!(fleet.goal_state(&goal).await, "failed");
    let item = only(&fleet, "quarantined_task").await;
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&item["task_id"], &item["agent_id"]), (&task["id"], &json!(agent.id)));
    assert_eq!((&item["since"], &item["risk"]), (&task["ended_at"], &json!("high")));
    assert!(text(&item["detail"]).contains("3 times in a row"), "{item:#}");
    assert_eq!(send(&operator, &item).await.value(200)["state"], "ready");
    nothing(&fleet).await;
    fall_silent(&fleet, &agent, 3).await;
    only(&fleet, "quarantined_task").await;

    // What was seen stays failed, and so does its goal, which nobody has seen.
    let path = format!("/v1/tasks/{}/acknowledge", text(&task["id"]));
    let seen = operator.post(&path, &json!({})).await.value(200);
    assert_eq!(seen["state"], "failed");
    assert!(seen["acknowledged_at"].is_string());
    assert_eq!(only(&fleet, "failed_goal").await["goal_id"], json!(goal));
    // Once more changes nothing.
    assert_eq!(operator.post(&path, &json!({})).await.value(200), seen);
    let told: i64 =
        sqlx::query_scalar("select count(*) from journal where kind = 'task.acknowledged'")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(told, 1);
    fleet.after(30 * 24 * 3600).await;
    nothing(&fleet).await;
    verify(&fleet.pool).await;
}

/// It outlives its goal. Where nothing can be retried, a person has seen it.
#[tokio::test]
async fn a_task_in_quarantine_of_a_cancelled_goal_is_seen() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a"},
            {"ref": "later", "title": "t", "not_before": fleet.now() + chrono::TimeDelta::days(300)},
        ]))
        .await;
    fall_silent(&fleet, &agent, 3).await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    fleet.after(30 * 24 * 3600).await;
    let item = only(&fleet, "quarantined_task").await;
    let seen = send(&operator, &item).await.value(200);
    assert!(seen["acknowledged_at"].is_string());
    nothing(&fleet).await;
    verify(&fleet.pool).await;
}

/// What was put away waits for nobody.
#[tokio::test]
async fn what_is_archived_needs_no_attention() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = json!({"title": "g", "project": "p", "tasks": [
        {"ref": "a", "title": "a", "priority": 9}, {"ref": "b", "title": "b"}]});
    let goal = fleet.post_goal(goal).await;
    agent.fail(&agent.take().await, "permanent").await;
    fall_silent(&fleet, &agent, 3).await;
    let project = text(&fleet.read_goal(&goal).await["project_id"]);
    let kinds = async || -> Vec<String> {
        items(&fleet, "").await.iter().map(|item| text(&item["kind"])).collect()
    };
    for path in [format!("/v1/goals/{goal}"), format!("/v1/projects/{project}")] {
        assert_eq!(kinds().await, ["quarantined_task", "failed_goal"]);
        fleet.admin.call(Method::POST, format!("{path}/archive")).await.expect(200);
        nothing(&fleet).await;
        fleet.admin.call(Method::POST, format!("{path}/unarchive")).await.expect(200);
    }
    verify(&fleet.pool).await;
}

/// A failed goal is listed until it is retried or seen, and for a month at most.
#[tokio::test]
async fn a_failed_goal_is_retried_or_seen() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let agent = fleet.worker().await;
    let two = json!([{"ref": "a", "title": "the build"}, {"ref": "b", "title": "b"}]);
    let goal = fleet.goal(two).await;
    for held in agent.claim(2).await {
        let body = json!({"class": "permanent", "message": "no compiler"});
        agent.write(&held, "fail", body).await.expect(200);
    }
    let item = only(&fleet, "failed_goal").await;
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&item["goal_id"], &item["task_id"]), (&json!(goal), &task["id"]));
    let read = fleet.read_goal(&goal).await;
    assert_eq!((&item["since"], &item["risk"]), (&read["ended_at"], &json!("medium")));
    let detail = text(&item["detail"]);
    assert!(detail.starts_with("2 tasks of it failed, the first was `the build`"), "{detail}");
    assert_eq!(send(&operator, &item).await.value(200)["retried_count"], 2);
    nothing(&fleet).await;
    for held in agent.claim(2).await {
        agent.fail(&held, "permanent").await;
    }
    only(&fleet, "failed_goal").await;
    let path = format!("/v1/goals/{goal}/acknowledge");
    let seen = operator.post(&path, &json!({"reason": "known"})).await.value(200);
    assert_eq!(seen["state"], "failed");
    assert!(seen["acknowledged_at"].is_string());
    let listed = fleet.admin.get("/v1/goals?state=failed").await.value(200);
    assert_eq!(listed["items"][0]["acknowledged_at"], seen["acknowledged_at"]);
    nothing(&fleet).await;
    assert_eq!(operator.post(&path, &json!({})).await.value(200)["version"], seen["version"]);

    // What was seen is no secret from the next failure.
    let path = format!("/v1/goals/{goal}/retry");
    let again = operator.post(path, &json!({})).await.value(200);
    assert_eq!(again["acknowledged_at"], Value::Null);
    for held in agent.claim(2).await {
        agent.fail(&held, "permanent").await;
    }
    only(&fleet, "failed_goal").await;
    fleet.after(30 * 24 * 3600).await;
    nothing(&fleet).await;
    verify(&fleet.pool).await;
}

/// A failed task is listed by itself while its goal goes on.
#[tokio::test]
async fn a_failed_task_of_an_active_goal_is_retried_or_seen() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "box", "title": "t"},
            {"ref": "a", "title": "t", "parent": "box", "max_attempts": 2},
            {"ref": "later", "title": "t", "not_before": fleet.now() + chrono::TimeDelta::days(300)},
        ]))
        .await;
    fall_silent(&fleet, &agent, 2).await;
    let item = only(&fleet, "failed_task").await;
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&item["task_id"], &item["agent_id"]), (&task["id"], &json!(agent.id)));
    assert_eq!((&item["since"], &item["risk"]), (&task["ended_at"], &json!("medium")));
    assert!(text(&item["detail"]).starts_with("It failed for good (`lost`)"), "{item:#}");
    assert_eq!(items(&fleet, &format!("&goal_id={goal}")).await, std::slice::from_ref(&item));
    assert_eq!(items(&fleet, &format!("&goal_id={}", fleet.no_id())).await, Vec::<Value>::new());
    assert_eq!(send(&operator, &item).await.value(200)["state"], "ready");
    nothing(&fleet).await;

    agent.fail(&agent.take().await, "permanent").await;
    only(&fleet, "failed_task").await;
    let path = format!("/v1/tasks/{}/acknowledge", fleet.task_id(&goal, "a").await);
    let seen = operator.post(&path, &json!({})).await.value(200);
    assert!(seen["acknowledged_at"].is_string());
    nothing(&fleet).await;

    // With its goal it is the goal that failed, which nobody has seen.
    let path = format!("/v1/tasks/{}/cancel", fleet.task_id(&goal, "later").await);
    operator.post(path, &json!({})).await.expect(200);
    assert_eq!(fleet.goal_state(&goal).await, "failed");
    assert_eq!(only(&fleet, "failed_goal").await["goal_id"], json!(goal));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_has_not_failed_is_not_acknowledged() {
    let fleet = Fleet::start().await;
    let goal =
        fleet.lone_task(json!({"not_before": fleet.now() + chrono::TimeDelta::days(9)})).await;
    let path = format!("/v1/tasks/{}/acknowledge", fleet.task_id(&goal, "a").await);
    fleet.admin.post(path, &json!({})).await.problem(409, "wrong_state");
    let long = json!({"reason": "x".repeat(1001)});
    for path in [
        format!("/v1/tasks/{}/acknowledge", fleet.no_id()),
        format!("/v1/goals/{}/acknowledge", fleet.no_id()),
    ] {
        let places = fleet.admin.post(&path, &long).await.problem(422, "invalid");
        assert_eq!(places, ["/reason"]);
        fleet.admin.post(&path, &json!({})).await.problem(404, "not_found");
    }
    assert!(items(&fleet, "").await.is_empty());
}

/// A result without evidence is sent back, and after the last round another agent has one more.
#[tokio::test]
async fn a_result_that_cannot_be_accepted_is_sent_back() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let agents = [fleet.worker().await, fleet.agent("second", &[], 1).await];
    let task = json!({"approval": {"result": true}, "max_rework": 1,
        "criteria": [{"text": "it builds"}, {"text": "it is fast", "required": false}]});
    let goal = fleet.lone_task(task).await;
    let held = agents[0].take().await;
    agents[0].complete(&held).await;
    let item = only(&fleet, "approval").await;
    let points = json!([{"criterion": 1, "text": "show that it is met"}]);
    assert_eq!(item["action"]["body"]["feedback"], points);
    send(&operator, &item).await;

    let last = only(&fleet, "approval").await;
    assert_ne!(last["id"], item["id"]);
    assert_eq!(last["action"]["body"]["choice"], json!({"action": "reassign"}));
    send(&operator, &last).await;
    nothing(&fleet).await;
    agents[0].find_nothing().await;
    let held = agents[1].take().await;
    let shown = json!({"evidence": [{"criterion": 1, "text": "see the log"}]});
    agents[1].write(&held, "complete", shown).await.expect(200);
    send(&operator, &only(&fleet, "approval").await).await;
    nothing(&fleet).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify(&fleet.pool).await;
}
