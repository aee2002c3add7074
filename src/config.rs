//! Settings.
//!
//! Every setting is an option of the command line and an environment variable; the option wins.
//! There is no configuration file: services, containers and shells can all set a variable.
//! [`settings`] derives the manual's list from the definitions.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Command, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    embedded::{EmbeddedError, EmbeddedOptions, default_data_dir},
    http::state::Limits,
    shutdown::Drain,
};

/// Database name on a private server.
pub const DATABASE: &str = "muster";

/// Location of the data.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseConfig {
    /// The PostgreSQL to use: postgres://user:password@host:5432/database
    ///
    /// Without it muster runs a private PostgreSQL on the data directory.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<SecretString>,
    /// Data directory of the private PostgreSQL
    ///
    /// The default is the platform's directory for user data, or /var/lib/muster for root.
    #[arg(long, global = true, env = "MUSTER_DATA_DIR", value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,
    /// Directory of the PostgreSQL programs; found automatically by default
    #[arg(long, global = true, env = "MUSTER_PG_BIN", value_name = "DIRECTORY")]
    pub pg_bin: Option<PathBuf>,
    /// Maximum number of database connections
    #[arg(
        long,
        global = true,
        env = "MUSTER_DATABASE_CONNECTIONS",
        default_value_t = 20,
        value_parser = clap::value_parser!(u16).range(2..=1000),
        value_name = "COUNT"
    )]
    pub database_connections: u16,
}

impl DatabaseConfig {
    /// URL of the external PostgreSQL; `None`, or an empty variable: a private one.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        let url = self.database_url.as_ref().map(|url| url.expose_secret());
        url.filter(|url| !url.is_empty())
    }

    /// Data directory of the private PostgreSQL.
    ///
    /// # Errors
    /// When none is set and there is no home directory.
    pub fn data_dir(&self) -> Result<PathBuf, EmbeddedError> {
        self.data_dir.clone().map_or_else(default_data_dir, Ok)
    }

    /// Options of the private PostgreSQL.
    ///
    /// # Errors
    /// When no data directory is set and there is no home directory.
    pub fn embedded(&self) -> Result<EmbeddedOptions, EmbeddedError> {
        let mut options = EmbeddedOptions::new(self.data_dir()?);
        options.bin_dir.clone_from(&self.pg_bin);
        // A reserve for the command line and psql beside a running service.
        options.max_connections = self.database_connections.saturating_add(20);
        Ok(options)
    }
}

/// Address and limits of the service.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Service")]
pub struct ServeConfig {
    /// The address to listen on
    ///
    /// Plain HTTP: use a TLS proxy for traffic that leaves the machine.
    #[arg(long, env = "MUSTER_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The first admin key, used once, on an empty database
    ///
    /// Output of `muster keys generate`, or at least 32 random characters
    /// (`openssl rand -hex 32`). Without it muster makes a key and prints it once. Prefer the
    /// variable: other users of the machine can see command line arguments.
    #[arg(long, env = "MUSTER_BOOTSTRAP_KEY", hide_env_values = true, value_name = "KEY")]
    pub bootstrap_key: Option<SecretString>,
    /// Maximum number of concurrent requests; further ones are refused with 503
    #[arg(
        long,
        env = "MUSTER_MAX_REQUESTS",
        default_value_t = 1024,
        value_parser = at_least_one,
        value_name = "COUNT"
    )]
    pub max_requests: usize,
    /// Maximum number of requests waiting in long polls
    #[arg(
        long,
        env = "MUSTER_MAX_WAITING",
        default_value_t = 16_384,
        value_parser = at_least_one,
        value_name = "COUNT"
    )]
    pub max_waiting: usize,
    /// Time limit of a request, without its wait in a long poll
    #[arg(
        long,
        env = "MUSTER_REQUEST_TIMEOUT_SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=3600),
        value_name = "SECONDS"
    )]
    pub request_timeout_seconds: u64,
    /// Time that a stop waits for running requests
    #[arg(
        long,
        env = "MUSTER_DRAIN_SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(0..=3600),
        value_name = "SECONDS"
    )]
    pub drain_seconds: u64,
    /// Time that a stop keeps serving with /readyz failing, so that load balancers notice
    #[arg(
        long,
        env = "MUSTER_NOTICE_SECONDS",
        default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(0..=3600),
        value_name = "SECONDS"
    )]
    pub notice_seconds: u64,
}

impl ServeConfig {
    /// Limits of the HTTP side.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            in_flight: self.max_requests,
            waiting: self.max_waiting,
            timeout: Duration::from_secs(self.request_timeout_seconds),
        }
    }

    /// Duration of a stop.
    #[must_use]
    pub fn drain(&self) -> Drain {
        Drain {
            notice: Duration::from_secs(self.notice_seconds),
            patience: Duration::from_secs(self.drain_seconds),
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        // Below the maximum permits of a semaphore.
        Ok(count @ 1..=1_000_000) => Ok(count),
        Ok(_) | Err(_) => Err("must be a number from 1 to 1000000".into()),
    }
}

/// Content and form of the log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogConfig {
    /// Log filter: a level, or levels by module such as info,muster::http=debug
    #[arg(
        long,
        global = true,
        env = "MUSTER_LOG",
        default_value = Self::DEFAULT,
        value_name = "FILTER"
    )]
    pub log: String,
    /// Form of the log on standard error
    #[arg(long, global = true, env = "MUSTER_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

impl LogConfig {
    /// Default filter.
    pub const DEFAULT: &str = "info";
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A setting, for the manual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Option of the command line, `--listen`.
    pub option: String,
    /// Environment variable.
    pub variable: String,
    /// Default value; empty: none.
    pub default: String,
    /// Meaning, in one line.
    pub help: String,
}

/// Every option of the command and its subcommands that has an environment variable, each once.
#[must_use]
pub fn settings(command: &Command) -> Vec<Setting> {
    let mut found: Vec<Setting> = Vec::new();
    collect(command, &mut found);
    found
}

fn collect(command: &Command, found: &mut Vec<Setting>) {
    for arg in command.get_arguments() {
        let (Some(long), Some(variable)) = (arg.get_long(), arg.get_env()) else { continue };
        let setting = Setting {
            option: format!("--{long}"),
            variable: variable.to_string_lossy().into_owned(),
            default: arg
                .get_default_values()
                .iter()
                .map(|value| value.to_string_lossy())
                .collect::<Vec<_>>()
                .join(" "),
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
        };
        if !found.contains(&setting) {
            found.push(setting);
        }
    }
    for below in command.get_subcommands() {
        collect(below, found);
    }
}
