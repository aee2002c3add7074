//! The `muster` program; see [`muster::cli`].

use std::process::ExitCode;

use clap::Parser as _;
use muster::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
