//! Schedules: goals that are posted again and again.

mod edits;
mod fires;
mod keys;
mod once;

use serde_json::{Value, json};

use crate::support::fleet::{Fleet, text};

/// A schedule with these settings beside a name and a goal of one task; returns it.
async fn schedule(fleet: &Fleet, settings: Value) -> Value {
    let mut new = json!({
        "name": "s", "cron": "0 * * * *",
        "goal": {"title": "again", "tasks": [{"ref": "a", "title": "a"}]},
    });
    for (name, value) in settings.as_object().unwrap() {
        new[name] = value.clone();
    }
    fleet.poster.post("/v1/schedules", &new).await.value(201)
}

fn path(schedule: &Value, more: &str) -> String {
    format!("/v1/schedules/{}{more}", text(&schedule["id"]))
}

async fn read(fleet: &Fleet, schedule: &Value) -> Value {
    fleet.admin.get(path(schedule, "")).await.value(200)
}

/// The fires of a schedule, in the order of their due times.
async fn fires(fleet: &Fleet, schedule: &Value) -> Vec<Value> {
    let page = fleet.admin.get(path(schedule, "/fires?limit=200")).await.value(200);
    let mut fires = page["items"].as_array().unwrap().clone();
    // While the clock stands still, ids are in no order.
    fires.sort_by_key(|fire| text(&fire["due_at"]));
    fires
}

/// `12:00 posted`, for each fire, oldest first.
async fn told(fleet: &Fleet, schedule: &Value) -> Vec<String> {
    let short =
        |fire: Value| format!("{} {}", &text(&fire["due_at"])[11..16], text(&fire["outcome"]));
    fires(fleet, schedule).await.into_iter().map(short).collect()
}

/// The goal that a schedule posted last.
async fn last_goal(fleet: &Fleet, schedule: &Value) -> String {
    text(&read(fleet, schedule).await["last_goal_id"])
}
