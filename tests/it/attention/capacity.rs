//! Ready tasks that no live agent can do.

use serde_json::{Value, json};

use super::{items, nothing, only, operator, send};
use crate::support::{
    fleet::{Fleet, text},
    invariants::verify,
};

/// Longer than an agent may be silent.
const LOST: u64 = 601;

fn needs(capabilities: Value) -> Value {
    json!({"capabilities": capabilities})
}

async fn edit(fleet: &Fleet, agent: &str, change: Value) {
    let path = format!("/v1/agents/{agent}");
    fleet.admin.patch(path, &change).if_match("*").await.expect(200);
}

#[tokio::test]
async fn tasks_for_which_nobody_is_registered_are_one_item() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    fleet.agent("coder", &["rust"], 1).await;
    let first = fleet.lone_task(needs(json!(["gpu", "rust"]))).await;
    let since = fleet.now();
    fleet.pass(60);
    let task = |n| json!({"ref": format!("t{n}"), "title": "t", "capabilities": ["rust", "gpu"]});
    fleet.goal((0..3).map(task).collect()).await;
    fleet.lone_task(needs(json!(["rust"]))).await;
    let item = only(&fleet, "unclaimable_task").await;
    assert_eq!(item["capabilities"], json!(["gpu", "rust"]));
    assert_eq!((&item["waiting_tasks"], &item["goal_id"]), (&json!(4), &json!(first)));
    assert_eq!(item["since"], serde_json::to_value(since).unwrap());
    assert_eq!(
        item["detail"],
        "4 ready tasks require gpu, rust, which no agent is registered for."
    );
    let made = send(&operator, &item).await.value(201);
    assert_eq!(made["agent"]["capabilities"], json!(["gpu", "rust"]));
    nothing(&fleet).await;

    // It was never started; a new key is one more chance, and a claim is the end of it.
    fleet.pass(LOST);
    fleet.agent("coder", &["rust"], 1).await;
    let lost = only(&fleet, "unclaimable_task").await;
    assert_eq!((&lost["id"], &lost["agent_id"]), (&item["id"], &made["agent"]["id"]));
    assert!(text(&lost["detail"]).ends_with("which 1 agent could do: 1 not heard of."), "{lost:#}");
    let again = send(&operator, &lost).await.value(200);
    assert_eq!(again["agent"]["id"], made["agent"]["id"]);
    nothing(&fleet).await;
    fleet.pass(LOST);
    let agent = fleet.client(&text(&again["token"]));
    agent.post("/v1/claims", &json!({})).await.expect(200);
    // It is able to do the others too.
    nothing(&fleet).await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_agent_that_is_paused_is_set_active() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let agent = fleet.agent("painter", &["gpu"], 1).await;
    for state in ["paused", "draining"] {
        edit(&fleet, &agent.id, json!({"state": state})).await;
        let goal = fleet.lone_task(needs(json!(["gpu"]))).await;
        let item = only(&fleet, "unclaimable_task").await;
        assert_eq!((&item["agent_id"], &item["waiting_tasks"]), (&json!(agent.id), &json!(1)));
        assert!(text(&item["detail"]).contains("1 paused or draining"), "{item:#}");
        // Also when it has not been heard of for long: it is given time.
        fleet.pass(if state == "paused" { 0 } else { LOST });
        let item = only(&fleet, "unclaimable_task").await;
        send(&operator, &item).await;
        nothing(&fleet).await;
        fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    }
}

/// The nearest to being overcome is what the action is about: lifting is sooner done than starting.
#[tokio::test]
async fn an_agent_that_is_frozen_is_freed() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    fleet.agent("silent", &["gpu"], 1).await;
    fleet.pass(LOST);
    let agent = fleet.agent("frozen", &["gpu", "rust"], 1).await;
    let stop = json!({"scope": "agent", "scope_id": agent.id, "mode": "stop"});
    let stop = fleet.admin.post("/v1/freezes", &stop).await.value(201);
    nothing(&fleet).await;
    fleet.lone_task(needs(json!(["gpu"]))).await;
    let item = only(&fleet, "unclaimable_task").await;
    assert_eq!((&item["freeze_id"], &item["agent_id"]), (&stop["id"], &json!(agent.id)));
    assert!(
        text(&item["detail"]).ends_with("which 2 agents could do: 1 frozen, 1 not heard of."),
        "{item:#}"
    );
    send(&operator, &item).await;
    nothing(&fleet).await;
}

#[tokio::test]
async fn what_is_cleared_otherwise_is_gone() {
    let fleet = Fleet::start().await;
    // Anybody can do it, and there is nobody.
    let goal = fleet.lone_task(json!({})).await;
    let item = only(&fleet, "unclaimable_task").await;
    assert_eq!(
        (&item["title"], &item["capabilities"]),
        (&json!("There is no live agent"), &json!([]))
    );
    let path = format!("/v1/goals/{goal}/cancel");
    fleet.admin.post(path, &json!({})).await.expect(200);
    nothing(&fleet).await;
    fleet.lone_task(json!({})).await;
    only(&fleet, "unclaimable_task").await;
    let agent = fleet.agent("any", &["rust"], 1).await;
    nothing(&fleet).await;
    // Out of service is nobody that could be counted on, or woken.
    edit(&fleet, &agent.id, json!({"state": "retired"})).await;
    let item = only(&fleet, "unclaimable_task").await;
    assert_eq!(item["agent_id"], Value::Null);
    let made = send(&operator(&fleet).await, &item).await.value(201);
    assert_eq!(made["created"], true);
    nothing(&fleet).await;
}

#[tokio::test]
async fn sets_are_found_by_goal_and_project() {
    let fleet = Fleet::start().await;
    let project = json!({"title": "g", "project": "p",
        "tasks": [{"ref": "a", "title": "a", "capabilities": ["gpu"]}]});
    let goal = fleet.post_goal(project).await;
    let other = fleet.lone_task(needs(json!(["gpu"]))).await;
    fleet.lone_task(needs(json!(["tpu"]))).await;
    let project = text(&fleet.read_goal(&goal).await["project_id"]);
    let whole = items(&fleet, "").await;
    assert_eq!(whole.len(), 2);
    for (query, want) in [
        (format!("&goal_id={goal}"), &goal),
        (format!("&project_id={project}"), &goal),
        (format!("&goal_id={other}"), &other),
    ] {
        let found = items(&fleet, &query).await;
        assert_eq!(found.len(), 1, "{query}");
        assert_eq!((&found[0]["goal_id"], &found[0]["waiting_tasks"]), (&json!(want), &json!(1)));
    }
    assert!(items(&fleet, &format!("&goal_id={}", fleet.no_id())).await.is_empty());
}

/// Others are able to do it, and may not.
#[tokio::test]
async fn a_task_that_is_kept_for_an_agent_waits_for_that_agent() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let other = fleet.worker().await;
    let kept = fleet.agent("kept", &[], 1).await;
    fleet.lone_task(json!({})).await;
    let held = other.take().await;
    let path = format!("/v1/tasks/{}/reassign", held.task);
    fleet.admin.post(path, &json!({"agent_id": kept.id})).await.expect(200);
    nothing(&fleet).await;
    edit(&fleet, &kept.id, json!({"state": "paused"})).await;
    let item = only(&fleet, "unclaimable_task").await;
    assert_eq!((&item["id"], &item["task_id"]), (&json!(kept.id), &json!(held.task)));
    fleet.pass(2 * 24 * 3600);
    edit(&fleet, &other.id, json!({"max_concurrent": 3})).await;
    let item = only(&fleet, "unclaimable_task").await;
    send(&operator, &item).await;
    nothing(&fleet).await;
    kept.take().await;
    nothing(&fleet).await;
}
