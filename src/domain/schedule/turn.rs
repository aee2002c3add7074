//! The next turn of a schedule whose due time has come: what was missed, what is fired, and when it is due next.
//!
//! A server that was away finds many due times at once. Those within the catch-up window are fired one by one,
//! the oldest first, at most [`AT_ONCE`] of them: the latest ones. The others are missed. They are counted, and a
//! long list of them is one fire.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::recurrence::Recurrence;

/// Most due times that are fired late; older ones are missed.
pub const AT_ONCE: usize = 100;
/// Most missed due times that one turn counts. A server that was away for years says "at least so many".
const COUNTED: u64 = 10_000;
/// A fire within this time is not late: servers look for due times once in a while.
pub const PUNCTUAL: TimeDelta = TimeDelta::seconds(60);

/// Due times that passed without a fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Their number, at most 10,000.
    pub count: u64,
    /// The last of them.
    pub last: DateTime<Utc>,
}

/// A turn of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// What was missed before the due time.
    pub missed: Option<Missed>,
    /// The due time that is fired now.
    pub due: Option<DateTime<Utc>>,
    /// The due time after it; `None`: there is none.
    pub next: Option<DateTime<Utc>>,
}

/// The turn at `now` of a recurrence that is due at `next`.
#[must_use]
pub fn turn(
    recurrence: &Recurrence,
    next: DateTime<Utc>,
    now: DateTime<Utc>,
    catch_up: TimeDelta,
) -> Turn {
    let oldest = now.checked_sub_signed(catch_up.max(PUNCTUAL)).unwrap_or(next);
    let mut missed: Option<Missed> = None;
    let mut miss = |last| {
        let count = missed.map_or(0, |missed: Missed| missed.count) + 1;
        missed = Some(Missed { count, last });
        count
    };
    let mut at = Some(next);
    while let Some(due) = at.filter(|due| *due < oldest) {
        at = match miss(due) {
            COUNTED.. => recurrence.next((oldest - TimeDelta::nanoseconds(1)).max(due)),
            _ => recurrence.next(due),
        };
    }
    let mut window = VecDeque::new();
    while let Some(due) = at.filter(|due| *due <= now) {
        window.push_back(due);
        if window.len() > AT_ONCE
            && let Some(first) = window.pop_front()
        {
            miss(first);
        }
        at = recurrence.next(due);
    }
    let due = window.pop_front();
    Turn { missed, due, next: window.front().copied().or(at) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::schedule::recurrence::{Bounds, Pattern};

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn every(minutes: u32) -> Recurrence {
        let pattern = Pattern::parse(&format!("*/{minutes} * * * *")).unwrap();
        Recurrence { pattern, zone: chrono_tz::UTC, bounds: Bounds::default() }
    }

    #[test]
    fn what_is_due_on_time_is_fired() {
        let on_time = turn(&every(5), at(5), at(5), TimeDelta::zero());
        assert_eq!(on_time, Turn { missed: None, due: Some(at(5)), next: Some(at(10)) });
        let late = turn(&every(5), at(5), at(7), TimeDelta::zero());
        let missed = Some(Missed { count: 1, last: at(5) });
        assert_eq!(late, Turn { missed, due: None, next: Some(at(10)) });
        let caught_up = turn(&every(5), at(5), at(7), TimeDelta::minutes(2));
        assert_eq!(caught_up, Turn { missed: None, due: Some(at(5)), next: Some(at(10)) });
    }

    #[test]
    fn of_a_long_absence_only_so_many_are_fired_and_counted() {
        let week = TimeDelta::days(7);
        let many = turn(&every(1), at(1), at(1_000), week);
        let missed = Some(Missed { count: 900, last: at(900) });
        assert_eq!(many, Turn { missed, due: Some(at(901)), next: Some(at(902)) });
        let years = turn(&every(1), at(1), at(3_000_000), TimeDelta::minutes(10));
        assert_eq!(years.missed.map(|missed| missed.count), Some(COUNTED));
        assert_eq!((years.due, years.next), (Some(at(2_999_990)), Some(at(2_999_991))));
    }

    proptest! {
        /// Turn by turn until nothing is due: every due time is fired or missed, once.
        #[test]
        fn each_due_time_is_fired_or_missed(
            step in 1u32..60, from in 0i64..500, away in 0i64..2_000, window in 0i64..3_000,
        ) {
            let recurrence = every(step);
            let (catch_up, start) = (TimeDelta::minutes(window), at(from));
            let now = start + TimeDelta::minutes(away);
            let mut next = recurrence.next(start);
            let (mut fired, mut missed) = (Vec::new(), 0);
            while let Some(due) = next.filter(|due| *due <= now) {
                let turn = turn(&recurrence, due, now, catch_up);
                missed += turn.missed.map_or(0, |missed| missed.count);
                fired.extend(turn.due);
                prop_assert!(turn.next.is_none_or(|next| next > due));
                next = turn.next;
            }
            let all: Vec<_> = std::iter::successors(recurrence.next(start), |due| recurrence.next(*due))
                .take_while(|due| *due <= now)
                .collect();
            prop_assert_eq!(fired.len() as u64 + missed, all.len() as u64);
            prop_assert_eq!(&fired[..], &all[all.len() - fired.len()..]);
            let in_window = all.iter().filter(|due| now - **due <= catch_up.max(PUNCTUAL)).count();
            prop_assert_eq!(fired.len(), in_window.min(AT_ONCE));
        }
    }
}
