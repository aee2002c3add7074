//! The state of the service that handlers and layers share, and its limits.
//!
//! It is made once, when the service starts. The names are here and not in [`super`], so that layers,
//! extractors and the page use them without importing each other.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use axum::extract::FromRef;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fairness::{address::TrustedProxies, quotas::Quotas};
use crate::app::App;

/// The longest `wait_seconds` of a request.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The state that handlers and layers share.
#[derive(Clone)]
pub struct HttpState {
    /// The use cases.
    pub app: Arc<App>,
    /// The checks behind `/readyz`.
    pub readiness: Arc<dyn Readiness>,
    /// The metrics behind `/metrics`.
    pub metrics: Arc<PrometheusHandle>,
    /// The limits on concurrent requests and their time.
    pub limits: Limits,
}

impl FromRef<HttpState> for Arc<App> {
    fn from_ref(state: &HttpState) -> Self {
        Self::clone(&state.app)
    }
}

/// Checks whether the service is ready.
pub trait Readiness: fmt::Debug + Send + Sync {
    /// Checks everything that requests depend on.
    fn check(&self) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>>;
}

/// The result of one readiness check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// The name of the dependency.
    #[schema(example = "database")]
    pub name: String,
    /// Whether the dependency worked when it was checked.
    pub ok: bool,
}

impl Check {
    /// The result of the check `name`.
    pub fn new(name: impl Into<String>, ok: bool) -> Self {
        Self { name: name.into(), ok }
    }
}

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
            lists: 4,
            scans: 2,
            quotas: Quotas::default(),
            trusted_proxies: TrustedProxies::default(),
        }
    }
}
