//! One number per agent and task: what the policy of the workspace thinks of the agent.
//!
//! Scores are sums of logarithms, so a difference of 0.1 is about a tenth, whatever the units are.

use super::{policy::Policy, random::Draws, record::Belief};

/// Weights of the logarithms of success rate, cost and duration.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Weights {
    success: f64,
    cost: f64,
    duration: f64,
}

impl Weights {
    /// Of a policy.
    ///
    /// An attempt that fails costs what it cost and is made again, so cost and duration of an accepted result are
    /// those of an attempt divided by the success rate. `balanced` adds the rework itself as much again.
    #[must_use]
    pub const fn of(policy: Policy) -> Self {
        match policy {
            Policy::Balanced => Self { success: 2.0, cost: 0.5, duration: 0.5 },
            Policy::Cheapest => Self { success: 1.0, cost: 1.0, duration: 0.0 },
            Policy::Fastest => Self { success: 1.0, cost: 0.0, duration: 1.0 },
            Policy::Best => Self { success: 3.0, cost: 0.05, duration: 0.05 },
            Policy::Fifo => Self { success: 0.0, cost: 0.0, duration: 0.0 },
        }
    }
}

/// Expected score and how unsure it is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Expected {
    /// The mean.
    pub mean: f64,
    /// The deviation of the mean.
    pub unsure: f64,
}

/// The expected score of an agent.
#[must_use]
pub fn expected(weights: Weights, belief: &Belief) -> Expected {
    let success = belief.success().max(1e-3);
    let mean = weights.success * success.ln()
        - weights.cost * belief.cost.mean
        - weights.duration * belief.duration.mean;
    let unsure = [
        weights.success * belief.unsure() / success,
        weights.cost * belief.cost.unsure,
        weights.duration * belief.duration.unsure,
    ];
    Expected { mean, unsure: unsure.iter().map(|part| part * part).sum::<f64>().sqrt() }
}

/// A score drawn from what is believed of an agent.
#[must_use]
pub fn drawn(weights: Weights, belief: &Belief, draws: &mut Draws) -> f64 {
    let success = draws.beta(belief.alpha, belief.beta).max(1e-3);
    let cost = belief.cost.mean + belief.cost.unsure * draws.normal();
    let duration = belief.duration.mean + belief.duration.unsure * draws.normal();
    weights.success * success.ln() - weights.cost * cost - weights.duration * duration
}
