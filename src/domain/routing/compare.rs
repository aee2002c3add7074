//! Shares, means and differences with their intervals, for the report on routing.

use serde::{Deserialize, Serialize};

/// 95 % of a normal distribution lie within so many deviations.
const Z: f64 = 1.959_964;

/// A number with the interval in which it lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Interval {
    /// The number itself.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A share, by the interval of Wilson; `None` of nothing.
#[must_use]
pub fn share(hits: i64, of: i64) -> Option<Interval> {
    if of <= 0 {
        return None;
    }
    let (n, p) = (of as f64, hits as f64 / of as f64);
    let scale = 1.0 + Z * Z / n;
    let middle = (p + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(Interval {
        estimate: p,
        low: (middle - half).min(p).max(0.0),
        high: (middle + half).max(p).min(1.0),
    })
}

/// The difference of two shares, by the interval of Newcombe.
#[must_use]
pub fn difference_of_shares(one: Interval, other: Interval) -> Interval {
    let estimate = one.estimate - other.estimate;
    let part = |a: f64, b: f64| (a * a + b * b).sqrt();
    Interval {
        estimate,
        low: estimate - part(one.estimate - one.low, other.high - other.estimate),
        high: estimate + part(one.high - one.estimate, other.estimate - other.low),
    }
}

/// A mean of measured numbers.
#[must_use]
pub fn mean(count: i64, mean: Option<f64>, deviation: Option<f64>) -> Option<Interval> {
    let mean = mean.filter(|mean| count > 0 && mean.is_finite())?;
    let half = Z * deviation.unwrap_or(mean.abs()) / (count as f64).sqrt();
    Some(Interval { estimate: mean, low: mean - half, high: mean + half })
}

/// The difference of two independent means.
#[must_use]
pub fn difference(one: Interval, other: Interval) -> Interval {
    let estimate = one.estimate - other.estimate;
    let half = ((one.high - one.estimate).powi(2) + (other.high - other.estimate).powi(2)).sqrt();
    Interval { estimate, low: estimate - half, high: estimate + half }
}

/// An expected value that is unsure by a deviation.
#[must_use]
pub fn around(estimate: f64, unsure: f64) -> Interval {
    Interval { estimate, low: estimate - Z * unsure, high: estimate + Z * unsure }
}
