//! `muster health`: asks a running service whether it is ready.
//!
//! For health checks in images without curl.

use std::time::Duration;

use clap::Args;

use super::{failure::Failure, print};
use crate::http::health::Ready;

/// Longer than the service's own limit for its checks.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct HealthConfig {
    /// The address of the service
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,
}

/// Asks `/readyz`.
pub async fn run(config: &HealthConfig) -> Result<(), Failure> {
    // Without a proxy, whose answer would say nothing about the service.
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let url = format!("{}/readyz", config.url.trim_end_matches('/'));
    let answer: Ready = client.get(url).send().await?.json().await?;
    if answer.ready {
        return print::text("ready\n");
    }
    let failing = answer.checks.iter().filter(|check| !check.ok);
    let failing: Vec<&str> = failing.map(|check| check.name.as_str()).collect();
    Err(format!("not ready: {}", failing.join(", ")).into())
}
