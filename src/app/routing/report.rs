//! The report on routing: what it gained, and what is believed of the agents.
//!
//! Each compared assignment costs two look-ups. A period with more than [`ASSIGNMENTS_MAX`] of them begins later, and the
//! report says so, as that on agents does.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::learn::known;
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ReportCaller},
    },
    domain::{
        check::Checks,
        ids::{AgentId, first_at},
        routing::{
            affinity::Affinities,
            beliefs::{Beliefs, Known},
            compare::{self, Interval},
            policy::Policy,
            record::{Belief, Spread, Whole},
            score::{Weights, expected},
        },
        span::Span,
    },
    store::{
        self,
        routing::{records::RecordRow, report::ArmRow},
    },
};

/// What the routing gained, and what is believed of the agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RoutingReport {
    /// Begin of the compared time.
    pub from: DateTime<Utc>,
    /// End of it.
    pub to: DateTime<Utc>,
    /// Whether `from` is later than requested, because the period has more than 200,000 assignments.
    pub shortened: bool,
    /// The policy of the workspace now.
    pub policy: Policy,
    /// Longest time for which a ready task is left for a better agent, in milliseconds.
    pub max_deferral_ms: i64,
    /// Percentage of tasks that are assigned at random.
    pub control_percent: i32,
    /// Ended attempts of tasks that were routed.
    pub routed: RoutingArm,
    /// Ended attempts of tasks that were assigned at random among the agents within reach: the control.
    pub control: RoutingArm,
    /// What the routing gained over the control. `null` where one of both has too little to compare.
    pub gain: RoutingGain,
    /// What is believed of the agents, by capability and agent; at most 200.
    pub beliefs: Vec<RoutingBelief>,
    /// Agents with another model or version than before, and how they compare; at most 200.
    pub versions: Vec<VersionComparison>,
}

/// Ended attempts of one side of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RoutingArm {
    /// Number of ended attempts. Failures that say nothing of the agent, such as rate limits, do not count.
    pub attempts: i64,
    /// Number of accepted ones.
    pub accepted: i64,
    /// Share of accepted ones.
    pub success: Option<Interval>,
    /// Mean cost of an attempt in `usd_micros`, of those with a cost.
    pub usd_micros: Option<Interval>,
    /// Mean duration of the accepted ones in milliseconds.
    pub duration_ms: Option<Interval>,
    /// Mean time for which their tasks had been ready, in milliseconds.
    pub waited_ms: Option<f64>,
}

/// Differences between routed and control, with 95 % intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RoutingGain {
    /// Share of accepted attempts more than the control has.
    pub success: Option<Interval>,
    /// Cost of an attempt less than the control's, in `usd_micros`.
    pub usd_micros_saved: Option<Interval>,
    /// Duration less than the control's, in milliseconds.
    pub duration_ms_saved: Option<Interval>,
}

/// What is believed of an agent at a capability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RoutingBelief {
    /// The capability; empty for tasks that require none.
    #[schema(example = "rust")]
    pub capability: String,
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Its name.
    pub agent_name: String,
    /// Its model and version now, as it says.
    pub version: String,
    /// Attempts of this version that were counted.
    pub attempts: i64,
    /// Their weight: later ones weigh more, all together at most sixty.
    pub weight: f64,
    /// Expected share of accepted attempts.
    pub success: Interval,
    /// Expected cost of an attempt in `usd_micros`.
    pub usd_micros: Option<f64>,
    /// Expected duration of an accepted attempt in milliseconds.
    pub duration_ms: Option<f64>,
    /// Expected score by the policy of the workspace; higher is better.
    pub score: Interval,
    /// Whether this version is new and competes only for a fifth of the tasks.
    pub canary: bool,
}

/// How the model or version of an agent compares with the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VersionComparison {
    /// The capability.
    pub capability: String,
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Its model and version now.
    pub version: String,
    /// Its model and version before.
    pub before: String,
    /// Counted attempts of the version now.
    pub attempts: i64,
    /// Counted attempts of the version before.
    pub attempts_before: i64,
    /// Expected share of accepted attempts more than before.
    pub success: Interval,
    /// Expected cost of an attempt, as a share of that before; `null`: one of both is unknown.
    pub cost_ratio: Option<f64>,
    /// Expected duration, as a share of that before.
    pub duration_ratio: Option<f64>,
}

/// Filter of the report.
#[derive(Debug, Clone, Default)]
pub struct RoutingAsk {
    /// Range of times of the assignments; default: the last seven days.
    pub span: Span,
    /// Only beliefs about this capability.
    pub capability: Option<String>,
    /// Only beliefs about this agent.
    pub agent: Option<AgentId>,
}

/// Range of a report without one.
const DEFAULT_RANGE: TimeDelta = TimeDelta::days(7);
/// Most beliefs and comparisons of an answer.
const MOST: usize = 200;
/// Most assignments that are compared.
const ASSIGNMENTS_MAX: i64 = 200_000;

impl App {
    /// Reports what the routing gained, and what is believed of the agents.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn routing_report(
        &self,
        caller: &ReportCaller,
        ask: &RoutingAsk,
    ) -> Result<RoutingReport> {
        let mut tx = self.moment(caller.principal().workspace).await?;
        let now = tx.now;
        let mut checks = Checks::new();
        let (mut from, to) = ask.span.past(DEFAULT_RANGE, now, &mut checks);
        checks.finish()?;
        let rules = store::routing::records::rules(&mut tx).await?;
        let (mut first, end) = (first_at(from), first_at(to));
        let newest = store::routing::report::newest(&mut tx, first, end, ASSIGNMENTS_MAX).await?;
        if let Some(newest) = newest {
            (first, from) = newest;
        }
        let arms = store::routing::report::arms(&mut tx, first, end).await?;
        let mut rows = store::routing::records::all(&mut tx).await?;
        tx.rollback().await?;
        for row in &mut rows {
            row.record = row.record.at(now);
        }
        let arm = |control: bool| arms.iter().find(|arm| arm.control == control).copied();
        let (routed, control) = (RoutingArm::of(arm(false)), RoutingArm::of(arm(true)));
        Ok(RoutingReport {
            from,
            to,
            shortened: newest.is_some(),
            policy: rules.policy,
            max_deferral_ms: rules.max_deferral.num_milliseconds(),
            control_percent: rules.control_percent,
            gain: RoutingGain::of(&routed, &control),
            routed,
            control,
            beliefs: believed(&rows, ask, rules.policy, now),
            versions: compared(&rows, ask),
        })
    }
}

impl RoutingArm {
    fn of(row: Option<ArmRow>) -> Self {
        let Some(row) = row else {
            return Self {
                attempts: 0,
                accepted: 0,
                success: None,
                usd_micros: None,
                duration_ms: None,
                waited_ms: None,
            };
        };
        Self {
            attempts: row.attempts,
            accepted: row.accepted,
            success: compare::share(row.accepted, row.attempts),
            usd_micros: compare::mean(row.priced, row.cost, row.cost_deviation),
            duration_ms: compare::mean(row.accepted, row.duration, row.duration_deviation),
            waited_ms: row.waited,
        }
    }
}

impl RoutingGain {
    fn of(routed: &RoutingArm, control: &RoutingArm) -> Self {
        let both = |one: Option<Interval>, other: Option<Interval>| Some((one?, other?));
        let saved = |one, other| {
            both(one, other).map(|(routed, control)| compare::difference(control, routed))
        };
        Self {
            success: both(routed.success, control.success)
                .map(|(routed, control)| compare::difference_of_shares(routed, control)),
            usd_micros_saved: saved(routed.usd_micros, control.usd_micros),
            duration_ms_saved: saved(routed.duration_ms, control.duration_ms),
        }
    }
}

fn wanted(row: &RecordRow, ask: &RoutingAsk) -> bool {
    ask.capability.as_ref().is_none_or(|name| *name == row.capability)
        && ask.agent.is_none_or(|agent| agent == row.agent_id)
}

fn believed(
    rows: &[RecordRow],
    ask: &RoutingAsk,
    policy: Policy,
    now: DateTime<Utc>,
) -> Vec<RoutingBelief> {
    let able = rows.iter().map(|row| (row.agent_id, row.able.clone().into())).collect();
    let known: Vec<Known> = known(rows, now);
    let beliefs = Beliefs::new(known, able, Affinities::default(), policy, now);
    let weights = Weights::of(policy);
    let mut list: Vec<RoutingBelief> = rows
        .iter()
        .filter(|row| row.current && wanted(row, ask))
        .filter_map(|row| {
            let belief = beliefs.of(&row.capability, row.agent_id)?;
            let score = expected(weights, belief);
            Some(RoutingBelief {
                capability: row.capability.clone(),
                agent_id: row.agent_id,
                agent_name: row.name.clone(),
                version: row.version_key.trim().to_owned(),
                attempts: belief.attempts,
                weight: belief.weight,
                success: within(compare::around(belief.success(), belief.unsure())),
                usd_micros: belief.usd_micros,
                duration_ms: belief.duration_ms,
                score: compare::around(score.mean, score.unsure),
                canary: belief.canary,
            })
        })
        .collect();
    list.sort_by(|a, b| {
        a.capability.cmp(&b.capability).then(b.score.estimate.total_cmp(&a.score.estimate))
    });
    list.truncate(MOST);
    list
}

/// A share lies between 0 and 1.
fn within(share: Interval) -> Interval {
    Interval { low: share.low.max(0.0), high: share.high.min(1.0), ..share }
}

fn compared(rows: &[RecordRow], ask: &RoutingAsk) -> Vec<VersionComparison> {
    let mut wholes: HashMap<&str, Whole> = HashMap::new();
    let mut list = Vec::new();
    for pair in rows.windows(2) {
        let [one, other] = pair else { continue };
        let same = one.capability == other.capability && one.agent_id == other.agent_id;
        if !same || one.current == other.current || !wanted(one, ask) {
            continue;
        }
        let (now, before) = if one.current { (one, other) } else { (other, one) };
        let whole = wholes.entry(&one.capability).or_insert_with(|| {
            let same = rows.iter().filter(|row| row.current && row.capability == one.capability);
            Whole::of(same.map(|row| &row.record))
        });
        let of = |row: &RecordRow| Belief::of(row.record, None, whole);
        let (new, old) = (of(now), of(before));
        let ratio = |new: Option<f64>, old: Option<f64>| Some(new? / old?);
        let spread = Spread {
            mean: new.success() - old.success(),
            unsure: new.unsure().hypot(old.unsure()),
        };
        list.push(VersionComparison {
            capability: one.capability.clone(),
            agent_id: one.agent_id,
            version: now.version_key.trim().to_owned(),
            before: before.version_key.trim().to_owned(),
            attempts: new.attempts,
            attempts_before: old.attempts,
            success: compare::around(spread.mean, spread.unsure),
            cost_ratio: ratio(new.usd_micros, old.usd_micros),
            duration_ratio: ratio(new.duration_ms, old.duration_ms),
        });
    }
    list.truncate(MOST);
    list
}
