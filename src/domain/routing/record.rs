//! What an agent did before, and what is believed of it because of that.
//!
//! A record counts the ended attempts of one agent, with one model and version, at tasks with one capability.
//! It forgets: each attempt takes a sixtieth of the weight of the earlier ones, and the weight of all halves
//! every two weeks. So a record weighs at most sixty attempts, and an agent that changes is soon seen to.
//!
//! A belief adds to the record what agents of the capability do on the whole, with the weight of two attempts.
//! A new version of an agent starts from the record of the version before it, with the weight of at most six.

use chrono::{DateTime, Utc};

use crate::domain::states::FailureClass;

/// Share of its weight that a record keeps at each attempt.
const KEPT: f64 = 1.0 - 1.0 / 60.0;
/// Days in which the weight of a record halves.
const HALF_LIFE_DAYS: f64 = 14.0;
/// Weight of what agents of the capability do on the whole.
const PRIOR: f64 = 2.0;
/// Success rate where nobody did anything yet.
const PRIOR_SUCCESS: f64 = 0.8;
/// Deviation of the logarithm of a cost or duration of which nothing is known.
const PRIOR_DEVIATION: f64 = 0.7;
/// Most weight that a new version takes over from the one before it.
const INHERITED: f64 = 6.0;
/// Costs up to a hundredth of a cent are alike.
const LEAST_COST: i64 = 100;
/// Durations up to a second are alike.
const LEAST_MS: i64 = 1_000;
/// Attempts after which a new version needs no canary share any more.
pub const CANARY_ATTEMPTS: i64 = 10;

/// The end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Whether its result was accepted.
    pub accepted: bool,
    /// Its cost in `usd_micros`; `None`: not reported.
    pub cost: Option<i64>,
    /// Its duration in milliseconds.
    pub duration_ms: i64,
    /// When it was seen.
    pub at: DateTime<Utc>,
}

/// Whether a failure of this class says something of the agent. A rate limit, a wrong input and the ends that the
/// service sets on the whole task do not.
#[must_use]
pub const fn tells(class: FailureClass) -> bool {
    match class {
        FailureClass::Transient
        | FailureClass::Resources
        | FailureClass::TooLarge
        | FailureClass::Permanent
        | FailureClass::Timeout
        | FailureClass::Lost => true,
        FailureClass::RateLimited
        | FailureClass::InvalidInput
        | FailureClass::StartTimeout
        | FailureClass::FinishTimeout
        | FailureClass::ChildrenFailed => false,
    }
}

/// Sums of the natural logarithm of a quantity.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LogSums {
    /// Weight of the observations.
    pub weight: f64,
    /// Weighted sum.
    pub sum: f64,
    /// Weighted sum of squares.
    pub squares: f64,
}

impl LogSums {
    fn add(&mut self, logarithm: f64) {
        self.weight += 1.0;
        self.sum += logarithm;
        self.squares += logarithm * logarithm;
    }

    fn scaled(self, by: f64) -> Self {
        Self { weight: self.weight * by, sum: self.sum * by, squares: self.squares * by }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            weight: self.weight + other.weight,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    /// The mean; `None` without observations.
    fn mean(self) -> Option<f64> {
        (self.weight > 1e-6).then(|| self.sum / self.weight)
    }

    /// The deviation of single observations; never less than a fifth of what is assumed of unknown ones.
    fn deviation(self) -> f64 {
        let Some(mean) = self.mean() else { return PRIOR_DEVIATION };
        let variance = (self.squares / self.weight - mean * mean).max(0.0);
        let known = self.weight / (self.weight + PRIOR);
        (known * variance + (1.0 - known) * PRIOR_DEVIATION * PRIOR_DEVIATION)
            .sqrt()
            .max(PRIOR_DEVIATION / 5.0)
    }
}

/// The ended attempts of an agent, model and version at a capability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// All attempts ever counted; not decayed.
    pub attempts: i64,
    /// Weight of the accepted ones.
    pub accepted: f64,
    /// Weight of the others: rework and failures.
    pub failed: f64,
    /// Cost of all.
    pub cost: LogSums,
    /// Duration of the accepted ones.
    pub duration: LogSums,
    /// When the weights were last computed.
    pub updated_at: DateTime<Utc>,
}

impl Record {
    /// No attempts.
    #[must_use]
    pub fn new(at: DateTime<Utc>) -> Self {
        let none = LogSums::default();
        Self { attempts: 0, accepted: 0.0, failed: 0.0, cost: none, duration: none, updated_at: at }
    }

    /// Counts an attempt.
    pub fn observe(&mut self, outcome: Outcome) {
        *self = self.at(outcome.at).scaled(KEPT);
        self.attempts = self.attempts.saturating_add(1);
        if outcome.accepted {
            self.accepted += 1.0;
            self.duration.add((outcome.duration_ms.max(LEAST_MS) as f64).ln());
        } else {
            self.failed += 1.0;
        }
        if let Some(cost) = outcome.cost {
            self.cost.add((cost.max(LEAST_COST) as f64).ln());
        }
    }

    /// The record with the weights of a later time.
    #[must_use]
    pub fn at(self, now: DateTime<Utc>) -> Self {
        let days = (now - self.updated_at).num_milliseconds().max(0) as f64 / 86_400_000.0;
        let aged = self.scaled(0.5_f64.powf(days / HALF_LIFE_DAYS));
        Self { updated_at: self.updated_at.max(now), ..aged }
    }

    /// The weight of its attempts.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.accepted + self.failed
    }

    fn scaled(self, by: f64) -> Self {
        Self {
            accepted: self.accepted * by,
            failed: self.failed * by,
            cost: self.cost.scaled(by),
            duration: self.duration.scaled(by),
            ..self
        }
    }

    fn weakened(self) -> Self {
        self.scaled((INHERITED / self.weight().max(INHERITED)).min(1.0))
    }

    fn plus(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            failed: self.failed + other.failed,
            cost: self.cost.plus(other.cost),
            duration: self.duration.plus(other.duration),
            ..self
        }
    }
}

/// What agents of a capability do on the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whole {
    success: f64,
    cost: LogSums,
    duration: LogSums,
}

impl Whole {
    /// Of all records of a capability, each as of now.
    #[must_use]
    pub fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Self {
        let none = LogSums::default();
        let (mut accepted, mut weight) = (PRIOR_SUCCESS * PRIOR, PRIOR);
        let (mut cost, mut duration) = (none, none);
        for record in records {
            accepted += record.accepted;
            weight += record.weight();
            cost = cost.plus(record.cost);
            duration = duration.plus(record.duration);
        }
        Self { success: (accepted / weight).clamp(0.05, 0.95), cost, duration }
    }
}

/// A logarithm that is believed to be about `mean`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// Deviation of the mean: how unsure it is.
    pub unsure: f64,
}

/// What is believed of an agent at a capability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Belief {
    /// First parameter of the Beta distribution of its success rate.
    pub alpha: f64,
    /// Second parameter.
    pub beta: f64,
    /// Logarithm of its cost relative to that of all agents of the capability.
    pub cost: Spread,
    /// Logarithm of its duration relative to that of all agents of the capability.
    pub duration: Spread,
    /// Expected cost of an attempt in `usd_micros`; `None`: nobody reported any.
    pub usd_micros: Option<f64>,
    /// Expected duration in milliseconds; `None`: nobody finished any.
    pub duration_ms: Option<f64>,
    /// Attempts ever counted of this version.
    pub attempts: i64,
    /// Weight of the attempts of this version.
    pub weight: f64,
    /// Whether it is a new version of an agent and has not done enough yet.
    pub canary: bool,
}

impl Belief {
    /// From the record of this version, that of the version before it, and what others do; records as of now.
    #[must_use]
    pub fn of(record: Record, before: Option<Record>, whole: &Whole) -> Self {
        let canary = before.is_some() && record.attempts < CANARY_ATTEMPTS;
        let known = match before {
            // The own attempts displace what was inherited.
            Some(before) if record.weight() < INHERITED => record.plus(before.weakened()),
            Some(_) | None => record,
        };
        let mean = |own: LogSums, all: LogSums| {
            let all = all.mean()?;
            Some((own.sum + all) / (own.weight + 1.0))
        };
        let spread = |own: LogSums, all: LogSums| match (mean(own, all), all.mean()) {
            (Some(mean), Some(all)) => {
                let unsure = own.deviation() / (own.weight + 1.0).sqrt();
                Spread { mean: mean - all, unsure }
            }
            _ => Spread::default(),
        };
        Self {
            alpha: known.accepted + PRIOR * whole.success,
            beta: known.failed + PRIOR * (1.0 - whole.success),
            cost: spread(known.cost, whole.cost),
            duration: spread(known.duration, whole.duration),
            usd_micros: mean(known.cost, whole.cost).map(f64::exp),
            duration_ms: mean(known.duration, whole.duration).map(f64::exp),
            attempts: record.attempts,
            weight: record.weight(),
            canary,
        }
    }

    /// Of an agent without any record.
    #[must_use]
    pub fn unknown(whole: &Whole, now: DateTime<Utc>) -> Self {
        Self::of(Record::new(now), None, whole)
    }

    /// Expected success rate.
    #[must_use]
    pub fn success(&self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }

    /// Deviation of the expected success rate: how unsure it is.
    #[must_use]
    pub fn unsure(&self) -> f64 {
        let sum = self.alpha + self.beta;
        (self.alpha * self.beta / (sum * sum * (sum + 1.0))).sqrt()
    }
}
