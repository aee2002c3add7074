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
    ("handed over", "excluded", "operator", "work"),
    ("a capability", "excluded", "operator", "work"),
    ("for another", "excluded", "operator", "work"),
    ("too large a task", "quota", "nobody", "work"),
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
        "busy" | "limited" | "window" | "too large a task" | "gated" => {
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
        "window" | "too large a task" => {
            let window = json!({"account": "max", "unit": "output_tokens", "amount": 1000,
                                "window_seconds": 300});
            fleet.admin.post("/v1/quota-windows", &window).await.expect(201);
            let taken = agent.take().await;
            let (used, estimate) = if name == "window" { (999, 1) } else { (1, 1001) };
            let spend = json!({"entries": [{"key": "1", "amounts": {"output_tokens": used}}]});
            let done = json!({"result": {}, "spend": spend});
            agent.write(&taken, "complete", done).await.expect(200);
            let task = json!({"capabilities": ["rust"], "estimate": {"output_tokens": estimate}});
            fleet.lone_task(task).await;
        }
        "idle" => {}
        "unable" => drop(fleet.lone_task(json!({"capabilities": ["gpu"]})).await),
        "excluded" => {
            let goal = fleet.lone_task(rust).await;
            agent.take().await;
            let path = format!("/v1/tasks/{}/reassign", fleet.task_id(&goal, "a").await);
            fleet.admin.post(path, &json!({"reason": "r"})).await.expect(200);
        }
        "handed over" | "a capability" => {
            fleet.lone_task(rust).await;
            let other = fleet.agent("other", &["rust", "review"], 1).await;
            let to = if name == "handed over" {
                json!({"agent_id": other.id})
            } else {
                json!({"capability": "review"})
            };
            let taken = agent.take().await;
            let baton = json!({"to": to, "note": "n", "offer_seconds": 300});
            agent.write(&taken, "hand-off", baton).await.expect(201);
        }
        "for another" => {
            let other = fleet.agent("other", &["rust"], 1).await;
            let goal = fleet.lone_task(rust).await;
            let path = format!("/v1/tasks/{}/reassign", fleet.task_id(&goal, "a").await);
            let to = json!({"agent_id": other.id, "reason": "r"});
            fleet.admin.post(path, &to).await.expect(200);
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

/// Until when a task is kept for somebody else is the time at which this agent may have it.
#[tokio::test]
async fn an_agent_is_told_for_whom_a_task_is_kept_and_until_when() {
    let scene = scene("handed over").await;
    let found = scene.explain().await;
    assert_eq!(found["causes"][0]["cause"], "excluded", "{found:#}");
    let offered = &found["causes"][0]["facts"]["offered"];
    assert_eq!(offered["agent_name"], "other", "{found:#}");
    let until = scene.fleet.now() + chrono::TimeDelta::seconds(300);
    assert_eq!(found["clears_at"], serde_json::to_value(until).unwrap(), "{found:#}");
    scene.fleet.after(301).await;
    assert_eq!(scene.explain().await["causes"][0]["cause"], "work");
}

/// A check of its own work is for others, whatever anybody does.
#[tokio::test]
async fn an_agent_is_offered_nothing_that_would_not_help() {
    let fleet = Fleet::start().await;
    let author = fleet.agent("author", &["rust"], 3).await;
    let review =
        json!({"criteria": [{"text": "sound", "type": "review"}], "capabilities": ["rust"]});
    fleet.lone_task(review).await;
    let held = author.take().await;
    author.write(&held, "complete", json!({"result": {}})).await.expect(200);
    let id = author.id.clone();
    let found = Scene::of_agent(fleet, vec![author], &id).explain().await;
    assert_eq!(found["causes"][0]["cause"], "excluded", "{found:#}");
    assert_eq!((&found["acts"]["kind"], &found["request"]), (&json!("nobody"), &Value::Null));
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
