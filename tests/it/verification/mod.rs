//! Verification of results: types of criteria, tiers of evidence, and checks by others.

mod authors;
mod checks;
mod people;
mod served;
mod tiers;
mod versions;

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    client::Call,
    fleet::{Fleet, text},
};

/// A goal of one task `a` with these criteria, held by `worker`.
async fn hold(fleet: &Fleet, worker: &Agent, criteria: Value, more: Value) -> (String, Held) {
    let mut settings = json!({"criteria": criteria});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    let goal = fleet.lone_task(settings).await;
    (goal, worker.take().await)
}

fn complete(worker: &Agent, held: &Held, body: Value) -> Call {
    worker.write(held, "complete", body)
}

/// The criteria of task `a`: `number verdict tier`.
async fn verdicts(fleet: &Fleet, goal: &str) -> Vec<String> {
    let task = fleet.task(goal, "a").await;
    let criteria = task["criteria"].as_array().unwrap();
    let shown = |criterion: &Value| {
        let tier = criterion["tier"].as_str().unwrap_or("-");
        format!("{} {} {tier}", criterion["number"], text(&criterion["verdict"]))
    };
    criteria.iter().map(shown).collect()
}

/// A claimed check.
fn is_check(held: &Held) -> bool {
    held.claim["task"]["labels"] == json!(["check"])
}
