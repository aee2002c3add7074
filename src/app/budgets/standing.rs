//! Standing of an attempt with the limits above it, for every heartbeat answer.
//!
//! Read without locks shortly after the heartbeat. It only informs; nothing is admitted by it.

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

/// Standing of an attempt with one limit above it. Amounts are in the limit's unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetStanding {
    /// Kind of the limited node.
    pub node: BudgetNode,
    /// Id of the limited node: a task, goal, agent, project or the workspace.
    pub node_id: Uuid,
    /// Unit of the limit and of these amounts.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// Period after which the limit renews.
    pub period: Period,
    /// Most that may be used in one period.
    #[schema(example = 5_000_000)]
    pub limit: i64,
    /// Spend so far in the period, of all attempts below the node.
    #[schema(example = 4_100_000)]
    pub settled: i64,
    /// Open reservations of all attempts below the node.
    #[schema(example = 500_000)]
    pub reserved: i64,
    /// Amount that can still be reserved.
    #[schema(example = 400_000)]
    pub remaining: i64,
    /// Open reservation of this attempt: neither used nor released.
    #[schema(example = 120_000)]
    pub held: i64,
    /// `ok`; `used_up`: the reservation of this attempt is used and the limit has no more;
    /// `exhausted`: the limit itself is used up.
    pub state: BudgetState,
}

/// Standings by attempt.
pub(in crate::app) type Standings = HashMap<AttemptId, Vec<Standing>>;

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
    // Duration is settled only when the attempt ends; until then it is computed here.
    let own = match row.unit == WALL_MS {
        true => (now - row.started_at).num_milliseconds().max(0),
        false => row.own,
    };
    // What is computed here is still part of the reservation.
    let drawn = if row.unit == WALL_MS { own.min(row.granted) } else { 0 };
    let used = if row.unit == WALL_MS { row.used.saturating_add(own) } else { row.used };
    Facts {
        unit: &row.unit,
        enforced: row.on_exhausted != OnExhausted::Notify,
        limit: row.amount,
        used,
        reserved: (row.reserved - drawn).max(0),
        granted: row.granted,
        held: if row.unit == WALL_MS { (row.granted - own).max(0) } else { row.held },
        own,
    }
}

/// Directive that the limits give to an attempt. One whose task waits for the price of a model is told
/// to stop.
pub(in crate::app) fn directive(standings: &[Standing], now: DateTime<Utc>) -> Directive {
    if !awaited(standings).is_empty() {
        return Directive::Stop;
    }
    let told = standings.iter().map(|row| standing::directive(&facts(row, now)));
    told.max().unwrap_or(Directive::Continue)
}

/// The models whose prices the task of an attempt waits for, for people.
pub(in crate::app) fn awaited(standings: &[Standing]) -> &[String] {
    standings.first().map(|row| row.awaited.as_slice()).unwrap_or_default()
}

/// Why `told`, the directive of the limits, is not `continue`. Does not say which price is
/// missing: the waits for prices do.
pub(in crate::app) fn reason(standings: &[Standing], told: Directive) -> &'static str {
    if !awaited(standings).is_empty() {
        return "the task waits for the price of a model: send a checkpoint and release";
    }
    match told {
        Directive::Stop => "a limit above the attempt is used up: see `budget`",
        Directive::Continue | Directive::WrapUp | Directive::Pause => {
            "the reservation of the attempt is used, and the limit has no more: see `budget`"
        }
    }
}

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
        reserved: facts.reserved,
        remaining: i64::try_from(remaining).unwrap_or(i64::MAX),
        held: facts.held,
        state: standing::state(&facts),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Elapsed time is part of the reservation until the attempt ends: it counts once.
    #[test]
    fn a_running_attempt_uses_up_its_own_reservation_of_time() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let row = Standing {
            attempt_id: AttemptId(Uuid::nil()),
            started_at: now - Duration::from_millis(20),
            node: BudgetNode::Workspace,
            node_id: Uuid::nil(),
            unit: WALL_MS.to_owned(),
            period: Period::Lifetime,
            on_exhausted: OnExhausted::Park,
            amount: 40,
            used: 0,
            reserved: 20,
            granted: 20,
            held: 20,
            own: 0,
            awaited: Vec::new(),
        };
        let standing = view(&row, now);
        assert_eq!((standing.settled, standing.reserved, standing.held), (20, 0, 0));
        assert_eq!((standing.remaining, standing.state), (20, BudgetState::Ok));
        assert_eq!(directive(&[row], now), Directive::Continue);
    }
}
