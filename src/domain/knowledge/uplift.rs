//! With and without: what lessons change in success, cost and attempts.
//!
//! A share of all tasks, chosen by a hash of their ids, is the **control**: its attempts are given no lessons. The hash
//! knows nothing about a task, so both arms hold the same mix of work, and a difference between them is an effect
//! of the lessons or chance. The intervals say how large an effect of chance may be.
//!
//! A comparison is fair only under these rules of counting, which the caller keeps:
//!
//! - A task belongs to the arm that [`is_control`] names, never to an arm by what its agent read. Agents ask for
//!   lessons when a task is hard, and a comparison by reading would blame lessons for hard tasks.
//! - Tasks for which nothing was found may be left out, to measure the effect where there can be one, if the same
//!   search runs for both arms and its answer is withheld from the control.
//! - Tasks done or failed count, in both arms. Cancelled ones do not: people cancel for reasons of their own.
//!
//! # Methods
//!
//! Each arm has an estimate with its own 95 % limits. A share has those of Wilson (1927). A mean has
//! `m * exp(±t * s / (m * sqrt(n)))`: Student's limits of the logarithm by the delta method. Costs and attempts are
//! skewed to the right, and Welch's limits, symmetrical about the difference, miss the truth more often. The limits of
//! both arms are combined by the method of variance estimates recovery: Zou and Donner (2008) for the difference, which
//! for shares is method 10 of Newcombe (1998), and Donner and Zou (2012) for the ratio. Both come from one equation, so
//! difference and ratio always agree whether there is an effect.
//!
//! In simulated fleets with one task of ten in the control, the intervals cover the truth in this percentage of cases;
//! costs are lognormal, attempts geometric with a mean of 1.6:
//!
//! | tasks of the control | success | attempts | cost, deviation as large as the mean | cost, twice the mean |
//! |---|---|---|---|---|
//! | 10 | 95 | | | |
//! | 30 | 95 | 93 | 93 | 89 |
//! | 60 | 95 | 94 | 94 | 91 |
//! | 100 | 95 | 94 | 94 | 92 |
//! | 300 | 95 | 95 | 95 | 93 |
//!
//! [`LEAST_ENDED`] and [`LEAST_MEASURED`] follow from it. Tasks count as independent: many tasks of one goal that
//! succeed or fail together make the intervals too narrow. An interval holds for one look: a reader who looks daily
//! until it excludes zero finds an effect too often.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::{
    ids::{TaskId, WorkspaceId},
    routing::compare::{self, Interval},
    words::words,
};

/// Percentage of tasks that are given no lessons.
pub const CONTROL_PERCENT: u8 = 10;
/// Ended tasks that each arm needs for a comparison of success.
pub const LEAST_ENDED: i64 = 10;
/// Tasks with a figure that each arm needs for a comparison of means.
pub const LEAST_MEASURED: i64 = 30;
/// Confidence of every interval. The quantile [`Z`] belongs to it.
const CONFIDENCE: f64 = 0.95;
/// Quantile of the normal distribution for an interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;
/// Relative variance under which figures are the same: sums of squares are no more exact than this.
const SAME: f64 = 1e-12;
/// Keeps this hash apart from other hashes of the same ids.
const DOMAIN: &[u8] = b"muster knowledge control\0";

words! {
    /// One of the two sides of a comparison.
    pub enum UpliftArm {
        /// Tasks whose attempts are given lessons.
        With => "with",
        /// The control: tasks whose attempts are given none.
        Without => "without",
    }
}

words! {
    /// What a comparison shows.
    pub enum UpliftFinding {
        /// Better with lessons: the interval of the difference excludes 0.
        Better => "better",
        /// Worse with lessons: the interval of the difference excludes 0.
        Worse => "worse",
        /// No difference shown: the interval of the difference includes 0.
        Unclear => "unclear",
        /// No interval can be estimated: within each arm every task has the same figure.
        NoSpread => "no_spread",
        /// Too few tasks: see `missing`.
        TooFew => "too_few",
    }
}

/// One ended task, as it counts in its arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// Whether its result was accepted; otherwise it failed for good.
    pub done: bool,
    /// What all its attempts cost, in millionths of a US dollar; `None` if no spend was reported.
    pub usd_micros: Option<i64>,
    /// Number of its attempts; `None` if it ended without one.
    pub attempts: Option<i64>,
}

/// Count, sum and sum of squares of one figure.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    /// Number of tasks with the figure, from 0.
    pub count: i64,
    /// Sum of the figure.
    pub sum: f64,
    /// Sum of its squares.
    pub squares: f64,
}

/// The ended tasks of one arm, as sums that SQL can make.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Arm {
    /// Number of ended tasks, from 0.
    pub tasks: i64,
    /// How many of them were done, at most `tasks`.
    pub done: i64,
    /// Cost of a task over all its attempts, in millionths of a US dollar.
    pub cost: Moments,
    /// Attempts of a task.
    pub attempts: Moments,
}

/// What lessons change: ended tasks with lessons compared to the control, which is given none.
///
/// Every interval holds the true value with a confidence of 95 %, for tasks that are independent and for one look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Uplift {
    /// Confidence of every interval, as a fraction: always 0.95.
    #[schema(example = 0.95)]
    pub confidence: f64,
    /// Whether all three comparisons have enough tasks in both arms.
    pub enough: bool,
    /// Share of ended tasks that were done, a fraction from 0 to 1. More is better.
    pub success: Difference,
    /// Mean cost of an ended task over all its attempts, done or failed, in millionths of a US dollar. Less is better.
    pub cost: Difference,
    /// Mean number of attempts of an ended task, done or failed. Less is better.
    pub attempts: Difference,
}

/// One figure with and without lessons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Difference {
    /// Tasks with lessons.
    pub with: ArmFigure,
    /// The control: tasks without lessons.
    pub without: ArmFigure,
    /// `with` minus `without`, in the unit of the figure, with its interval. Null if an arm has too few tasks, or if
    /// within each arm every task has the same figure.
    pub difference: Option<Interval>,
    /// `difference` as a fraction of `without`, with its interval: 0.2 is a fifth more, -0.5 is half. Null if
    /// `difference` is, or if a mean or the share of `without` is 0.
    pub relative: Option<Interval>,
    /// What the interval of the difference shows.
    pub finding: UpliftFinding,
    /// Arms with too few tasks, each with the missing number.
    pub missing: Vec<MissingTasks>,
}

/// A figure of one arm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ArmFigure {
    /// Number of ended tasks that have the figure.
    #[schema(example = 1_800, minimum = 0)]
    pub tasks: i64,
    /// The share or mean over these tasks, in the unit of the figure. Null without tasks.
    #[schema(example = 0.84)]
    pub value: Option<f64>,
}

/// An arm with too few tasks for an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MissingTasks {
    /// Which arm.
    pub arm: UpliftArm,
    /// Number of tasks that it needs, at least.
    #[schema(example = 30, minimum = 1)]
    pub needed: i64,
    /// Missing number of ended tasks.
    #[schema(example = 12, minimum = 1)]
    pub more: i64,
}

/// The direction of improvement.
#[derive(Debug, Clone, Copy)]
enum Goodness {
    More,
    Less,
}

/// What is known of one arm: its figure, and the limits of it if there are any.
struct Side {
    figure: ArmFigure,
    limits: Option<Interval>,
}

impl Moments {
    /// Counts one figure more.
    pub fn add(&mut self, figure: i64) {
        let figure = figure as f64;
        self.count += 1;
        self.sum += figure;
        self.squares += figure * figure;
    }

    /// The mean with its limits. No limits under two tasks, nor of a mean that is not positive, nor of a sum that is
    /// not finite.
    fn side(&self) -> Side {
        let count = self.count.max(0);
        let n = count as f64;
        let mean = (count > 0).then(|| self.sum / n).filter(|mean| mean.is_finite());
        let limits = mean.and_then(|mean| self.limits(n, mean));
        Side { figure: ArmFigure { tasks: count, value: mean }, limits }
    }

    fn limits(&self, n: f64, mean: f64) -> Option<Interval> {
        if n < 2.0 {
            return None;
        }
        let variance = (self.squares - self.sum * mean) / (n - 1.0);
        if variance <= SAME * mean * mean {
            return Some(Interval { estimate: mean, low: mean, high: mean });
        }
        if mean <= 0.0 {
            return None;
        }
        let factor = (student(n - 1.0) * (variance / n).sqrt() / mean).exp();
        finite(Interval { estimate: mean, low: mean / factor, high: mean * factor })
    }
}

impl Arm {
    /// Counts one task more.
    pub fn add(&mut self, trial: Trial) {
        self.tasks += 1;
        self.done += i64::from(trial.done);
        if let Some(usd_micros) = trial.usd_micros {
            self.cost.add(usd_micros);
        }
        if let Some(attempts) = trial.attempts {
            self.attempts.add(attempts);
        }
    }

    fn success(&self) -> Side {
        let tasks = self.tasks.max(0);
        let limits = compare::share(self.done.clamp(0, tasks), tasks);
        Side { figure: ArmFigure { tasks, value: limits.map(|share| share.estimate) }, limits }
    }
}

/// Whether a task is of the control, and is given no lessons.
///
/// The same answer for every claim of the task, on every machine, as long as `percent` is the same. A task of the
/// control stays one if `percent` grows. From 100 on every task is of the control.
#[must_use]
pub fn is_control(workspace: WorkspaceId, task: TaskId, percent: u8) -> bool {
    let hash = Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(workspace.0.as_bytes())
        .chain_update(task.0.as_bytes())
        .finalize();
    let drawn = hash.iter().take(8).fold(0_u64, |drawn, byte| drawn << 8 | u64::from(*byte));
    (u128::from(drawn) * 100) >> 64 < u128::from(percent)
}

/// Compares the ended tasks with lessons to those of the control.
#[must_use]
pub fn compare(with: &Arm, without: &Arm) -> Uplift {
    let success = measure(with.success(), without.success(), LEAST_ENDED, Goodness::More);
    let mean = |with: &Moments, without: &Moments| {
        measure(with.side(), without.side(), LEAST_MEASURED, Goodness::Less)
    };
    let cost = mean(&with.cost, &without.cost);
    let attempts = mean(&with.attempts, &without.attempts);
    let enough = [&success, &cost, &attempts].iter().all(|figure| figure.missing.is_empty());
    Uplift { confidence: CONFIDENCE, enough, success, cost, attempts }
}

fn measure(with: Side, without: Side, needed: i64, good: Goodness) -> Difference {
    let missing = missing(&with.figure, &without.figure, needed);
    let varies = |side: &Interval| side.low < side.high;
    let limits = with
        .limits
        .zip(without.limits)
        .filter(|(with, without)| missing.is_empty() && (varies(with) || varies(without)));
    // Newcombe's combination holds for any two estimates that have limits of their own.
    let difference =
        limits.and_then(|(with, without)| finite(compare::difference_of_shares(with, without)));
    let relative =
        limits.filter(|_| difference.is_some()).and_then(|(with, without)| relative(with, without));
    let finding = match difference {
        _ if !missing.is_empty() => UpliftFinding::TooFew,
        None => UpliftFinding::NoSpread,
        Some(difference) => finding(difference, good),
    };
    let (with, without) = (with.figure, without.figure);
    Difference { with, without, difference, relative, finding, missing }
}

fn missing(with: &ArmFigure, without: &ArmFigure, needed: i64) -> Vec<MissingTasks> {
    [(UpliftArm::With, with), (UpliftArm::Without, without)]
        .into_iter()
        .filter(|(_, figure)| figure.tasks < needed)
        .map(|(arm, figure)| MissingTasks { arm, needed, more: needed - figure.tasks })
        .collect()
}

fn finding(difference: Interval, good: Goodness) -> UpliftFinding {
    let Interval { estimate: _, low, high } = difference;
    match good {
        Goodness::More if low > 0.0 => UpliftFinding::Better,
        Goodness::More if high < 0.0 => UpliftFinding::Worse,
        Goodness::Less if high < 0.0 => UpliftFinding::Better,
        Goodness::Less if low > 0.0 => UpliftFinding::Worse,
        Goodness::More | Goodness::Less => UpliftFinding::Unclear,
    }
}

/// The ratio of two estimates less 1, by the formula of Donner and Zou.
///
/// Its lower end is written as a fraction whose denominator cannot vanish: the textbook's does if a lower share is half
/// of its upper limit.
fn relative(with: Interval, without: Interval) -> Option<Interval> {
    if without.estimate <= 0.0 {
        return None;
    }
    let product = with.estimate * without.estimate;
    let below = with.low * (2.0 * with.estimate - with.low);
    let above = with.high * (2.0 * with.estimate - with.high);
    let base_below = without.low * (2.0 * without.estimate - without.low);
    let base_above = without.high * (2.0 * without.estimate - without.high);
    let root = |part: f64| (product * product - part).max(0.0).sqrt();
    let low = below / (product + root(below * base_above));
    let high = (product + root(above * base_below)) / base_below;
    let ratio = with.estimate / without.estimate;
    // Without any success with lessons both parts of the lower end are 0.
    let low = if with.estimate > 0.0 { low } else { 0.0 };
    finite(Interval {
        estimate: ratio - 1.0,
        low: low.min(ratio) - 1.0,
        high: high.max(ratio) - 1.0,
    })
}

fn finite(interval: Interval) -> Option<Interval> {
    let Interval { estimate, low, high } = interval;
    [estimate, low, high].iter().all(|end| end.is_finite()).then_some(interval)
}

/// Quantile of Student's distribution for an interval of 95 %, by the expansion of Cornish and Fisher (26.7.5 of
/// Abramowitz and Stegun). Off by less than 2e-5 from 9 degrees of freedom on, and less than 1e-7 from 29 on.
fn student(degrees: f64) -> f64 {
    let square = Z * Z;
    let polynomial = |terms: &[f64]| terms.iter().fold(0.0, |sum, term| sum * square + term) * Z;
    let expansion = [
        Z,
        polynomial(&[1.0, 1.0]) / 4.0,
        polynomial(&[5.0, 16.0, 3.0]) / 96.0,
        polynomial(&[3.0, 19.0, 17.0, -15.0]) / 384.0,
        polynomial(&[79.0, 776.0, 1482.0, -1920.0, -945.0]) / 92_160.0,
    ];
    expansion.iter().rev().fold(0.0, |sum, term| sum / degrees + term)
}

#[cfg(test)]
mod tests;
