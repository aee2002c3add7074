//! Requests that may stay open while they wait for something to happen.
//!
//! A handler that waits takes [`LongPoll`] as an argument. Its requests are then counted apart from
//! the short ones, so thousands of waiting agents never keep a completion out, and get the
//! longest wait and a margin before they time out.

use std::{convert::Infallible, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::http::describe::{Describe, Description};

/// The longest `wait_seconds`.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Marks a handler that may wait.
#[derive(Debug, Clone, Copy)]
pub struct LongPoll;

impl<S: Send + Sync> FromRequestParts<S> for LongPoll {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl Describe for LongPoll {
    fn describe(doc: &mut Description<'_>) {
        doc.long_poll();
    }
}

/// Seconds to wait, 0 to 60. For bodies and queries alike.
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

/// How long a read may wait for a change.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Wait up to this many seconds for a change; with `If-None-Match` for one after the version
    /// that you know. The answer at the end is the unchanged object.
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
