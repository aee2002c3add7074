//! Agents, each with a registration, a key and a connection of its own.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::{
    api::{self, CLAIMS, ClaimTerms, Lease},
    error::{BenchError, Result},
    http::{Answer, Connection, Target},
    stage::{Ground, Stage},
};

/// How many registrations are in the works at once.
const AT_ONCE: usize = 16;

/// What agents of one kind have in common.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The beginning of their names.
    pub name: &'static str,
    /// What they can do, if anything special.
    pub capability: Option<&'static str>,
    /// How many attempts each may run at once.
    pub max_concurrent: u32,
}

/// A registered agent that is not connected.
#[derive(Debug, Clone)]
pub struct Registered {
    target: Target,
    token: SecretString,
    /// The agent's id.
    pub id: String,
}

#[derive(Deserialize)]
struct Registration {
    token: String,
    agent: RegisteredAgent,
}

#[derive(Deserialize)]
struct RegisteredAgent {
    id: String,
}

/// Registers agents.
///
/// # Errors
/// When the service refuses one.
pub async fn register(
    ground: &Ground,
    stage: &Stage,
    kind: Kind,
    count: usize,
) -> Result<Vec<Registered>> {
    let connections = stream::iter(0..AT_ONCE.min(count))
        .then(|_| Connection::open(&stage.target, &stage.key))
        .try_collect::<Vec<_>>()
        .await?;
    let lanes = connections.len();
    let lane = |(lane, mut connection): (usize, Connection)| async move {
        let mut registered = Vec::new();
        for number in (lane..count).step_by(lanes) {
            registered.push(register_one(ground, stage, kind, number, &mut connection).await?);
        }
        Ok::<_, BenchError>(registered)
    };
    let all: Vec<Vec<Registered>> = stream::iter(connections.into_iter().enumerate().map(lane))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(all.concat())
}

async fn register_one(
    ground: &Ground,
    stage: &Stage,
    kind: Kind,
    number: usize,
    connection: &mut Connection,
) -> Result<Registered> {
    let call = "POST /v1/agents";
    let agent = json!({
        "name": format!("bench-{}-{}-{number}", ground.run, kind.name),
        "capabilities": kind.capability.into_iter().collect::<Vec<_>>(),
        "max_concurrent": kind.max_concurrent,
    });
    let answer = connection.post("/v1/agents", agent.to_string()).await?.accepted(call)?;
    let read: Registration = api::read(&answer.body, call)?;
    let Registration { token, agent } = read;
    Ok(Registered { target: stage.target.clone(), token: token.into(), id: agent.id })
}

/// An agent on its connection.
#[derive(Debug)]
pub struct Agent {
    connection: Connection,
    /// The beginning of its claims' keys; none: it claims without.
    claim_keys: Option<Arc<str>>,
    claims: u64,
}

impl Registered {
    /// Connects the agent.
    ///
    /// # Errors
    /// When the service cannot be reached.
    pub async fn connect(&self, ground: &Ground) -> Result<Agent> {
        let connection = Connection::open(&self.target, &self.token).await?;
        let claim_keys = (!ground.settings.plain_claims).then(|| Arc::from(ground.run.as_str()));
        Ok(Agent { connection, claim_keys, claims: 0 })
    }
}

/// Connects agents.
///
/// # Errors
/// When the service cannot be reached.
pub async fn connect(ground: &Ground, registered: &[Registered]) -> Result<Vec<Agent>> {
    // The queue of connections that are not yet accepted is short.
    stream::iter(registered)
        .map(|agent| agent.connect(ground))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

impl Agent {
    /// Claims; the answer may be a refusal.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn claim(&mut self, terms: ClaimTerms) -> Result<Answer> {
        self.claims += 1;
        let body = terms.body();
        match &self.claim_keys {
            Some(run) => {
                let key = format!("{run}-{}", self.claims);
                self.connection.post_once(CLAIMS, body, &key).await
            }
            None => self.connection.post(CLAIMS, body).await,
        }
    }

    /// Says something of an attempt; the answer may be a refusal.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn say(&mut self, lease: &Lease, verb: &str, body: String) -> Result<Answer> {
        self.connection.post(&lease.path(verb), body).await
    }
}
