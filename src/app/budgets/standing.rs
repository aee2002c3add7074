//! How an attempt stands with the limits above it: told in every heartbeat's answer.
//!
//! It is read without locks, a moment after the heartbeat: it informs, and nothing is admitted by it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    app::Result,
    domain::{
        budget::{
            BudgetNode, OnExhausted, Period,
            standing::{self, BudgetState, Facts},
        },
        ids::AttemptId,
        spend::WALL_MS,
        states::Directive,
    },
    store::{self, Tx, budgets::read::Standing},
};

/// How an attempt stands with one limit above it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetStanding {
    /// What is limited.
    pub node: BudgetNode,
    /// Which one.
    pub node_id: Uuid,
    /// In which unit.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// For how long it counts.
    pub period: Period,
    /// The limit.
    #[schema(example = 5_000_000)]
    pub limit: i64,
    /// What is used of it, by everybody below the node.
    #[schema(example = 4_100_000)]
    pub settled: i64,
    /// What is set aside, by everybody below the node.
    #[schema(example = 500_000)]
    pub reserved: i64,
    /// What can still be set aside.
    #[schema(example = 400_000)]
    pub remaining: i64,
    /// What this attempt still has set aside for itself.
    #[schema(example = 120_000)]
    pub held: i64,
    /// `ok`; `used_up`: what was set aside for this attempt is used and no more is to be had;
    /// `exhausted`: the limit itself is used up.
    pub state: BudgetState,
}

/// How attempts stand, by attempt.
pub(in crate::app) type Standings = HashMap<AttemptId, Vec<Standing>>;

/// How attempts stand with the limits above them.
pub(in crate::app) async fn of(
    tx: &mut Tx,
    attempts: impl Iterator<Item = AttemptId>,
) -> Result<Standings> {
    let attempts: Vec<AttemptId> = attempts.collect();
    let mut standings: Standings = HashMap::new();
    if attempts.is_empty() {
        return Ok(standings);
    }
    for row in store::budgets::read::standings(tx, &attempts).await? {
        standings.entry(row.attempt_id).or_default().push(row);
    }
    Ok(standings)
}

fn facts(row: &Standing, now: DateTime<Utc>) -> Facts<'_> {
    // How long it has taken is settled when it ends: until then it is looked at here.
    let own = match row.unit == WALL_MS {
        true => (now - row.started_at).num_milliseconds().max(0),
        false => row.own,
    };
    let used = if row.unit == WALL_MS { row.used.saturating_add(own) } else { row.used };
    Facts {
        unit: &row.unit,
        enforced: row.on_exhausted != OnExhausted::Notify,
        limit: row.amount,
        used,
        reserved: row.reserved,
        granted: row.granted,
        held: if row.unit == WALL_MS { (row.granted - own).max(0) } else { row.held },
        own,
        unpriced: row.unpriced,
        unknown_model: row.unknown_model,
    }
}

/// What the limits say that an attempt should do.
pub(in crate::app) fn directive(standings: &[Standing], now: DateTime<Utc>) -> Directive {
    let told = standings.iter().map(|row| standing::directive(&facts(row, now)));
    told.max().unwrap_or(Directive::Continue)
}

/// As it is shown.
pub(in crate::app) fn view(row: &Standing, now: DateTime<Utc>) -> BudgetStanding {
    let facts = facts(row, now);
    let taken = i128::from(facts.used) + i128::from(facts.reserved);
    let remaining = (i128::from(facts.limit) - taken).max(0);
    BudgetStanding {
        node: row.node,
        node_id: row.node_id,
        unit: row.unit.clone(),
        period: row.period,
        limit: row.amount,
        settled: facts.used,
        reserved: row.reserved,
        remaining: i64::try_from(remaining).unwrap_or(i64::MAX),
        held: facts.held,
        state: standing::state(&facts),
    }
}
