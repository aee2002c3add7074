//! Approvals, and tasks in quarantine.

use serde_json::json;

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
    // It outlives its goal.
    fleet.after(30 * 24 * 3600).await;
    only(&fleet, "quarantined_task").await;

    let seen = send(&operator, &item).await.value(200);
    assert_eq!(seen["state"], "failed");
    assert!(seen["acknowledged_at"].is_string());
    nothing(&fleet).await;
    // Once more changes nothing.
    assert_eq!(send(&operator, &item).await.value(200), seen);
    let told: i64 =
        sqlx::query_scalar("select count(*) from journal where kind = 'task.acknowledged'")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(told, 1);
    verify(&fleet.pool).await;
}

/// A failure that is no quarantine is told by its goal and asks for nothing.
#[tokio::test]
async fn other_failures_ask_for_no_attention() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let lost = fleet.lone_task(json!({"max_attempts": 2})).await;
    fall_silent(&fleet, &agent, 2).await;
    assert_eq!(fleet.task(&lost, "a").await["failure_class"], "lost");
    let failed = fleet.lone_task(json!({})).await;
    agent.fail(&agent.take().await, "permanent").await;
    nothing(&fleet).await;
    for goal in [&lost, &failed] {
        let path = format!("/v1/tasks/{}/acknowledge", fleet.task_id(goal, "a").await);
        fleet.admin.post(path, &json!({})).await.problem(409, "wrong_state");
    }
    let long = json!({"reason": "x".repeat(1001)});
    let path = format!("/v1/tasks/{}/acknowledge", fleet.no_id());
    let places = fleet.admin.post(&path, &long).await.problem(422, "invalid");
    assert_eq!(places, ["/reason"]);
    fleet.admin.post(&path, &json!({})).await.problem(404, "not_found");
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
