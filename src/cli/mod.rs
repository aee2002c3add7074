//! The commands of the program.
//!
//! The result of a command goes to standard output, all else to standard error. A failed command
//! prints a remedy and exits with 1; a wrong call exits with 2. `verify` and `audit verify` exit with 0
//! if they found nothing wrong, with 1 if they did, and with 2 if that is unknown.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    bench::settings::BenchSettings,
    config::{DatabaseConfig, LogConfig, ServeConfig},
    telemetry,
};
use failure::{Failure, exit_code};

mod archive;
pub mod artifacts;
mod audit;
mod backup;
mod bench;
mod database;
mod demo;
pub mod embeddings;
mod failure;
mod folders;
mod given;
mod goal_files;
mod health;
mod key_file;
mod keys;
pub mod models;
mod print;
mod prune;
mod readiness;
mod secrets;
mod serve;
pub mod sign_in;
mod vectors;
mod verify;
mod workspace;

/// The command failed.
const FAILED: u8 = 1;
/// Whether anything is wrong could not be found out.
const UNKNOWN: u8 = 2;

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
    /// start on an empty database creates an admin key and prints it once.
    Serve(Box<ServeConfig>),
    /// Create, list and revoke keys
    ///
    /// Works on the database of a running service or without one.
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Set, list and delete secrets that muster sends to others, and rotate their master key
    ///
    /// Works on the database of a running service or without one.
    Secrets {
        #[command(subcommand)]
        command: secrets::SecretsCommand,
    },
    /// Move a whole workspace to another server: export it to a file, import it from there
    ///
    /// Works on the database of a running service or without one.
    Workspace {
        #[command(subcommand)]
        command: workspace::WorkspaceCommand,
    },
    /// Bring the schema of the database up to date; `serve` does so by itself
    Migrate,
    /// Print the URL of the private PostgreSQL, for programs such as psql, or upgrade it
    ///
    /// If no service runs it, this command runs it until Ctrl-C.
    Database {
        #[command(subcommand)]
        command: Option<database::DatabaseCommand>,
    },
    /// Copy the database of the private PostgreSQL into a file
    ///
    /// Works beside a running service or without one. The file has the data of one moment. The key
    /// file of the secrets is not in it: keep that apart.
    Backup(backup::BackupArgs),
    /// Restore a backup into an empty data directory
    ///
    /// The file is checked before anything is changed. A restore that was interrupted is repeated.
    Restore(backup::RestoreArgs),
    /// Watch a fleet at work: one goal, five agents, three incidents
    ///
    /// Runs the service on data of its own, with five agents that work on a goal over HTTP. One of
    /// them dies, a task fails and is tried again, a result waits for a person. The service runs on
    /// until Ctrl-C.
    Demo(demo::DemoConfig),
    /// Measure the capacity of muster on this machine
    ///
    /// Starts a PostgreSQL in a temporary directory and a service on it, runs agents over HTTP, and
    /// prints the figures. All scenarios take about 25 minutes; named ones are measured alone. Build
    /// with --release, and run nothing else at the same time.
    Bench(BenchSettings),
    /// Check that a running service is ready; exits with 0 if it is
    Health(health::HealthConfig),
    /// Check the published invariants on the data
    ///
    /// Checks all workspaces, beside a running service or without one. Exits with 0 if every
    /// invariant holds, with 1 if one is broken, and with 2 if that could not be found out.
    Verify(verify::VerifyArgs),
    /// Check the journal for tampering, in the database or in an export
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Delete ended goals and rows of the journal whose retention is over
    ///
    /// In all workspaces that have a retention, beside a running service or without one; the service
    /// does the same by itself. What was deleted cannot be restored.
    Prune(prune::PruneArgs),
    /// Word vectors, with which lessons are ranked by what they are about, too
    Vectors {
        #[command(subcommand)]
        command: vectors::VectorsCommand,
    },
    /// Print the OpenAPI document
    Openapi,
}

impl Cli {
    /// Runs the command and returns the exit code.
    pub async fn run(self) -> ExitCode {
        if let Err(failure) = telemetry::log(&self.log()) {
            return exit_code(Err(failure.into()), FAILED);
        }
        let done = match self.command {
            Command::Serve(serve) => serve::run(&self.database, &serve).await,
            Command::Keys { command } => keys::run(&self.database, command).await,
            Command::Secrets { command } => secrets::run(&self.database, command).await,
            Command::Workspace { command } => workspace::run(&self.database, command).await,
            Command::Migrate => database::migrate(&self.database).await,
            Command::Database { command: None } => database::run(&self.database).await,
            Command::Database { command: Some(command) } => {
                database::change(&self.database, command).await
            }
            Command::Backup(args) => backup::backup(&self.database, &args).await,
            Command::Restore(args) => backup::restore(&self.database, &args).await,
            Command::Demo(demo) => demo::run(&self.database, &demo).await,
            Command::Bench(settings) => bench::run(&self.database, settings).await,
            Command::Health(health) => health::run(&health).await,
            Command::Verify(args) => {
                return exit_code(verify::run(&self.database, &args).await, UNKNOWN);
            }
            Command::Audit { command: audit::AuditCommand::Verify(args) } => {
                return exit_code(audit::verify(&self.database, &args).await, UNKNOWN);
            }
            Command::Prune(args) => prune::run(&self.database, &args).await,
            Command::Vectors { command } => vectors::run(&self.database, command).await,
            Command::Openapi => openapi(),
        };
        exit_code(done.map(|()| true), FAILED)
    }

    /// The demo prints its events itself, so it logs warnings only.
    fn log(&self) -> LogConfig {
        let mut log = self.log.clone();
        if matches!(self.command, Command::Demo(_)) && log.log == LogConfig::DEFAULT {
            log.log = "warn".to_owned();
        }
        log
    }
}

fn openapi() -> Result<(), Failure> {
    print::text(&crate::http::docs::document()?)
}
