//! What may start: everything above it has room, in every unit, or nothing is set aside.

use serde_json::json;

use super::{holds, limit, of, tasks};
use crate::support::{fleet::Fleet, invariants::verify};

#[tokio::test]
async fn a_claim_sets_aside_what_the_task_is_expected_to_use() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 1000)).await;
    fleet.goal(tasks(2, &json!({"usd_micros": 300, "tool_calls": 7}))).await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    assert_eq!(holds(&fleet, &budget).await, (0, 300, 0));
    let spend = json!({"entries": [{"key": "a", "amounts": {"usd_micros": 120}}]});
    agent.write(&held, "spend", spend).await.expect(200);
    assert_eq!(holds(&fleet, &budget).await, (120, 180, 0));
    agent.complete(&held).await;
    assert_eq!(holds(&fleet, &budget).await, (120, 0, 0));
    verify(&fleet.pool).await;
}

/// A task without money but with a million tokens meets a limit of tokens, and is told so; one
/// behind it that fits is claimed all the same.
#[tokio::test]
async fn any_unit_refuses_and_what_fits_behind_is_claimed() {
    let fleet = Fleet::start().await;
    limit(&fleet, "workspace", None, of("usd_micros", 1000)).await;
    let project = json!({"name": "p"});
    let project = fleet.admin.post("/v1/projects", &project).await.value(201);
    let id = project["id"].as_str().unwrap().to_owned();
    limit(&fleet, "project", Some(&id), of("input_tokens", 500_000)).await;
    let tasks = json!([
        {"ref": "big", "title": "t", "estimate": {"usd_micros": 0, "input_tokens": 1_000_000}},
        {"ref": "small", "title": "t", "estimate": {"usd_micros": 0, "input_tokens": 400_000}},
    ]);
    let goal = fleet.post_goal(json!({"title": "g", "project": "p", "tasks": tasks})).await;
    let agent = fleet.worker().await;
    assert_eq!(agent.take().await.name, "small");
    fleet.expect_states(&goal, "big:parked small:running").await;
    let parked = super::events(&fleet, "task.parked").await;
    let [short] = parked[0]["budget"].as_array().unwrap().as_slice() else {
        panic!("not one limit is short: {parked:?}");
    };
    let named = json!({
        "node": short["node"], "node_id": short["node_id"], "unit": short["unit"],
        "limit": short["limit"], "settled": short["settled"], "reserved": short["reserved"],
        "requested": short["requested"],
    });
    let want = json!({
        "node": "project", "node_id": id, "unit": "input_tokens", "limit": 500_000,
        "settled": 0, "reserved": 0, "requested": 1_000_000,
    });
    assert_eq!(named, want);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn exactly_at_the_limit_only_what_needs_nothing_starts() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 100)).await;
    let goal = fleet
        .goal(json!([
            {"ref": "all", "title": "t", "priority": 9, "estimate": {"usd_micros": 100}},
            {"ref": "one", "title": "t", "priority": 8, "estimate": {"usd_micros": 1}},
            {"ref": "none", "title": "t", "priority": 7, "estimate": {"usd_micros": 0}},
        ]))
        .await;
    let agent = fleet.worker().await;
    let held = agent.claim(10).await;
    let names: Vec<&str> = held.iter().map(|held| held.name.as_str()).collect();
    assert_eq!(names, ["all", "none"]);
    fleet.expect_states(&goal, "all:running one:parked none:running").await;
    assert_eq!(holds(&fleet, &budget).await, (0, 100, 0));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_range_takes_what_is_left_down_to_its_least() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 250)).await;
    let goal = fleet.goal(tasks(4, &json!({"usd_micros": {"want": 100, "min": 40}}))).await;
    let agent = fleet.worker().await;
    assert_eq!(agent.claim(10).await.len(), 3);
    assert_eq!(holds(&fleet, &budget).await, (0, 250, 0));
    fleet.expect_states(&goal, "t0:running t1:running t2:running t3:parked").await;
    verify(&fleet.pool).await;
}

/// Without an estimate: what tasks like it used, once five are known; before that what the nearest
/// budget says; and a twentieth of the limit when none says anything.
#[tokio::test]
async fn without_an_estimate_experience_counts_then_the_policy() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 10_000)).await;
    let agent = fleet.worker().await;
    fleet.goal(tasks(8, &json!({}))).await;
    let held = agent.take().await;
    assert_eq!(holds(&fleet, &budget).await, (0, 500, 0));
    agent.release(&held).await;
    super::change(&fleet, &budget, json!({"reserve": {"usd_micros": {"want": 70, "min": 1}}}))
        .await;
    for used in [10, 20, 30, 40, 50] {
        let held = agent.take().await;
        assert_eq!(holds(&fleet, &budget).await.1, 70);
        let spend = json!({"entries": [{"key": "a", "amounts": {"usd_micros": used}}]});
        agent.write(&held, "complete", json!({"spend": spend})).await.expect(200);
    }
    fleet.round().await;
    agent.take().await;
    assert_eq!(holds(&fleet, &budget).await, (150, 50, 0));
    verify(&fleet.pool).await;
}

/// An agent whose own budget is short is given nothing; the task is offered to others.
#[tokio::test]
async fn an_agents_budget_stops_that_agent_alone() {
    let fleet = Fleet::start().await;
    let poor = fleet.agent("poor", &[], 10).await;
    let rich = fleet.agent("rich", &[], 10).await;
    limit(&fleet, "agent", Some(&poor.id), of("usd_micros", 10)).await;
    let goal = fleet.goal(tasks(1, &json!({"usd_micros": 50}))).await;
    assert!(poor.claim(1).await.is_empty());
    fleet.expect_states(&goal, "t0:ready").await;
    assert_eq!(rich.claim(1).await.len(), 1);
    verify(&fleet.pool).await;
}

/// A thousand tasks that nobody can pay for stand in front of one that can be paid for.
#[tokio::test]
async fn what_cannot_be_paid_for_blocks_nobody() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let poor = fleet.post_goal(json!({
        "title": "poor", "priority": 9, "tasks": tasks(1000, &json!({"usd_micros": 5})),
        "budget": {"limits": [{"unit": "usd_micros", "amount": 4}], "on_exhausted": "park"},
    }));
    let poor = poor.await;
    fleet.goal(json!([{"ref": "fine", "title": "t"}])).await;
    assert_eq!(agent.take().await.name, "fine");
    // Goals take turns, so those before it need not have been looked at; the next search sees them all.
    assert!(fleet.agent("other", &[], 10).await.claim(1).await.is_empty());
    let states: Vec<String> =
        sqlx::query_scalar("select distinct state from tasks where goal_id = $1::uuid")
            .bind(&poor)
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(states, ["parked"]);
    verify(&fleet.pool).await;
}
