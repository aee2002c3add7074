//! A small client of the API for the demo's agents and operator.
//!
//! It uses real HTTP, because the demo shows the requests of any agent. Every call can be repeated
//! without a second effect: a call that creates something carries an `Idempotency-Key`, and muster
//! answers a repeated completion or report of spend with the same answer. So the client repeats a call
//! without an answer, and one whose refusal is retryable.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    domain::refusal::Code,
    http::{extract::page::Page, problem::Problem},
};

/// Longest call: a long poll and its answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most tries of a call, and the first pause between them, which doubles.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(150);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// muster refused it.
    #[error("{call}: {status} {code}: {detail}", status = .problem.status, code = .problem.code,
            detail = .problem.detail)]
    Refused {
        /// Method and path, `POST /v1/claims`.
        call: String,
        /// The refusal.
        problem: Box<Problem>,
    },
    /// There was no complete answer.
    #[error("{call}: {source}")]
    NoAnswer {
        /// Method and path, `POST /v1/claims`.
        call: String,
        /// The reason.
        #[source]
        source: reqwest::Error,
    },
    /// The answer has another form than those of muster.
    #[error("{call}: the answer is not muster's: {status}")]
    Strange {
        /// Method and path, `POST /v1/claims`.
        call: String,
        /// The status of the answer.
        status: StatusCode,
    },
}

impl CallError {
    /// Whether muster refused the call with this code.
    pub(super) fn is(&self, code: Code) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.code == code)
    }

    fn may_be_repeated(&self) -> bool {
        match self {
            Self::Refused { problem, .. } => problem.retryable,
            Self::NoAnswer { .. } => true,
            Self::Strange { .. } => false,
        }
    }
}

/// The result of a call.
pub(super) type Result<T> = std::result::Result<T, CallError>;

/// A service with one key. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    key: SecretString,
}

impl Client {
    /// A client of the service at `base` (`http://127.0.0.1:8080`).
    pub(super) fn new(base: &str, key: SecretString) -> reqwest::Result<Self> {
        // The service is on this machine: no proxy of the environment leads to it.
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { http, base: base.into(), key })
    }

    /// The same service with another key.
    pub(super) fn with_key(&self, key: SecretString) -> Self {
        Self { key, ..self.clone() }
    }

    /// `GET`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send(Method::GET, path, |request| request).await
    }

    /// `GET` of the first 200 items of a list.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        Ok(self.get::<Page<T>>(path).await?.items)
    }

    /// `POST` of a call that has its effect once, however often it is sent.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.send(Method::POST, path, |request| request.json(body)).await
    }

    /// `POST` with an `Idempotency-Key`, which gives any call its effect once.
    pub(super) async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        let once = |request: RequestBuilder| request.header("idempotency-key", key).json(body);
        self.send(Method::POST, path, once).await
    }

    /// Sends a call until it is answered, at most [`TRIES`] times.
    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        complete: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T> {
        let (call, url) = (format!("{method} {path}"), format!("{}{path}", self.base));
        let mut pause = PAUSE;
        for tried in 1.. {
            let request = self.http.request(method.clone(), &url);
            let request = complete(request.bearer_auth(self.key.expose_secret()));
            match answer(&call, request).await {
                Err(error) if error.may_be_repeated() && tried < TRIES => {}
                answer => return answer,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        unreachable!("the last try returns")
    }
}

/// One exchange. An empty answer (204) is read as `null`.
async fn answer<T: DeserializeOwned>(call: &str, request: RequestBuilder) -> Result<T> {
    let no_answer = |source| CallError::NoAnswer { call: call.to_owned(), source };
    let response = request.send().await.map_err(no_answer)?;
    let status = response.status();
    let body = response.bytes().await.map_err(no_answer)?;
    let body: &[u8] = if body.is_empty() { b"null" } else { &body };
    let strange = |_| CallError::Strange { call: call.to_owned(), status };
    if status.is_success() {
        return serde_json::from_slice(body).map_err(strange);
    }
    let problem = serde_json::from_slice(body).map_err(strange)?;
    Err(CallError::Refused { call: call.to_owned(), problem: Box::new(problem) })
}
