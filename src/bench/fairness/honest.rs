//! The honest agent, and the health checks beside it.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;

use crate::{
    bench::{
        api::{self, ClaimTerms},
        error::{BenchError, Result},
        fleet::{self, Agent},
        http::{Connection, Target},
        schedule,
        stage::{Setup, Stage},
        statistics::{Latencies, Summary},
        supply::{self, GOAL_TASKS, Needs},
    },
    domain::access::token::Token,
    entropy::Entropy,
};

/// Its address.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 2, 1));
/// The address of the health checks.
const PROBE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 2, 2));
/// The pause between two health checks.
const PROBES: Duration = Duration::from_millis(100);
/// A health check that takes longer counts as this long.
const LOST: Duration = Duration::from_secs(10);
/// Seed of the random arrivals.
const SEED: u64 = 23;

/// What the honest agent saw in one round.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    /// Latency of its claims, from the time when each was due.
    pub claim: Summary,
    /// Requests answered with 503, or not at all.
    pub unavailable: u64,
    /// Requests answered with 429.
    pub limited: u64,
    /// Latency of health checks, each on a new connection.
    pub health: Summary,
}

/// The honest agent.
#[derive(Debug)]
pub struct Honest {
    agent: Agent,
    key: SecretString,
    own: Target,
    probe: Target,
    goal: serde_json::Value,
    left: usize,
}

impl Honest {
    /// Makes its workspace, its key and itself.
    pub async fn prepare(setup: &Setup, stage: &Stage) -> Result<Self> {
        let entropy = Entropy::system();
        let mut database = stage.connect().await?;
        let now: DateTime<Utc> =
            sqlx::query_scalar("select now()").fetch_one(&mut database).await?;
        let token = Token::new(entropy.id(now), entropy.id(now), entropy.bytes());
        sqlx::query("insert into workspaces (workspace_id, name, created_at) values ($1, $2, $3)")
            .bind(token.workspace().0)
            .bind(format!("honest-{}", setup.run))
            .bind(now)
            .execute(&mut database)
            .await?;
        sqlx::query(
            "insert into keys (workspace_id, key_id, name, role, secret_sha256, created_at)
             values ($1, $2, 'honest', 'admin', $3, $4)",
        )
        .bind(token.workspace().0)
        .bind(token.key().0)
        .bind(token.hash().as_bytes())
        .bind(now)
        .execute(&mut database)
        .await?;
        let key = SecretString::from(token.expose());
        let own = stage.target.bound_to(ADDRESS);
        let kind = fleet::Kind { name: "honest", capability: None, max_concurrent: 1 };
        let registered = fleet::register_at(setup, &own, &key, kind).await?;
        let agent = fleet::connect(setup, &[registered]).await?.pop();
        let agent = agent.ok_or_else(|| BenchError::Impossible("no agent is connected".into()))?;
        let goal = supply::goal(&setup.run, None, GOAL_TASKS, Needs::Nothing);
        let probe = stage.target.bound_to(PROBE);
        Ok(Self { agent, key, own, probe, goal, left: 0 })
    }

    /// Works for a round.
    pub async fn look(&mut self, setup: &Setup) -> Result<Seen> {
        let rate = f64::from(setup.settings.fairness_rate);
        let arrivals = schedule::random(rate, setup.settings.round(), SEED);
        let (mut claims, mut health) = (Latencies::default(), Latencies::default());
        let (mut unavailable, mut limited) = (0, 0);
        let (began, probe) = (Instant::now(), self.probe.clone());
        let work = async {
            for due in &arrivals {
                tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
                match self.cycle(&mut claims, began + *due).await {
                    Ok(200 | 204) => {}
                    Ok(429) => limited += 1,
                    // Anything else is a request that an honest agent lost.
                    Ok(_) | Err(BenchError::Connection(_) | BenchError::System { .. }) => {
                        unavailable += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        let probing = async {
            loop {
                let sent = Instant::now();
                let call = async {
                    let key = SecretString::from("health");
                    Connection::open(&probe, &key).await?.get("/livez").await
                };
                match tokio::time::timeout(LOST, call).await {
                    Ok(Ok(answer)) if answer.status == 200 => health.record_since(sent),
                    Ok(Ok(_) | Err(_)) | Err(_) => health.record(LOST),
                }
                tokio::time::sleep(PROBES).await;
            }
        };
        tokio::select! {
            worked = work => worked?,
            () = probing => {}
        }
        Ok(Seen { claim: claims.summary(), unavailable, limited, health: health.summary() })
    }

    /// Claims and completes one task. Returns the first status that is no success, or 200.
    async fn cycle(&mut self, claims: &mut Latencies, due: Instant) -> Result<u16> {
        if self.left == 0 {
            // Not measured: a person posts goals.
            let mut connection = Connection::open(&self.own, &self.key).await?;
            connection.create("/v1/goals", &self.goal).await?;
            self.left = GOAL_TASKS;
        }
        let answer = self.agent.claim(ClaimTerms { max: 1, wait_seconds: 0, lease_seconds: 60 });
        let answer = answer.await?;
        claims.record_since(due);
        if !answer.status.is_success() {
            return Ok(answer.status.as_u16());
        }
        for lease in api::claimed(&answer)? {
            self.left -= 1;
            let done = self.agent.say(&lease, "complete", lease.complete()).await?;
            if !done.status.is_success() {
                return Ok(done.status.as_u16());
            }
        }
        Ok(200)
    }
}
