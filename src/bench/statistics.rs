//! Medians, ratios and percentiles.
//!
//! A round is one value, because the cycles within a round are not independent. Compared rounds
//! alternate, and a ratio is taken within each pair of rounds before the median: slow changes of the
//! machine then affect both sides alike.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest recorded latency, in microseconds: two minutes.
const LONGEST: u64 = 120_000_000;

/// The values of several rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// The middle value; of an even number the mean of the middle two.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// All values, in the order of the rounds.
    pub rounds: Vec<f64>,
}

impl Spread {
    /// The spread of the values of rounds; zero if there are none.
    pub fn of(rounds: Vec<f64>) -> Self {
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.as_slice() {
            [] => 0.0,
            sorted if sorted.len() % 2 == 1 => sorted[middle],
            sorted => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        let min = sorted.first().copied().unwrap_or_default();
        let max = sorted.last().copied().unwrap_or_default();
        Self { median, min, max, rounds }
    }

    /// The spread of `mine / theirs`, round by round. A pair with a zero divisor is left out.
    pub fn ratio(mine: &[f64], theirs: &[f64]) -> Self {
        let pairs = mine.iter().zip(theirs).filter(|(_, divisor)| **divisor > 0.0);
        Self::of(pairs.map(|(mine, theirs)| mine / theirs).collect())
    }

    /// The spread of the loss of `with` against `without`, in percent, round by round.
    pub fn cost_percent(with: &[f64], without: &[f64]) -> Self {
        let kept = Self::ratio(with, without);
        Self::of(kept.rounds.into_iter().map(|kept| (1.0 - kept) * 100.0).collect())
    }
}

/// A histogram of latencies in microseconds, to three digits.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // It refuses senseless bounds, and these are constants.
        #[allow(clippy::expect_used)]
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds make sense"))
    }
}

impl Latencies {
    /// Records one latency; one above [`LONGEST`] is recorded as that.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST));
    }

    /// Records the time since `from`.
    pub fn record_since(&mut self, from: Instant) {
        self.record(from.elapsed());
    }

    /// Count and percentiles.
    pub fn summary(&self) -> Summary {
        let at = |quantile: f64| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        Summary {
            count: self.0.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: self.0.max() as f64 / 1000.0,
        }
    }
}

/// Percentiles of latencies, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Number of latencies.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Longest.
    pub max_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_spread_around_it() {
        let odd = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((odd.median, odd.min, odd.max), (2.0, 1.0, 3.0));
        assert_eq!(odd.rounds, [3.0, 1.0, 2.0], "in the order of the rounds");
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of(Vec::new()).median, 0.0);
    }

    #[test]
    fn a_ratio_is_taken_within_each_pair() {
        // The machine was half as fast in the second round: the ratio does not show it.
        let ratio = Spread::ratio(&[20.0, 10.0, 22.0], &[10.0, 5.0, 10.0]);
        assert_eq!(ratio.rounds, [2.0, 2.0, 2.2]);
        assert_eq!(ratio.median, 2.0);
        assert_eq!(Spread::ratio(&[1.0, 4.0], &[0.0, 2.0]).rounds, [2.0]);
    }

    #[test]
    fn a_cost_is_the_lost_part() {
        let cost = Spread::cost_percent(&[90.0, 110.0], &[100.0, 100.0]);
        assert!((cost.rounds[0] - 10.0).abs() < 1e-9 && (cost.rounds[1] + 10.0).abs() < 1e-9);
    }

    #[test]
    fn latencies_are_summed_up_in_milliseconds() {
        let mut latencies = Latencies::default();
        for millis in 1..=100 {
            latencies.record(Duration::from_millis(millis));
        }
        let summary = latencies.summary();
        assert_eq!(summary.count, 100);
        assert!((summary.p50_ms - 50.0).abs() < 0.1, "{summary:?}");
        assert!((summary.p99_ms - 99.0).abs() < 0.1, "{summary:?}");
        latencies.record(Duration::from_secs(3600));
        assert!(latencies.summary().max_ms >= 119_000.0);
    }
}
