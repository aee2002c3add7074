//! The order of the attention list, which shows people what waits for them.
//!
//! The list is sorted by [`rank`]: the time an item began to wait, moved back by a head start for its
//! risk. A critical item precedes every low one that has waited up to a week longer. All items age
//! alike, so none starves, and two items never change places; paging can resume at any [`Place`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    approval::Risk,
    budget::Period,
    settings,
    states::AgentState,
    words::{Words as _, words},
};

words! {
    /// The kind of an attention item. Later versions add kinds: ignore those you do not know.
    pub enum AttentionKind {
        /// A pending approval.
        Approval => "approval",
        /// A task that failed after three lost leases in a row.
        QuarantinedTask => "quarantined_task",
        /// Ready tasks whose capabilities no live agent has: one item per set of capabilities.
        UnclaimableTask => "unclaimable_task",
        /// A limit that tasks wait for and that gets no room when the running attempts end.
        ExhaustedBudget => "exhausted_budget",
        /// A freeze that holds up tasks.
        Freeze => "freeze",
        /// An active goal without a change for a day and without another item.
        StalledGoal => "stalled_goal",
        /// A task that its agents released five times in a row or more, without progress or because a provider limits
        /// their rate.
        ReleasedTask => "released_task",
        /// Rows of the journal that have not been sealed for a minute.
        UnsealedJournal => "unsealed_journal",
        /// A goal that failed in the last 30 days, was not retried, and was not acknowledged.
        FailedGoal => "failed_goal",
        /// A task of an active goal that failed for good, was not retried, and was not acknowledged.
        FailedTask => "failed_task",
        /// A model without a price that tasks wait for.
        UnpricedModel => "unpriced_model",
        /// A verifying goal with a criterion that no task checks or reworks any further.
        UnverifiedGoal => "unverified_goal",
        /// A planning goal whose planners have all failed.
        UnplannedGoal => "unplanned_goal",
        /// A task that its agents found too large, and that waits to be divided.
        OversizedTask => "oversized_task",
        /// A schedule that paused because the key that posts its goals ended, or because they were refused.
        PausedSchedule => "paused_schedule",
        /// A lesson with orders in it, or that agents of two owners found harmful: kept away from agents.
        QuarantinedLesson => "quarantined_lesson",
    }
}

/// Time without a change after which an active goal is stalled.
pub const STALLED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Time for which a failed goal is listed. Goals of CI fail every day, and nobody retries the old ones.
pub const FAILED_SHOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most tasks counted per item; beyond it the count stops.
pub const COUNTED: i64 = 1_000;

/// The head start of a risk: the waiting time it outranks.
#[must_use]
pub const fn head_start(risk: Risk) -> Duration {
    const HOUR: u64 = 3600;
    match risk {
        Risk::Low => Duration::ZERO,
        Risk::Medium => Duration::from_secs(4 * HOUR),
        Risk::High => Duration::from_secs(24 * HOUR),
        Risk::Critical => Duration::from_secs(7 * 24 * HOUR),
    }
}

/// The sort key: `since`, moved back by the head start of the risk. Smaller comes first.
#[must_use]
pub fn rank(since: DateTime<Utc>, risk: Risk) -> DateTime<Utc> {
    since - head_start(risk)
}

/// The risk of a quarantined task: the task may itself break its agents.
pub const QUARANTINE_RISK: Risk = Risk::High;
/// The risk of failed work: it is not done, and does no harm.
pub const FAILED_RISK: Risk = Risk::Medium;
/// The risk of a task that is released again and again: it is only late.
pub const RELEASED_RISK: Risk = Risk::Medium;
/// The risk of an unsealed journal: nothing protects its newest rows.
pub const UNSEALED_RISK: Risk = Risk::High;
/// Age of an unsealed row at which people are told. Sealing takes a second.
pub const UNSEALED_AFTER: Duration = Duration::from_secs(60);
/// The risk of a model without a price: its tasks are only late.
pub const UNPRICED_RISK: Risk = Risk::Medium;
/// The risk of a task that is too large: it is only late.
pub const OVERSIZED_RISK: Risk = Risk::Medium;
/// The risk of a schedule that paused by itself: its goals are not posted.
pub const PAUSED_RISK: Risk = Risk::Medium;
/// The risk of unclaimable tasks: they are only late.
pub const UNCLAIMABLE_RISK: Risk = Risk::Medium;
/// The risk of a freeze: an operator set it on purpose; the item is a reminder.
pub const FREEZE_RISK: Risk = Risk::Low;

/// The risk of an exhausted limit. A lifetime limit is high: it never renews, only a person raises it.
#[must_use]
pub const fn limit_risk(period: Period) -> Risk {
    match period {
        Period::Lifetime => Risk::High,
        Period::Day | Period::Week | Period::Month => Risk::Medium,
    }
}

/// The risk of a stalled, unverified or unplanned goal: high once its deadline has passed.
#[must_use]
pub fn stalled_risk(deadline: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Risk {
    if deadline.is_some_and(|deadline| deadline <= now) { Risk::High } else { Risk::Medium }
}

/// The end of the year 9999.
const FAR: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(far) => far,
    None => DateTime::UNIX_EPOCH,
};

/// A position in the list: items are sorted by `rank`, then `kind`, then `id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// See [`rank`].
    pub rank: DateTime<Utc>,
    /// Orders items of equal rank.
    pub kind: AttentionKind,
    /// The subject of the item; orders items of equal rank and kind.
    pub id: Uuid,
}

impl Place {
    /// The (rank, id) after which the items of one `kind` continue behind this position.
    ///
    /// The rank is clamped to 1970..=9999, because it comes from a client's cursor and goes to the
    /// database.
    #[must_use]
    pub fn within(self, kind: AttentionKind) -> (DateTime<Utc>, Uuid) {
        let id = match kind.cmp(&self.kind) {
            std::cmp::Ordering::Less => Uuid::max(),
            std::cmp::Ordering::Equal => self.id,
            std::cmp::Ordering::Greater => Uuid::nil(),
        };
        (self.rank.clamp(DateTime::UNIX_EPOCH, FAR), id)
    }
}

/// Every risk with its head start in seconds, as two arrays for `unnest`.
#[must_use]
pub fn head_starts() -> (Vec<&'static str>, Vec<i64>) {
    let start = |risk: &Risk| {
        (risk.as_str(), i64::try_from(head_start(*risk).as_secs()).unwrap_or(i64::MAX))
    };
    Risk::ALL.iter().map(start).unzip()
}

/// The earliest last contact of an agent that counts as available. Registering or editing an agent
/// counts as a contact: its operator gets the same time to start it.
#[must_use]
pub fn counted_on_since(now: DateTime<Utc>) -> DateTime<Utc> {
    now - settings::LOST_AFTER
}

/// Why a capable agent does not claim a task, from the easiest to remove to the hardest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hindrance {
    /// Live and active, but under a freeze.
    Frozen,
    /// Live, but paused or draining.
    Paused,
    /// Active, but lost.
    Lost,
    /// Lost, and paused or draining.
    PausedAndLost,
}

/// Why a capable agent does not claim. `None` if it is available, or retired and not expected to.
#[must_use]
pub const fn hindrance(state: AgentState, heard: bool, frozen: bool) -> Option<Hindrance> {
    match (state, heard, frozen) {
        (AgentState::Retired, _, _) | (AgentState::Active, true, false) => None,
        (AgentState::Active, true, true) => Some(Hindrance::Frozen),
        (AgentState::Active, false, _) => Some(Hindrance::Lost),
        (AgentState::Paused | AgentState::Draining, true, _) => Some(Hindrance::Paused),
        (AgentState::Paused | AgentState::Draining, false, _) => Some(Hindrance::PausedAndLost),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minutes: u32) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + u64::from(minutes) * 60)
    }

    fn risks() -> impl Strategy<Value = Risk> {
        prop::sample::select(Risk::ALL)
    }

    fn places() -> impl Strategy<Value = Place> {
        let kinds = prop::sample::select(AttentionKind::ALL);
        (0u32..4, risks(), kinds, 1u128..5).prop_map(|(minutes, risk, kind, id)| Place {
            rank: rank(at(minutes), risk),
            kind,
            id: Uuid::from_u128(id),
        })
    }

    proptest! {
        #[test]
        fn of_equal_risk_the_older_and_of_equal_age_the_riskier_is_first(
            a in (0u32..20_000, risks()), b in (0u32..20_000, risks()),
        ) {
            let (first, second) = (rank(at(a.0), a.1), rank(at(b.0), b.1));
            if a.1 == b.1 {
                prop_assert_eq!(first.cmp(&second), a.0.cmp(&b.0));
            }
            if a.0 == b.0 {
                prop_assert_eq!(first.cmp(&second), b.1.cmp(&a.1));
            }
            // An older item with at least the same risk comes first.
            if a.0 <= b.0 && a.1 >= b.1 {
                prop_assert!(first <= second);
            }
        }

        #[test]
        fn nothing_is_passed_over_for_longer_than_the_largest_head_start(
            since in 0u32..20_000, later in 0u32..20_000, risk in risks(),
        ) {
            let longest = head_start(Risk::Critical).as_secs() / 60;
            if u64::from(since) + longest < u64::from(later) {
                prop_assert!(rank(at(since), Risk::Low) < rank(at(later), risk));
            }
        }

        #[test]
        fn the_order_does_not_depend_on_the_moment(
            a in (0u32..20_000, risks()), b in (0u32..20_000, risks()), now in 20_000u32..40_000,
        ) {
            // The rank by its definition at that moment: time waited plus head start.
            let seen = |(since, risk): (u32, Risk)| {
                (now - since) as u64 * 60 + head_start(risk).as_secs()
            };
            prop_assert_eq!(rank(at(a.0), a.1).cmp(&rank(at(b.0), b.1)), seen(b).cmp(&seen(a)));
        }

        /// Any position splits the items of each kind into two parts without a gap.
        #[test]
        fn what_goes_on_after_a_place_is_what_is_after_it(cut in places(), item in places()) {
            let (rank, id) = cut.within(item.kind);
            prop_assert_eq!((item.rank, item.id) > (rank, id), item > cut);
        }
    }

    #[test]
    fn a_rank_from_outside_is_one_that_the_database_knows() {
        let place = |rank| Place { rank, kind: AttentionKind::Freeze, id: Uuid::nil() };
        let (rank, _) = place(DateTime::<Utc>::MIN_UTC).within(AttentionKind::Approval);
        assert_eq!(rank, DateTime::UNIX_EPOCH);
        let (rank, _) = place(DateTime::<Utc>::MAX_UTC).within(AttentionKind::Approval);
        assert_eq!(rank.to_rfc3339(), "9999-12-31T23:59:59+00:00");
    }

    #[test]
    fn an_agent_that_can_be_counted_on_has_no_hindrance() {
        for state in AgentState::ALL {
            for (heard, frozen) in [(true, true), (true, false), (false, true), (false, false)] {
                let found = hindrance(*state, heard, frozen);
                let good = *state == AgentState::Active && heard && !frozen;
                assert_eq!(found.is_none(), good || *state == AgentState::Retired, "{state}");
            }
        }
    }
}
