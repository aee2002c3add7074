//! The log and metrics of the process.
//!
//! The log goes to standard error; standard output carries only the results of commands. Secrets
//! are not logged: keys and leases are never fields of a span or event, sqlx does not log bound
//! values, and requests are logged by route ([`crate::http::serve::telemetry`]).

use std::{io::IsTerminal as _, time::Duration};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt, util::TryInitError};

use crate::{
    config::{LogConfig, LogFormat},
    http,
    shutdown::Shutdown,
};

/// Failure to set up log or metrics.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Invalid filter.
    #[error(
        "MUSTER_LOG (or --log) is not a valid filter such as `info` or `info,muster::http=debug`: {0}"
    )]
    Filter(#[from] ParseError),
    /// A log is already set up in this process.
    #[error("the log cannot be set up: {0}")]
    Log(#[from] TryInitError),
    /// Metrics are already set up in this process.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] BuildError),
}

/// Buckets of durations: from an answer out of memory to a long poll.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];
/// Buckets of commands per batch.
const COMMANDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
/// Interval of folding old samples into the buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// Sends the log to standard error.
///
/// # Errors
/// When the filter is invalid, or a log is already set up.
pub fn log(config: &LogConfig) -> Result<(), TelemetryError> {
    use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

    let filter = EnvFilter::try_new(&config.log)?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match config.log_format {
        LogFormat::Text => {
            registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()?;
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}

/// Starts collecting metrics; the handle renders them.
///
/// # Errors
/// When metrics are already collected in this process.
pub fn metrics(shutdown: &Shutdown) -> Result<PrometheusHandle, TelemetryError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_commands".into()), COMMANDS)?
        .install_recorder()?;
    http::serve::telemetry::describe_metrics();
    http::serve::connections::describe_metrics();
    http::fairness::describe_metrics();
    crate::app::duties::measure_sealing::describe_metrics();
    crate::app::artifacts::describe_metrics();
    crate::outbound::artifacts::s3::describe_metrics();
    describe_batches();
    describe_usage();
    let upkeep = handle.clone();
    shutdown.spawn_until_begun("metrics upkeep", async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

fn describe_usage() {
    metrics::describe_gauge!(
        "muster_workspace_fullest_ratio",
        "What the fullest workspace holds, as a part of its cap, by what is counted."
    );
}

fn describe_batches() {
    metrics::describe_histogram!(
        "muster_batch_commands",
        "Commands per batch, by kind of command."
    );
    metrics::describe_counter!(
        "muster_batch_refused_total",
        "Commands refused because the queue of their kind was full."
    );
}
