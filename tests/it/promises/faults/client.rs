//! A client as a real agent's: it asks again when it is not answered, wherever somebody answers.
//!
//! What no client may be shown fails the test here: a 5xx other than 503, and a 503 that does not
//! say that it is worth another try.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::watch;

use super::history::{Call, Recorder, Told, What};
use crate::support::process::PATIENCE;

/// The first pause after a request that was not answered; then twice that, and so on.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A stubborn client with a key. Cheap to clone; clones go to the same server first.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    bases: Arc<Vec<String>>,
    at: Arc<AtomicUsize>,
    key: String,
    /// Who it is in the history; empty for an admin.
    pub agent: String,
    pub recorder: Arc<Recorder>,
    answered: Arc<watch::Sender<u64>>,
    /// Answers that did not come in time, or came in part.
    pub noticed: Arc<AtomicUsize>,
}

impl Client {
    /// `timeout`: how long it waits for an answer before it takes the request for lost.
    pub fn new(
        addresses: &[String],
        key: &str,
        timeout: Duration,
        recorder: Arc<Recorder>,
        answered: Arc<watch::Sender<u64>>,
    ) -> Self {
        Self {
            http: reqwest::Client::builder().timeout(timeout).build().unwrap(),
            bases: Arc::new(addresses.iter().map(|a| format!("http://{a}")).collect()),
            at: Arc::default(),
            key: key.to_owned(),
            agent: String::new(),
            recorder,
            answered,
            noticed: Arc::default(),
        }
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Another client of the same servers, with connections of its own.
    pub fn of_agent(&self, key: &str, agent: &str, timeout: Duration) -> Self {
        Self {
            http: reqwest::Client::builder().timeout(timeout).build().unwrap(),
            at: Arc::new(AtomicUsize::new(self.at.fetch_add(1, Ordering::Relaxed) + 1)),
            key: key.to_owned(),
            agent: agent.to_owned(),
            ..self.clone()
        }
    }

    /// One request, once. Nothing: no answer, or one that says nothing but "later".
    async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
        once: Option<&str>,
    ) -> Option<(u16, Value)> {
        let base = &self.bases[self.at.load(Ordering::Relaxed) % self.bases.len()];
        let mut request = self.http.request(method, format!("{base}{path}")).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(once) = once {
            request = request.header("idempotency-key", once);
        }
        let notice = |error: reqwest::Error| {
            // Nobody listening, or a connection that is closed before it is answered, is ordinary.
            if error.is_timeout() || error.is_body() || error.is_decode() {
                self.noticed.fetch_add(1, Ordering::Relaxed);
            }
        };
        let response = request.send().await.map_err(notice).ok()?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(notice).ok()?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        self.answered.send_modify(|count| *count += 1);
        if status == 503 {
            assert_eq!(body["retryable"], true, "{path} answered 503: {body}");
            return None;
        }
        assert!(status < 500, "{path} answered {status}: {body}");
        if body["code"] == "idempotency_in_progress" {
            return None;
        }
        Some((status, body))
    }

    /// Sends a request until it is answered, and records each time. `read` says what was told.
    pub async fn ask(
        &self,
        what: What,
        path: &str,
        body: &Value,
        read: impl Fn(u16, &Value) -> Told,
    ) -> (Told, Value) {
        let once = match &what {
            What::Claim { key, .. } => key.clone(),
            What::Post { key } => Some(key.clone()),
            _ => None,
        };
        let mut patience = Patience::new(path);
        loop {
            let sent = self.recorder.tick();
            let answer = self.send(reqwest::Method::POST, path, Some(body), once.as_deref()).await;
            let heard = self.recorder.tick();
            let told = answer.as_ref().map_or(Told::Unknown, |(status, body)| read(*status, body));
            let (agent, what, known) = (self.agent.clone(), what.clone(), told.clone());
            self.recorder.note(Call { agent, what, told: known, sent, heard });
            if let Some((_, body)) = answer {
                return (told, body);
            }
            self.next(&mut patience).await;
        }
    }

    /// The same without a place in the history.
    pub async fn ask_aside(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
        once: Option<&str>,
    ) -> (u16, Value) {
        let mut patience = Patience::new(path);
        loop {
            if let Some(answer) = self.send(method.clone(), path, body, once).await {
                return answer;
            }
            self.next(&mut patience).await;
        }
    }

    /// Goes to the next server, a little later.
    async fn next(&self, patience: &mut Patience<'_>) {
        self.at.fetch_add(1, Ordering::Relaxed);
        patience.pause().await;
    }
}

/// How long a client goes on asking the same.
struct Patience<'a> {
    path: &'a str,
    until: Instant,
    pause: Duration,
}

impl<'a> Patience<'a> {
    fn new(path: &'a str) -> Self {
        Self { path, until: Instant::now() + 2 * PATIENCE, pause: PAUSE }
    }

    async fn pause(&mut self) {
        assert!(Instant::now() < self.until, "nobody answers {}", self.path);
        tokio::time::sleep(self.pause).await;
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
    }
}
