//! `wait_seconds`: how long a request may wait for something to happen.
//!
//! An operation with such a parameter is marked `long_poll` on the page ([`crate::http`]), so that
//! waiting requests have a limit of their own and never displace short ones.

use std::time::Duration;

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::http::state::LONGEST_WAIT;

/// Seconds to wait, 0 to 60. For bodies and queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "u32")]
#[schema(value_type = u32, minimum = 0, maximum = 60, example = 30)]
pub struct WaitSeconds(u32);

impl WaitSeconds {
    /// The same as a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl TryFrom<u32> for WaitSeconds {
    type Error = String;

    fn try_from(seconds: u32) -> Result<Self, String> {
        let longest = LONGEST_WAIT.as_secs();
        if u64::from(seconds) > longest {
            return Err(format!("{seconds} is too long: waiting takes 0 to {longest} seconds"));
        }
        Ok(Self(seconds))
    }
}

/// How long a read waits for a change.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// Seconds to wait for a change; with `If-None-Match`, for a version other than that one. If nothing
    /// changes, the answer is the unchanged object.
    #[serde(default)]
    #[param(value_type = u32, minimum = 0, maximum = 60, default = 0)]
    pub wait_seconds: WaitSeconds,
}

impl WaitQuery {
    /// How long to wait.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.wait_seconds.duration()
    }
}
