//! Log lines and metrics of requests.
//!
//! Labels are bounded for any input: the template of the route or `none`, a known method or `other`, the
//! status. A span has the same and the id of the request.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use tracing::{Span, error, info, info_span, warn};

use crate::{app::Stopwatch, domain::refusal::Code, http::problem::Error};

const REQUESTS: &str = "muster_http_requests_total";
const SECONDS: &str = "muster_http_request_seconds";
const PROBLEMS: &str = "muster_http_problems_total";
const IN_FLIGHT: &str = "muster_http_requests_in_flight";

/// The measurement of one request.
#[derive(Debug)]
pub struct Measure {
    method: &'static str,
    route: Arc<str>,
    started: Stopwatch,
}

impl Measure {
    /// Starts to measure a request to `route`.
    #[must_use]
    pub fn start(method: &Method, route: Option<Arc<str>>) -> Self {
        let route = route.unwrap_or_else(|| Arc::from("none"));
        Self { method: method_label(method), route, started: Stopwatch::start() }
    }

    /// The span of everything that the request logs.
    #[must_use]
    pub fn span(&self, request_id: &str) -> Span {
        info_span!("request", request_id, method = self.method, route = &*self.route)
    }

    /// Counts the request and logs its result. Call it inside the span.
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
            Code::Unavailable => warn!(status, elapsed_us, code = %code, cause, "unavailable"),
            refusal => info!(status, elapsed_us, code = %refusal, "refused"),
        }
    }
}

/// A running request: counted while this value lives, however the request ends.
#[derive(Debug)]
pub struct InFlight(());

impl InFlight {
    /// Counts one more request.
    #[must_use]
    pub fn start() -> Self {
        metrics::gauge!(IN_FLIGHT).increment(1.0);
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!(IN_FLIGHT).decrement(1.0);
    }
}

/// Registers the descriptions of these metrics, which `/metrics` shows.
pub fn describe_metrics() {
    metrics::describe_counter!(REQUESTS, "Answered requests, by method, route and status.");
    metrics::describe_histogram!(
        SECONDS,
        metrics::Unit::Seconds,
        "Time to the answer, long polls included, by method and route."
    );
    metrics::describe_counter!(PROBLEMS, "Refused and failed requests, by problem code.");
    metrics::describe_gauge!(IN_FLIGHT, "Running requests.");
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
