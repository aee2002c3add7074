//! Whether muster lives, is ready, and how it does.
//!
//! `/livez` depends on nothing: when it does not answer, restart the process. `/readyz` says
//! whether requests make sense now: when it says no, send them elsewhere or wait, a restart helps
//! nothing. Both are open and say no more than that, and both answer even while everything else is
//! refused because of overload. `/metrics` is about the whole service and needs a key.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{Content, response::ResponseBuilder},
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    describe::{self, Describe, Description, handlers},
    extract::auth::{Auth, Public},
    problem::Result,
    reply::json,
    state::{Check, HttpState},
};
use crate::app::caller::MonitorCaller;

/// The content type of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![livez, readyz, metrics]
}

/// Whether the process lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Live {
    /// Always true: a process that does not live does not answer.
    pub live: bool,
    /// The version of muster.
    #[schema(example = "0.1.0")]
    pub version: String,
}

/// Whether requests make sense now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Whether every check is ok.
    pub ready: bool,
    /// What was looked at: the database, its migrations, the supervisor.
    pub checks: Vec<Check>,
}

/// Marks handlers that answer even when everything else is refused because of overload.
#[derive(Debug, Clone, Copy)]
struct Always;

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Always {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        _: &mut axum::http::request::Parts,
        _: &S,
    ) -> std::result::Result<Self, Self::Rejection> {
        Ok(Self)
    }
}

impl Describe for Always {
    fn describe(doc: &mut Description<'_>) {
        doc.always();
    }
}

struct LiveReply;

impl IntoResponse for LiveReply {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &Live { live: true, version: env!("CARGO_PKG_VERSION").to_owned() })
    }
}

impl Describe for LiveReply {
    fn describe(doc: &mut Description<'_>) {
        doc.json_response::<Live>(200, "The process lives.", &[]);
    }
}

/// Is the process alive?
///
/// Depends on nothing. When this does not answer, restart the process.
#[utoipa::path(get, path = "/livez", tag = "health")]
async fn livez(_: Public, _: Always) -> Result<LiveReply> {
    Ok(LiveReply)
}

struct ReadyReply(Vec<Check>);

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

/// Is the service ready?
///
/// Looks at the database, its migrations and the supervisor. When this says no, send requests
/// elsewhere or wait.
#[utoipa::path(get, path = "/readyz", tag = "health")]
async fn readyz(_: Public, State(state): State<HttpState>, _: Always) -> Result<ReadyReply> {
    let checks = tokio::time::timeout(CHECK_TIMEOUT, state.readiness.check()).await;
    Ok(ReadyReply(checks.unwrap_or_else(|_| vec![Check::new("in_time", false)])))
}

struct Metrics(Arc<PrometheusHandle>);

impl IntoResponse for Metrics {
    fn into_response(self) -> Response {
        let content_type = HeaderValue::from_static(METRICS_TYPE);
        ([(header::CONTENT_TYPE, content_type)], self.0.render()).into_response()
    }
}

impl Describe for Metrics {
    fn describe(doc: &mut Description<'_>) {
        let content = Content::new(Some(describe::string()));
        let response = ResponseBuilder::new()
            .description("Prometheus' text format.")
            .content(METRICS_TYPE, content);
        doc.response(200, response);
    }
}

/// How does the service do?
///
/// Metrics of the whole service, all workspaces together, for Prometheus: configure a key with the
/// role `viewer` as its bearer token. No label names anything of a workspace.
#[utoipa::path(get, path = "/metrics", tag = "health")]
async fn metrics(
    _: Auth<MonitorCaller>,
    State(state): State<HttpState>,
    _: Always,
) -> Result<Metrics> {
    Ok(Metrics(state.metrics))
}
