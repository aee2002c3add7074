//! Settings.
//!
//! Every setting is an option of the command line and an environment variable; the option wins.
//! There is no configuration file: services, containers and shells can all set a variable.
//! [`settings`] derives the manual's list from the definitions.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Command, ValueEnum};
use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    domain::{
        artifact,
        cap::{
            bucket::{LARGEST_RATE, Quota},
            workspace::WorkspaceCaps,
        },
        ids::WorkspaceId,
        planning::model,
    },
    embedded::{EmbeddedError, EmbeddedOptions, default_data_dir},
    http::{
        fairness::{address::TrustedProxies, quotas::Quotas},
        serve::connections::ConnectionLimits,
        state::Limits,
    },
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
    /// File of the master key that encrypts secrets; without it `secret.key` in the data directory
    ///
    /// 64 hexadecimal digits (`openssl rand -hex 32`). With DATABASE_URL there is no default, and
    /// secrets are refused without a file.
    #[arg(long, global = true, env = "MUSTER_SECRET_KEY_FILE", value_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
}

/// A path that is set; `None` also for an empty variable.
fn given(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| !path.as_os_str().is_empty())
}

impl DatabaseConfig {
    /// URL of the external PostgreSQL; `None`, or an empty variable: a private one.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        let url = self.database_url.as_ref().map(|url| url.expose_secret());
        url.filter(|url| !url.is_empty())
    }

    /// The named file of the master key; `None` also for an empty variable.
    #[must_use]
    pub fn secret_key_file(&self) -> Option<&Path> {
        given(self.secret_key_file.as_deref())
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
        default_value_t = 20_480,
        value_parser = at_least_one,
        value_name = "COUNT"
    )]
    pub max_waiting: usize,
    /// Maximum number of connections; by default as many as the limit of open files allows
    ///
    /// Near it, the longest idle connections are closed for new ones.
    #[arg(long, env = "MUSTER_MAX_CONNECTIONS", value_parser = at_least_one, value_name = "COUNT")]
    pub max_connections: Option<usize>,
    /// Maximum number of connections of one address; by default three quarters of all
    ///
    /// Connections of trusted proxies are not counted. An IPv6 network of 64 bits is one address.
    #[arg(
        long,
        env = "MUSTER_MAX_CONNECTIONS_PER_ADDRESS",
        value_parser = at_least_one,
        value_name = "COUNT"
    )]
    pub max_connections_per_address: Option<usize>,
    /// Networks of proxies that name the addresses of their clients, as 10.0.0.0/8,fd00::/8
    ///
    /// Their header `Forwarded`, or else `X-Forwarded-For`, is believed from the right up to the first
    /// address outside of these networks.
    #[arg(
        long,
        env = "MUSTER_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_parser = network,
        value_name = "NETWORKS"
    )]
    pub trusted_proxies: Vec<IpNet>,
    /// Maximum number of lists read at once; further ones wait in a queue
    #[arg(
        long,
        env = "MUSTER_MAX_LISTS",
        default_value_t = 2,
        value_parser = at_least_one,
        value_name = "COUNT"
    )]
    pub max_lists: usize,
    /// Maximum number of reports, checks and exports at once; further ones wait in a queue
    #[arg(
        long,
        env = "MUSTER_MAX_SCANS",
        default_value_t = 2,
        value_parser = at_least_one,
        value_name = "COUNT"
    )]
    pub max_scans: usize,
    /// Requests per second of one key; five times as many at once
    #[arg(
        long,
        env = "MUSTER_KEY_REQUESTS",
        default_value_t = 1000,
        value_parser = rate(),
        value_name = "RATE"
    )]
    pub key_requests: u64,
    /// Spend entries per second of one key; five times as many at once
    #[arg(
        long,
        env = "MUSTER_KEY_SPEND_ENTRIES",
        default_value_t = 5000,
        value_parser = rate(),
        value_name = "RATE"
    )]
    pub key_spend_entries: u64,
    /// Bytes of checkpoints per second of one key; five times as many at once
    #[arg(
        long,
        env = "MUSTER_KEY_CHECKPOINT_BYTES",
        default_value_t = 4_194_304,
        value_parser = rate(),
        value_name = "RATE"
    )]
    pub key_checkpoint_bytes: u64,
    /// Bytes of uploaded artifacts per second of one key, five times as many at once; more are read slower
    #[arg(
        long,
        env = "MUSTER_KEY_ARTIFACT_BYTES",
        default_value_t = 67_108_864,
        value_parser = rate(),
        value_name = "RATE"
    )]
    pub key_artifact_bytes: u64,
    /// Maximum number of uploads and downloads of artifacts at once; further ones are refused with 503
    #[arg(
        long,
        env = "MUSTER_MAX_TRANSFERS",
        default_value_t = 64,
        value_parser = at_least_one,
        value_name = "COUNT"
    )]
    pub max_transfers: usize,
    /// Created tasks per second of one key; five times as many at once
    #[arg(
        long,
        env = "MUSTER_KEY_TASKS",
        default_value_t = 10_000,
        value_parser = rate(),
        value_name = "RATE"
    )]
    pub key_tasks: u64,
    /// Most agents of one workspace
    #[arg(long, env = "MUSTER_WORKSPACE_AGENTS", default_value_t = 20_000, value_name = "COUNT")]
    pub workspace_agents: u64,
    /// Most valid keys of one workspace
    #[arg(long, env = "MUSTER_WORKSPACE_KEYS", default_value_t = 100_000, value_name = "COUNT")]
    pub workspace_keys: u64,
    /// Most open tasks of one workspace
    #[arg(
        long,
        env = "MUSTER_WORKSPACE_OPEN_TASKS",
        default_value_t = 1_000_000,
        value_name = "COUNT"
    )]
    pub workspace_open_tasks: u64,
    /// Most bytes of one workspace in the database; beyond it new goals and subtasks are refused
    #[arg(
        long,
        env = "MUSTER_WORKSPACE_STORED_BYTES",
        default_value_t = 107_374_182_400,
        value_name = "BYTES"
    )]
    pub workspace_stored_bytes: u64,
    /// Most bytes of the artifacts of one workspace; each counts as at least 4 KiB
    #[arg(
        long,
        env = "MUSTER_WORKSPACE_ARTIFACT_BYTES",
        default_value_t = 21_474_836_480,
        value_name = "BYTES"
    )]
    pub workspace_artifact_bytes: u64,
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
    /// Exports before pruning.
    #[command(flatten)]
    pub prune: PruneConfig,
    /// Sign-in of people.
    #[command(flatten)]
    pub sign_in: SignInConfig,
    /// The model that plans.
    #[command(flatten)]
    pub planner: PlannerConfig,
    /// The store of artifacts.
    #[command(flatten)]
    pub artifacts: ArtifactConfig,
    /// The knowledge repository.
    #[command(flatten)]
    pub knowledge: KnowledgeConfig,
}

/// The knowledge repository.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Knowledge")]
pub struct KnowledgeConfig {
    /// Whether finished tasks are captured as lessons: on or off
    ///
    /// Lessons that are there stay and are still found and handed out.
    #[arg(long, env = "MUSTER_CAPTURE", value_enum, default_value_t = Capture::On)]
    pub capture: Capture,
    /// Address of an OpenAI-compatible endpoint for embeddings, as https://models.example.com/v1
    ///
    /// Lessons are then ranked by what they are about, too. Their texts and those of searches go there. A workspace
    /// with imported word vectors uses those. May be plain HTTP and a private address.
    #[arg(long, env = "MUSTER_EMBEDDINGS_URL", value_name = "URL")]
    pub embeddings_url: Option<String>,
    /// Name of the model for embeddings at its server
    #[arg(long, env = "MUSTER_EMBEDDINGS_MODEL", value_name = "MODEL")]
    pub embeddings_model: Option<String>,
    /// Key of the server of embeddings
    ///
    /// Prefer the file: other users of the machine can see command line arguments.
    #[arg(long, env = "MUSTER_EMBEDDINGS_KEY", hide_env_values = true, value_name = "KEY")]
    pub embeddings_key: Option<SecretString>,
    /// File with the key of the server of embeddings
    #[arg(long, env = "MUSTER_EMBEDDINGS_KEY_FILE", value_name = "FILE")]
    pub embeddings_key_file: Option<PathBuf>,
}

/// Whether finished tasks are captured as lessons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Capture {
    /// They are.
    On,
    /// They are not.
    Off,
}

/// The store of artifacts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Artifacts")]
pub struct ArtifactConfig {
    /// Directory of artifacts; without it `artifacts` in the data directory
    ///
    /// With DATABASE_URL there is no default: all servers of a database must share the directory. With
    /// MUSTER_ARTIFACTS_URL only arriving uploads are here.
    #[arg(long, env = "MUSTER_ARTIFACTS_DIR", value_name = "DIRECTORY")]
    pub artifacts_dir: Option<PathBuf>,
    /// Object store of artifacts instead of a directory: s3://BUCKET/PREFIX?endpoint=URL&region=REGION&style=path
    #[arg(long, env = "MUSTER_ARTIFACTS_URL", value_name = "URL")]
    pub artifacts_url: Option<String>,
    /// Id of the access key of the object store
    #[arg(long, env = "AWS_ACCESS_KEY_ID", value_name = "ID")]
    pub artifacts_key_id: Option<String>,
    /// Access key of the object store
    ///
    /// Prefer the variable: other users of the machine can see command line arguments.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true, value_name = "KEY")]
    pub artifacts_secret: Option<SecretString>,
    /// Token of a temporary access key of the object store
    #[arg(long, env = "AWS_SESSION_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub artifacts_token: Option<SecretString>,
    /// Most bytes of one artifact
    #[arg(
        long,
        env = "MUSTER_ARTIFACT_BYTES",
        default_value_t = 268_435_456,
        value_parser = clap::value_parser!(u64).range(1..=artifact::LARGEST),
        value_name = "BYTES"
    )]
    pub artifact_bytes: u64,
}

impl ArtifactConfig {
    /// The named directory; `None` also for an empty variable.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        given(self.artifacts_dir.as_deref())
    }

    /// The named object store; `None` also for an empty variable.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.artifacts_url.as_deref().map(str::trim).filter(|url| !url.is_empty())
    }
}

/// The model that the planner `llm` asks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Planner")]
pub struct PlannerConfig {
    /// Wire format of the model that plans: openai_chat, openai_responses or anthropic
    ///
    /// It is asked for every workspace that has no model of its own. Without it only those have one.
    #[arg(long, env = "MUSTER_PLANNER_API", value_name = "API")]
    pub planner_api: Option<String>,
    /// Address of its server, as https://models.example.com/v1; by default that of the format's maker
    ///
    /// May be plain HTTP and a private address, such as a model server on this machine.
    #[arg(long, env = "MUSTER_PLANNER_URL", value_name = "URL")]
    pub planner_url: Option<String>,
    /// Name of the model at its server
    #[arg(long, env = "MUSTER_PLANNER_MODEL", value_name = "MODEL")]
    pub planner_model: Option<String>,
    /// Key of its server
    ///
    /// Prefer the file: other users of the machine can see command line arguments.
    #[arg(long, env = "MUSTER_PLANNER_KEY", hide_env_values = true, value_name = "KEY")]
    pub planner_key: Option<SecretString>,
    /// File with the key of its server
    #[arg(long, env = "MUSTER_PLANNER_KEY_FILE", value_name = "FILE")]
    pub planner_key_file: Option<PathBuf>,
    /// Most output tokens of one answer
    #[arg(
        long,
        env = "MUSTER_PLANNER_MAX_OUTPUT_TOKENS",
        default_value_t = model::OUTPUT_TOKENS,
        value_parser = clap::value_parser!(i32).range(1..=i64::from(model::OUTPUT_TOKENS_MOST)),
        value_name = "COUNT"
    )]
    pub planner_max_output_tokens: i32,
    /// Time for one answer, its retries included
    #[arg(
        long,
        env = "MUSTER_PLANNER_TIMEOUT_SECONDS",
        default_value_t = model::TIMEOUT,
        value_parser = clap::value_parser!(i32).range(1..=i64::from(model::TIMEOUT_MOST)),
        value_name = "SECONDS"
    )]
    pub planner_timeout_seconds: i32,
    /// Longest time without a byte of the server
    #[arg(
        long,
        env = "MUSTER_PLANNER_SILENCE_SECONDS",
        default_value_t = model::SILENCE,
        value_parser = clap::value_parser!(i32).range(1..=i64::from(model::TIMEOUT_MOST)),
        value_name = "SECONDS"
    )]
    pub planner_silence_seconds: i32,
    /// Hosts of private addresses that workspaces may name, as models.lan,127.0.0.1:8099
    ///
    /// A workspace otherwise reaches only public addresses, over HTTPS. An entry without a port allows every port.
    #[arg(long, env = "MUSTER_PLANNER_HOSTS", value_delimiter = ',', value_name = "HOSTS")]
    pub planner_hosts: Vec<String>,
}

/// Exports before pruning.
#[derive(Debug, Clone, Args)]
pub struct PruneConfig {
    /// Directory to which a goal is exported before it is pruned; without it none is exported
    ///
    /// One file of NDJSON per goal. A goal that cannot be exported is not pruned.
    #[arg(long, env = "MUSTER_PRUNE_EXPORT_DIR", value_name = "DIRECTORY")]
    pub prune_export_dir: Option<PathBuf>,
}

impl PruneConfig {
    /// The directory; `None` also for an empty variable.
    #[must_use]
    pub fn export_dir(&self) -> Option<&Path> {
        given(self.prune_export_dir.as_deref())
    }
}

/// Sign-in of people with an identity provider.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sign-in")]
pub struct SignInConfig {
    /// The address under which browsers reach the service, as https://muster.example.com
    #[arg(long, env = "MUSTER_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// The issuer of an OpenID Connect provider; people can sign in with it
    #[arg(long, env = "MUSTER_OIDC_ISSUER", value_name = "URL")]
    pub oidc_issuer: Option<String>,
    /// The id of muster as a client of the provider
    #[arg(long, env = "MUSTER_OIDC_CLIENT_ID", value_name = "ID")]
    pub oidc_client_id: Option<String>,
    /// The secret of muster as a client of the provider
    ///
    /// Prefer the file: other users of the machine can see command line arguments. Without both, the
    /// secret `oidc_client_secret` with the name `sign-in` is used (`muster secrets set`).
    #[arg(long, env = "MUSTER_OIDC_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub oidc_client_secret: Option<SecretString>,
    /// File with the secret of muster as a client of the provider
    #[arg(long, env = "MUSTER_OIDC_CLIENT_SECRET_FILE", value_name = "FILE")]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// The workspace that people sign in to, if there are several
    #[arg(long, env = "MUSTER_OIDC_WORKSPACE", value_name = "ID")]
    pub oidc_workspace: Option<WorkspaceId>,
    /// The claim that names the person; `email` counts only if it is verified
    #[arg(long, env = "MUSTER_OIDC_PERSON_CLAIM", default_value = "email", value_name = "CLAIM")]
    pub oidc_person_claim: String,
    /// The claim with the roles; a JSON Pointer if it begins with a slash
    #[arg(long, env = "MUSTER_OIDC_ROLE_CLAIM", default_value = "groups", value_name = "CLAIM")]
    pub oidc_role_claim: String,
    /// Values of that claim and their roles, as ops=operator;everybody=viewer
    #[arg(long, env = "MUSTER_OIDC_ROLE_MAP", value_name = "MAP")]
    pub oidc_role_map: Option<String>,
    /// What muster asks of the provider beside `openid`, separated by spaces
    #[arg(
        long,
        env = "MUSTER_OIDC_SCOPES",
        default_value = "email profile",
        value_name = "SCOPES"
    )]
    pub oidc_scopes: String,
    /// Trust the provider with the names of people, without an administrator who confirms them
    #[arg(
        long,
        env = "MUSTER_OIDC_TRUST_PERSON_CLAIM",
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    pub oidc_trust_person_claim: bool,
}

impl ServeConfig {
    /// Limits of the HTTP side.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            in_flight: self.max_requests,
            waiting: self.max_waiting,
            timeout: Duration::from_secs(self.request_timeout_seconds),
            lists: self.max_lists,
            scans: self.max_scans,
            transfers: self.max_transfers,
            quotas: Quotas {
                requests: Quota::per_second(self.key_requests),
                spend_entries: Quota::per_second(self.key_spend_entries),
                checkpoint_bytes: Quota::per_second(self.key_checkpoint_bytes),
                tasks: Quota::per_second(self.key_tasks),
                artifact_bytes: Quota::per_second(self.key_artifact_bytes),
            },
            trusted_proxies: TrustedProxies::new(&self.trusted_proxies),
            ..Limits::default()
        }
    }

    /// What one workspace may hold.
    #[must_use]
    pub fn workspace_caps(&self) -> WorkspaceCaps {
        WorkspaceCaps {
            agents: self.workspace_agents,
            keys: self.workspace_keys,
            open_tasks: self.workspace_open_tasks,
            stored_bytes: self.workspace_stored_bytes,
            artifact_bytes: self.workspace_artifact_bytes,
        }
    }

    /// Limits of the connections, in a process that may open `files` and has `others` beside them.
    #[must_use]
    pub fn connections(&self, files: Option<u64>, others: usize) -> ConnectionLimits {
        let files = files.map_or(MOST_CONNECTIONS, |files| {
            usize::try_from(files).unwrap_or(MOST_CONNECTIONS).min(MOST_CONNECTIONS)
        });
        let allowed = files.saturating_sub(others + OTHER_FILES).max(LEAST_CONNECTIONS);
        let most = self.max_connections.unwrap_or(allowed);
        let per_address = self.max_connections_per_address.unwrap_or(most.div_ceil(4) * 3);
        ConnectionLimits {
            most,
            per_address,
            trusted_proxies: TrustedProxies::new(&self.trusted_proxies),
            ..ConnectionLimits::default()
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

/// The most connections without a setting.
const MOST_CONNECTIONS: usize = 100_000;
/// The fewest connections without a setting.
const LEAST_CONNECTIONS: usize = 64;
/// Open files beside connections: the reserve for health checks, connections about to close, and what
/// the process itself has open.
const OTHER_FILES: usize = 256;

fn rate() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=LARGEST_RATE)
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.trim();
    let alone = || network.parse::<IpAddr>().map(IpNet::from).ok();
    let read = network.parse().ok().or_else(alone);
    read.ok_or_else(|| "must be an address or a network such as 10.0.0.0/8".into())
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
