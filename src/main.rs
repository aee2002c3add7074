//! The `muster` program; see [`muster::cli`].

use std::process::ExitCode;

use clap::Parser as _;
use muster::cli::Cli;

/// Requests allocate much and briefly, on all cores at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
