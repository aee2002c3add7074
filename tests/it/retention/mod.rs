//! Retention: what goes, what stays, and that every sum is the same before and after.

use std::collections::BTreeMap;

use muster::app::retention::PruneReport;
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    client::Client,
    fleet::{Fleet, text},
    invariants::verify,
};

mod catalogue;
mod deletes;
mod exports;
mod goals;
mod holds;
mod journal;
mod killed;
mod size;
mod sums;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Sets the retention of the only workspace, or of the one of the client.
async fn keep(admin: &Client, goals: Option<i32>, journal: Option<i32>) {
    let body = json!({"goal_retention_days": goals, "journal_retention_days": journal});
    admin.patch("/v1/workspace", &body).if_match("*").await.expect(200);
}

/// Prunes the workspace of the fleet.
async fn prune(fleet: &Fleet) -> PruneReport {
    let workspace = fleet.workspace;
    fleet.app.local_admin(Some(workspace)).await.unwrap().prune().await.unwrap()
}

/// What a pruning of the workspace of the fleet would delete.
async fn prunable(fleet: &Fleet) -> PruneReport {
    let workspace = fleet.workspace;
    fleet.app.local_admin(Some(workspace)).await.unwrap().prunable().await.unwrap()
}

/// The rows of each table of a report.
fn rows(report: &PruneReport) -> BTreeMap<String, i64> {
    report.tables.iter().map(|table| (table.table.clone(), table.rows)).collect()
}

async fn count(fleet: &Fleet, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&fleet.pool).await.unwrap()
}

/// A goal of one task that an agent has worked off, with spend.
async fn worked_off(fleet: &Fleet, agent: &Agent, title: &str) -> (String, Held) {
    let tasks = json!([{"ref": "a", "title": "a"}]);
    let goal = fleet.post_goal(json!({"title": title, "tasks": tasks})).await;
    let held = agent.take().await;
    spend(agent, &held, "one", "x", json!({"usd_micros": 10})).await;
    agent.complete(&held).await;
    (goal, held)
}

async fn spend(agent: &Agent, held: &Held, key: &str, model: &str, amounts: Value) {
    let body = json!({"entries": [{"key": key, "model": model, "amounts": amounts}]});
    agent.write(held, "spend", body).await.expect(200);
}

#[tokio::test]
async fn nothing_is_pruned_unless_the_workspace_says_so() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let (goal, _) = worked_off(&fleet, &agent, "old").await;
    fleet.pass(4000 * DAY);
    fleet.round().await;
    let report = prune(&fleet).await;
    assert_eq!((report.goals, rows(&report).len()), (0, 0), "{report:#?}");
    fleet.read_goal(&goal).await;

    for (name, days) in [("goal_retention_days", 0), ("journal_retention_days", 36_501)] {
        let answer = fleet.admin.patch("/v1/workspace", &json!({name: days})).if_match("*").await;
        assert_eq!(answer.problem(422, "invalid"), [format!("/{name}")]);
    }
    keep(&fleet.admin, Some(30), None).await;
    let shown = fleet.admin.get("/v1/workspace").await.value(200);
    assert_eq!(shown["goal_retention_days"], 30);
    assert_eq!(shown["journal_retention_days"], Value::Null);
    fleet.poster.patch("/v1/workspace", &json!({})).if_match("*").await.problem(403, "forbidden");
    // The duty does it by itself, and says so.
    fleet.round().await;
    fleet.admin.get(format!("/v1/goals/{goal}")).await.problem(404, "not_found");
    let events = fleet.admin.get(format!("/v1/events?goal_id={goal}&limit=200")).await.value(200);
    let last = events["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["kind"], &last["data"]["title"]), (&json!("goal.pruned"), &json!("old")));
    assert_eq!(last["data"]["exported"], false);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn answers_to_repeated_requests_go_after_a_day() {
    let fleet = Fleet::start().await;
    let body = json!({"name": "p"});
    fleet.admin.post("/v1/projects", &body).idempotency_key("once").await.expect(201);
    fleet.after(DAY - 60).await;
    assert_eq!(count(&fleet, "select count(*) from replays").await, 1);
    fleet.after(120).await;
    assert_eq!(count(&fleet, "select count(*) from replays").await, 0);
}

/// An id as the tests have it.
fn id(value: &Value) -> String {
    text(&value["id"])
}
