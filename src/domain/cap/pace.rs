//! The pace of refusals: who goes on asking after a refusal waits longer for the next one.
//!
//! A refusal costs little, but not nothing, and a client that repeats a refused request at once can send
//! thousands a second. So a caller gets [`AT_ONCE`] refusals immediately, and from then on one each
//! [`EVERY`]: the answer is held back until its turn, at most [`LONGEST`]. Those that would wait longer are
//! spread over the second half of that time, or thousands of clients would come back together. A client that
//! waits as `Retry-After` says meets no delay.
//!
//! This is the generic cell rate algorithm (ITU-T I.371) as a shaper: it delays instead of dropping.

use std::time::Duration;

/// Refusals that are answered immediately after a quiet time.
pub const AT_ONCE: u32 = 50;
/// Time between two refusals after these.
pub const EVERY: Duration = Duration::from_millis(100);
/// The longest delay of one answer.
pub const LONGEST: Duration = Duration::from_secs(30);

/// The golden ratio's fraction, in parts of 2^32.
const GOLDEN: u32 = 2_654_435_769;

/// The pace of one caller. Time is a duration since any fixed moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// When all counted refusals are paid off.
    paid: Duration,
    /// Number of answers beyond the longest delay, which spreads them.
    beyond: u32,
}

impl Pace {
    /// Counts a refusal. Returns how long its answer is held back.
    #[must_use]
    pub fn refuse(&mut self, now: Duration) -> Duration {
        let slack = EVERY * AT_ONCE;
        let paid = self.paid.max(now) + EVERY;
        let most = now + slack + LONGEST;
        if paid <= most {
            self.paid = paid;
            return (paid - now).saturating_sub(slack);
        }
        // A caller owes no more than the longest delay, however much it sends.
        self.paid = most;
        self.beyond = self.beyond.wrapping_add(1);
        // Multiples of the golden ratio are evenly spread, however many there are.
        let part = f64::from(self.beyond.wrapping_mul(GOLDEN)) / f64::from(u32::MAX);
        LONGEST.mul_f64(0.5 + part / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_are_answered_at_once_and_the_others_in_turn() {
        let mut pace = Pace::default();
        let now = Duration::from_secs(7);
        for _ in 0..AT_ONCE {
            assert_eq!(pace.refuse(now), Duration::ZERO);
        }
        let turns = u32::try_from(LONGEST.as_millis() / EVERY.as_millis()).unwrap();
        for turn in 1..=turns {
            assert_eq!(pace.refuse(now), EVERY * turn);
        }
        let mut beyond: Vec<Duration> = (0..100).map(|_| pace.refuse(now)).collect();
        beyond.sort_unstable();
        assert!(beyond[0] >= LONGEST / 2 && beyond[99] <= LONGEST);
        let gaps = beyond.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max() < Some(LONGEST / 50), "{beyond:?}");
        let later = now + LONGEST + EVERY * AT_ONCE;
        assert_eq!(pace.refuse(later), Duration::ZERO);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Who sends one request on each of `callers` connections, and the next after its answer and a
        /// short pause, gets no more answers than the rate, those at once, and one per connection for
        /// each longest delay.
        #[test]
        fn persistence_gains_nothing(callers in 1_usize..300, pause in 100_u64..500) {
            let (mut pace, until) = (Pace::default(), Duration::from_secs(25));
            let mut due = vec![Duration::ZERO; callers];
            let mut answers = 0;
            loop {
                let next = (0..callers).min_by_key(|n| due[*n]).unwrap_or_default();
                let now = due[next];
                if now > until {
                    break;
                }
                let held = pace.refuse(now);
                prop_assert!(held <= LONGEST);
                answers += 1;
                due[next] = now + held + Duration::from_millis(pause);
            }
            let turns = until.as_millis() / EVERY.as_millis();
            let rounds = 2 * until.as_millis() / LONGEST.as_millis() + 2;
            let most = u128::from(AT_ONCE) + turns + rounds * callers as u128;
            prop_assert!(answers <= most, "{answers} of at most {most}");
        }

        /// Less than the rate is never delayed.
        #[test]
        fn a_patient_client_waits_for_nothing(gaps in prop::collection::vec(100_u64..5_000, 1..200)) {
            let (mut pace, mut now) = (Pace::default(), Duration::ZERO);
            for gap in gaps {
                now += Duration::from_millis(gap);
                prop_assert_eq!(pace.refuse(now), Duration::ZERO);
            }
        }
    }
}
