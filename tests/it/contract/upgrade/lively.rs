//! A fleet with rows in every table.

use muster::app::duties::record::DutyRun;
use serde_json::{Value, json};

use crate::{
    promises::verify::place::busy,
    support::{
        agent::{Agent, Held},
        fleet::{Fleet, about, text},
    },
};

/// What [`busy`] makes, and everything that it leaves out.
pub async fn lively() -> Fleet {
    let fleet = busy().await;
    let agent = fleet.agent("builder", &["build"], 50).await;
    let ann = json!({"name": "ann", "role": "operator", "person": "ann@example.com"});
    let ann = fleet.admin.post("/v1/keys", &ann).await.value(201);
    let ann = Agent::new(fleet.client(&text(&ann["token"])), &text(&ann["token"]), String::new());
    spending(&fleet, &agent).await;
    reviewing(&fleet, &agent).await;
    asking(&fleet, &agent, &ann).await;
    intervening(&fleet, &agent).await;
    taking_over(&fleet, &agent, &ann).await;
    stopping(&fleet, &agent).await;
    fleet.post_goal(json!({"title": "Faster", "brief": "Make it fast.", "planner": "agent"})).await;
    fleet.other_workspace().await;
    fleet.round().await;
    fleet.round().await;
    supervised(&fleet).await;
    fleet
}

/// A task `a` that needs the capability of the agent, of a goal of its own, and its attempt.
async fn held(fleet: &Fleet, agent: &Agent, mut settings: Value) -> Held {
    settings["capabilities"] = json!(["build"]);
    settings["priority"] = json!(9);
    let goal = fleet.lone_task(settings).await;
    // Goals that were left behind have their turn before a new one.
    let mut others = Vec::new();
    loop {
        let held = agent.take().await;
        if held.claim["task"]["goal_id"] == goal {
            for other in others {
                agent.release(&other).await;
            }
            return held;
        }
        others.push(held);
    }
}

async fn post(fleet: &Fleet, path: impl Into<String>, body: Value) -> Value {
    let answer = fleet.admin.post(path, &body).await;
    assert!(answer.status.is_success(), "{}", answer.describe());
    answer.json()
}

/// The pending approval about a task.
async fn pending(fleet: &Fleet, task: &str) -> Value {
    let all = fleet.questions().await;
    all.into_iter().find(|approval| approval["task_id"] == task).unwrap()
}

/// Prices, calls of models, costs authorised before, and goals that reserve their limit.
async fn spending(fleet: &Fleet, agent: &Agent) {
    let price = json!({"provider": "p", "model": "m", "effective_from": "2026-01-01T00:00:00Z",
                       "usd_per_million": {"input": "1", "output": "2"}});
    post(fleet, "/v1/prices", price).await;
    let task = |name: &str, estimate: i64| {
        json!({"ref": name, "title": "t", "capabilities": ["build"], "priority": 9,
               "estimate": {"usd_micros": estimate}})
    };
    let goal = |tasks: Value| {
        json!({"title": "allocated", "project": "p", "tasks": tasks,
               "budget": {"limits": [{"unit": "usd_micros", "amount": 100}], "allocated": true}})
    };
    fleet.post_goal(goal(json!([task("paid", 60), task("dear", 90)]))).await;
    let held = agent.take().await;
    let usage = json!({"provider": "p", "model": "m", "convention": "openai",
                       "tokens": {"prompt_tokens": 10, "completion_tokens": 3}});
    let spend = json!({"entries": [{"key": "call", "usage": usage}]});
    agent.write(&held, "spend", spend).await.expect(200);
    let cost = json!({"key": "image", "amounts": {"usd_micros": 2}});
    agent.write(&held, "authorize", cost).await.expect(200);
    agent.complete(&held).await;
    // The limit cannot fund `dear`: the claim parks it and takes another.
    agent.release(&agent.take().await).await;
    // As many as it takes to know what such tasks use.
    fleet.post_goal(goal(["a", "b", "c", "d", "e"].map(|name| task(name, 10)).into())).await;
    for held in agent.claim(5).await {
        agent.complete(&held).await;
    }
}

/// A result that is accepted with a waiver, and one that is sent back.
async fn reviewing(fleet: &Fleet, agent: &Agent) {
    let settings = json!({"approval": {"result": true}, "criteria": [{"text": "it works"}]});
    for decision in [
        json!({"decision": "approve", "waive": [{"criterion": 1, "reason": "seen by hand"}]}),
        json!({"decision": "reject", "reason": "no", "feedback": [{"text": "again", "must": true}]}),
    ] {
        let held = held(fleet, agent, settings.clone()).await;
        agent.complete(&held).await;
        let approval = pending(fleet, &held.task).await;
        let path = format!("/v1/approvals/{}/decide", text(&approval["id"]));
        post(fleet, path, about(&approval, decision)).await;
    }
    agent.take().await;
}

/// An approval of two stages, revised, with a link and one vote; and one that is answered.
async fn asking(fleet: &Fleet, agent: &Agent, ann: &Agent) {
    let stage = json!({"approvers": ["ann@example.com", "bob@example.com"]});
    let policy = json!({"name": "two", "match": {"kinds": ["action"]}, "stages": [stage, stage],
                        "expires_after_seconds": 86400, "on_expiry": "reject"});
    post(fleet, "/v1/approval-policies", policy).await;
    let asking = held(fleet, agent, json!({})).await;
    let asked = json!({"kind": "action", "title": "may I?", "payload": {"to": "staging"}});
    let asked = agent.write(&asking, "approvals", asked).await.value(201);
    let path = |verb: &str| format!("/v1/approvals/{}/{verb}", text(&asked["id"]));
    let revised = about(&asked, json!({"payload": {"to": "production"}}));
    let revised = post(fleet, path("revise"), revised).await;
    post(fleet, path("links"), json!({"person": "bob@example.com"})).await;
    let vote = about(&revised, json!({"decision": "approve"}));
    ann.client.post(path("decide"), &vote).await.expect(200);

    let asking = held(fleet, agent, json!({})).await;
    let asked = agent.ask(&asking, "input").await;
    let answer = about(&asked, json!({"decision": "answer", "answer": "blue"}));
    post(fleet, format!("/v1/approvals/{}/decide", text(&asked["id"])), answer).await;
}

/// A rule that has acted, and an attempt that goes round in circles.
async fn intervening(fleet: &Fleet, agent: &Agent) {
    let rule =
        json!({"name": "circles", "when": {"looping": {}}, "then": {"nudge": {"text": "stop"}}});
    post(fleet, "/v1/rules", rule).await;
    let held = held(fleet, agent, json!({})).await;
    for n in 1..=4 {
        let step = json!({"n": n, "action": "cargo test", "result": "failed"});
        let beat = json!({"checkpoint": n, "progress": {"percent": 5, "step": step}});
        agent.write(&held, "heartbeat", beat).await.expect(200);
    }
    fleet.round().await;
}

/// A task that a person took over, one that is kept for an agent, and one whose attempt was lost.
async fn taking_over(fleet: &Fleet, agent: &Agent, ann: &Agent) {
    let taken = held(fleet, agent, json!({})).await;
    let path = format!("/v1/tasks/{}/takeover", taken.task);
    ann.client.post(path, &json!({"reason": "by hand"})).await.expect(201);
    let kept = held(fleet, agent, json!({})).await;
    let reassigned = json!({"agent_id": agent.id, "reason": "again"});
    post(fleet, format!("/v1/tasks/{}/reassign", kept.task), reassigned).await;

    fleet.lone_task(json!({"capabilities": ["build"], "priority": 9})).await;
    agent.claim_with(json!({"max": 1, "lease_seconds": 1})).await;
    fleet.after(5).await;
}

/// A freeze that ended an attempt, one that was lifted, and a request that is repeated.
async fn stopping(fleet: &Fleet, agent: &Agent) {
    let held = held(fleet, agent, json!({})).await;
    let stop = json!({"scope": "task", "scope_id": held.task, "mode": "stop", "reason": "a drill"});
    post(fleet, "/v1/freezes", stop).await;
    let drain = json!({"scope": "workspace", "mode": "drain", "reason": "a drill"});
    let drain = post(fleet, "/v1/freezes", drain).await;
    let lift = format!("/v1/freezes/{}/lift", text(&drain["id"]));
    post(fleet, lift, json!({"reason": "over"})).await;
    let goal = json!({"title": "repeated", "tasks": [{"ref": "x", "title": "x", "not_before":
                      "2027-01-01T00:00:00Z"}]});
    fleet.admin.post("/v1/goals", &goal).idempotency_key("once").await.expect(201);
}

/// The record of a running supervisor, which a round by hand does not write.
async fn supervised(fleet: &Fleet) {
    let run = DutyRun {
        duty: "expire",
        runs: 1,
        began_at: fleet.now(),
        took_ms: 3,
        looked_at: 0,
        did: 0,
        left: 0,
        error: None,
    };
    for workspace in fleet.app.workspaces().await.unwrap() {
        fleet.app.record_duty(workspace, &run).await.unwrap();
    }
}
