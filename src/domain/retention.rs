//! Retention: how long ended goals and the journal stay, and what keeps an ended goal longer.

use std::ops::RangeInclusive;

use chrono::{DateTime, Days, NaiveTime, Utc};

use super::{
    refusal::{Code, Refusal},
    states::GoalState,
    words::words,
};

/// Retention that a workspace may set, in days. Less than a day is refused: forecasts look back a day.
pub const RETENTION_DAYS: RangeInclusive<i32> = 1..=36_500;

words! {
    /// Why an ended goal stays although its retention is over.
    pub enum PruningHold {
        /// A task of it has not ended: its agent was asked to stop.
        OpenTask => "open_task",
        /// An approval of it waits for a person.
        PendingApproval => "pending_approval",
        /// A freeze of the goal or of one of its tasks is in force.
        Freeze => "freeze",
        /// An allocation of its budget is not settled.
        OpenAllocation => "open_allocation",
        /// An intervention of a rule is open on it.
        OpenIntervention => "open_intervention",
        /// An attempt of it ended, or reported spend, within the last 25 hours.
        RecentAttempt => "recent_attempt",
    }
}

/// Refuses to delete a goal that has not ended, or that something alive refers to.
///
/// # Errors
/// `wrong_state`.
pub fn delete(state: GoalState, hold: Option<PruningHold>) -> Result<(), Refusal> {
    let refuse = |detail: String| Err(Refusal::new(Code::WrongState, detail));
    if !state.is_terminal() {
        return refuse(format!(
            "the goal is {state}; only a goal that has ended is deleted: cancel it first"
        ));
    }
    let why = match hold {
        None => return Ok(()),
        Some(PruningHold::OpenTask) => {
            "an agent was asked to stop and has a minute: try again then"
        }
        Some(PruningHold::PendingApproval) => {
            "an approval of it waits for a person: decide it first"
        }
        Some(PruningHold::Freeze) => "a freeze of it or of its tasks is in force: lift it first",
        Some(PruningHold::OpenAllocation) => {
            "the allocation of its budget is not settled: try again soon"
        }
        Some(PruningHold::OpenIntervention) => {
            "an intervention of a rule is open on it: close that first"
        }
        Some(PruningHold::RecentAttempt) => "an attempt of it is not settled: try again soon",
    };
    refuse(format!("the goal has ended, but {why}"))
}

/// The instant before which things are due after `days`; `None` if there is none.
#[must_use]
pub fn due_before(now: DateTime<Utc>, days: i32) -> Option<DateTime<Utc>> {
    now.checked_sub_days(Days::new(days.unsigned_abs().into()))
}

/// The same at the beginning of its day in UTC. The journal is pruned once a day: each pruning adds a row.
#[must_use]
pub fn due_before_day(now: DateTime<Utc>, days: i32) -> Option<DateTime<Utc>> {
    due_before(now, days).map(|at| at.date_naive().and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::words::Words as _;

    #[test]
    fn only_what_has_ended_and_is_not_held_is_deleted() {
        for state in GoalState::ALL {
            assert_eq!(delete(*state, None).is_ok(), state.is_terminal());
            for hold in PruningHold::ALL {
                assert!(delete(*state, Some(*hold)).is_err(), "{state} {hold}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_younger_than_its_retention_is_due(
            seconds in 0_i64..4_000_000_000,
            days in RETENTION_DAYS,
        ) {
            let now = DateTime::from_timestamp(seconds, 0).unwrap();
            let exact = due_before(now, days).unwrap();
            prop_assert_eq!((now - exact).num_days(), i64::from(days));
            let day = due_before_day(now, days).unwrap();
            prop_assert!(day <= exact && (exact - day).num_hours() < 24);
        }
    }
}
