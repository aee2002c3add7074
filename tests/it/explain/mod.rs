//! Explanations name the true cause, and the request they offer clears it: each situation is constructed through the
//! API, explained, and cleared by whoever the explanation names, with exactly what it offers.

mod agents;
mod deferral;
mod readers;
mod tasks;

use std::time::Duration;

use axum::http::Method;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held, claims},
    client::Client,
    fleet::{Fleet, text},
};

/// A situation: the service, the agents in it, and what they hold.
pub struct Scene {
    pub fleet: Fleet,
    pub agents: Vec<Agent>,
    /// Attempts with their leases: what an agent fills into an offered request.
    pub leases: Vec<(String, String)>,
    /// The path of the explanation.
    pub path: String,
}

impl Scene {
    pub fn of_task(fleet: Fleet, agents: Vec<Agent>, task: &str) -> Self {
        let path = format!("/v1/tasks/{task}/explain");
        Self { fleet, agents, leases: Vec::new(), path }
    }

    pub fn of_agent(fleet: Fleet, agents: Vec<Agent>, agent: &str) -> Self {
        let path = format!("/v1/agents/{agent}/explain");
        Self { fleet, agents, leases: Vec::new(), path }
    }

    pub fn holding(mut self, held: &[&Held]) -> Self {
        self.leases.extend(held.iter().map(|held| (held.attempt.clone(), held.lease.clone())));
        self
    }

    pub async fn explain(&self) -> Value {
        let found = self.fleet.admin.get(&self.path).await.value(200);
        let first = &found["causes"][0];
        for same in ["detail", "acts", "request", "clears_at"] {
            assert_eq!(found[same], first[same], "the whole is that of the first cause: {found:#}");
        }
        found
    }

    /// Nobody is told a lease or a token, whatever the role: those who hold an attempt know its lease.
    async fn keeps_secrets(&self) {
        let mut readers: Vec<Client> = vec![self.fleet.admin.clone()];
        for role in ["viewer", "submitter"] {
            readers.push(self.fleet.client(&self.fleet.key(role).await));
        }
        readers.extend(self.agents.iter().map(|agent| agent.client.clone()));
        for reader in readers {
            let told: Value = reader.get(&self.path).await.json();
            let text = told.to_string();
            assert!(!text.contains("mst_"), "a token: {told:#}");
            for (_, lease) in &self.leases {
                assert!(!text.contains(lease.as_str()), "a lease: {told:#}");
            }
        }
    }

    /// Does what the explanation says: sends the request as the named actor, or lets the time pass.
    pub async fn act(&mut self, found: &Value) {
        let request = &found["request"];
        if request.is_null() {
            let until: DateTime<Utc> =
                found["clears_at"].as_str().unwrap_or_else(|| panic!("{found:#}")).parse().unwrap();
            let wait = (until - self.fleet.now()).to_std().unwrap_or(Duration::ZERO);
            self.fleet.clock.advance(wait);
        } else {
            let client = self.actor(found);
            let method = Method::from_bytes(text(&request["method"]).as_bytes()).unwrap();
            let mut call = client.call(method, text(&request["path"]));
            for (name, value) in request["headers"].as_object().unwrap() {
                call = call.header(name, &text(value));
            }
            let answer = call.json(&self.filled(request)).await;
            assert!(answer.status.is_success(), "{found:#}\n{}", answer.describe());
            if text(&request["path"]) == "/v1/claims" {
                let held = claims(&answer);
                assert!(!held.is_empty(), "nothing was claimed: {found:#}");
                self.leases.extend(held.into_iter().map(|held| (held.attempt, held.lease)));
            }
        }
        self.fleet.round().await;
    }

    fn actor(&self, found: &Value) -> Client {
        match found["acts"]["kind"].as_str() {
            Some("agent") => {
                let agent =
                    self.agents.iter().find(|agent| found["acts"]["id"] == agent.id.as_str());
                agent.unwrap_or_else(|| panic!("an unknown agent: {found:#}")).client.clone()
            }
            Some("person" | "operator") => self.fleet.admin.clone(),
            _ => panic!("nobody sends a request: {found:#}"),
        }
    }

    /// The body, with what only the actor knows.
    fn filled(&self, request: &Value) -> Value {
        let mut body = request["body"].clone();
        let path = text(&request["path"]);
        if body["lease"].is_string() {
            let lease = self.leases.iter().find(|(attempt, _)| path.contains(attempt.as_str()));
            let (_, lease) = lease.unwrap_or_else(|| panic!("whose lease? {request:#}"));
            body["lease"] = json!(lease);
        }
        if body["owner"].is_string() {
            body["owner"] = json!("carol@example.com");
        }
        if path == "/v1/prices" {
            body["usd_per_million"] = json!({"input": "1", "output": "2"});
        }
        body
    }

    /// Explains, expects the cause and the actor, and acts until the decisive cause is another one; returns that.
    pub async fn clear(&mut self, name: &str, cause: &str, actor: &str) -> String {
        self.keeps_secrets().await;
        let mut found = self.explain().await;
        assert_eq!(found["causes"][0]["cause"], cause, "{name}: {found:#}");
        assert_eq!(found["acts"]["kind"], actor, "{name}: {found:#}");
        // Of a chain of tasks each step is offered.
        for _ in 0..8 {
            self.act(&found).await;
            found = self.explain().await;
            if found["causes"][0]["cause"] != cause {
                return text(&found["causes"][0]["cause"]);
            }
        }
        panic!("{name}: the offered requests do not clear it: {found:#}");
    }
}
