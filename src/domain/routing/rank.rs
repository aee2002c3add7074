//! The order of the tasks of a goal: priority with ageing, least slack, longest rest of the plan.

use chrono::{DateTime, TimeDelta, Utc};

use super::policy::Policy;
use crate::domain::settings;

/// What the place of a task in the order of its goal follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Since when it is ready.
    pub since: DateTime<Utc>,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// Its upward rank in milliseconds.
    pub upward_ms: i64,
    /// When it should be done: the deadline of its goal or its own, whichever is earlier.
    pub due: Option<DateTime<Utc>>,
}

/// Weight of a millisecond of upward rank, and of one that is missing to a day of slack, in milliseconds of waiting.
///
/// A greater one brings little: of 3,500 schedules of random graphs 94.5 % take no longer than first in, first out
/// with 1, 97.3 % with 3, 98.9 % with 10 and 99.4 % with 100. But a point of priority, which somebody chose, then outranks
/// the less of a path: 100 seconds with 3, and 3 with 100.
const LOOK_AHEAD: i64 = 3;
/// From this slack to the deadline on, a task comes earlier the less of it is left.
const SLACK_MS: i64 = 24 * 3_600_000;
/// The most that a deadline counts, in milliseconds before [`LOOK_AHEAD`].
const MOST_URGENCY_MS: i64 = 30 * 24 * 3_600_000;

/// The sort key of claims inside a goal; smaller comes first.
///
/// One point of priority outranks five minutes of waiting. Unless the routing is `fifo`, a second of upward rank
/// outranks three seconds of waiting, and so does a second that is missing to a day of slack until the deadline. All
/// tasks age alike, so the order of two tasks never changes by itself and a stored index can serve it. A task that
/// waits long enough precedes every newer one: none starves.
///
/// The function `claim_rank_of` of the database is the same rule.
#[must_use]
pub fn rank(place: &Place, routing: Policy) -> DateTime<Utc> {
    let step = settings::PRIORITY_STEP.as_millis() as i64;
    let mut ahead = step * i64::from(place.priority.unsigned_abs());
    if routing.looks_ahead() {
        let missing = |due: DateTime<Utc>| {
            let left = (due - place.since)
                .num_microseconds()
                .map_or(i64::MAX, |left| left.div_euclid(1000));
            (SLACK_MS + place.upward_ms).saturating_sub(left).clamp(0, MOST_URGENCY_MS)
        };
        ahead += LOOK_AHEAD * (place.upward_ms + place.due.map_or(0, missing));
    }
    place.since - TimeDelta::milliseconds(ahead)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(since: DateTime<Utc>, priority: i16) -> Place {
        Place { since, priority, upward_ms: 60_000, due: None }
    }

    const EVERY: [Policy; 2] = [Policy::Fifo, Policy::Balanced];

    #[test]
    fn a_low_priority_that_waited_comes_before_a_new_high_one() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let old = now - settings::PRIORITY_STEP * 10;
        for routing in EVERY {
            let rank = |since, priority| rank(&place(since, priority), routing);
            assert!(rank(old, 0) < rank(now, 9));
            assert!(rank(now, 9) < rank(now, 8));
            assert!(rank(now, 5) < rank(now + TimeDelta::milliseconds(1), 5));
        }
    }

    #[test]
    fn the_longest_rest_goes_first() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let long = Place { upward_ms: 160_000, ..place(now, 5) };
        let earlier = |seconds| place(now - TimeDelta::seconds(seconds), 5);
        assert!(rank(&long, Policy::Balanced) < rank(&earlier(299), Policy::Balanced));
        assert!(rank(&long, Policy::Balanced) > rank(&earlier(301), Policy::Balanced));
        // So does one point of priority, for 100 seconds of path.
        assert!(rank(&long, Policy::Balanced) == rank(&place(now, 6), Policy::Balanced));
        assert!(rank(&long, Policy::Fifo) > rank(&earlier(1), Policy::Fifo));
    }

    #[test]
    fn the_least_slack_goes_first() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let due = |hours| Place { due: Some(now + TimeDelta::hours(hours)), ..place(now, 5) };
        let rank = |place: Place| rank(&place, Policy::Balanced);
        assert!(rank(due(-1)) < rank(due(1)));
        assert!(rank(due(1)) < rank(due(2)));
        assert!(rank(due(23)) < rank(place(now, 5)));
        assert_eq!(rank(due(25)), rank(place(now, 5)));
    }

    proptest! {
        /// All tasks age alike, and what makes a task more urgent never puts it behind.
        #[test]
        fn ranks_keep_their_order(
            since in 0i64..4_000_000_000_000, priority in 0i16..9, upward_ms in 0i64..2_592_000_000,
            due in prop::option::of(0i64..8_000_000_000_000), later in 0i64..4_000_000_000,
        ) {
            let at = |ms| DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms);
            let place = Place { since: at(since), priority, upward_ms, due: due.map(at) };
            for routing in EVERY {
                let here = rank(&place, routing);
                let higher = rank(&Place { priority: priority + 1, ..place }, routing);
                let shorter = rank(&Place { upward_ms: upward_ms / 2, ..place }, routing);
                let undated = rank(&Place { due: None, ..place }, routing);
                prop_assert!(higher < here && shorter >= here && undated >= here);
                if due.is_none() {
                    let newer = rank(&Place { since: at(since + later), ..place }, routing);
                    prop_assert_eq!(newer - here, TimeDelta::milliseconds(later));
                }
            }
        }
    }
}
