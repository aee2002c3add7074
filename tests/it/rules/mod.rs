//! Intervention rules, and the loops that are found in what agents tell of their steps.

use muster::supervisor;
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    fleet::{Fleet, text},
};

mod actions;
mod conditions;
mod dry_runs;
mod edits;
mod goals;
mod loops;
mod races;

/// A step that succeeded.
fn step(n: u64, action: impl Into<Value>, result: impl Into<Value>) -> Value {
    json!({"n": n, "action": action.into(), "result": result.into()})
}

/// A step that failed.
fn failed(n: u64, action: impl Into<Value>, error: &str) -> Value {
    json!({"n": n, "action": action.into(), "error": error})
}

/// Tells a step; returns the answer.
async fn tell(agent: &Agent, held: &Held, step: &Value) -> Value {
    agent.write(held, "heartbeat", json!({"progress": {"step": step}})).await.value(200)
}

/// Tells the same step four times, from this number on.
async fn go_round(agent: &Agent, held: &Held, from: u64) {
    for n in from..from + 4 {
        tell(agent, held, &step(n, "cargo test", "failed")).await;
    }
}

/// What `attempt.looping` told: (pattern, times), in order.
async fn told(fleet: &Fleet) -> Vec<(String, i64)> {
    sqlx::query_as(
        "select data->>'pattern', (data->>'times')::bigint from journal
         where kind = 'attempt.looping' order by number",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap()
}

/// Makes a rule without a cooldown; returns it.
async fn rule(fleet: &Fleet, when: Value, then: Value) -> Value {
    let name = format!("{when} {then}").chars().take(200).collect::<String>();
    let body = json!({"name": name, "when": when, "then": then, "cooldown_seconds": 0});
    // Rules act in the order in which they were made.
    fleet.pass(1);
    fleet.admin.post("/v1/rules", &body).await.value(201)
}

/// An approval with its payload.
async fn read(fleet: &Fleet, question: &Value) -> Value {
    fleet.admin.get(format!("/v1/approvals/{}", id(question))).await.value(200)
}

/// A nudge.
fn nudge() -> Value {
    json!({"nudge": {"text": "think again"}})
}

/// What rules did, newest first.
async fn interventions(fleet: &Fleet, query: &str) -> Vec<Value> {
    let path = format!("/v1/interventions?limit=200&{query}");
    fleet.admin.get(path).await.value(200)["items"].as_array().unwrap().clone()
}

/// The only open intervention.
async fn intervention(fleet: &Fleet) -> Value {
    let open = interventions(fleet, "open=true").await;
    let [only] = open.as_slice() else { panic!("not one intervention: {open:#?}") };
    only.clone()
}

/// The rules are looked at, and nothing is done.
async fn expect_silence(fleet: &Fleet) {
    let before = interventions(fleet, "").await.len();
    fleet.round().await;
    let after = interventions(fleet, "").await;
    assert_eq!(after.len(), before, "{after:#?}");
}

/// The steps of a task's failing attempt: taken, and failed with this message.
async fn fail_with(fleet: &Fleet, agent: &Agent, message: &str) {
    let held = agent.take().await;
    let body = json!({"class": "transient", "message": message});
    agent.write(&held, "fail", body).await.expect(200);
    fleet.pass(600);
}

async fn spend(agent: &Agent, held: &Held, total: i64) {
    let body = json!({"spend": {"totals": {"usd_micros": total}}});
    agent.write(held, "heartbeat", body).await.expect(200);
}

/// The kinds of the events about rules, in order.
async fn rule_events(fleet: &Fleet) -> Vec<String> {
    sqlx::query_scalar("select kind from journal where kind ~ '^rule.(tri|cle)' order by number")
        .fetch_all(&fleet.pool)
        .await
        .unwrap()
}

/// Two processes look at the rules at once.
async fn two_rounds(fleet: &Fleet) {
    let other = fleet.another_app().await;
    let (one, two) = tokio::join!(supervisor::round(&fleet.app), supervisor::round(&other));
    one.unwrap();
    two.unwrap();
}

/// The id of something.
fn id(thing: &Value) -> String {
    text(&thing["id"])
}
