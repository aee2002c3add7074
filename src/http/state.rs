//! What every handler can reach: the app, readiness, limits.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;

/// What the handlers and layers share.
#[derive(Clone)]
pub struct HttpState {
    /// The use cases.
    pub app: Arc<App>,
    /// Says whether requests make sense now.
    pub readiness: Arc<dyn Readiness>,
    /// What `/metrics` shows.
    pub metrics: Arc<PrometheusHandle>,
    /// How much is taken on at once, and how long it may take.
    pub limits: Limits,
}

/// Knows whether the service is ready.
pub trait Readiness: fmt::Debug + Send + Sync {
    /// Looks at everything that requests depend on.
    fn check(&self) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>>;
}

/// One thing that requests depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was looked at.
    #[schema(example = "database")]
    pub name: String,
    /// Whether it is as it must be.
    pub ok: bool,
}

impl Check {
    /// What a look at `name` found.
    pub fn new(name: impl Into<String>, ok: bool) -> Self {
        Self { name: name.into(), ok }
    }
}

/// How much is taken on at once, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests in the works at once; more are refused with 503.
    pub in_flight: usize,
    /// Requests that wait (long polls) at once.
    pub waiting: usize,
    /// How long a request may take, its waiting not counted.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight: 1024, waiting: 16_384, timeout: Duration::from_secs(30) }
    }
}
