//! Arrivals that are fixed in advance.
//!
//! A client that sends only after an answer slows down together with the service, and so measures
//! the good moments only. In an open loop the arrivals are fixed, and latency counts from them
//! whether or not a connection was free at that time.

use std::time::Duration;

use crate::entropy::Entropy;

/// Arrivals of independent agents: `rate` per second on average, for `length`, with exponential
/// gaps. The same `seed` gives the same arrivals.
pub fn random(rate: f64, length: Duration, seed: u64) -> Vec<Duration> {
    let chance = Entropy::seeded(seed);
    let mut arrivals = Vec::new();
    if rate <= 0.0 {
        return arrivals;
    }
    let mut at = 0.0;
    loop {
        // The logarithm of zero is infinite.
        at -= (1.0 - chance.jitter()).max(f64::MIN_POSITIVE).ln() / rate;
        if at >= length.as_secs_f64() {
            return arrivals;
        }
        arrivals.push(Duration::from_secs_f64(at));
    }
}

/// Evenly spread arrivals of `count` things, each once per `period`, for `length`: the time and the
/// index of the thing.
pub fn even(count: usize, period: Duration, length: Duration) -> Vec<(Duration, usize)> {
    let gap = period.as_secs_f64() / count.max(1) as f64;
    let total = if count == 0 { 0 } else { (length.as_secs_f64() / gap).floor() as usize };
    (0..total)
        .map(|number| (Duration::from_secs_f64(number as f64 * gap), number % count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_arrivals_have_the_rate_and_are_in_order() {
        let length = Duration::from_secs(10);
        let arrivals = random(1000.0, length, 7);
        assert!((9_000..11_000).contains(&arrivals.len()), "{}", arrivals.len());
        assert!(arrivals.is_sorted());
        assert!(arrivals.last().is_some_and(|last| *last < length));
        assert_eq!(arrivals, random(1000.0, length, 7), "a seed repeats");
        assert_ne!(arrivals, random(1000.0, length, 8));
        // Exponential gaps: about 37 % of them are longer than the mean.
        let long = arrivals.windows(2).filter(|w| w[1] - w[0] > Duration::from_millis(1)).count();
        assert!((3_300..4_100).contains(&(long * 10_000 / arrivals.len())), "{long}");
        assert!(random(0.0, length, 7).is_empty());
    }

    #[test]
    fn even_arrivals_repeat_each_thing_once_per_period() {
        let second = Duration::from_secs(1);
        let arrivals = even(4, second, 2 * second);
        assert_eq!(arrivals.len(), 8);
        assert_eq!(arrivals[1], (Duration::from_millis(250), 1));
        assert_eq!(arrivals[5], (Duration::from_millis(1250), 1));
        assert!(even(0, second, second).is_empty());
    }
}
