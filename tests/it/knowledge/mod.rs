//! The knowledge repository: what is captured, found, handed out, and what comes of it.

use serde_json::{Value, json};

use crate::support::{
    agent::Held,
    fleet::{Fleet, text},
};

mod answers;
mod capture;
mod claims;
mod manage;
mod meaning;
mod queries;
mod ranking;
mod sight;
mod transfer;
mod uplift;
mod verdicts;

/// A service that captures, whose claims all get lessons.
async fn learning() -> Fleet {
    let fleet = Fleet::learning().await;
    settings(&fleet, json!({"lesson_control_percent": 0})).await;
    fleet
}

async fn settings(fleet: &Fleet, change: Value) {
    fleet.admin.patch("/v1/workspace", &change).if_match("*").await.expect(200);
}

/// Writes a lesson as a person; returns its id.
async fn lesson(fleet: &Fleet, kind: &str, title: &str, body: &str) -> String {
    let new = json!({"kind": kind, "title": title, "body": body});
    text(&fleet.admin.post("/v1/lessons", &new).await.value(201)["id"])
}

async fn read_lesson(fleet: &Fleet, id: &str) -> Value {
    fleet.admin.get(format!("/v1/lessons/{id}")).await.value(200)
}

/// Ids of the lessons in a claim.
fn given(held: &Held) -> Vec<String> {
    let lessons = held.claim["lessons"]["lessons"].as_array();
    lessons.into_iter().flatten().map(|lesson| text(&lesson["id"])).collect()
}

/// Posts a goal of one task `a` with this title.
async fn titled(fleet: &Fleet, title: &str) -> String {
    fleet.lone_task(json!({"title": title})).await
}
