//! The log lines and metrics of requests.
//!
//! The labels are bounded, whatever strangers send: the route's template or `none`, a known method
//! or `other`, the status. A span has the same and the request's id.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use tracing::{Span, error, info, info_span, warn};

use crate::{app::Stopwatch, domain::refusal::Code, http::problem::Error};

const REQUESTS: &str = "muster_http_requests_total";
const SECONDS: &str = "muster_http_request_seconds";
const PROBLEMS: &str = "muster_http_problems_total";
const IN_FLIGHT: &str = "muster_http_requests_in_flight";

/// One request on its way.
#[derive(Debug)]
pub struct Measure {
    method: &'static str,
    route: Arc<str>,
    started: Stopwatch,
}

impl Measure {
    /// Starts the measure of a request to `route`.
    #[must_use]
    pub fn start(method: &Method, route: Option<Arc<str>>) -> Self {
        let route = route.unwrap_or_else(|| Arc::from("none"));
        Self { method: method_label(method), route, started: Stopwatch::start() }
    }

    /// The span that everything which the request does is logged in.
    #[must_use]
    pub fn span(&self, request_id: &str) -> Span {
        info_span!("request", request_id, method = self.method, route = &*self.route)
    }

    /// Counts the request and logs how it went. Call it inside the span.
    pub fn stop(&self, status: StatusCode, error: Option<&Error>) {
        let elapsed = self.started.elapsed();
        metrics::counter!(REQUESTS, "method" => self.method, "route" => Arc::clone(&self.route),
            "status" => status.as_u16().to_string())
        .increment(1);
        metrics::histogram!(SECONDS, "method" => self.method, "route" => Arc::clone(&self.route))
            .record(elapsed.as_secs_f64());
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let status = status.as_u16();
        let Some(problem) = error else {
            info!(status, elapsed_us, "answered");
            return;
        };
        let code = problem.code();
        metrics::counter!(PROBLEMS, "code" => code.as_str()).increment(1);
        let cause = problem.cause();
        match code {
            Code::Internal => error!(status, elapsed_us, code = %code, cause, "failed"),
            Code::Unavailable => warn!(status, elapsed_us, code = %code, cause, "not taken"),
            refusal => info!(status, elapsed_us, code = %refusal, "refused"),
        }
    }
}

/// A request in the works: counted for as long as this lives, however the request ends.
#[derive(Debug)]
pub struct InFlight(());

impl InFlight {
    /// Counts one more.
    #[must_use]
    pub fn new() -> Self {
        metrics::gauge!(IN_FLIGHT).increment(1.0);
        Self(())
    }
}

impl Default for InFlight {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!(IN_FLIGHT).decrement(1.0);
    }
}

/// What the metrics of this file mean, for whoever reads `/metrics`.
pub fn describe_metrics() {
    metrics::describe_counter!(REQUESTS, "Requests answered, by method, route and status.");
    metrics::describe_histogram!(
        SECONDS,
        metrics::Unit::Seconds,
        "How long answers took, long polls included, by method and route."
    );
    metrics::describe_counter!(PROBLEMS, "Requests refused or failed, by problem code.");
    metrics::describe_gauge!(IN_FLIGHT, "Requests in the works.");
}

fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
