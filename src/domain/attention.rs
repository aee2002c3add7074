//! Attention: in which order what waits for people is put before them.
//!
//! Oldest and riskiest first is one order: every risk is worth a head start, and what has waited
//! longest with it comes first. So something critical is on top of all that has waited for less than
//! a week longer, and nothing is passed over for ever, because everything ages alike. For the same
//! reason the order is the same at every moment: it is that of one instant, [`rank`], and a page can
//! begin where another ended.

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
    /// What waits for a person. Readers must ignore kinds they do not know: later versions add some.
    pub enum AttentionKind {
        /// A question, or what may not go on without a yes.
        Approval => "approval",
        /// A task that failed because its agents fell silent three times in a row.
        QuarantinedTask => "quarantined_task",
        /// Ready tasks that no live agent is able to do: one item for each set of capabilities.
        UnclaimableTask => "unclaimable_task",
        /// A limit for which tasks wait, and that will not have room by itself when what runs ends.
        ExhaustedBudget => "exhausted_budget",
        /// A freeze under which tasks wait.
        Freeze => "freeze",
        /// An active goal in which nothing has changed for a day, without any of the other reasons.
        StalledGoal => "stalled_goal",
    }
}

/// How long nothing changes in a goal before it is stalled.
pub const STALLED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How far things are counted that wait behind an item.
pub const COUNTED: i64 = 1_000;

/// How much waiting a risk is worth.
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

/// The place in the order: the instant since when it waits, moved back by the head start of its risk.
#[must_use]
pub fn rank(since: DateTime<Utc>, risk: Risk) -> DateTime<Utc> {
    since - head_start(risk)
}

/// The risk of a task in quarantine: something about it may be harmful, and it did not end well.
pub const QUARANTINE_RISK: Risk = Risk::High;
/// The risk of tasks that no agent can do: they are late, and nothing else.
pub const UNCLAIMABLE_RISK: Risk = Risk::Medium;
/// The risk of a freeze: somebody wanted it, and is reminded.
pub const FREEZE_RISK: Risk = Risk::Low;

/// The risk of a limit that is used up: that of a lifetime only a person brings back.
#[must_use]
pub const fn limit_risk(period: Period) -> Risk {
    match period {
        Period::Lifetime => Risk::High,
        Period::Day | Period::Week | Period::Month => Risk::Medium,
    }
}

/// The risk of a goal in which nothing changes: higher when it should be finished by now.
#[must_use]
pub fn stalled_risk(deadline: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Risk {
    if deadline.is_some_and(|deadline| deadline <= now) { Risk::High } else { Risk::Medium }
}

/// The end of the year 9999.
const FAR: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(far) => far,
    None => DateTime::UNIX_EPOCH,
};

/// A place in the list: that of an item, or between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// See [`rank`].
    pub rank: DateTime<Utc>,
    /// Of equal rank, in the order of the kinds.
    pub kind: AttentionKind,
    /// Then by what it is about.
    pub id: Uuid,
}

impl Place {
    /// Where the items of one kind go on that come after this place: after this rank and id.
    ///
    /// The rank comes back from outside as it likes, and goes to the database: nothing waits since
    /// before 1970, or after the year 9999.
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

/// Every risk with its head start in seconds, for the database.
#[must_use]
pub fn head_starts() -> (Vec<&'static str>, Vec<i64>) {
    let start = |risk: &Risk| {
        (risk.as_str(), i64::try_from(head_start(*risk).as_secs()).unwrap_or(i64::MAX))
    };
    Risk::ALL.iter().map(start).unzip()
}

/// Since when an agent must have been heard of to be counted on. An agent that was registered or
/// edited counts as heard of: whoever did that is given the same time to start it.
#[must_use]
pub fn counted_on_since(now: DateTime<Utc>) -> DateTime<Utc> {
    now - settings::LOST_AFTER
}

/// Why an agent that is able to do a task does not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hindrance {
    /// It is heard of and active, but frozen.
    Frozen,
    /// It is heard of, but an operator has paused or is draining it.
    Paused,
    /// It is active, but was not heard of for a while.
    Lost,
    /// It is neither heard of nor active.
    PausedAndLost,
}

/// Why an agent does not take what it is able to do; nothing when it can be counted on, or when it is
/// out of service and nobody counts on it. Of several, the least is the nearest to being overcome.
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
            // Older and at least as risky is never behind.
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
            // As somebody would see it at that moment: time waited, and a head start.
            let seen = |(since, risk): (u32, Risk)| {
                (now - since) as u64 * 60 + head_start(risk).as_secs()
            };
            prop_assert_eq!(rank(at(a.0), a.1).cmp(&rank(at(b.0), b.1)), seen(b).cmp(&seen(a)));
        }

        /// However a list is cut, each of its items is on exactly one side for its own kind.
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
