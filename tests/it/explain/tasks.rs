//! Why tasks do not run.

use serde_json::{Value, json};

use super::Scene;
use crate::support::{
    agent::{Agent, Held},
    fleet::{Fleet, register, text},
    invariants::verify,
};

/// A situation, its decisive cause, who must act, and the cause after that.
type Case = (&'static str, &'static str, &'static str, &'static str);

/// Waits of tasks, without agents being a cause.
const WAITS: &[Case] = &[
    ("nobody asked", "unclaimed", "agent", "running"),
    ("behind another task", "order", "agent", "running"),
    ("behind another goal", "order", "agent", "running"),
    ("a running need", "needs", "agent", "unclaimed"),
    ("a chain of needs", "needs", "agent", "unclaimed"),
    ("a need that waits for a person", "needs", "person", "unclaimed"),
    ("a container", "subtasks", "agent", "done"),
    ("subtasks of an attempt", "subtasks", "agent", "unclaimed"),
    ("inside a closed container", "needs", "agent", "unclaimed"),
    ("its own start time", "start_time", "nobody", "unclaimed"),
    ("the start time of its goal", "start_time", "nobody", "unclaimed"),
    ("a failed try", "backoff", "nobody", "unclaimed"),
    ("a time that has come", "promotion", "muster", "unclaimed"),
];

/// People, money and gates.
const STOPS: &[Case] = &[
    ("an approval of its start", "approval", "person", "unclaimed"),
    ("an approval of its result", "approval", "person", "done"),
    ("a question of its agent", "answer", "person", "unclaimed"),
    ("a freeze of its goal", "freeze", "operator", "unclaimed"),
    ("a freeze of a capability", "freeze", "operator", "unclaimed"),
    ("a freeze of the workspace", "freeze", "operator", "unclaimed"),
    ("a model without a price", "price", "operator", "unclaimed"),
    ("a budget that parks", "budget", "operator", "unclaimed"),
    ("a budget that asks", "budget", "person", "unclaimed"),
    ("a budget that nobody met yet", "budget", "operator", "unclaimed"),
    ("a full concurrency key", "concurrency_key", "agent", "unclaimed"),
    ("a held resource", "resource", "agent", "unclaimed"),
    ("a resource that a person holds", "resource", "person", "unclaimed"),
    ("a resource that was taken while running", "resource", "agent", "unclaimed"),
    ("a daily limit that is renewed and too small", "budget", "operator", "unclaimed"),
    ("a daily limit that has room again", "promotion", "muster", "unclaimed"),
    ("a used rate", "rate", "nobody", "unclaimed"),
    ("too large", "oversized", "operator", "excluded"),
];

/// Nobody able.
const AGENTS: &[Case] = &[
    ("no agent at all", "no_agent", "operator", "unclaimed"),
    ("a capability that nobody has", "no_agent", "operator", "unclaimed"),
    ("taken from the only able agent", "excluded", "operator", "unclaimed"),
    ("kept for a busy agent", "agents_full", "agent", "offered"),
    ("all able agents busy", "agents_full", "agent", "unclaimed"),
    ("a paused agent", "agents_paused", "operator", "unclaimed"),
    ("a draining agent", "agents_draining", "operator", "unclaimed"),
    ("a frozen agent", "agents_frozen", "operator", "unclaimed"),
    ("a silent agent", "agents_offline", "operator", "unclaimed"),
    ("an agent without a key", "agents_no_key", "operator", "unclaimed"),
    ("a limited provider", "agents_rate_limited", "nobody", "unclaimed"),
    ("a used quota window", "agents_quota", "nobody", "unclaimed"),
    ("a task too large for a quota window", "agents_quota", "nobody", "unclaimed"),
    ("a task larger than a quota window", "agents_quota", "nobody", "unclaimed"),
    ("a budget of the agent", "agents_budget", "operator", "unclaimed"),
];

/// Kept for somebody.
const KEPT: &[Case] = &[
    ("reassigned to an agent", "offered", "agent", "running"),
    ("handed over to an agent", "offered", "agent", "running"),
    ("handed over to an agent with other work", "offered", "agent", "running"),
    ("handed over to a paused agent", "agents_paused", "operator", "offered"),
    ("handed over to agents with a capability", "offered", "agent", "running"),
    ("handed over to a capability that is gone", "excluded", "operator", "unclaimed"),
    ("an offer that is over", "promotion", "muster", "unclaimed"),
    ("a check of the only able agent", "excluded", "operator", "unclaimed"),
    ("a check by another owner", "excluded", "operator", "unclaimed"),
    ("a check for an agent whose owner changed", "excluded", "operator", "unclaimed"),
];

/// Work in progress and after it.
const ENDS: &[Case] = &[
    ("an agent works on it", "running", "agent", "done"),
    ("a person works on it", "running", "person", "done"),
    ("being cancelled", "cancelling", "agent", "cancelled"),
    ("failed", "failed", "operator", "unclaimed"),
    ("in quarantine", "quarantined", "operator", "unclaimed"),
    ("cancelled because of a failure", "cancelled", "operator", "needs"),
];

async fn worker(fleet: &Fleet, name: &str, settings: Value) -> Agent {
    let mut body = json!({"name": name, "max_concurrent": 10});
    for (name, value) in settings.as_object().unwrap() {
        body[name] = value.clone();
    }
    register(&fleet.poster, body).await
}

async fn edit(fleet: &Fleet, agent: &Agent, change: Value) {
    let path = format!("/v1/agents/{}", agent.id);
    fleet.admin.patch(path, &change).if_match("*").await.expect(200);
}

async fn freeze(fleet: &Fleet, freeze: Value) {
    fleet.admin.post("/v1/freezes", &freeze).await.expect(201);
}

async fn limit(fleet: &Fleet, node: &str, id: Option<&str>, budget: Value) {
    let body = json!({"node": node, "node_id": id, "budget": budget});
    fleet.admin.post("/v1/budgets", &body).await.expect(201);
}

fn money(amount: i64, on_exhausted: &str) -> Value {
    json!({"limits": [{"unit": "usd_micros", "amount": amount}], "on_exhausted": on_exhausted})
}

fn daily(amount: i64) -> Value {
    json!({"limits": [{"unit": "usd_micros", "amount": amount, "period": "day"}], "on_exhausted": "park"})
}

/// Attempts that do not end while a test lets time pass.
async fn hold(agent: &Agent) -> Held {
    let held = agent.claim_with(json!({"lease_seconds": 3600})).await.pop();
    held.expect("there is no task for the agent")
}

/// A task `a` with these settings, its id, and an agent that could do it.
async fn lone(settings: Value) -> (Fleet, Agent, String) {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(settings).await;
    let task = fleet.task_id(&goal, "a").await;
    (fleet, agent, task)
}

/// Tasks of one goal, the id of the one named `it`, and an agent.
async fn among(tasks: Value) -> (Fleet, Agent, String) {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.goal(tasks).await;
    let task = fleet.task_id(&goal, "it").await;
    (fleet, agent, task)
}

async fn waits(name: &str) -> Scene {
    match name {
        "nobody asked" => {
            let (fleet, agent, task) = lone(json!({})).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "behind another task" => {
            let tasks =
                json!([{"ref": "first", "title": "t", "priority": 9}, {"ref": "it", "title": "t"}]);
            let (fleet, agent, task) = among(tasks).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "behind another goal" => {
            let fleet = Fleet::start().await;
            let agent = fleet.worker().await;
            // Both join at one pass; the older goal has the lower id and goes first.
            fleet.lone_task(json!({"priority": 9})).await;
            fleet.pass(1);
            let tasks =
                json!([{"ref": "first", "title": "t", "priority": 9}, {"ref": "it", "title": "t"}]);
            let goal = fleet.goal(tasks).await;
            let task = fleet.task_id(&goal, "it").await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a running need" => {
            let tasks =
                json!([{"ref": "n", "title": "t"}, {"ref": "it", "title": "t", "needs": ["n"]}]);
            let (fleet, agent, task) = among(tasks).await;
            let held = hold(&agent).await;
            Scene::of_task(fleet, vec![agent], &task).holding(&[&held])
        }
        "a chain of needs" => {
            let tasks = json!([{"ref": "n", "title": "t"}, {"ref": "m", "title": "t", "needs": ["n"]},
                               {"ref": "it", "title": "t", "needs": ["m"]}]);
            let (fleet, agent, task) = among(tasks).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a need that waits for a person" => {
            let tasks = json!([{"ref": "n", "title": "t", "approval": {"start": true}},
                               {"ref": "it", "title": "t", "needs": ["n"]}]);
            let (fleet, agent, task) = among(tasks).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a container" => {
            let tasks =
                json!([{"ref": "it", "title": "t"}, {"ref": "in", "title": "t", "parent": "it"}]);
            let (fleet, agent, task) = among(tasks).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "subtasks of an attempt" => {
            let (fleet, agent, task) = lone(json!({})).await;
            let held = hold(&agent).await;
            agent.subtasks(&held, json!([{"ref": "s", "title": "s"}])).await;
            Scene::of_task(fleet, vec![agent], &task).holding(&[&held])
        }
        "inside a closed container" => {
            let tasks = json!([{"ref": "n", "title": "t"}, {"ref": "box", "title": "t", "needs": ["n"]},
                               {"ref": "it", "title": "t", "parent": "box"}]);
            let (fleet, agent, task) = among(tasks).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "its own start time" | "a time that has come" => {
            let fleet = Fleet::start().await;
            let agent = fleet.worker().await;
            let start = fleet.now() + chrono::TimeDelta::seconds(300);
            let goal = fleet.lone_task(json!({"not_before": start})).await;
            let task = fleet.task_id(&goal, "a").await;
            if name == "a time that has come" {
                fleet.pass(300);
            }
            Scene::of_task(fleet, vec![agent], &task)
        }
        "the start time of its goal" => {
            let fleet = Fleet::start().await;
            let agent = fleet.worker().await;
            let start = fleet.now() + chrono::TimeDelta::seconds(300);
            let goal =
                json!({"title": "g", "start_at": start, "tasks": [{"ref": "a", "title": "a"}]});
            let goal = fleet.post_goal(goal).await;
            let task = fleet.task_id(&goal, "a").await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a failed try" => {
            let (fleet, agent, task) = lone(json!({})).await;
            agent.fail(&agent.take().await, "transient").await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        name => panic!("{name}"),
    }
}

async fn stops(name: &str) -> Scene {
    match name {
        "an approval of its start" => {
            let (fleet, agent, task) = lone(json!({"approval": {"start": true}})).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "an approval of its result" => {
            let (fleet, agent, task) = lone(json!({"approval": {"result": true}})).await;
            agent.complete(&agent.take().await).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a question of its agent" => {
            let (fleet, agent, task) = lone(json!({})).await;
            agent.ask(&agent.take().await, "input").await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a freeze of its goal" => {
            let (fleet, agent, task) = lone(json!({})).await;
            let goal = fleet.admin.get(format!("/v1/tasks/{task}")).await.value(200);
            let goal = goal["goal_id"].clone();
            freeze(
                &fleet,
                json!({"scope": "goal", "scope_id": goal, "mode": "drain", "reason": "r"}),
            )
            .await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a freeze of a capability" => {
            let fleet = Fleet::start().await;
            let agent = fleet.agent("a", &["deploy"], 10).await;
            let goal = fleet.lone_task(json!({"capabilities": ["deploy"]})).await;
            let task = fleet.task_id(&goal, "a").await;
            freeze(&fleet, json!({"scope": "capability", "capability": "deploy", "mode": "pause"}))
                .await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a freeze of the workspace" => {
            let (fleet, agent, task) = lone(json!({})).await;
            freeze(&fleet, json!({"scope": "workspace", "mode": "stop", "reason": "leak"})).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a model without a price" => {
            let fleet = Fleet::start().await;
            let agent = fleet.worker().await;
            let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}],
                              "budget": {"limits": [{"unit": "usd_micros", "amount": 900_000_000}]}});
            let goal = fleet.post_goal(goal).await;
            let held = agent.take().await;
            let usage = json!({"provider": "x", "model": "new", "convention": "openai",
                               "tokens": {"prompt_tokens": 1000, "completion_tokens": 10}});
            let spend = json!({"entries": [{"key": "call", "usage": usage}]});
            agent.write(&held, "spend", spend).await.expect(200);
            agent.release(&held).await;
            let task = fleet.task_id(&goal, "a").await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a budget that parks" | "a budget that asks" | "a budget that nobody met yet" => {
            let fleet = Fleet::start().await;
            let agent = fleet.worker().await;
            let on = if name == "a budget that asks" { "park_and_ask" } else { "park" };
            limit(&fleet, "workspace", None, money(10, on)).await;
            let goal = fleet.lone_task(json!({"estimate": {"usd_micros": 60}})).await;
            if name != "a budget that nobody met yet" {
                agent.find_nothing().await;
            }
            let task = fleet.task_id(&goal, "a").await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a full concurrency key" | "a held resource" => {
            let gate = match name {
                "a held resource" => json!({"touches": [{"resource": "src/**"}]}),
                _ => json!({"concurrency_keys": ["deploy"]}),
            };
            let (fleet, agent, _) = lone(gate.clone()).await;
            let held = hold(&agent).await;
            let goal = fleet.lone_task(gate).await;
            let task = fleet.task_id(&goal, "a").await;
            Scene::of_task(fleet, vec![agent], &task).holding(&[&held])
        }
        "a resource that a person holds" => {
            let gate = json!({"touches": [{"resource": "src/**"}]});
            let (fleet, agent, first) = lone(gate).await;
            let path = format!("/v1/tasks/{first}/takeover");
            let claim = fleet.admin.post(&path, &json!({})).await.value(201);
            let gate = json!({"touches": [{"resource": "src/main.rs"}]});
            let goal = fleet.lone_task(gate).await;
            let task = fleet.task_id(&goal, "a").await;
            let mut scene = Scene::of_task(fleet, vec![agent], &task);
            scene.leases.push((text(&claim["attempt_id"]), text(&claim["lease"])));
            scene
        }
        "a resource that was taken while running" => {
            let (fleet, agent, first) = lone(json!({"priority": 9})).await;
            let held = hold(&agent).await;
            let taken = json!({"take": [{"resource": "branch:main"}]});
            agent.write(&held, "resources", taken).await.expect(200);
            let gate = json!({"touches": [{"resource": "branch:main", "mode": "shared"}]});
            let goal = fleet.lone_task(gate).await;
            let task = fleet.task_id(&goal, "a").await;
            let scene = Scene::of_task(fleet, vec![agent], &task).holding(&[&held]);
            let found = scene.explain().await;
            let holder = &found["causes"][0]["facts"]["holders"][0];
            assert_eq!(holder["subject"], "branch:main", "{found:#}");
            assert_eq!(holder["task_id"], first.as_str(), "{found:#}");
            assert_eq!(holder["attempt_id"], held.attempt.as_str(), "{found:#}");
            assert_eq!(holder["agent_name"], "worker", "{found:#}");
            scene
        }
        "a daily limit that is renewed and too small" => {
            let fleet = Fleet::start().await;
            limit(&fleet, "workspace", None, daily(10)).await;
            fleet.pass(24 * 3600);
            let agent = fleet.worker().await;
            let goal = fleet.lone_task(json!({"estimate": {"usd_micros": 60}})).await;
            let task = fleet.task_id(&goal, "a").await;
            let scene = Scene::of_task(fleet, vec![agent], &task);
            let found = scene.explain().await;
            let limit = &found["causes"][0]["facts"]["limits"][0];
            assert_eq!((&limit["limit"], &limit["settled"]), (&json!(10), &json!(0)), "{found:#}");
            assert_eq!(limit["renews_at"], "2026-03-03T00:00:00Z", "{found:#}");
            scene
        }
        "a daily limit that has room again" => {
            let fleet = Fleet::start().await;
            let first = fleet.agent("first", &[], 1).await;
            limit(&fleet, "workspace", None, daily(100)).await;
            fleet.lone_task(json!({"estimate": {"usd_micros": 60}, "priority": 9})).await;
            let held = first.take().await;
            let spend = json!({"entries": [{"key": "1", "amounts": {"usd_micros": 60}}]});
            first.write(&held, "complete", json!({"result": {}, "spend": spend})).await.expect(200);
            let goal = fleet.lone_task(json!({"estimate": {"usd_micros": 60}})).await;
            first.find_nothing().await;
            let task = fleet.task_id(&goal, "a").await;
            let mut scene = Scene::of_task(fleet, vec![first], &task);
            let found = scene.explain().await;
            let limit = &found["causes"][0]["facts"]["limits"][0];
            assert_eq!(limit["renews_at"], "2026-03-02T00:00:00Z", "{found:#}");
            assert_eq!(limit["remaining"], 40, "{found:#}");
            scene.fleet.pass(24 * 3600);
            // Heard of today.
            scene.agents.push(scene.fleet.worker().await);
            scene
        }
        "a used rate" => {
            let fleet = Fleet::start().await;
            let agent = fleet.agent("a", &["api"], 10).await;
            let rate = json!({"capability": "api", "starts_per_minute": 1, "burst": 1});
            fleet.admin.post("/v1/rates", &rate).await.expect(201);
            let task = |name: &str| json!({"ref": name, "title": "t", "capabilities": ["api"]});
            let goal = fleet.goal(json!([task("first"), task("it")])).await;
            let held = hold(&agent).await;
            let other = if held.name == "it" { "first" } else { "it" };
            let task = fleet.task_id(&goal, other).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "too large" => {
            let (fleet, agent, task) = lone(json!({"max_attempts": 5})).await;
            for _ in 0..2 {
                agent.fail(&agent.take().await, "too_large").await;
                fleet.after(60).await;
            }
            Scene::of_task(fleet, vec![agent], &task)
        }
        name => panic!("{name}"),
    }
}

async fn agents(name: &str) -> Scene {
    let fleet = Fleet::start().await;
    let task = async |fleet: &Fleet, settings: Value| {
        let goal = fleet.lone_task(settings).await;
        fleet.task_id(&goal, "a").await
    };
    match name {
        "no agent at all" => {
            let task = task(&fleet, json!({"capabilities": ["gpu"]})).await;
            Scene::of_task(fleet, Vec::new(), &task)
        }
        "a capability that nobody has" => {
            let far = fleet.agent("far", &["docs"], 1).await;
            let near = fleet.agent("near", &["rust"], 1).await;
            let task = task(&fleet, json!({"capabilities": ["gpu", "rust"]})).await;
            let scene = Scene::of_task(fleet, vec![far, near], &task);
            let found = scene.explain().await;
            let facts = &found["causes"][0]["facts"];
            assert_eq!(facts["capabilities"], json!(["gpu"]), "{found:#}");
            assert_eq!(facts["agents"][0]["name"], "near");
            assert_eq!(facts["agents"][0]["lacks"], json!(["gpu"]));
            scene
        }
        "taken from the only able agent" => {
            let agent = fleet.worker().await;
            let task = task(&fleet, json!({})).await;
            agent.take().await;
            let path = format!("/v1/tasks/{task}/reassign");
            fleet.admin.post(path, &json!({"reason": "r"})).await.expect(200);
            Scene::of_task(fleet, vec![agent], &task)
        }
        "kept for a busy agent" => {
            let (one, other) =
                (fleet.agent("one", &[], 1).await, fleet.agent("other", &[], 1).await);
            fleet.lone_task(json!({"priority": 9})).await;
            let held = hold(&one).await;
            let task = task(&fleet, json!({})).await;
            let path = format!("/v1/tasks/{task}/reassign");
            fleet.admin.post(path, &json!({"agent_id": one.id, "reason": "r"})).await.expect(200);
            Scene::of_task(fleet, vec![one, other], &task).holding(&[&held])
        }
        "all able agents busy" => {
            let able = fleet.agent("able", &["rust"], 1).await;
            let unable = fleet.worker().await;
            task(&fleet, json!({"capabilities": ["rust"]})).await;
            let held = hold(&able).await;
            let task = task(&fleet, json!({"capabilities": ["rust"]})).await;
            Scene::of_task(fleet, vec![able, unable], &task).holding(&[&held])
        }
        "a paused agent" | "a draining agent" => {
            let agent = fleet.worker().await;
            let state = if name == "a paused agent" { "paused" } else { "draining" };
            edit(&fleet, &agent, json!({"state": state})).await;
            let task = task(&fleet, json!({})).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a frozen agent" => {
            let agent = fleet.worker().await;
            freeze(&fleet, json!({"scope": "agent", "scope_id": agent.id, "mode": "drain"})).await;
            let task = task(&fleet, json!({})).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a silent agent" => {
            let agent = fleet.worker().await;
            let task = task(&fleet, json!({})).await;
            fleet.pass(601);
            Scene::of_task(fleet, vec![agent], &task)
        }
        "an agent without a key" => {
            let agent = fleet.worker().await;
            let key: String =
                sqlx::query_scalar("select key_id::text from keys where agent_id = $1::uuid")
                    .bind(&agent.id)
                    .fetch_one(&fleet.pool)
                    .await
                    .unwrap();
            fleet.admin.post(format!("/v1/keys/{key}/revoke"), &json!({})).await;
            let task = task(&fleet, json!({})).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a limited provider" => {
            let agent = fleet.worker().await;
            let other = fleet.lone_task(json!({"priority": 9})).await;
            let held = agent.take().await;
            let limited = json!({"class": "rate_limited", "retry_after_seconds": 300});
            agent.write(&held, "fail", limited).await.expect(200);
            fleet.admin.post(format!("/v1/goals/{other}/cancel"), &json!({})).await.expect(200);
            let task = task(&fleet, json!({})).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a used quota window"
        | "a task too large for a quota window"
        | "a task larger than a quota window" => {
            let agent = worker(&fleet, "a", json!({"account": "max"})).await;
            let window = json!({"account": "max", "unit": "output_tokens", "amount": 1000,
                                "window_seconds": 300});
            fleet.admin.post("/v1/quota-windows", &window).await.expect(201);
            fleet.lone_task(json!({"priority": 9})).await;
            let held = hold(&agent).await;
            let (used, estimate) = match name {
                "a used quota window" => (950, 1),
                "a task too large for a quota window" => (600, 700),
                _ => (1, 1001),
            };
            let spend = json!({"entries": [{"key": "1", "amounts": {"output_tokens": used}}]});
            agent.write(&held, "spend", spend).await.expect(200);
            let task = task(&fleet, json!({"estimate": {"output_tokens": estimate}})).await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "a budget of the agent" => {
            let agent = fleet.worker().await;
            limit(&fleet, "agent", Some(&agent.id), money(10, "park")).await;
            let task = task(&fleet, json!({"estimate": {"usd_micros": 60}})).await;
            agent.find_nothing().await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        name => panic!("{name}"),
    }
}

/// A task that `one` handed over with this body; `other` and `third` have `review` besides.
async fn handed_over(settings: Value, to: impl AsyncFn(&Fleet, &[Agent; 3]) -> Value) -> Scene {
    let fleet = Fleet::start().await;
    let agents = [
        fleet.agent("one", &[], 10).await,
        fleet.agent("other", &["review"], 10).await,
        fleet.agent("third", &["docs"], 10).await,
    ];
    let goal = fleet.lone_task(settings).await;
    let task = fleet.task_id(&goal, "a").await;
    let held = agents[0].take().await;
    let baton = json!({"to": to(&fleet, &agents).await, "note": "n", "offer_seconds": 300});
    let answer = agents[0].write(&held, "hand-off", baton).await.value(201);
    let scene = Scene::of_task(fleet, agents.to_vec(), &task);
    let found = scene.explain().await;
    let offered = found["causes"].as_array().unwrap().iter().find_map(|cause| {
        let offered = &cause["facts"]["offered"];
        offered.is_object().then_some(offered)
    });
    let offered = offered.unwrap_or_else(|| panic!("for whom is it kept? {found:#}"));
    assert_eq!(offered["until"], answer["offer_until"], "{found:#}");
    scene
}

/// A task whose result is to be reviewed, by another owner if `owner` says so; the check is what is explained.
async fn checked(other_owner: bool, owner: Option<&str>) -> (Fleet, Agent, String) {
    let fleet = Fleet::start().await;
    let mut body = json!({"name": "author", "capabilities": ["rust"], "max_concurrent": 9});
    if let Some(owner) = owner {
        body["owner"] = json!(owner);
    }
    let author = register(&fleet.admin, body).await;
    let review = json!({"text": "sound", "type": "review", "review": {"other_owner": other_owner, "capabilities": ["rust"]}});
    fleet.lone_task(json!({"criteria": [review], "capabilities": ["rust"]})).await;
    let held = author.take().await;
    author.write(&held, "complete", json!({"result": {}})).await.expect(200);
    let check = sqlx::query_scalar("select task_id::text from tasks where purpose = 'check'");
    let check: String = check.fetch_one(&fleet.pool).await.unwrap();
    (fleet, author, check)
}

async fn kept(name: &str) -> Scene {
    let to_other = async |_: &Fleet, agents: &[Agent; 3]| json!({"agent_id": agents[1].id});
    let to_review = async |_: &Fleet, _: &[Agent; 3]| json!({"capability": "review"});
    match name {
        "reassigned to an agent" => {
            let fleet = Fleet::start().await;
            let (one, other) =
                (fleet.agent("one", &[], 1).await, fleet.agent("other", &[], 1).await);
            let goal = fleet.lone_task(json!({})).await;
            let task = fleet.task_id(&goal, "a").await;
            let path = format!("/v1/tasks/{task}/reassign");
            fleet.admin.post(path, &json!({"agent_id": other.id, "reason": "r"})).await.expect(200);
            let scene = Scene::of_task(fleet, vec![one, other], &task);
            let found = scene.explain().await;
            assert_eq!(found["clears_at"], Value::Null, "{found:#}");
            assert_eq!(found["causes"][0]["facts"]["offered"]["agent_name"], "other", "{found:#}");
            scene
        }
        "handed over to an agent" => {
            let scene = handed_over(json!({}), to_other).await;
            let found = scene.explain().await;
            assert_eq!(found["acts"]["name"], "other", "{found:#}");
            assert_eq!(found["clears_at"], found["causes"][0]["facts"]["offered"]["until"]);
            scene
        }
        "handed over to an agent with other work" => {
            let scene = handed_over(json!({"priority": 0}), to_other).await;
            scene.fleet.lone_task(json!({"priority": 9, "capabilities": ["review"]})).await;
            scene
        }
        "handed over to a paused agent" => {
            let scene = handed_over(json!({}), to_other).await;
            edit(&scene.fleet, &scene.agents[1], json!({"state": "paused"})).await;
            let found = scene.explain().await;
            assert_eq!(found["causes"][1]["cause"], "offered", "{found:#}");
            // Others may at the end of the offer.
            assert_eq!(found["clears_at"], found["causes"][1]["clears_at"], "{found:#}");
            scene
        }
        "handed over to agents with a capability" => {
            let scene = handed_over(json!({}), to_review).await;
            assert_eq!(scene.explain().await["acts"]["name"], "other");
            scene
        }
        "handed over to a capability that is gone" => {
            let scene = handed_over(json!({}), to_review).await;
            edit(&scene.fleet, &scene.agents[1], json!({"capabilities": ["docs"]})).await;
            let found = scene.explain().await;
            assert!(found["clears_at"].is_string(), "{found:#}");
            scene
        }
        "an offer that is over" => {
            let scene = handed_over(json!({}), to_other).await;
            scene.fleet.pass(301);
            scene
        }
        "a check of the only able agent" => {
            let (fleet, author, check) = checked(false, None).await;
            Scene::of_task(fleet, vec![author], &check)
        }
        "a check by another owner" => {
            let (fleet, author, check) = checked(true, Some("alice@example.com")).await;
            let sister =
                json!({"name": "sister", "capabilities": ["rust"], "owner": "alice@example.com"});
            let sister = register(&fleet.admin, sister).await;
            Scene::of_task(fleet, vec![author, sister], &check)
        }
        "a check for an agent whose owner changed" => {
            let (fleet, author, check) = checked(true, Some("alice@example.com")).await;
            let of_bob = |name: &str| json!({"name": name, "capabilities": ["rust"], "owner": "bob@example.com"});
            let one = register(&fleet.admin, of_bob("one")).await;
            let other = register(&fleet.admin, of_bob("other")).await;
            let path = format!("/v1/tasks/{check}/reassign");
            fleet.admin.post(path, &json!({"agent_id": one.id, "reason": "r"})).await.expect(200);
            edit(&fleet, &one, json!({"owner": "alice@example.com"})).await;
            one.find_nothing().await;
            Scene::of_task(fleet, vec![author, one, other], &check)
        }
        name => panic!("{name}"),
    }
}

async fn ends(name: &str) -> Scene {
    match name {
        "an agent works on it" => {
            let (fleet, agent, task) = lone(json!({})).await;
            let held = hold(&agent).await;
            let scene = Scene::of_task(fleet, vec![agent], &task).holding(&[&held]);
            let found = scene.explain().await;
            assert_eq!(found["runs"]["attempt_id"], held.attempt.as_str(), "{found:#}");
            assert_eq!(found["runs"]["assignment"]["reason"], "only", "{found:#}");
            scene
        }
        "a person works on it" => {
            let (fleet, agent, task) = lone(json!({})).await;
            let path = format!("/v1/tasks/{task}/takeover");
            let claim = fleet.admin.post(&path, &json!({})).await.value(201);
            let mut scene = Scene::of_task(fleet, vec![agent], &task);
            scene.leases.push((text(&claim["attempt_id"]), text(&claim["lease"])));
            scene
        }
        "being cancelled" => {
            let (fleet, agent, task) = lone(json!({})).await;
            let held = hold(&agent).await;
            fleet.admin.post(format!("/v1/tasks/{task}/cancel"), &json!({})).await.expect(200);
            Scene::of_task(fleet, vec![agent], &task).holding(&[&held])
        }
        "failed" => {
            let (fleet, agent, task) = lone(json!({})).await;
            agent.fail(&agent.take().await, "permanent").await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        "in quarantine" => {
            let (fleet, agent, task) = lone(json!({})).await;
            for _ in 0..3 {
                let held = agent.claim_with(json!({"lease_seconds": 10})).await;
                assert_eq!(held.len(), 1);
                fleet.after(11).await;
                fleet.after(60).await;
            }
            Scene::of_task(fleet, vec![agent], &task)
        }
        "cancelled because of a failure" => {
            let tasks =
                json!([{"ref": "n", "title": "t"}, {"ref": "it", "title": "t", "needs": ["n"]}]);
            let (fleet, agent, task) = among(tasks).await;
            agent.fail(&agent.take().await, "permanent").await;
            Scene::of_task(fleet, vec![agent], &task)
        }
        name => panic!("{name}"),
    }
}

async fn check(cases: &[Case], build: impl AsyncFn(&str) -> Scene) {
    for (name, cause, actor, then) in cases {
        println!("{name}");
        let mut scene = build(name).await;
        let next = scene.clear(name, cause, actor).await;
        assert_eq!(next, *then, "{name}: {:#}", scene.explain().await);
        verify(&scene.fleet.pool).await;
    }
}

#[tokio::test]
async fn what_tasks_wait_for_is_named_and_cleared() {
    check(WAITS, waits).await;
}

#[tokio::test]
async fn people_money_and_gates_are_named_and_cleared() {
    check(STOPS, stops).await;
}

#[tokio::test]
async fn why_nobody_is_able_is_named_and_cleared() {
    check(AGENTS, agents).await;
}

#[tokio::test]
async fn for_whom_a_task_is_kept_is_named_and_cleared() {
    check(KEPT, kept).await;
}

#[tokio::test]
async fn work_in_progress_and_its_end_are_named_and_cleared() {
    check(ENDS, ends).await;
}

/// What is over for good offers nothing.
#[tokio::test]
async fn nothing_is_offered_where_nothing_helps() {
    let (fleet, agent, task) = lone(json!({})).await;
    agent.complete(&agent.take().await).await;
    let done = Scene::of_task(fleet, vec![agent], &task).explain().await;
    assert_eq!(
        (&done["causes"][0]["cause"], &done["acts"]["kind"]),
        (&json!("done"), &json!("nobody"))
    );
    assert_eq!((&done["request"], &done["clears_at"]), (&Value::Null, &Value::Null));

    let (fleet, agent, task) = lone(json!({})).await;
    fleet.admin.post(format!("/v1/tasks/{task}/cancel"), &json!({})).await.expect(200);
    let cancelled = Scene::of_task(fleet, vec![agent], &task).explain().await;
    assert_eq!(cancelled["causes"][0]["cause"], "cancelled");
    assert_eq!(cancelled["request"], Value::Null);
}

/// Causes stand behind one another: each shows up when those before are cleared.
#[tokio::test]
async fn the_causes_come_in_the_order_in_which_they_are_cleared() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("a", &["rust"], 10).await;
    let goal = fleet.lone_task(json!({"capabilities": ["rust"]})).await;
    let task = fleet.task_id(&goal, "a").await;
    edit(&fleet, &agent, json!({"state": "paused"})).await;
    freeze(&fleet, json!({"scope": "goal", "scope_id": goal, "mode": "drain"})).await;
    freeze(&fleet, json!({"scope": "capability", "capability": "rust", "mode": "drain"})).await;
    let mut scene = Scene::of_task(fleet, vec![agent], &task);
    for want in [
        &["freeze", "freeze", "agents_paused"][..],
        &["freeze", "agents_paused"],
        &["agents_paused"],
    ] {
        let found = scene.explain().await;
        let causes: Vec<String> =
            found["causes"].as_array().unwrap().iter().map(|cause| text(&cause["cause"])).collect();
        assert_eq!(causes, want, "{found:#}");
        scene.act(&found).await;
    }
    assert_eq!(scene.clear("the rest", "unclaimed", "agent").await, "running");
}

/// The place in the order is that of the claim.
#[tokio::test]
async fn the_place_is_the_one_that_claims_keep_to() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let mut tasks: Vec<(String, String)> = Vec::new();
    for n in 0..3u32 {
        let task =
            |t: u32| json!({"ref": format!("t{t}"), "title": "t", "priority": (n + t) % 4 + 3});
        let goal = json!({"title": format!("g{n}"), "weight": n + 1, "tasks": (0..5).map(task).collect::<Vec<_>>()});
        let goal = fleet.post_goal(goal).await;
        for t in 0..5 {
            let name = format!("t{t}");
            tasks.push((fleet.task_id(&goal, &name).await, name));
        }
        fleet.pass(1);
    }
    let mut places = Vec::new();
    for (task, _) in &tasks {
        let found = fleet.admin.get(format!("/v1/tasks/{task}/explain")).await.value(200);
        let place = &found["place"];
        assert_eq!(place["at_least"], false);
        assert!(place["first"].as_array().unwrap().len() <= 5);
        places.push((place["ahead"].as_i64().unwrap(), task.clone()));
    }
    places.sort();
    assert_eq!(
        places.iter().map(|(ahead, _)| *ahead).collect::<Vec<_>>(),
        (0..15).collect::<Vec<_>>()
    );
    let mut claimed: Vec<String> = Vec::new();
    for _ in 0..3 {
        claimed.extend(agent.claim(5).await.into_iter().map(|held| held.task));
    }
    assert_eq!(claimed, places.into_iter().map(|(_, task)| task).collect::<Vec<_>>());
}
