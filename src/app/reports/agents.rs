//! The report on agents: how their attempts ended, what they took and cost, and what the router believes.
//!
//! Attempts count by the time they began. An attempt at a task that requires several capabilities counts at each of
//! them, as what the router learns does. A period with more than [`ATTEMPTS_MAX`] attempts begins later, and the
//! report says so: the newest attempts tell more than a refusal. Attempts of pruned goals do not count.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ReportCaller},
        routing::learn::known,
    },
    domain::{
        check::Checks,
        ids::{AgentId, first_at},
        report::{
            performance::{AttemptCost, AttemptOutcomes, AttemptShares, FirstTries},
            trend::Buckets,
        },
        routing::{
            affinity::Affinities,
            beliefs::Beliefs,
            compare::{self, Interval},
            policy::Policy,
        },
        span::Span,
    },
    store::{
        self,
        reports::agents::{AgentGroup, AttemptScope, BucketRow, GroupPlace},
        routing::records::RecordRow,
    },
};

/// Most attempts that a report reads.
const ATTEMPTS_MAX: i64 = 200_000;

/// Filter of the report.
#[derive(Debug, Clone, Default)]
pub struct AgentsAsk {
    /// Range of times at which the attempts began; default: the last seven days.
    pub span: Span,
    /// Only this agent.
    pub agent: Option<AgentId>,
    /// Only at this capability; empty: at tasks that require none.
    pub capability: Option<String>,
}

/// Position of a row in the report; the paging cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPlace {
    /// The capability.
    pub capability: String,
    /// The agent.
    pub agent: AgentId,
    /// Digest of its model and version.
    pub version: Uuid,
}

/// The period of a report on agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReportPeriod {
    /// Begin of the period.
    pub from: DateTime<Utc>,
    /// End of the period, exclusive.
    pub to: DateTime<Utc>,
    /// Whether `from` is later than requested, because the period has more than 200,000 attempts.
    pub shortened: bool,
    /// Length of a bucket of the trends, in seconds: an hour, six hours, a day or a week.
    #[schema(example = 21600, minimum = 3600)]
    pub bucket_seconds: i64,
}

/// The work of an agent, with one model and version, at one capability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentPerformance {
    /// The capability; empty for tasks that require none.
    #[schema(example = "rust")]
    pub capability: String,
    /// Id of the agent: `GET /v1/agents/{agent_id}`.
    pub agent_id: AgentId,
    /// Its name.
    #[schema(example = "crab-1")]
    pub agent_name: String,
    /// Its model and version, as it said.
    #[schema(example = "claude-sonnet-4-5 1.4.0")]
    pub version: String,
    /// Whether it has these now. Attempts of all models and versions before the last change share one row.
    pub current: bool,
    /// Number of attempts that began in the period.
    #[schema(example = 47, minimum = 0)]
    pub attempts: i64,
    /// The same by how they ended.
    pub outcomes: AttemptOutcomes,
    /// Shares of judged attempts: accepted, rejected, or failed for a reason that says something of the agent. Rate
    /// limits, wrong inputs, releases and cancellations are none.
    pub shares: AttemptShares,
    /// Durations of the accepted attempts; `null` without any.
    pub duration_ms: Option<DurationSpread>,
    /// What the attempts used, and what an accepted task cost.
    pub cost: AttemptCost,
    /// The attempts over time, by when they began; at most 32 buckets, without those in which none began.
    pub trend: Vec<TrendBucket>,
    /// What the router believes of it now; `null` for former versions, without anything learned, and for agents
    /// that may not claim.
    pub belief: Option<AgentBelief>,
}

/// Spread of durations, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DurationSpread {
    /// Median.
    #[schema(example = 42_000, minimum = 0)]
    pub p50: i64,
    /// 95th percentile.
    #[schema(example = 180_000, minimum = 0)]
    pub p95: i64,
}

/// Attempts that began in one bucket of the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrendBucket {
    /// Begin of the bucket.
    pub at: DateTime<Utc>,
    /// Number of attempts.
    #[schema(example = 12, minimum = 0)]
    pub attempts: i64,
    /// Accepted ones.
    #[schema(example = 10, minimum = 0)]
    pub accepted: i64,
    /// Rejected ones.
    #[schema(example = 1, minimum = 0)]
    pub rejected: i64,
    /// Failures that say something of the agent, lost leases included.
    #[schema(example = 1, minimum = 0)]
    pub failed: i64,
    /// Lost leases.
    #[schema(example = 0, minimum = 0)]
    pub lost: i64,
    /// Median duration of the accepted ones in milliseconds; `null` without any.
    #[schema(example = 41_000)]
    pub duration_p50_ms: Option<i64>,
}

/// What the router believes of an agent at a capability now. Older attempts weigh less, and what other agents do counts
/// a little.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentBelief {
    /// Attempts of this version that were ever counted.
    #[schema(example = 210, minimum = 0)]
    pub attempts: i64,
    /// Their weight after decay; at most sixty.
    #[schema(example = 38.2)]
    pub weight: f64,
    /// Expected share of accepted attempts, with a 95 % interval.
    pub success: Interval,
    /// Expected cost of an attempt in `usd_micros`; `null`: nobody reported any.
    #[schema(example = 11_800.0)]
    pub usd_micros: Option<f64>,
    /// Expected duration of an accepted attempt in milliseconds; `null`: nobody finished any.
    #[schema(example = 43_000.0)]
    pub duration_ms: Option<f64>,
    /// Whether this version is new and competes only for a fifth of the tasks.
    pub canary: bool,
}

impl App {
    /// Up to `rows` rows of the report after `after`, each with its place, and the period.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn agents_report(
        &self,
        caller: &ReportCaller,
        ask: &AgentsAsk,
        after: Option<&AgentPlace>,
        rows: u32,
    ) -> Result<(ReportPeriod, Vec<(AgentPerformance, AgentPlace)>)> {
        let mut tx = self.moment(caller.principal().workspace).await?;
        let now = tx.now;
        let mut checks = Checks::new();
        let mut buckets = Buckets::asked(ask.span, now, &mut checks);
        checks.finish()?;
        // Attempts that have not begun have no ids.
        let soon = now + TimeDelta::days(1);
        let mut scope = AttemptScope {
            first: first_at(buckets.from.min(soon)),
            end: first_at(buckets.to.min(soon)),
            agent: ask.agent,
            capability: ask.capability.as_deref(),
        };
        let newest = store::reports::agents::newest(&mut tx, &scope, ATTEMPTS_MAX).await?;
        if let Some((first, from)) = newest {
            scope.first = first;
            buckets = Buckets::of(from, buckets.to);
        }
        let length_ms = buckets.length.num_milliseconds();
        let after = after.map(|place| GroupPlace {
            capability: &place.capability,
            agent: place.agent,
            version: place.version,
        });
        let groups = store::reports::agents::groups(
            &mut tx,
            &scope,
            buckets.from,
            length_ms,
            after,
            i64::from(rows),
        )
        .await?;
        let policy = store::routing::records::rules(&mut tx).await?.policy;
        let records = store::routing::records::all(&mut tx).await?;
        tx.rollback().await?;
        let beliefs = believed(&records, policy, now);
        let period = ReportPeriod {
            from: buckets.from,
            to: buckets.to,
            shortened: newest.is_some(),
            bucket_seconds: length_ms / 1_000,
        };
        let rows = groups.into_iter().map(|group| {
            let place = AgentPlace {
                capability: group.capability.clone(),
                agent: group.agent_id,
                version: group.version_place,
            };
            (performance(group, buckets, &beliefs), place)
        });
        Ok((period, rows.collect()))
    }
}

/// What is believed of each agent at each capability, with the models and versions that they have now.
fn believed(records: &[RecordRow], policy: Policy, now: DateTime<Utc>) -> Beliefs {
    let able: HashMap<AgentId, _> =
        records.iter().map(|row| (row.agent_id, row.able.clone().into())).collect();
    Beliefs::new(known(records, now), able, Affinities::default(), policy, now)
}

fn performance(group: AgentGroup, buckets: Buckets, beliefs: &Beliefs) -> AgentPerformance {
    let belief = belief(&group, beliefs);
    let AgentGroup {
        capability,
        agent_id,
        name,
        version_key,
        version_place: _,
        current,
        accepted,
        rejected,
        released,
        cancelled,
        parked,
        open,
        first_judged,
        first_accepted,
        durations,
        classes,
        spend,
        trend,
    } = group;
    let failed = classes.map(|classes| classes.0).unwrap_or_default();
    let outcomes =
        AttemptOutcomes { accepted, rejected, failed, released, cancelled, parked, open };
    let first = FirstTries { judged: first_judged, accepted: first_accepted };
    let duration_ms = durations.and_then(|durations| match durations.as_slice() {
        [p50, p95] => Some(DurationSpread { p50: *p50, p95: *p95 }),
        _ => None,
    });
    let trend = trend.map(|trend| trend.0).unwrap_or_default();
    AgentPerformance {
        capability,
        agent_id,
        agent_name: name,
        version: version_key.trim().to_owned(),
        current,
        attempts: outcomes.all(),
        shares: AttemptShares::of(&outcomes, first),
        duration_ms,
        cost: AttemptCost::of(&spend.map(|spend| spend.0).unwrap_or_default(), accepted),
        trend: trend.into_iter().map(|row| bucket(row, buckets)).collect(),
        belief,
        outcomes,
    }
}

fn bucket(row: BucketRow, buckets: Buckets) -> TrendBucket {
    let BucketRow { bucket, attempts, accepted, rejected, failed, lost, p50 } = row;
    TrendBucket {
        at: buckets.start(bucket),
        attempts,
        accepted,
        rejected,
        failed,
        lost,
        duration_p50_ms: p50,
    }
}

fn belief(group: &AgentGroup, beliefs: &Beliefs) -> Option<AgentBelief> {
    let known = beliefs.of(&group.capability, group.agent_id).filter(|_| group.current)?;
    let Interval { estimate, low, high } = compare::around(known.success(), known.unsure());
    Some(AgentBelief {
        attempts: known.attempts,
        weight: known.weight,
        success: Interval { estimate, low: low.max(0.0), high: high.min(1.0) },
        usd_micros: known.usd_micros,
        duration_ms: known.duration_ms,
        canary: known.canary,
    })
}
