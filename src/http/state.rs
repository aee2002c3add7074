//! The state of the service that handlers and layers share.
//!
//! It is made once, when the service starts. The names are here and not in [`super`], so that layers,
//! extractors and the page use them without importing each other.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use axum::extract::FromRef;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::fairness::limits::Limits;
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
    pub limits: Arc<Limits>,
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
