//! The `muster` program; see [`muster::cli`].

use std::process::ExitCode;

use clap::Parser as _;
use muster::cli::Cli;

/// Thousands of agents wait on connections of their own, each of which is many small pieces of memory
/// of all ages. jemalloc keeps them together: beside the system's allocator on Linux a waiting agent
/// takes about a quarter less, and a request about a tenth less of the processor.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
