//! What one workspace may hold: what is beyond is refused, and what runs goes on.

use muster::domain::cap::workspace::WorkspaceCaps;
use serde_json::{Value, json};

use crate::support::{
    client::Client,
    fleet::{Fleet, register, router},
    invariants::verify,
};

/// The admin of the fleet, at a service with these caps.
fn capped(fleet: &Fleet, caps: WorkspaceCaps) -> Client {
    Client::of(router(&fleet.app.clone().capped(caps))).with_key(&fleet.admin_key)
}

async fn used(client: &Client, name: &str) -> u64 {
    let whoami = client.get("/v1/whoami").await.value(200);
    let caps = whoami["caps"].as_array().unwrap();
    caps.iter().find(|cap| cap["name"] == name).unwrap()["used"].as_u64().unwrap()
}

fn goal(tasks: usize) -> Value {
    let task = |n| json!({"ref": format!("t{n}"), "title": "t"});
    json!({"title": "g", "tasks": (0..tasks).map(task).collect::<Vec<_>>()})
}

#[tokio::test]
async fn agents_beyond_the_cap_are_refused_and_known_ones_register_again() {
    let fleet = Fleet::start().await;
    let admin = capped(&fleet, WorkspaceCaps { agents: 2, ..WorkspaceCaps::default() });
    register(&admin, json!({"name": "a"})).await;
    register(&admin, json!({"name": "b"})).await;
    let refused = admin.post("/v1/agents", &json!({"name": "c"})).await;
    refused.problem(409, "workspace_full");
    admin.post("/v1/agents", &json!({"name": "b"})).await.expect(200);
    assert_eq!(used(&admin, "agents").await, 2);
}

#[tokio::test]
async fn keys_beyond_the_cap_are_refused_until_one_is_revoked() {
    let fleet = Fleet::start().await;
    let keys = used(&fleet.admin, "keys").await + 1;
    let admin = capped(&fleet, WorkspaceCaps { keys, ..WorkspaceCaps::default() });
    let new = json!({"name": "k", "role": "viewer"});
    let key = admin.post("/v1/keys", &new).await.value(201)["key"]["id"].clone();
    admin.post("/v1/keys", &new).await.problem(409, "workspace_full");
    admin.post("/v1/agents", &json!({"name": "a"})).await.problem(409, "workspace_full");
    assert_eq!(used(&admin, "agents").await, 0, "half an agent");
    let path = format!("/v1/keys/{}/revoke", key.as_str().unwrap());
    admin.post(path, &json!({})).await.expect(200);
    admin.post("/v1/keys", &new).await.expect(201);
}

#[tokio::test]
async fn open_tasks_beyond_the_cap_are_refused_whole_until_some_end() {
    let fleet = Fleet::start().await;
    let admin = capped(&fleet, WorkspaceCaps { open_tasks: 3, ..WorkspaceCaps::default() });
    admin.post("/v1/goals", &goal(4)).await.problem(409, "workspace_full");
    assert!(admin.get("/v1/goals").await.value(200)["items"].as_array().unwrap().is_empty());
    admin.post("/v1/goals", &goal(3)).await.expect(201);
    let mut agent = register(&admin, json!({"name": "a", "max_concurrent": 2})).await;
    agent.client = admin.with_key(&agent.key);
    let held = agent.claim(2).await;
    let subtasks = json!({"tasks": [{"ref": "s", "title": "s"}]});
    agent.write(&held[0], "subtasks", subtasks.clone()).await.problem(409, "workspace_full");
    agent.complete(&held[1]).await;
    assert_eq!(used(&admin, "open_tasks").await, 2);
    agent.write(&held[0], "subtasks", subtasks).await.expect(201);
    admin.post("/v1/goals", &goal(1)).await.problem(409, "workspace_full");
    verify(&fleet.pool).await;
}

/// A plan that is approved when the workspace is full stays pending.
#[tokio::test]
async fn a_plan_that_would_pass_the_cap_is_not_applied() {
    let fleet = Fleet::start().await;
    let caps = WorkspaceCaps { open_tasks: 3, ..WorkspaceCaps::default() };
    let admin = capped(&fleet, caps);
    let mut planned = goal(2);
    planned["approval"] = json!({"plan": true});
    let poster = capped(&fleet, caps).with_key(fleet.key("submitter").await);
    poster.post("/v1/goals", &planned).await.expect(201);
    admin.post("/v1/goals", &goal(2)).await.expect(201);
    let approval = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", approval["id"].as_str().unwrap());
    let decision = crate::support::fleet::about(&approval, json!({"decision": "approve"}));
    admin.post(&path, &decision).await.problem(409, "workspace_full");
    assert_eq!(fleet.question().await["state"], "pending");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_workspace_that_is_full_of_bytes_posts_nothing_and_finishes_what_runs() {
    let fleet = Fleet::start().await;
    fleet.admin.post("/v1/goals", &goal(2)).await.expect(201);
    let admin = capped(&fleet, WorkspaceCaps { stored_bytes: 1, ..WorkspaceCaps::default() });
    let mut agent = register(&admin, json!({"name": "a", "max_concurrent": 2})).await;
    agent.client = admin.with_key(&agent.key);
    let held = agent.claim(2).await;
    sqlx::query("analyze").execute(&fleet.pool).await.unwrap();
    assert!(used(&admin, "stored_bytes").await > 100_000);
    admin.post("/v1/goals", &goal(1)).await.problem(409, "workspace_full");
    let subtasks = json!({"tasks": [{"ref": "s", "title": "s"}]});
    agent.write(&held[0], "subtasks", subtasks).await.problem(409, "workspace_full");
    agent.beat(&held[0]).await;
    agent.complete(&held[0]).await;
    agent.complete(&held[1]).await;
    let other = fleet.other_workspace().await;
    let other = other.get("/v1/whoami").await.value(200);
    let bytes = other["caps"].as_array().unwrap().iter().find(|cap| cap["name"] == "stored_bytes");
    assert!(bytes.unwrap()["used"].as_u64().unwrap() < 100_000, "{other}");
    verify(&fleet.pool).await;
}
