//! A small typed client: what an agent and an operator need of the API.
//!
//! It speaks real HTTP, because the demo should show what any agent has to do. Every call of it can
//! be sent again without doing anything twice: what creates something carries an
//! `Idempotency-Key`, and muster answers the same completion or spend with the same answer. So a
//! call that got no answer, or one that says it may be repeated, simply is.

use std::{fmt::Display, sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    app::{
        access::keys::IssuedKey,
        agents::views::{Agent, Registration},
        approvals::views::Approval,
        attempts::{
            claim::views::{Claim, ClaimAnswer, ClaimRequest},
            finish::views::{CompleteRequest, FailRequest, FinishAnswer, ReleaseRequest},
            heartbeat::{HeartbeatAnswer, HeartbeatRequest},
        },
        decisions::request::DecisionRequest,
        goals::views::Goal,
        spend::{SpendAnswer, SpendRequest},
        tasks::{attempts::Attempt, list::Task},
    },
    domain::{
        access::role::Role,
        ids::{AgentId, ApprovalId, AttemptId, GoalId, TaskId},
        plan::{
            TaskSpec,
            new_goal::{NewGoal, PlanSource},
        },
        refusal::Code,
    },
    http::{extract::page::Page, problem::Problem},
};

/// How long a call may take beyond the waiting that it asks for.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How often a call is sent, and how long the first pause is; it doubles.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(150);

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// muster refused it.
    #[error("{call}: {status} {code}: {detail}", status = .problem.status, code = .problem.code,
            detail = .problem.detail)]
    Refused {
        /// `POST /v1/claims`
        call: String,
        /// What it said.
        problem: Box<Problem>,
    },
    /// There was no answer, or not all of it.
    #[error("{call}: {source}")]
    NoAnswer {
        /// `POST /v1/claims`
        call: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is nothing that muster says.
    #[error("{call}: the answer is not muster's: {status}")]
    Strange {
        /// `POST /v1/claims`
        call: String,
        /// Its status.
        status: StatusCode,
    },
}

impl CallError {
    /// Whether muster refused it with this code.
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

/// What a preview is needed for: the tasks.
#[derive(Debug, Deserialize)]
pub(super) struct Preview {
    /// The tasks, as they can be posted.
    pub(super) tasks: Vec<TaskSpec>,
}

/// One key's view of a service. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    key: SecretString,
}

impl Client {
    /// A client of the service at `base` (`http://127.0.0.1:8080`).
    pub(super) fn new(base: &str, key: SecretString) -> reqwest::Result<Self> {
        // The service is on this machine: whatever proxy the environment names leads elsewhere.
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { http, base: base.into(), key })
    }

    /// The same service with another key.
    pub(super) fn with_key(&self, key: SecretString) -> Self {
        Self { key, ..self.clone() }
    }

    /// The same service as somebody else: an operator of that name.
    pub(super) async fn another(&self, name: &str) -> Result<Self> {
        let new = json!({"name": name, "role": Role::Operator});
        let build = || self.request(Method::POST, "/v1/keys").header("idempotency-key", name);
        let issued: IssuedKey = self.send("POST /v1/keys", || build().json(&new)).await?;
        Ok(self.with_key(issued.token.into()))
    }

    /// The plan that a goal would get.
    pub(super) async fn preview(&self, source: &PlanSource) -> Result<Preview> {
        self.post("/v1/plans/preview", source).await
    }

    /// Posts a goal; `key` makes it one goal however often it is sent.
    pub(super) async fn post_goal(&self, goal: &NewGoal, key: &str) -> Result<Goal> {
        let build = || self.request(Method::POST, "/v1/goals").header("idempotency-key", key);
        self.send("POST /v1/goals", || build().json(goal)).await
    }

    /// A goal.
    pub(super) async fn goal(&self, goal: GoalId) -> Result<Goal> {
        self.get(format!("/v1/goals/{goal}")).await
    }

    /// The first 200 tasks of a goal, in the order of its plan.
    pub(super) async fn tasks(&self, goal: GoalId) -> Result<Vec<Task>> {
        self.list(format!("/v1/tasks?goal_id={goal}&limit=200")).await
    }

    /// The attempts of a task, latest first.
    pub(super) async fn attempts(&self, task: TaskId) -> Result<Vec<Attempt>> {
        self.list(format!("/v1/tasks/{task}/attempts?limit=200")).await
    }

    /// The approvals of a goal, oldest first.
    pub(super) async fn approvals(&self, goal: GoalId) -> Result<Vec<Approval>> {
        self.list(format!("/v1/approvals?goal_id={goal}&limit=200")).await
    }

    /// Decides what waits for a person.
    pub(super) async fn decide(
        &self,
        approval: ApprovalId,
        decision: &DecisionRequest,
    ) -> Result<Approval> {
        self.post(format!("/v1/approvals/{approval}/decide"), decision).await
    }

    /// Registers an agent; doing it again makes no second one.
    pub(super) async fn register(&self, name: &str, capabilities: &[&str]) -> Result<Registration> {
        let agent = json!({"name": name, "capabilities": capabilities, "max_concurrent": 1});
        self.post("/v1/agents", &agent).await
    }

    /// An agent, with what it has used.
    pub(super) async fn agent(&self, agent: AgentId) -> Result<Agent> {
        self.get(format!("/v1/agents/{agent}")).await
    }

    /// Waits for work. `key` is this claim's own: if its answer is lost on the way, the next try
    /// gets the same tasks.
    pub(super) async fn claim(&self, request: &ClaimRequest, key: &str) -> Result<Vec<Claim>> {
        let patience = TIMEOUT + Duration::from_secs(u64::from(request.wait_seconds));
        let build = || self.request(Method::POST, "/v1/claims").timeout(patience);
        let answer: Option<ClaimAnswer> = self
            .send("POST /v1/claims", || build().header("idempotency-key", key).json(request))
            .await?;
        Ok(answer.map(|answer| answer.claims).unwrap_or_default())
    }

    /// A sign of life.
    pub(super) async fn heartbeat(
        &self,
        attempt: AttemptId,
        beat: &HeartbeatRequest,
    ) -> Result<HeartbeatAnswer> {
        self.post(format!("/v1/attempts/{attempt}/heartbeat"), beat).await
    }

    /// Reports what was used.
    pub(super) async fn spend(
        &self,
        attempt: AttemptId,
        report: &SpendRequest,
    ) -> Result<SpendAnswer> {
        self.post(format!("/v1/attempts/{attempt}/spend"), report).await
    }

    /// Hands in a result.
    pub(super) async fn complete(
        &self,
        attempt: AttemptId,
        result: &CompleteRequest,
    ) -> Result<FinishAnswer> {
        self.post(format!("/v1/attempts/{attempt}/complete"), result).await
    }

    /// Gives up.
    pub(super) async fn fail(
        &self,
        attempt: AttemptId,
        failure: &FailRequest,
    ) -> Result<FinishAnswer> {
        self.post(format!("/v1/attempts/{attempt}/fail"), failure).await
    }

    /// Gives the task back unharmed.
    pub(super) async fn release(
        &self,
        attempt: AttemptId,
        release: &ReleaseRequest,
    ) -> Result<FinishAnswer> {
        self.post(format!("/v1/attempts/{attempt}/release"), release).await
    }

    fn request(&self, method: Method, path: impl Display) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.http.request(method, url).bearer_auth(self.key.expose_secret())
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T> {
        self.send(&format!("GET {path}"), || self.request(Method::GET, &path)).await
    }

    async fn list<T: DeserializeOwned>(&self, path: String) -> Result<Vec<T>> {
        let page: Page<T> = self.get(path).await?;
        Ok(page.items)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: impl Display,
        body: &impl Serialize,
    ) -> Result<T> {
        self.send(&format!("POST {path}"), || self.request(Method::POST, &path).json(body)).await
    }

    /// Sends a call until it is answered, at most [`TRIES`] times.
    async fn send<T: DeserializeOwned>(
        &self,
        call: &str,
        build: impl Fn() -> RequestBuilder,
    ) -> Result<T> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match answer(call, build()).await {
                Err(error) if error.may_be_repeated() => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            pause *= 2;
        }
        answer(call, build()).await
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
