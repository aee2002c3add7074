//! Why agents get nothing.

use serde_json::{Value, json};

use super::Scene;
use crate::support::{
    fleet::{Fleet, register, text},
    invariants::verify,
};

/// A situation, its decisive cause, who must act, and the cause after that.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("work", "work", "agent", "nothing_ready"),
    ("paused", "paused", "operator", "work"),
    ("draining", "draining", "operator", "work"),
    ("retired", "retired", "operator", "work"),
    ("archived", "archived", "operator", "work"),
    ("no key", "no_key", "operator", "work"),
    ("frozen", "frozen", "operator", "work"),
    ("busy", "full", "agent", "work"),
    ("limited", "rate_limited", "nobody", "work"),
    ("window", "quota", "nobody", "work"),
    ("idle", "nothing_ready", "operator", "work"),
    ("unable", "lacks_capability", "operator", "work"),
    ("excluded", "excluded", "operator", "work"),
    ("gated", "blocked", "agent", "work"),
    ("frozen work", "blocked", "operator", "work"),
    ("poor", "budget", "operator", "work"),
];

async fn edit(fleet: &Fleet, agent: &str, change: Value) {
    let path = format!("/v1/agents/{agent}");
    fleet.admin.patch(path, &change).if_match("*").await.expect(200);
}

async fn scene(name: &str) -> Scene {
    let fleet = Fleet::start().await;
    let body =
        json!({"name": "it", "capabilities": ["rust"], "account": "max", "max_concurrent": 1});
    let agent = register(&fleet.poster, body).await;
    let id = agent.id.clone();
    let rust = json!({"capabilities": ["rust"]});
    let mut held = None;
    match name {
        "busy" | "limited" | "window" | "gated" => {
            let mut first = json!({"capabilities": ["rust"], "priority": 9});
            if name == "gated" {
                first["concurrency_keys"] = json!(["k"]);
            }
            fleet.lone_task(first).await;
        }
        _ => {}
    }
    match name {
        "work" => drop(fleet.lone_task(rust).await),
        "paused" | "draining" | "retired" => {
            fleet.lone_task(rust).await;
            edit(&fleet, &id, json!({"state": name})).await;
        }
        "archived" => {
            fleet.lone_task(rust).await;
            fleet.admin.post(format!("/v1/agents/{id}/archive"), &json!({})).await.expect(200);
        }
        "no key" => {
            fleet.lone_task(rust).await;
            let key: String =
                sqlx::query_scalar("select key_id::text from keys where agent_id = $1::uuid")
                    .bind(&id)
                    .fetch_one(&fleet.pool)
                    .await
                    .unwrap();
            fleet.admin.post(format!("/v1/keys/{key}/revoke"), &json!({})).await;
        }
        "frozen" | "frozen work" => {
            let goal = fleet.lone_task(rust).await;
            let (scope, id) = if name == "frozen" { ("agent", &id) } else { ("goal", &goal) };
            let freeze = json!({"scope": scope, "scope_id": id, "mode": "drain"});
            fleet.admin.post("/v1/freezes", &freeze).await.expect(201);
        }
        "busy" => {
            held = agent.claim_with(json!({"lease_seconds": 3600})).await.pop();
            fleet.lone_task(rust).await;
        }
        "limited" => {
            let taken = agent.take().await;
            let limited = json!({"class": "rate_limited", "retry_after_seconds": 300});
            agent.write(&taken, "fail", limited).await.expect(200);
            fleet.lone_task(rust).await;
        }
        "window" => {
            let window = json!({"account": "max", "unit": "output_tokens", "amount": 1000,
                                "window_seconds": 300});
            fleet.admin.post("/v1/quota-windows", &window).await.expect(201);
            let taken = agent.take().await;
            let spend = json!({"entries": [{"key": "1", "amounts": {"output_tokens": 999}}]});
            let done = json!({"result": {}, "spend": spend});
            agent.write(&taken, "complete", done).await.expect(200);
            fleet.lone_task(rust).await;
        }
        "idle" => {}
        "unable" => drop(fleet.lone_task(json!({"capabilities": ["gpu"]})).await),
        "excluded" => {
            let goal = fleet.lone_task(rust).await;
            agent.take().await;
            let path = format!("/v1/tasks/{}/reassign", fleet.task_id(&goal, "a").await);
            fleet.admin.post(path, &json!({"reason": "r"})).await.expect(200);
        }
        "gated" => {
            edit(&fleet, &id, json!({"max_concurrent": 2})).await;
            held = agent.claim_with(json!({"lease_seconds": 3600})).await.pop();
            fleet.lone_task(json!({"capabilities": ["rust"], "concurrency_keys": ["k"]})).await;
        }
        "poor" => {
            let budget =
                json!({"limits": [{"unit": "usd_micros", "amount": 10}], "on_exhausted": "park"});
            let budget = json!({"node": "agent", "node_id": id, "budget": budget});
            fleet.admin.post("/v1/budgets", &budget).await.expect(201);
            let task = json!({"capabilities": ["rust"], "estimate": {"usd_micros": 60}});
            fleet.lone_task(task).await;
        }
        name => panic!("{name}"),
    }
    let scene = Scene::of_agent(fleet, vec![agent], &id);
    let held: Vec<_> = held.iter().collect();
    scene.holding(&held)
}

#[tokio::test]
async fn why_an_agent_gets_nothing_is_named_and_cleared() {
    for (name, cause, actor, then) in CASES {
        println!("{name}");
        let mut scene = scene(name).await;
        if *name == "gated" {
            let found = scene.explain().await;
            assert_eq!(found["causes"][0]["task_cause"], "concurrency_key", "{found:#}");
        }
        let mut next = scene.clear(name, cause, actor).await;
        // It has one slot, and its only task.
        if *name == "work" && next == "full" {
            let found = scene.explain().await;
            assert_eq!(found["causes"][1]["cause"], "nothing_ready", "{found:#}");
            next = text(&found["causes"][1]["cause"]);
        }
        assert_eq!(next, *then, "{name}: {:#}", scene.explain().await);
        verify(&scene.fleet.pool).await;
    }
}
