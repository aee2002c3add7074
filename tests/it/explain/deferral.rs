//! Tasks that are left for better agents.

use serde_json::json;

use super::Scene;
use crate::support::{agent::Agent, fleet::Fleet, fleet::text};

/// Two agents of which one did everything well and the other nothing, both idle and just heard of; and a task that is
/// left for the good one.
async fn known() -> (Fleet, Agent, Agent, String) {
    let fleet = Fleet::start().await;
    let good = fleet.agent("good", &["rust"], 1).await;
    let poor = fleet.agent("poor", &["rust"], 1).await;
    let rules = "update workspaces set max_deferral_ms = $1, control_percent = 0";
    sqlx::query(rules).bind(0).execute(&fleet.pool).await.unwrap();
    for _ in 0..25 {
        fleet.lone_task(json!({"capabilities": ["rust"], "max_attempts": 1})).await;
        fleet.lone_task(json!({"capabilities": ["rust"], "max_attempts": 1})).await;
        let (done, failed) = (good.take().await, poor.take().await);
        fleet.pass(1);
        good.complete(&done).await;
        poor.fail(&failed, "transient").await;
    }
    fleet.round().await;
    sqlx::query(rules).bind(60_000).execute(&fleet.pool).await.unwrap();
    good.find_nothing().await;
    poor.find_nothing().await;
    let goal = fleet.lone_task(json!({"capabilities": ["rust"]})).await;
    let task = fleet.task_id(&goal, "a").await;
    // It is true: the poor one gets nothing.
    poor.find_nothing().await;
    (fleet, good, poor, task)
}

#[tokio::test]
async fn a_task_that_is_left_for_a_better_agent_says_for_whom_and_until_when() {
    let (fleet, good, poor, task) = known().await;
    let until = fleet.now() + chrono::TimeDelta::seconds(60);
    let mut scene = Scene::of_task(fleet, vec![good, poor], &task);
    let found = scene.explain().await;
    assert_eq!(found["causes"][0]["cause"], "deferral", "{found:#}");
    assert_eq!(found["acts"]["name"], "good");
    assert_eq!(found["clears_at"], serde_json::to_value(until).unwrap());
    assert_eq!(scene.clear("left", "deferral", "agent").await, "running");
}

#[tokio::test]
async fn the_other_agent_is_told_and_gets_it_when_the_time_is_over() {
    let (fleet, good, poor, _) = known().await;
    let id = poor.id.clone();
    let scene = Scene::of_agent(fleet, vec![good, poor.clone()], &id);
    let found = scene.explain().await;
    assert_eq!(found["causes"][0]["cause"], "deferral", "{found:#}");
    assert_eq!(found["acts"]["name"], "good");
    scene.fleet.pass(60);
    let found = scene.explain().await;
    assert_eq!(text(&found["causes"][0]["cause"]), "work", "{found:#}");
    poor.take().await;
}
