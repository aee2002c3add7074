//! Loops: detects that the steps of an attempt repeat.
//!
//! A stuck agent looks busy: it sends heartbeats, progress and spend. Only its repeating steps show it.
//! An agent may report each finished step once, with a heartbeat, as `progress.step`, or several as
//! `progress.steps`:
//!
//! ```json
//! {"percent": 40, "message": "running the tests", "step": {
//!     "n": 17,
//!     "action": {"tool": "shell", "arguments": {"command": "cargo test"}},
//!     "error": "error[E0308]: mismatched types\n --> src/main.rs:12:5"
//! }}
//! ```
//!
//! - `n`: the number of the step in its attempt, rising. A step with a number already passed is not
//!   counted again, so a repeated heartbeat adds nothing. The content cannot tell a repeated heartbeat
//!   from a repeated step.
//! - `action`: the tool and *all* of its arguments, as text or JSON. Steps that differ only in omitted
//!   arguments look the same.
//! - `result`: the outcome, as text or JSON; an excerpt is enough if it differs when results do.
//! - `error`: the failure, as text; left out or empty on success.
//!
//! A step without result and error is unfinished and not counted.
//!
//! Patterns found ([`detect`]) at the end of a sequence of steps:
//!
//! | pattern | what repeats | how often |
//! |---|---|---|
//! | `same_step` | action, result and error | 4 in a row |
//! | `same_error` | the error, with any actions | 3 in a row |
//! | `alternating` | two steps, A-B | 3 times: A-B-A-B-A-B |
//! | `rotating` | three steps, A-B-C | 3 times |
//!
//! The same error after three different actions in a row is one obstacle. A step without an error
//! between them ends the row: edit, test, edit, test is work even if the test fails each time. If
//! several patterns match, the first in this table is reported.
//!
//! Guarantees: the result depends on the last [`WINDOW`] steps only, so an attempt stores no more
//! ([`Window`], at most 480 bytes). A step is stored as its number and a [`Fingerprint`] of 32 bytes,
//! which reveals nothing. A step with another action breaks every pattern but `same_error`.
//!
//! Before the comparison, `noise` removes parts that differ between equal steps. In doubt, steps
//! differ: a missed loop costs money up to the budget, but work mistaken for a loop is stopped, and
//! agents stop reporting steps. Results and errors lose times, durations, UUIDs, addresses and names of
//! temporary files; errors also letter case, lines and columns, which an edit above shifts. Actions
//! lose only generated names: `file_17.rs` and `file_18.rs`, `page=3` and `page=4`, two UUIDs, two dates
//! and two letter cases are different actions.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    check::{Checks, pointer},
    settings,
    words::words,
};

mod canonical;
mod noise;
#[cfg(test)]
mod tests;
mod window;

pub use window::Window;

/// The number of steps kept. The longest pattern takes nine; three more let the count of a loop grow.
pub const WINDOW: usize = 12;
/// The highest number of a step, 2^53 - 1: exact in every JSON parser.
const HIGHEST: u64 = (1 << 53) - 1;
/// Bytes of a fingerprint.
const BYTES: usize = 32;
/// Bytes of the number of a step.
const NUMBER: usize = 8;
/// Bytes of a step in a stored window.
const ENTRY: usize = NUMBER + BYTES;
/// Bytes of each half of a fingerprint: 128 bits of SHA-256, enough to rule out collisions.
const HALF: usize = 16;

words! {
    /// The pattern of a loop. `same_step`: the same action and result four times in a row;
    /// `same_error`: the same error three times in a row, with any actions; `alternating`: two steps in
    /// turn, three times; `rotating`: three steps in turn, three times.
    pub enum Pattern {
        /// The same action and result four times in a row.
        SameStep => "same_step",
        /// The same error three times in a row, with any actions.
        SameError => "same_error",
        /// Two steps in turn, three times.
        Alternating => "alternating",
        /// Three steps in turn, three times.
        Rotating => "rotating",
    }
}

impl Pattern {
    /// Steps per repetition.
    #[must_use]
    pub const fn period(self) -> usize {
        match self {
            Self::SameStep | Self::SameError => 1,
            Self::Alternating => 2,
            Self::Rotating => 3,
        }
    }

    /// The repetitions that make it a loop.
    #[must_use]
    pub const fn least_times(self) -> usize {
        match self {
            Self::SameStep => 4,
            Self::SameError | Self::Alternating | Self::Rotating => 3,
        }
    }

    /// The number of steps at which it is first found.
    const fn least_steps(self) -> usize {
        self.period() * self.least_times()
    }
}

/// A finished step: the action and its outcome. If your steps repeat, the answer carries a nudge
/// (`nudges`), and rules may ask a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "n": 17,
    "action": {"tool": "shell", "arguments": {"command": "cargo test"}},
    "error": "error[E0308]: mismatched types\n --> src/main.rs:12:5"
}))]
pub struct Step {
    /// The number of the step in this attempt: a counter from 1, or any other rising number. A number
    /// not above the last one is a repetition and is not counted.
    #[schema(minimum = 1, maximum = 9007199254740991_i64, example = 17)]
    pub n: u64,
    /// The tool and all of its arguments, as text or JSON. At most 16 KiB.
    pub action: Value,
    /// The outcome, as text or JSON. At most 16 KiB; if it is larger, an excerpt or a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The error message; left out on success. At most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "connection refused")]
    pub error: Option<String>,
}

impl Step {
    /// Checks the step.
    pub fn check(&self, checks: &mut Checks, at: &str) {
        checks.range(&pointer(at, "n"), self.n, 1..=HIGHEST);
        let action = pointer(at, "action");
        checks.ensure(!is_empty(&self.action), &action, "must not be empty");
        checks.bytes(&action, &self.action.to_string(), settings::MESSAGE_BYTES);
        let result = self.result.as_ref().map(Value::to_string).unwrap_or_default();
        checks.bytes(&pointer(at, "result"), &result, settings::MESSAGE_BYTES);
        let error = self.error.as_deref().unwrap_or_default();
        checks.bytes(&pointer(at, "error"), error, settings::MESSAGE_BYTES);
    }

    /// The fingerprint by which steps are compared; `None` without result and error.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let error = self.error.as_deref().map(canonical::error).filter(|error| !error.is_empty());
        let result = self.result.as_ref().filter(|result| !result.is_null());
        if result.is_none() && error.is_none() {
            return None;
        }
        // One JSON array, so that the boundaries of the parts are hashed too.
        let whole = Value::Array(vec![
            canonical::action(&self.action),
            result.map_or(Value::Null, canonical::result),
            error.clone().map_or(Value::Null, Value::String),
        ]);
        let mut bytes = [0; BYTES];
        bytes[..HALF].copy_from_slice(&half(&whole.to_string()));
        if let Some(error) = error {
            bytes[HALF..].copy_from_slice(&half(&error));
        }
        Some(Fingerprint(bytes))
    }
}

fn is_empty(action: &Value) -> bool {
    match action {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn half(text: &str) -> [u8; HALF] {
    let mut half = [0; HALF];
    half.copy_from_slice(&Sha256::digest(text.as_bytes())[..HALF]);
    half
}

/// A step as stored: the first half is equal for equal steps, the second half for equal errors. The
/// second half is zero without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; BYTES]);

impl Fingerprint {
    /// The stored bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// From the stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    fn error(&self) -> Option<&[u8]> {
        Some(&self.0[HALF..]).filter(|half| half.iter().any(|byte| *byte != 0))
    }
}

/// A loop at the end of an attempt's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Loop {
    /// The pattern in which the steps repeat.
    pub pattern: Pattern,
    /// The number of repetitions so far; a lower bound for long loops, because 12 steps are kept.
    #[schema(minimum = 3, example = 4)]
    pub times: usize,
    /// The number of steps in the loop so far, the latest included; at most 12.
    #[schema(minimum = 3, example = 4)]
    pub steps: usize,
    /// The index of its first step in the examined sequence.
    #[serde(skip)]
    pub began: usize,
}

impl Loop {
    /// The text of the nudge for its agent.
    #[must_use]
    pub fn advice(&self) -> String {
        let Self { pattern, times, steps: _, began: _ } = self;
        let what = match pattern {
            Pattern::SameStep => {
                format!("your last {times} steps were the same, with the same result")
            }
            Pattern::SameError => format!("your last {times} steps had the same error"),
            Pattern::Alternating => format!("you repeated the same two steps {times} times"),
            Pattern::Rotating => format!("you repeated the same three steps {times} times"),
        };
        format!("{what}. Try another way, ask a person, or fail the task with the reason.")
    }

    /// Whether the latest step completed the loop, so that it is reported once.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.steps == self.pattern.least_steps()
    }
}

/// The loop at the end of the steps, if any.
#[must_use]
pub fn detect(steps: &[Fingerprint]) -> Option<Loop> {
    loops(steps).next()
}

/// Every pattern at the end of the steps, the reported one first. Equal steps match several patterns:
/// an agent has left a loop only when none matches.
pub fn loops(steps: &[Fingerprint]) -> impl Iterator<Item = Loop> {
    use super::words::Words as _;
    Pattern::ALL.iter().filter_map(|&pattern| {
        let length = match pattern {
            Pattern::SameError => same_errors(steps),
            Pattern::SameStep | Pattern::Alternating | Pattern::Rotating => {
                repeating(steps, pattern.period())
            }
        };
        let found = length >= pattern.least_steps();
        found.then(|| Loop {
            pattern,
            times: length / pattern.period(),
            steps: length,
            began: steps.len() - length,
        })
    })
}

/// Whether two errors are equal apart from their noise.
#[must_use]
pub fn same_error(one: &str, other: &str) -> bool {
    canonical::error(one) == canonical::error(other)
}

/// The number of last steps that repeat with a period.
fn repeating(steps: &[Fingerprint], period: usize) -> usize {
    let later = steps.iter().rev();
    let earlier = steps.iter().rev().skip(period);
    let equal = later.zip(earlier).take_while(|(later, earlier)| later == earlier).count();
    if equal == 0 { 0 } else { equal + period }
}

/// The number of last steps with the error of the last one.
fn same_errors(steps: &[Fingerprint]) -> usize {
    let Some(error) = steps.last().and_then(Fingerprint::error) else { return 0 };
    steps.iter().rev().take_while(|step| step.error() == Some(error)).count()
}
