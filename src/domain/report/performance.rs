//! How well an agent does its work: counts of its attempts, and the shares that follow from them.
//!
//! An attempt is judged when its result was accepted or rejected, or when it failed for a reason that says
//! something of the agent ([`tells`]). Shares are of judged attempts, as what the router learns is. An
//! attempt that runs, gave way, was released, cancelled or rate-limited says nothing yet or nothing of the agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    money::{Millionths, Sums, dollars, whole},
    share::MeasuredShare,
};
use crate::domain::{routing::record::tells, spend::Amounts, states::FailureClass};

/// Attempts by how they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttemptOutcomes {
    /// Results that were accepted.
    #[schema(example = 40, minimum = 0)]
    pub accepted: i64,
    /// Results that were rejected: the task was worked on again.
    #[schema(example = 3, minimum = 0)]
    pub rejected: i64,
    /// Failures and lost leases by class; classes without any are left out. `lost`: the lease expired.
    #[schema(value_type = BTreeMap<String, i64>, example = json!({"lost": 1, "transient": 2}))]
    pub failed: BTreeMap<FailureClass, i64>,
    /// Attempts that the agent released.
    #[schema(example = 1, minimum = 0)]
    pub released: i64,
    /// Attempts that were cancelled.
    #[schema(example = 0, minimum = 0)]
    pub cancelled: i64,
    /// Attempts that gave way to an approval or to subtasks; the task went on with another attempt.
    #[schema(example = 1, minimum = 0)]
    pub parked: i64,
    /// Attempts that run, or whose result is not judged yet.
    #[schema(example = 2, minimum = 0)]
    pub open: i64,
}

impl AttemptOutcomes {
    /// Number of judged attempts.
    #[must_use]
    pub fn judged(&self) -> i64 {
        self.accepted.saturating_add(self.rejected).saturating_add(self.faults())
    }

    /// Failures that say something of the agent.
    #[must_use]
    pub fn faults(&self) -> i64 {
        let telling = self.failed.iter().filter(|(class, _)| tells(**class));
        telling.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// All attempts.
    #[must_use]
    pub fn all(&self) -> i64 {
        let Self { accepted, rejected, failed, released, cancelled, parked, open } = self;
        let others = [*accepted, *rejected, *released, *cancelled, *parked, *open];
        failed.values().chain(&others).fold(0, |sum: i64, count| sum.saturating_add(*count))
    }
}

/// Shares of attempts, each with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttemptShares {
    /// Accepted attempts, of all judged ones.
    pub accepted: MeasuredShare,
    /// Accepted first tries of tasks, of all judged first tries. A try is the first one if no attempt at the task was
    /// rejected, failed or lost before it.
    pub first_try: MeasuredShare,
    /// Rejected results, of all judged results.
    pub rework: MeasuredShare,
    /// Failures that say something of the agent, of all judged attempts.
    pub failed: MeasuredShare,
    /// Lost leases, of all judged attempts.
    pub lost: MeasuredShare,
}

/// First tries of tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FirstTries {
    /// Judged ones.
    pub judged: i64,
    /// Accepted ones.
    pub accepted: i64,
}

impl AttemptShares {
    /// The shares of these attempts.
    #[must_use]
    pub fn of(outcomes: &AttemptOutcomes, first: FirstTries) -> Self {
        let AttemptOutcomes { accepted, rejected, failed, .. } = outcomes;
        let judged = outcomes.judged();
        let lost = failed.get(&FailureClass::Lost).copied().unwrap_or_default();
        Self {
            accepted: MeasuredShare::new(*accepted, judged),
            first_try: MeasuredShare::new(first.accepted, first.judged),
            rework: MeasuredShare::new(*rejected, accepted.saturating_add(*rejected)),
            failed: MeasuredShare::new(outcomes.faults(), judged),
            lost: MeasuredShare::new(lost, judged),
        }
    }
}

/// What attempts used, and what an accepted task cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttemptCost {
    /// Spend of all attempts by unit, rounded down; without the units measured by the service.
    #[schema(example = json!({"usd_micros": 480000, "output_tokens": 91200}))]
    pub amounts: Amounts,
    /// Cost of all attempts in US dollars, exact.
    #[schema(example = "0.48")]
    pub usd: String,
    /// Spend of all attempts, failed ones included, divided by the accepted ones, rounded down; `null` without any.
    #[schema(example = json!({"usd_micros": 12000, "output_tokens": 2280}))]
    pub amounts_per_accepted: Option<Amounts>,
    /// The same in US dollars, rounded down to twelve places.
    #[schema(example = "0.012")]
    pub usd_per_accepted: Option<String>,
}

impl AttemptCost {
    /// The cost of attempts with these sums, of which some were accepted.
    #[must_use]
    pub fn of(sums: &Sums, accepted: i64) -> Self {
        let each = (accepted > 0).then(|| shared(sums, accepted));
        Self {
            amounts: whole(sums),
            usd: dollars(sums),
            amounts_per_accepted: each.as_ref().map(whole),
            usd_per_accepted: each.as_ref().map(dollars),
        }
    }
}

fn shared(sums: &Sums, parts: i64) -> Sums {
    let parts = i128::from(parts.max(1));
    let part = |sum: &Millionths| Millionths(sum.0.div_euclid(parts));
    sums.iter().map(|(unit, sum)| (unit.clone(), part(sum))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{spend::MONEY, words::Words as _};

    #[test]
    fn only_what_tells_of_the_agent_counts() {
        let outcomes = AttemptOutcomes {
            accepted: 6,
            rejected: 2,
            failed: BTreeMap::from([
                (FailureClass::Lost, 1),
                (FailureClass::Transient, 1),
                (FailureClass::RateLimited, 9),
            ]),
            released: 4,
            cancelled: 5,
            parked: 1,
            open: 2,
        };
        assert_eq!((outcomes.judged(), outcomes.all()), (10, 31));
        let shares = AttemptShares::of(&outcomes, FirstTries { judged: 5, accepted: 4 });
        let counts = |share: MeasuredShare| (share.count, share.of);
        assert_eq!(counts(shares.accepted), (6, 10));
        assert_eq!(counts(shares.first_try), (4, 5));
        assert_eq!(counts(shares.rework), (2, 8));
        assert_eq!(counts(shares.failed), (2, 10));
        assert_eq!(counts(shares.lost), (1, 10));
        let none = AttemptShares::of(&AttemptOutcomes::default(), FirstTries::default());
        assert_eq!(none.accepted.share, None);
    }

    #[test]
    fn an_accepted_task_bears_what_failed_attempts_cost() {
        let sums = Sums::from([
            (MONEY.to_owned(), Millionths(1_000_000_000_001)),
            ("calls".to_owned(), Millionths(7_000_000)),
        ]);
        let cost = AttemptCost::of(&sums, 4);
        assert_eq!(cost.usd, "1.000000000001");
        assert_eq!(cost.usd_per_accepted.as_deref(), Some("0.25"));
        let each = cost.amounts_per_accepted.unwrap();
        assert_eq!((each[MONEY], each["calls"]), (250_000, 1));
        let none = AttemptCost::of(&sums, 0);
        assert_eq!((none.amounts_per_accepted, none.usd_per_accepted), (None, None));
        assert_eq!(none.amounts["calls"], 7);
    }

    proptest! {
        /// No share is above one, and nothing overflows.
        #[test]
        fn no_share_is_above_one(
            accepted in 0..1_000_i64, rejected in 0..1_000_i64, first in 0..1_000_i64,
            failed in prop::collection::btree_map(prop::sample::select(FailureClass::ALL), 0..1_000_i64, 0..8),
        ) {
            let outcomes = AttemptOutcomes { accepted, rejected, failed, ..AttemptOutcomes::default() };
            let first = FirstTries { judged: first, accepted: first.min(accepted) };
            let AttemptShares { accepted, first_try, rework, failed, lost } = AttemptShares::of(&outcomes, first);
            for share in [accepted, first_try, rework, failed, lost] {
                prop_assert!(share.count <= share.of, "{:?}", share);
                prop_assert_eq!(share.share.is_some(), share.of > 0);
            }
            prop_assert!(accepted.count + failed.count <= accepted.of);
        }
    }
}
