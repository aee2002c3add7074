//! The commands of the program.
//!
//! What a command was asked for goes to standard output, everything else to standard error. A
//! command that fails says what to do and ends with 1; one that is called wrongly ends with 2. How
//! `verify` and `audit verify` end says what they found; see there.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{
    config::{DatabaseConfig, LogConfig, ServeConfig},
    telemetry,
};

mod audit;
mod bench;
mod database;
mod demo;
mod health;
mod keys;
mod print;
mod readiness;
mod serve;
mod verify;

/// Why a command failed: for people, at the end of the program.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// muster keeps track of the work of a fleet of AI agents
#[derive(Debug, Parser)]
#[command(name = "muster", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    log: LogConfig,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    ///
    /// Uses the PostgreSQL of DATABASE_URL, or runs a private one on the data directory. The first
    /// start on an empty database makes an admin key and prints it once.
    Serve(ServeConfig),
    /// Make, list and revoke keys
    ///
    /// Works on the database of a running service or without one.
    Keys(KeysArgs),
    /// Bring the schema of the database up to date; `serve` does so by itself
    Migrate,
    /// Give the private PostgreSQL to other programs such as psql
    ///
    /// Prints the URL of its database. When nothing runs it, runs it until Ctrl-C.
    Database,
    /// See a fleet at work: one goal, five agents, and what can go wrong
    ///
    /// Runs the service on data of its own and lets five agents work on a goal over HTTP. One of
    /// them dies, a task fails and is tried again, a result waits for a person. Afterwards the
    /// service can be looked at until Ctrl-C.
    Demo(demo::DemoConfig),
    /// Measure what muster carries on this machine
    ///
    /// Starts a PostgreSQL in a temporary directory and a service on it, lets agents work over
    /// HTTP, and prints what it saw. Everything takes about 20 minutes; name scenarios to measure
    /// only those. Build with --release, and have nothing else run meanwhile.
    Bench(bench::BenchConfig),
    /// Ask a running service whether it is ready; ends with 0 if it is
    Health(health::HealthConfig),
    /// Check on the data that the promises are kept
    ///
    /// Looks for whatever breaks a published invariant, in all workspaces, beside a running service
    /// or without one. Ends with 0 when every invariant holds, with 1 when one is broken, and with 2
    /// when that could not be found out.
    Verify(verify::VerifyArgs),
    /// Check that the audit was not touched, in the database or in an export
    Audit(AuditArgs),
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Debug, Args)]
struct KeysArgs {
    #[command(subcommand)]
    command: keys::KeysCommand,
}

#[derive(Debug, Args)]
struct AuditArgs {
    #[command(subcommand)]
    command: audit::AuditCommand,
}

impl Cli {
    /// Runs the command, and says how the program ends.
    pub async fn run(self) -> ExitCode {
        match self.dispatch().await {
            Ok(code) => code,
            Err(failure) => {
                print::failure(&*failure);
                ExitCode::FAILURE
            }
        }
    }

    /// The demo itself shows what happens, so it logs only what should not.
    fn log(&self) -> LogConfig {
        let mut log = self.log.clone();
        if matches!(self.command, Command::Demo(_)) && log.log == LogConfig::DEFAULT {
            log.log = "warn".to_owned();
        }
        log
    }

    async fn dispatch(self) -> Result<ExitCode, Failure> {
        telemetry::log(&self.log())?;
        let done = match self.command {
            Command::Serve(serve) => serve::run(&self.database, &serve).await,
            Command::Keys(args) => keys::run(&self.database, args.command).await,
            Command::Migrate => database::migrate(&self.database).await,
            Command::Database => database::run(&self.database).await,
            Command::Demo(demo) => demo::run(&self.database, &demo).await,
            Command::Bench(bench) => bench::run(&self.database, bench).await,
            Command::Health(health) => health::run(&health).await,
            // Its status says more than that it failed.
            Command::Verify(args) => return Ok(verify::run(&self.database, &args).await),
            Command::Audit(args) => return Ok(audit::run(&self.database, &args.command).await),
            Command::Openapi => print::text(&crate::http::docs::document()?),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}
