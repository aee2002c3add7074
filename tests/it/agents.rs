//! Agents: registering them, reading them, and what operators do with them.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::service::Service;

#[tokio::test]
async fn registering_is_idempotent_by_name() {
    let service = Service::start().await;
    let body = json!({"name": "coder", "capabilities": ["rust", "review"], "max_concurrent": 2});
    let first = service.admin.post("/v1/agents", &body).await.expect(201);
    let one: Value = first.json();
    assert_eq!(
        first.header("location"),
        format!("/v1/agents/{}", one["agent"]["id"].as_str().unwrap())
    );
    assert_eq!(one["agent"]["capabilities"], json!(["review", "rust"]));
    assert_eq!(one["created"], true);

    let again = json!({"name": "coder", "capabilities": ["go"]});
    let two = service.admin.post("/v1/agents", &again).await.value(200);
    assert_eq!(two["created"], false);
    assert_eq!(two["agent"]["id"], one["agent"]["id"]);
    assert_eq!(two["agent"]["capabilities"], json!(["go"]));
    assert_eq!(two["agent"]["max_concurrent"], 2, "what is left out stays");
    assert_ne!(two["token"], one["token"]);

    for token in [&one["token"], &two["token"]] {
        let client = service.anybody.with_key(token.as_str().unwrap());
        let whoami = client.get("/v1/whoami").await.value(200);
        assert_eq!(whoami["agent_id"], one["agent"]["id"]);
        let path = format!("/v1/agents/{}", whoami["agent_id"].as_str().unwrap());
        client.get(path).await.expect(200);
    }
}

#[tokio::test]
async fn the_five_newest_keys_of_an_agent_stay_valid() {
    let service = Service::start().await;
    let mut agents = Vec::new();
    for _ in 0..7 {
        service.clock.advance(Duration::from_secs(1));
        agents.push(service.agent("coder", &[]).await);
    }
    let mut statuses = Vec::new();
    for agent in &agents {
        statuses.push(agent.client.get("/v1/whoami").await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 200, 200, 200, 200, 200]);
}

#[tokio::test]
async fn instances_that_register_at_once_are_one_agent() {
    let service = Service::start().await;
    let agents = join_all((0..8).map(|_| service.agent("coder", &[]))).await;
    assert!(agents.iter().all(|agent| agent.id == agents[0].id));
    let looks = join_all(agents.iter().map(|agent| service.app.authenticate(&agent.token))).await;
    assert_eq!(looks.iter().filter(|look| look.is_ok()).count(), 5);
}

#[tokio::test]
async fn registering_again_does_not_activate() {
    let service = Service::start().await;
    let agent = service.agent("coder", &[]).await;
    let path = format!("/v1/agents/{}", agent.id);
    let set = |state: &str| service.admin.patch(&path, &json!({"state": state})).if_match("*");
    for state in ["paused", "draining"] {
        set(state).await.expect(200);
        let again = service.admin.post("/v1/agents", &json!({"name": "coder"})).await.value(200);
        assert_eq!(again["agent"]["state"], state);
    }
    set("retired").await.expect(200);
    agent.client.get("/v1/whoami").await.problem(401, "unauthenticated");
    let again = service.admin.post("/v1/agents", &json!({"name": "coder"})).await;
    again.problem(409, "agent_not_active");
    set("active").await.expect(200);
    agent.client.get("/v1/whoami").await.expect(200);
}

#[tokio::test]
async fn an_idempotency_key_gets_the_same_token_again() {
    let service = Service::start().await;
    for (body, status) in [(json!({"name": "coder"}), 201), (json!({"name": "coder"}), 200)] {
        let key = format!("start-{status}");
        let call = || service.admin.post("/v1/agents", &body).idempotency_key(&key);
        let first = call().await.value(status);
        let again = call().await.expect(status);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.json::<Value>(), first);
    }
    let reused = service.admin.post("/v1/agents", &json!({"name": "other"}));
    reused.idempotency_key("start-201").await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn operators_edit_what_they_have_read() {
    let service = Service::start().await;
    let agent = service.agent("coder", &["rust"]).await;
    let path = format!("/v1/agents/{}", agent.id);
    let etag = service.admin.get(&path).await.expect(200).etag();
    let operator = service.with_role("operator").await;
    let edit = json!({"max_concurrent": 5});
    operator.patch(&path, &edit).await.problem(428, "precondition_required");
    let edited = operator.patch(&path, &edit).if_match(&etag).await.value(200);
    assert_eq!(edited["max_concurrent"], 5);
    assert_eq!(edited["capabilities"], json!(["rust"]));
    operator.patch(&path, &edit).if_match(&etag).await.problem(412, "precondition_failed");
    agent.client.patch(&path, &edit).if_match("*").await.problem(403, "forbidden");

    let bad = json!({"max_concurrent": 0, "capabilities": ["Rust", "go", "go"]});
    let pointers = operator.patch(&path, &bad).if_match("*").await.problem(422, "invalid");
    assert_eq!(pointers, ["/capabilities/0", "/capabilities/2", "/max_concurrent"]);
    let stranger = service.other_workspace().await;
    stranger.get(&path).await.problem(404, "not_found");
    stranger.patch(&path, &edit).if_match("*").await.problem(404, "not_found");
}

#[tokio::test]
async fn silence_shows_in_the_liveness() {
    let service = Service::start().await;
    let agent = service.agent("coder", &[]).await;
    let path = format!("/v1/agents/{}", agent.id);
    let liveness = || async { service.admin.get(&path).await.value(200)["liveness"].clone() };
    assert_eq!(liveness().await, "lost", "never heard of");
    sqlx::query("insert into agent_presence values ($1, $2, $3)")
        .bind(service.workspace.0)
        .bind(agent.id.parse::<muster::domain::ids::AgentId>().unwrap().0)
        .bind(service.clock.now())
        .execute(service.app.pool())
        .await
        .unwrap();
    assert_eq!(liveness().await, "online");
    service.clock.advance(Duration::from_secs(121));
    assert_eq!(liveness().await, "late");
    service.clock.advance(Duration::from_secs(480));
    assert_eq!(liveness().await, "lost");
}

#[tokio::test]
async fn lists_agents_by_state_and_capability() {
    let service = Service::start().await;
    service.agent("a", &["rust"]).await;
    let b = service.agent("b", &["rust", "review"]).await;
    service.agent("c", &[]).await;
    let paused = json!({"state": "paused"});
    service.admin.patch(format!("/v1/agents/{}", b.id), &paused).if_match("*").await.expect(200);
    let names = |query: &str| {
        let path = format!("/v1/agents{query}");
        let call = service.admin.get(path);
        async move {
            let page = call.await.value(200);
            let mut names: Vec<String> = page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|agent| agent["name"].as_str().unwrap().to_owned())
                .collect();
            names.sort();
            names.join(" ")
        }
    };
    assert_eq!(names("").await, "a b c");
    assert_eq!(names("?capability=rust").await, "a b");
    assert_eq!(names("?capability=rust&state=active").await, "a");
    assert_eq!(names("?state=paused").await, "b");
    assert_eq!(names("?name=c").await, "c");
    service.admin.get("/v1/agents?state=asleep").await.problem(422, "invalid");
}
