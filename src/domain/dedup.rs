//! Dedup keys: a goal or task that is posted twice exists once.
//!
//! A script that posts the same goal for every failing build, or an agent that reports the same finding again,
//! sends a key. While another goal or task holds it, nothing is created, and the answer is that one. In contrast to
//! an `Idempotency-Key`, a dedup key says what the work is about and not which request it is: it holds for any
//! sender and any body.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    check::{Checks, pointer},
    words::words,
};

/// Most characters of a key.
pub const KEY_CHARS: usize = 200;
/// The longest time for which a key is held, in seconds: a year.
pub const SECONDS_MAX: u32 = 31_622_400;

words! {
    /// How long a key is held.
    pub enum While {
        /// Until its holder has ended.
        Open => "open",
    }
}

/// A key under which a goal or task exists once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dedup {
    /// The key: of a goal, unique in its project, or among the goals without one; of a task, unique in its goal.
    #[schema(example = "build-main-red", min_length = 1, max_length = 200)]
    pub key: String,
    /// `open`: held until its holder has ended. This is the default without `for_seconds`.
    #[serde(default, rename = "while", skip_serializing_if = "Option::is_none")]
    pub holds: Option<While>,
    /// Held for so many seconds, whatever becomes of its holder, also if it is deleted. The key of a task is gone with
    /// its goal. Not together with `while`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 86_400, minimum = 1, maximum = 31_622_400)]
    pub for_seconds: Option<u32>,
}

impl Dedup {
    /// Adds what is wrong with it.
    pub fn check(&self, checks: &mut Checks, at: &str) {
        checks.line(&pointer(at, "key"), &self.key, KEY_CHARS);
        let here = pointer(at, "for_seconds");
        if let Some(seconds) = self.for_seconds {
            checks.range(&here, seconds, 1..=SECONDS_MAX);
        }
        let both = self.holds.is_some() && self.for_seconds.is_some();
        checks.ensure(!both, &here, "cannot be given together with `while`");
    }

    /// Until when the key is held if it is taken now; `None`: while its holder is open.
    #[must_use]
    pub fn held_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.for_seconds.map(|seconds| now + TimeDelta::seconds(seconds.into()))
    }
}

/// Whether a key is held. `open`: whether its holder has not ended.
#[must_use]
pub fn is_held(held_until: Option<DateTime<Utc>>, open: bool, now: DateTime<Utc>) -> bool {
    held_until.map_or(open, |until| until > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_while_its_holder_is_open_or_for_its_time() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let later = now + TimeDelta::seconds(1);
        for (until, open, held) in [
            (None, true, true),
            (None, false, false),
            (Some(later), false, true),
            (Some(now), true, false),
        ] {
            assert_eq!(is_held(until, open, now), held);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let dedup = Dedup { key: " ".into(), holds: Some(While::Open), for_seconds: Some(0) };
        let mut checks = Checks::new();
        dedup.check(&mut checks, "/dedup");
        let refusal = checks.finish().unwrap_err();
        let places: Vec<&str> = refusal.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(places, ["/dedup/key", "/dedup/for_seconds", "/dedup/for_seconds"]);
    }
}
