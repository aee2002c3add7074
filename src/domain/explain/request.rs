//! The requests that clear causes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::OfferedRequest;
use crate::domain::{
    ids::{AgentId, AttemptId, FreezeId, TaskId},
    settings,
    states::AgentState,
};

/// A `POST` with a body.
#[must_use]
pub fn post(path: String, body: Value, what: impl Into<String>) -> OfferedRequest {
    let headers = BTreeMap::new();
    OfferedRequest { method: "POST".to_owned(), path, headers, body: Some(body), what: what.into() }
}

/// A `PATCH` with the version that was read.
#[must_use]
pub fn patch(path: String, version: i32, body: Value, what: impl Into<String>) -> OfferedRequest {
    let headers = BTreeMap::from([("If-Match".to_owned(), format!("\"v{version}\""))]);
    OfferedRequest { method: "PATCH".to_owned(), headers, ..post(path, body, what) }
}

/// Lifts a freeze.
#[must_use]
pub fn lift(freeze: FreezeId) -> OfferedRequest {
    let what = "Lifts only this freeze: work under other freezes stays frozen.";
    post(format!("/v1/freezes/{freeze}/lift"), json!({"reason": "work waits under it"}), what)
}

/// Completes an attempt.
#[must_use]
pub fn complete(attempt: AttemptId) -> OfferedRequest {
    let what = "Hands in the result, with the lease of the attempt and the evidence that the task demands. `fail` and \
                `release` end the attempt too.";
    let body = json!({"lease": "<the lease of the attempt>", "result": {}});
    post(format!("/v1/attempts/{attempt}/complete"), body, what)
}

/// Claims tasks.
#[must_use]
pub fn claim(most: i64) -> OfferedRequest {
    let most = most.clamp(1, i64::from(settings::CLAIM_MAX));
    let what = "Claims with the key of the agent. Agents that wait with `wait_seconds` get a task as soon as there is \
                one.";
    post("/v1/claims".to_owned(), json!({"max": most}), what)
}

/// Lets an agent claim again.
#[must_use]
pub fn activate(agent: AgentId, version: i32, name: &str) -> OfferedRequest {
    let body = json!({"state": AgentState::Active});
    let what = format!("Lets the agent `{name}` claim again.");
    patch(format!("/v1/agents/{agent}"), version, body, what)
}

/// Makes one more key for an agent.
#[must_use]
pub fn new_key(name: &str) -> OfferedRequest {
    let what = format!(
        "Creates one more key for the agent `{name}`; start it with the token of the answer, or with a key that it \
         has. Needs the key of its owner, of its registrant, or of an admin."
    );
    post("/v1/agents".to_owned(), json!({"name": name}), what)
}

/// Gives an agent more capabilities.
#[must_use]
pub fn enable(agent: AgentId, version: i32, name: &str, capabilities: &[String]) -> OfferedRequest {
    let what = format!(
        "Declares that the agent `{name}` can do it; send this only if it can. Otherwise register another one with \
         `POST /v1/agents`, or require less with `PATCH /v1/tasks/{{task_id}}`."
    );
    patch(format!("/v1/agents/{agent}"), version, json!({"capabilities": capabilities}), what)
}

/// Registers an agent for a task.
#[must_use]
pub fn register(task: TaskId, capabilities: &[String]) -> OfferedRequest {
    let name = format!("worker-{task}");
    let what = "Registers an agent that can do it; start it with the token of the answer. Give it a better name.";
    post("/v1/agents".to_owned(), json!({"name": name, "capabilities": capabilities}), what)
}

/// Registers an agent of somebody else for a check.
#[must_use]
pub fn register_owned(task: TaskId, capabilities: &[String]) -> OfferedRequest {
    let registered = register(task, capabilities);
    let what = "Registers an agent that may check it: fill in an `owner` who owns none of the agents that worked on \
                what is checked. Start it with the token of the answer, and give it a better name.";
    let body = registered.body.map(|mut body| {
        body["owner"] = json!("<a person who owns none of the authors>");
        body
    });
    OfferedRequest { body, what: what.to_owned(), ..registered }
}

/// Offers a task to every agent again.
#[must_use]
pub fn open_to_all(task: TaskId) -> OfferedRequest {
    let what =
        "Lets every able agent take the next attempt. With `agent_id` it goes to that agent alone.";
    post(
        format!("/v1/tasks/{task}/reassign"),
        json!({"reason": "any able agent may take it"}),
        what,
    )
}

/// Tries a failed task again.
#[must_use]
pub fn retry(task: TaskId) -> OfferedRequest {
    let what = "Offers it again, with as many attempts as the plan gave it; what was cancelled because of it comes \
                back.";
    post(format!("/v1/tasks/{task}/retry"), json!({}), what)
}
