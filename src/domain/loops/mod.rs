//! Loops: noticing that an agent does the same thing over and over.
//!
//! An agent that is stuck looks busy: it is alive, it reports, it spends. What shows is that its
//! steps repeat. An agent may tell each step that it has ended, once, with a heartbeat, as
//! `progress.step`, or several with `progress.steps`:
//!
//! ```json
//! {"percent": 40, "message": "running the tests", "step": {
//!     "n": 17,
//!     "action": {"tool": "shell", "arguments": {"command": "cargo test"}},
//!     "error": "error[E0308]: mismatched types\n --> src/main.rs:12:5"
//! }}
//! ```
//!
//! - `n`: the number of the step in its attempt, which rises. A heartbeat whose answer was lost is sent
//!   again, and what has a number that was passed before is not counted twice. Nothing else can tell
//!   the two apart: that a step is the same as the one before is just what is looked for.
//! - `action`: what it did, as text or JSON: the tool and *all* of its arguments. What is left out
//!   here cannot be told apart.
//! - `result`: what came of it, as text or JSON; an excerpt will do if it differs when results do.
//! - `error`: how it failed, as text; left out or empty when it did not.
//!
//! A step with neither result nor error has not ended and is not counted, so a heartbeat that says
//! again what is being done raises no alarm.
//!
//! Found ([`detect`]) at the end of a sequence of steps, whatever came before:
//!
//! | pattern | what repeats | how often |
//! |---|---|---|
//! | `same_step` | action, result and error | 4 in a row |
//! | `same_error` | the error, whatever the actions | 3 in a row |
//! | `alternating` | two steps, A-B | 3 times: A-B-A-B-A-B |
//! | `rotating` | three steps, A-B-C | 3 times |
//!
//! An error that three different actions meet in a row is one wall that the agent runs against. A
//! step without an error in between ends the row: edit and test, edit and test is work, though the
//! test fails each time. The earlier pattern in this table is the one that is told.
//!
//! Guaranteed: the answer depends on nothing but the last [`WINDOW`] steps, so that is all that an
//! attempt keeps ([`Window`], at most 480 bytes); each step is kept as its number and a [`Fingerprint`] of
//! 32 bytes, from which nothing can be read; and any step that differs in its action breaks every pattern but
//! `same_error`.
//!
//! Steps are compared after what is certain to differ without meaning anything is taken out
//! (`noise`). The two mistakes are not alike: a loop that is missed costs some money and is met by
//! the budget; work that is called a loop is stopped for no reason, and agents learn not to tell.
//! So in doubt steps differ. In results and errors what is volatile is taken out, times, durations,
//! UUIDs, addresses, names of temporary files; in errors also letter case and lines and columns, for
//! an edit above moves them. In actions only what nobody can mean: `file_17.rs` and `file_18.rs`,
//! `page=3` and `page=4`, two UUIDs, two dates, two letter cases are different actions.

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

/// How many steps are kept: at least nine, which the longest pattern takes. Twelve, so that the
/// count of a loop goes on a while.
pub const WINDOW: usize = 12;
/// The highest number of a step: every JSON reader has it exactly.
const HIGHEST: u64 = (1 << 53) - 1;
/// Bytes of a fingerprint.
const BYTES: usize = 32;
/// Bytes of the number of a step.
const NUMBER: usize = 8;
/// Bytes of a step in a stored window.
const ENTRY: usize = NUMBER + BYTES;
/// Bytes of each of its halves: 128 bits of SHA-256, far from any chance of being equal by accident.
const HALF: usize = 16;

words! {
    /// How steps repeat.
    pub enum Pattern {
        /// The same action with the same result, four times in a row.
        SameStep => "same_step",
        /// The same error three times in a row, whatever was done.
        SameError => "same_error",
        /// Two steps in turn, three times.
        Alternating => "alternating",
        /// Three steps in turn, three times.
        Rotating => "rotating",
    }
}

impl Pattern {
    /// How many steps it takes to begin again.
    #[must_use]
    pub const fn period(self) -> usize {
        match self {
            Self::SameStep | Self::SameError => 1,
            Self::Alternating => 2,
            Self::Rotating => 3,
        }
    }

    /// How often its steps come before it is a loop.
    #[must_use]
    pub const fn least_times(self) -> usize {
        match self {
            Self::SameStep => 4,
            Self::SameError | Self::Alternating | Self::Rotating => 3,
        }
    }

    /// How many steps there are when it is first found.
    const fn least_steps(self) -> usize {
        self.period() * self.least_times()
    }
}

/// A step that you have ended: what you did and what came of it. When the same comes again and again you
/// are told so (`nudges`), and rules may call a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "n": 17,
    "action": {"tool": "shell", "arguments": {"command": "cargo test"}},
    "error": "error[E0308]: mismatched types\n --> src/main.rs:12:5"
}))]
pub struct Step {
    /// The number of the step in this attempt: a counter from 1, or anything else that rises from step
    /// to step. A number that is not above the last one was told before, and is not counted again.
    #[schema(minimum = 1, maximum = 9007199254740991_i64, example = 17)]
    pub n: u64,
    /// What you did, as text or JSON: the tool and all of its arguments. At most 16 KiB.
    pub action: Value,
    /// What came of it, as text or JSON. At most 16 KiB; of more, send an excerpt or a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// How it failed; left out when it did not. At most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "connection refused")]
    pub error: Option<String>,
}

impl Step {
    /// Notes everything that is wrong with the step.
    pub fn check(&self, checks: &mut Checks, at: &str) {
        checks.range(&pointer(at, "n"), self.n, 1..=HIGHEST);
        let action = pointer(at, "action");
        checks.ensure(!is_nothing(&self.action), &action, "must say what was done");
        checks.bytes(&action, &self.action.to_string(), settings::MESSAGE_BYTES);
        if let Some(result) = &self.result {
            let here = pointer(at, "result");
            checks.bytes(&here, &result.to_string(), settings::MESSAGE_BYTES);
        }
        if let Some(error) = &self.error {
            checks.bytes(&pointer(at, "error"), error, settings::MESSAGE_BYTES);
        }
    }

    /// What is compared and kept of this step; none while it has neither result nor error.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let error = self.error.as_deref().map(canonical::error).filter(|error| !error.is_empty());
        let result = self.result.as_ref().filter(|result| !result.is_null());
        if result.is_none() && error.is_none() {
            return None;
        }
        // As one JSON array, so that no text can pass from one part to the next.
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

fn is_nothing(action: &Value) -> bool {
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

/// A step as it is kept: half of it tells whether two steps are the same, the other half whether
/// their errors are; all zero without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; BYTES]);

impl Fingerprint {
    /// What is stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// What was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    fn error(&self) -> Option<&[u8]> {
        Some(&self.0[HALF..]).filter(|half| half.iter().any(|byte| *byte != 0))
    }
}

/// A loop that a sequence of steps ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Loop {
    /// How the steps repeat.
    pub pattern: Pattern,
    /// How often by now; of a longer loop at least this often, for only the last steps are kept.
    #[schema(minimum = 3, example = 4)]
    pub times: usize,
    /// How many steps back it began, the latest step included.
    #[schema(minimum = 3, example = 4)]
    pub steps: usize,
    /// Where it began in the sequence that was looked at.
    #[serde(skip)]
    pub began: usize,
}

impl Loop {
    /// What its agent is told.
    #[must_use]
    pub fn advice(&self) -> String {
        let Self { pattern, times, steps: _, began: _ } = self;
        let what = match pattern {
            Pattern::SameStep => {
                format!("your last {times} steps were the same, with the same result")
            }
            Pattern::SameError => format!("your last {times} steps all met the same error"),
            Pattern::Alternating => {
                format!("your steps go back and forth between the same two, {times} times by now")
            }
            Pattern::Rotating => {
                format!("your steps go round in the same three, {times} times by now")
            }
        };
        format!(
            "{what}. Doing it once more will not help: try another way, ask a person, or give up and say why."
        )
    }

    /// Whether the latest step made it a loop: the moment to tell somebody, once.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.steps == self.pattern.least_steps()
    }
}

/// The loop that the steps end in, if any. A loop that was left is none.
#[must_use]
pub fn detect(steps: &[Fingerprint]) -> Option<Loop> {
    loops(steps).next()
}

/// Every pattern that the steps end in, the one that is told first. Four equal steps are two in turn as
/// well: only when no pattern is left has an agent come out of a loop.
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

/// Whether two errors are the same but for what differs each time without meaning anything.
#[must_use]
pub fn same_error(one: &str, other: &str) -> bool {
    canonical::error(one) == canonical::error(other)
}

/// How many of the last steps repeat with a period.
fn repeating(steps: &[Fingerprint], period: usize) -> usize {
    let later = steps.iter().rev();
    let earlier = steps.iter().rev().skip(period);
    let equal = later.zip(earlier).take_while(|(later, earlier)| later == earlier).count();
    if equal == 0 { 0 } else { equal + period }
}

/// How many of the last steps have the error of the last.
fn same_errors(steps: &[Fingerprint]) -> usize {
    let Some(error) = steps.last().and_then(Fingerprint::error) else { return 0 };
    steps.iter().rev().take_while(|step| step.error() == Some(error)).count()
}
