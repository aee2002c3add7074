//! The `muster` program; see [`muster::cli`].

use std::process::ExitCode;

use clap::Parser as _;
use muster::cli::Cli;

/// Thousands of agents wait on connections of their own: many small allocations of all ages.
/// jemalloc keeps them compact. Compared with the system's allocator on Linux, a waiting agent
/// takes about a quarter less memory, and a request about a tenth less CPU time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
