//! The headers of a refusal for too much: `Retry-After`, `RateLimit` and `RateLimit-Policy`.
//!
//! The last two as in draft-ietf-httpapi-ratelimit-headers-10: a list of one quoted name with its
//! parameters.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// The name of the policy.
    pub policy: &'static str,
    /// The size of the quota.
    pub quota: u64,
    /// The unit of the quota, if it is no number of requests.
    pub unit: Option<&'static str>,
    /// The seconds in which the whole quota comes back; `None` for places.
    pub window: Option<u64>,
    /// Seconds until the next try.
    pub retry_after: u64,
}

impl Limited {
    /// Sets the headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Self { policy, quota, unit, window, retry_after } = *self;
        let unit = unit.map(|unit| format!(";qu=\"{unit}\"")).unwrap_or_default();
        let window = window.map(|seconds| format!(";w={seconds}")).unwrap_or_default();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
        for (name, text) in [
            (RATE_LIMIT_POLICY, format!("\"{policy}\";q={quota}{unit}{window}")),
            (RATE_LIMIT, format!("\"{policy}\";r=0;t={retry_after}")),
        ] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}
