//! Agents of tests: what they claim, and what they write.

use serde_json::{Value, json};

use super::{
    client::{Answer, Call, Client},
    fleet::text,
};

/// A registered agent.
#[derive(Clone)]
pub struct Agent {
    pub client: Client,
    pub key: String,
    pub id: String,
}

/// A claimed task.
#[derive(Debug, Clone)]
pub struct Held {
    pub attempt: String,
    pub lease: String,
    pub task: String,
    /// Its name in the plan.
    pub name: String,
    pub number: i64,
    /// The whole claim.
    pub claim: Value,
}

impl Held {
    fn of(claim: &Value) -> Self {
        Self {
            attempt: text(&claim["attempt_id"]),
            lease: text(&claim["lease"]),
            task: text(&claim["task"]["id"]),
            name: text(&claim["task"]["ref"]),
            number: claim["number"].as_i64().unwrap(),
            claim: claim.clone(),
        }
    }

    fn path(&self, verb: &str) -> String {
        format!("/v1/attempts/{}/{verb}", self.attempt)
    }

    /// A body with the lease.
    pub fn with(&self, mut body: Value) -> Value {
        body["lease"] = json!(self.lease);
        body
    }
}

impl Agent {
    pub fn new(client: Client, key: &str, id: String) -> Self {
        Self { client, key: key.to_owned(), id }
    }

    /// The same agent at another server.
    pub fn at(&self, base: &str) -> Self {
        Self { client: Client::at(base).with_key(&self.key), ..self.clone() }
    }

    pub async fn claim_with(&self, request: Value) -> Vec<Held> {
        claims(&self.client.post("/v1/claims", &request).await)
    }

    /// Up to `max` tasks.
    pub async fn claim(&self, max: u32) -> Vec<Held> {
        self.claim_with(json!({"max": max})).await
    }

    /// One task; panics when there is none.
    pub async fn take(&self) -> Held {
        let mut held = self.claim(1).await;
        held.pop().expect("there is no task for the agent")
    }

    /// Panics when there is a task.
    pub async fn find_nothing(&self) {
        let held = self.claim(1).await;
        assert!(held.is_empty(), "there is a task for the agent: {held:#?}");
    }

    /// A write to the attempt: `heartbeat`, `spend`, `complete`, `fail`, `release`, `subtasks` or
    /// `approvals`. The lease is added.
    pub fn write(&self, held: &Held, verb: &str, body: Value) -> Call {
        self.client.post(held.path(verb), &held.with(body))
    }

    pub async fn complete(&self, held: &Held) -> Value {
        self.write(held, "complete", json!({"result": {"by": held.name}})).await.value(200)
    }

    pub async fn fail(&self, held: &Held, class: &str) -> Value {
        self.write(held, "fail", json!({"class": class})).await.value(200)
    }

    pub async fn release(&self, held: &Held) -> Value {
        self.write(held, "release", json!({})).await.value(200)
    }

    /// Releases with a checkpoint that no attempt left before: the task is offered again at once.
    pub async fn hand_back(&self, held: &Held) -> Value {
        self.write(held, "release", json!({"checkpoint": {"at": held.number}})).await.value(200)
    }

    pub async fn beat(&self, held: &Held) -> Value {
        self.write(held, "heartbeat", json!({})).await.value(200)
    }

    pub async fn subtasks(&self, held: &Held, tasks: Value) -> Value {
        self.write(held, "subtasks", json!({"tasks": tasks})).await.value(201)
    }

    /// Asks a person; returns the approval.
    pub async fn ask(&self, held: &Held, kind: &str) -> Value {
        let body = json!({"kind": kind, "title": "may I?"});
        self.write(held, "approvals", body).await.value(201)
    }

    /// Claims and completes until nothing is left; returns the names in order.
    pub async fn work_off(&self) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            let held = self.claim(1).await;
            let Some(held) = held.into_iter().next() else { return names };
            self.complete(&held).await;
            names.push(held.name);
        }
    }
}

/// The claims of an answer to `POST /v1/claims`.
#[track_caller]
pub fn claims(answer: &Answer) -> Vec<Held> {
    if answer.status == 204 {
        return Vec::new();
    }
    assert_eq!(answer.status, 200, "{}", answer.describe());
    let body: Value = answer.json();
    body["claims"].as_array().unwrap().iter().map(Held::of).collect()
}
