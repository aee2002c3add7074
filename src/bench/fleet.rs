//! Agents, each with its own registration, key and connection.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    api::{CLAIMS, ClaimTerms, Lease},
    error::{BenchError, Result},
    http::{Answer, Connection, Target},
    stage::{Setup, Stage},
};

/// Registrations, or connections, in progress at once.
const AT_ONCE: usize = 16;

/// The common properties of a group of agents.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The beginning of their names.
    pub name: &'static str,
    /// Their only capability, if any.
    pub capability: Option<&'static str>,
    /// Most running attempts of each.
    pub max_concurrent: u32,
}

/// A registered agent without a connection.
#[derive(Debug, Clone)]
pub struct Registered {
    target: Target,
    token: SecretString,
    /// The agent's id.
    pub id: String,
}

impl Registered {
    /// The agent's key.
    pub fn token(&self) -> SecretString {
        self.token.clone()
    }
}

/// Registers `count` agents.
pub async fn register(
    setup: &Setup,
    stage: &Stage,
    kind: Kind,
    count: usize,
) -> Result<Vec<Registered>> {
    let lanes = AT_ONCE.min(count);
    let lane = |lane: usize| async move {
        let mut connection = Connection::open(&stage.target, &stage.key).await?;
        let mut registered = Vec::new();
        for number in (lane..count).step_by(lanes) {
            registered
                .push(register_one(setup, &stage.target, kind, number, &mut connection).await?);
        }
        Ok::<_, BenchError>(registered)
    };
    let all: Vec<_> =
        stream::iter((0..lanes).map(lane)).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(all.concat())
}

/// Registers one agent in the workspace of `key`.
pub async fn register_at(
    setup: &Setup,
    target: &Target,
    key: &SecretString,
    kind: Kind,
) -> Result<Registered> {
    let mut connection = Connection::open(target, key).await?;
    register_one(setup, target, kind, 0, &mut connection).await
}

async fn register_one(
    setup: &Setup,
    target: &Target,
    kind: Kind,
    number: usize,
    connection: &mut Connection,
) -> Result<Registered> {
    let agent = json!({
        "name": format!("bench-{}-{}-{number}", setup.run, kind.name),
        "capabilities": kind.capability.into_iter().collect::<Vec<_>>(),
        "max_concurrent": kind.max_concurrent,
    });
    let made = connection.create("/v1/agents", &agent).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let token = text(&made["token"]).into();
    Ok(Registered { target: target.clone(), token, id: text(&made["agent"]["id"]) })
}

/// An agent on its connection.
#[derive(Debug)]
pub struct Agent {
    connection: Connection,
    /// The beginning of its idempotency keys; none: it claims without.
    claim_keys: Option<Arc<str>>,
    claims: u64,
}

/// Connects agents.
pub async fn connect(setup: &Setup, registered: &[Registered]) -> Result<Vec<Agent>> {
    let connect = |agent: &Registered| {
        let (target, token) = (agent.target.clone(), agent.token.clone());
        let claim_keys = (!setup.settings.plain_claims).then(|| Arc::from(setup.run.as_str()));
        async move {
            let connection = Connection::open(&target, &token).await?;
            Ok(Agent { connection, claim_keys, claims: 0 })
        }
    };
    // The service's queue of connections before their acceptance is short.
    stream::iter(registered.iter().map(connect)).buffered(AT_ONCE).try_collect().await
}

impl Agent {
    /// Claims; the answer may be a refusal.
    pub async fn claim(&mut self, terms: ClaimTerms) -> Result<Answer> {
        self.claims += 1;
        let key = self.claim_keys.as_ref().map(|run| format!("{run}-{}", self.claims));
        self.connection.post(CLAIMS, terms.body(), key.as_deref()).await
    }

    /// Sends a request of an attempt; the answer may be a refusal.
    pub async fn say(&mut self, lease: &Lease, verb: &str, body: String) -> Result<Answer> {
        self.connection.post(&lease.path(verb), body, None).await
    }
}
