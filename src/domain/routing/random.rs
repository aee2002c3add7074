//! Random numbers of one task and agent.
//!
//! Not from a generator with a state: a task may be looked at many times before it is assigned, by several
//! servers, and each look must see the same numbers. They are derived from ids, and ids are random.

use uuid::Uuid;

/// What numbers are drawn for, so that different questions get independent answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether the task is assigned at random.
    Control = 1,
    /// Success, cost and duration of an agent.
    Score = 2,
    /// The place of an agent if the task is assigned at random.
    Lot = 3,
    /// Whether a new version of an agent may have the task.
    Canary = 4,
}

/// A sequence of random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// The numbers for a task's attempt with this ordinal, and an agent.
    #[must_use]
    pub fn of(question: Question, task: Uuid, number: i32, agent: Uuid) -> Self {
        let mut mixed = Self(question as u64);
        for part in [task.as_u128(), agent.as_u128(), number.unsigned_abs().into()] {
            mixed.0 ^= part as u64;
            mixed.0 = mixed.next();
            mixed.0 ^= (part >> 64) as u64;
            mixed.0 = mixed.next();
        }
        mixed
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform, between 0 and 1 without both.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Normal with mean 0 and deviation 1 (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// Gamma with scale 1 (Marsaglia and Tsang). `shape` is positive.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = self.unit().powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        // Each round succeeds with over 95 %.
        for _ in 0..64 {
            let normal = self.normal();
            let cube = (1.0 + c * normal).powi(3);
            if cube > 0.0 && self.unit().ln() < 0.5 * normal * normal + d - d * cube + d * cube.ln()
            {
                return d * cube;
            }
        }
        d
    }

    /// Beta; both parameters are positive.
    pub fn beta(&mut self, alpha: f64, beta: f64) -> f64 {
        let (a, b) = (self.gamma(alpha), self.gamma(beta));
        if a + b > 0.0 { a / (a + b) } else { 0.5 }
    }
}
