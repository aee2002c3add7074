//! A private PostgreSQL, for when there is no `DATABASE_URL`.
//!
//! `muster serve`, `muster demo` and the tests then use the PostgreSQL that is installed on the
//! machine, on data of their own, through the same sqlx path as any other server.
//!
//! Guarantees:
//! - **Durable.** `fsync`, `full_page_writes` and `synchronous_commit` are on, data checksums too.
//!   What was acknowledged survives `kill -9` of muster, of the server, and of both.
//! - **Private.** There is no TCP. The socket lies in a directory closed to others, and the server
//!   lets in one user only: the one muster runs as (asked of the kernel, no password).
//! - **One server per data directory.** A second muster gets a clear error and disturbs nothing;
//!   nothing is started before everything that an earlier one started has ended.
//! - **The server does not outlive us.** [`EmbeddedPostgres::stop`] ends it, dropping the value does,
//!   and on Linux so does the death of this process in any way. Elsewhere the next start ends it.
//!
//! Why not a crate that brings its own PostgreSQL: a download at the first start, or a server that
//! refuses root, or turns `fsync` off, or stays behind when we are killed.
//!
//! How a start goes (each step is a file): take the instance lock ([`lock`]), choose the account
//! ([`account`]), end and remove what is left of an earlier run ([`previous`]), find the programs
//! ([`install`]), make the database files if there are none ([`cluster`]), start the server from a
//! thread that lives as long as it does ([`server`], [`spawn`]), wait until it says that it is
//! ready.

mod account;
mod cluster;
mod error;
mod install;
mod layout;
mod lock;
mod passing;
mod previous;
mod running;
mod server;
mod settings;
mod spawn;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use etcetera::BaseStrategy;
use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};

pub use error::EmbeddedError;
pub use passing::passing_dir;
pub use running::Address;
pub(crate) use spawn::die_with_thread;

use account::Account;
use install::Install;
use layout::{Layout, SocketDir};
use lock::{InstanceLock, LockFile};
use server::{Launch, Server};

/// The superuser, and the only role.
const ROLE: &str = "muster";

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// How long a start may take. A recovery after a crash replays up to a gigabyte of log.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// How the server is asked to end, and for how long each time: a clean shutdown, one without the
/// last checkpoint (the next start recovers), and the end.
const ENDING: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(20)),
    (Signal::QUIT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// What becomes of the data when the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// It is kept, and the next start goes on with it.
    #[default]
    Kept,
    /// The whole data directory is removed: for tests. The server still runs with the settings of
    /// [`Kept`](Self::Kept); only the first writing of the files is not waited for.
    Ephemeral,
}

/// How to start a private PostgreSQL.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Where the data is, or will be made (`--data-dir`, `MUSTER_DATA_DIR`).
    pub data_dir: PathBuf,
    /// Where `initdb` and `postgres` are (`MUSTER_PG_BIN`); if none, they are looked for.
    pub bin_dir: Option<PathBuf>,
    /// How many connections muster will open.
    pub max_connections: u16,
    /// What becomes of the data.
    pub lifetime: Lifetime,
    /// A library that the server loads when it starts, such as `pg_stat_statements`.
    pub preload: Option<&'static str>,
}

impl EmbeddedOptions {
    /// The usual options for data in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: None,
            max_connections: 50,
            lifetime: Lifetime::Kept,
            preload: None,
        }
    }
}

/// Where data is kept if nobody says otherwise: the platform's place for the data of a user
/// (`~/.local/share/muster`, `~/Library/Application Support/muster`), as root `/var/lib/muster`.
pub fn default_data_dir() -> Result<PathBuf, EmbeddedError> {
    if rustix::process::geteuid().is_root() {
        // Not below /root, which the account that the server runs as cannot enter.
        return Ok(PathBuf::from("/var/lib/muster"));
    }
    let strategy = etcetera::base_strategy::choose_native_strategy();
    Ok(strategy.map_err(|_| EmbeddedError::NoHome)?.data_dir().join("muster"))
}

/// A running private PostgreSQL. It ends when this is dropped.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    server: Server,
    data_dir: PathBuf,
    address: Address,
    lifetime: Lifetime,
}

impl EmbeddedPostgres {
    /// Starts the server, and makes its data if there is none.
    ///
    /// Returns when it takes connections. Dropping the future stops what was started.
    pub async fn start(options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        if std::env::var_os("PGOPTIONS").is_some() {
            tracing::warn!(
                "PGOPTIONS is set, and sqlx adds it to every connection; unset it for muster"
            );
        }
        let lifetime = options.lifetime;
        let (report, prepared) = std::sync::mpsc::sync_channel(1);
        let server = Server::start(move || {
            let (launch, place) = prepare(&options)?;
            let _ = report.send(place);
            Ok(launch)
        })
        .await?;
        let place = prepared.recv().unwrap_or_default();
        let Place { data_dir, socket_dir, version } = place;
        let address = Address::at(socket_dir);
        let postgres = Self { server, data_dir, address, lifetime };
        postgres.server.ready(READY_WITHIN).await?;
        tracing::info!(
            data_dir = %postgres.data_dir.display(),
            version,
            pid = postgres.pid(),
            "using a private PostgreSQL; set DATABASE_URL to use another server"
        );
        Ok(postgres)
    }

    /// How to connect to `database`; see [`Address::connect_options`].
    pub fn connect_options(&self, database: &str) -> PgConnectOptions {
        self.address.connect_options(database)
    }

    /// The same as a URL; see [`Address::url`].
    pub fn url(&self, database: &str) -> String {
        self.address.url(database)
    }

    /// The process number of the server.
    pub fn pid(&self) -> u32 {
        self.server.pid
    }

    /// Where the data is, as an absolute path without links.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Creates the database `name` if it is not there.
    pub async fn ensure_database(&self, name: &str) -> Result<(), EmbeddedError> {
        // PostgreSQL would cut a longer name, and we would look for a database that is not there.
        if name.is_empty() || name.len() > 63 || name.contains('\0') {
            return Err(EmbeddedError::DatabaseName { name: name.to_owned() });
        }
        create_database(&self.connect_options("postgres"), name)
            .await
            .map_err(|source| EmbeddedError::Database { name: name.to_owned(), source })
    }

    /// Waits until the server has ended by itself, and says how. A service without its database
    /// should end as well.
    pub async fn ended(&self) -> String {
        let mut server = self.server.clone();
        server.ended().await;
        server.status()
    }

    /// Stops the server; close the pools first, or their connections are cut.
    ///
    /// Asks for a clean shutdown, insists, and kills, each with a deadline.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let mut server = self.server.clone();
        for (signal, patience) in ENDING {
            server.signal(signal);
            if tokio::time::timeout(patience, server.ended()).await.is_ok() {
                return Ok(());
            }
            tracing::warn!(pid = server.pid, ?signal, "PostgreSQL does not stop");
        }
        Err(EmbeddedError::Stop { pid: server.pid })
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        match self.lifetime {
            // The owner thread waits for the end; if the process ends first, the kernel repeats
            // the signal.
            Lifetime::Kept => self.server.signal(Signal::INT),
            Lifetime::Ephemeral => {
                // Nothing needs to be saved, but the directory must go before the process does.
                self.server.signal(Signal::QUIT);
                self.server.ended_within(Duration::from_secs(5));
            }
        }
    }
}

/// What the start tells the handle.
#[derive(Debug, Default)]
struct Place {
    data_dir: PathBuf,
    socket_dir: PathBuf,
    version: String,
}

/// Everything up to the start of the server. Blocks: for a moment, or the second of an `initdb`, or
/// as long as an orphan takes to end.
fn prepare(options: &EmbeddedOptions) -> Result<(Launch, Place), EmbeddedError> {
    // All that can be known to be wrong is said before anything is made.
    let user = account::our_name()?;
    let account = Account::choose(&options.data_dir.join(layout::CLUSTER))?;
    account.check_reach(&layout::nearest(&options.data_dir)?)?;
    let layout = Layout::make(&options.data_dir)?;
    account.check_reach(&layout.data_dir)?;
    let instance = InstanceLock::take(&layout.data_dir)?;
    let server_lock = LockFile::open(layout.data_dir.join("server.lock"))?;
    previous::settle(&layout, &server_lock)?;
    layout.remove_init_leftovers()?;
    let data = cluster::major(&layout.cluster)?;
    let install = Install::find(options.bin_dir.as_deref(), data, &layout.cluster)?;
    if data.is_none() {
        let sync = options.lifetime == Lifetime::Kept;
        cluster::create(&layout, &install, &account, &server_lock, sync)?;
    }
    let socket = layout.socket_dir(&account)?;
    let mut command = spawn::command(&install.program("postgres"), &account);
    command.arg("-D").arg(&layout.cluster).stdin(server_lock.as_stdin()?).stderr(Stdio::piped());
    for (name, value) in settings::all(&layout, &socket, &user, options)? {
        let mut setting = OsString::from(format!("{name}="));
        setting.push(value);
        command.arg("-c").arg(setting);
    }
    server::die_with_owner(&mut command);
    let place = Place {
        data_dir: layout.data_dir.clone(),
        socket_dir: socket.path.clone(),
        version: install.version.to_string(),
    };
    let cleanup = cleanup(layout.data_dir.clone(), options.lifetime, socket, instance);
    Ok((Launch { command, layout, cleanup }, place))
}

/// What is done when the server has ended; the last thing is to give the directory back.
fn cleanup(
    data_dir: PathBuf,
    lifetime: Lifetime,
    socket: SocketDir,
    instance: InstanceLock,
) -> Box<dyn FnOnce()> {
    Box::new(move || {
        socket.remove();
        if lifetime == Lifetime::Ephemeral
            && let Err(error) = layout::remove_tree(&data_dir)
        {
            tracing::warn!(%error, "the data of a temporary PostgreSQL stays behind");
        }
        drop(instance);
    })
}

async fn create_database(options: &PgConnectOptions, name: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_optional(&mut connection)
        .await?;
    if found.is_none() {
        // From template0, which nobody can be connected to: that would make it fail.
        let name = name.replace('"', "\"\"");
        let create = format!("CREATE DATABASE \"{name}\" TEMPLATE template0");
        if let Err(error) = sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await
            && !created_meanwhile(&error)
        {
            return Err(error);
        }
    }
    connection.close().await
}

/// Two that create the same database at once: the second is told so in one of two ways.
fn created_meanwhile(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("42P04" | "23505"))
}
