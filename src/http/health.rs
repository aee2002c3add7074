//! Liveness, readiness and metrics.
//!
//! `/livez` depends on nothing: without an answer, restart the process. `/readyz` checks what requests
//! depend on: without a yes, send requests elsewhere or wait; a restart does not help. Both need no key,
//! reveal nothing else, and answer even while other requests are refused because of overload. `/metrics`
//! is about the whole service and needs a key.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    describe::{Describe, Description},
    extract::auth::{Auth, Public},
    problem::Result,
    reply::{Reply, json},
    state::{Check, HttpState},
};
use crate::app::caller::MonitorCaller;

/// The media type of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// That the process is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Live {
    /// Always true: a dead process does not answer.
    pub live: bool,
    /// The version of muster.
    #[schema(example = "0.1.0")]
    pub version: String,
}

/// Whether the service can answer requests now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Whether every check is ok.
    pub ready: bool,
    /// One check per dependency: the database, its migrations, its storage, the supervisor.
    pub checks: Vec<Check>,
}

/// Check that the process is alive.
///
/// Depends on nothing. Without an answer, restart the process.
#[utoipa::path(get, path = "/livez")]
pub(super) async fn livez(_: Public) -> Result<Reply<Live>> {
    Ok(Reply(Live { live: true, version: env!("CARGO_PKG_VERSION").to_owned() }))
}

pub(super) struct ReadyReply(Vec<Check>);

impl IntoResponse for ReadyReply {
    fn into_response(self) -> Response {
        let ready = self.0.iter().all(|check| check.ok);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, &Ready { ready, checks: self.0 })
    }
}

impl Describe for ReadyReply {
    fn describe(doc: &mut Description<'_>) {
        doc.json_response::<Ready>(200, "Send requests.", &[]);
        doc.json_response::<Ready>(503, "Send requests elsewhere, or wait.", &[]);
    }
}

/// Check that the service is ready.
///
/// Checks the database, its migrations, whether it has room to store, and the supervisor. If it is not
/// ready, send requests elsewhere or wait.
#[utoipa::path(get, path = "/readyz")]
pub(super) async fn readyz(_: Public, State(state): State<HttpState>) -> Result<ReadyReply> {
    let checks = tokio::time::timeout(CHECK_TIMEOUT, state.readiness.check()).await;
    Ok(ReadyReply(checks.unwrap_or_else(|_| vec![Check::new("in_time", false)])))
}

pub(super) struct Metrics(Arc<PrometheusHandle>);

impl IntoResponse for Metrics {
    fn into_response(self) -> Response {
        let content_type = HeaderValue::from_static(METRICS_TYPE);
        ([(header::CONTENT_TYPE, content_type)], self.0.render()).into_response()
    }
}

impl Describe for Metrics {
    fn describe(doc: &mut Description<'_>) {
        doc.text_response(200, METRICS_TYPE, "Prometheus' text format.");
    }
}

/// Read the metrics.
///
/// Metrics of the whole service, over all workspaces, for Prometheus: give it a key with the role
/// `viewer` as bearer token. No label contains data of a workspace.
#[utoipa::path(get, path = "/metrics")]
pub(super) async fn metrics(
    _: Auth<MonitorCaller>,
    State(state): State<HttpState>,
) -> Result<Metrics> {
    Ok(Metrics(state.metrics))
}
