//! The limits on requests that an operator sets when the service starts.

use std::time::Duration;

use super::{address::TrustedProxies, quotas::Quotas};

/// Limits on requests: how many at once, how long, and how much each key may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most short requests at once; more are refused with 503.
    pub in_flight: usize,
    /// The most waiting requests (long polls) at once; more are refused with 503.
    pub waiting: usize,
    /// The longest time of a short request.
    pub timeout: Duration,
    /// The longest time for the body of a request to arrive.
    pub body: Duration,
    /// The most reads of lists at once; more wait in a queue.
    pub lists: usize,
    /// The most reads of much (reports, checks, exports) at once; more wait in a queue.
    pub scans: usize,
    /// The most uploads and downloads of artifacts at once; more are refused with 503.
    pub transfers: usize,
    /// What each key may use.
    pub quotas: Quotas,
    /// The proxies that name the addresses of their clients.
    pub trusted_proxies: TrustedProxies,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 1024,
            waiting: 20_480,
            timeout: Duration::from_secs(30),
            body: Duration::from_secs(5),
            lists: 2,
            scans: 2,
            transfers: 64,
            quotas: Quotas::default(),
            trusted_proxies: TrustedProxies::default(),
        }
    }
}
