//! A private PostgreSQL, for use without `DATABASE_URL`.
//!
//! `muster serve`, `muster demo` and the tests then run the PostgreSQL installed on the machine, on
//! data of their own, through the same sqlx path as any other server.
//!
//! Guarantees:
//! - **Durable.** `fsync`, `full_page_writes` and `synchronous_commit` are on, data checksums too.
//!   Acknowledged transactions survive `kill -9` of muster, of the server, and of both.
//! - **Private.** There is no TCP. The directory of the socket is closed to others, and the server
//!   accepts one user only, that of muster (the kernel identifies it; there is no password).
//! - **One server per data directory.** A second muster gets a clear error and changes nothing. A start
//!   waits for the end of all processes of an earlier muster.
//! - **The server does not outlive us.** [`EmbeddedPostgres::stop`] ends it, so does a drop of the
//!   value, and on Linux the death of this process in any way. Elsewhere the next start ends it.
//!
//! Why not a crate with its own PostgreSQL: those download it at the first start, or refuse root, or
//! turn `fsync` off, or leave the server running after a kill.
//!
//! The parts of a start, one file each: take the directory ([`claim`]) with the instance lock
//! ([`lock`]), choose the account ([`account`]), end and remove the remains of an earlier run
//! ([`previous`], [`switch`]), find the programs ([`install`]), create the database files if there are
//! none ([`cluster`]), start the server from a thread that lives as long as it does ([`server`],
//! [`spawn`]), wait until it is ready.
//!
//! [`copy`] copies a database out of a running server and back; [`restore`] and [`mod@upgrade`] make new
//! database files of such copies, with the same parts.

mod account;
mod claim;
mod cluster;
mod copy;
mod error;
mod install;
mod layout;
mod lock;
mod options;
mod passing;
mod poll;
mod previous;
mod restore;
mod running;
mod server;
mod settings;
mod spawn;
mod switch;
mod upgrade;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};

pub use copy::Dumper;
pub use error::EmbeddedError;
pub use options::{EmbeddedOptions, Lifetime, default_data_dir};
pub use restore::Restore;
pub use running::Address;
pub(crate) use spawn::die_with_thread;
pub use upgrade::{Upgrade, upgrade};

use claim::DataDir;
use copy::Loader;
use install::Install;
use server::{ENDING, Launch, Server};

/// Longest start. A recovery after a crash replays up to some gigabytes of log.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// A running private PostgreSQL. It ends when the value is dropped.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    server: Server,
    address: Address,
    lifetime: Lifetime,
}

impl EmbeddedPostgres {
    /// Starts the server, creates its data if there is none, and waits until it accepts connections.
    ///
    /// Dropping the future ends the server.
    ///
    /// # Errors
    /// The text says what to do. [`EmbeddedError::InUse`]: another muster uses the directory, and its
    /// server may be used with [`Address::of_running`].
    pub async fn start(options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        if std::env::var_os("PGOPTIONS").is_some() {
            tracing::warn!(
                "PGOPTIONS is set, and sqlx adds it to every connection; unset it for muster"
            );
        }
        let lifetime = options.lifetime;
        let postgres = Self::run(move || prepare(&options), lifetime).await?;
        tracing::info!(
            data_dir = %postgres.data_dir().display(),
            version = postgres.server.version,
            pid = postgres.pid(),
            "using a private PostgreSQL; set DATABASE_URL to use another server"
        );
        Ok(postgres)
    }

    /// Runs the server that `prepare` returns, and waits until it accepts connections.
    async fn run(
        prepare: impl FnOnce() -> Result<Launch, EmbeddedError> + Send + 'static,
        lifetime: Lifetime,
    ) -> Result<Self, EmbeddedError> {
        let server = Server::start(prepare).await?;
        let address = Address::at(server.socket_dir.clone());
        let postgres = Self { server, address, lifetime };
        postgres.server.ready(READY_WITHIN).await?;
        Ok(postgres)
    }

    /// Starts a server on a new directory below `TMPDIR`, which is removed at the end of the server and
    /// if the start fails. `options` gets the directory; the lifetime becomes ephemeral.
    pub async fn passing(
        options: impl FnOnce(PathBuf) -> EmbeddedOptions,
    ) -> Result<Self, EmbeddedError> {
        let base = std::env::temp_dir();
        let dir = passing::fresh_dir(&base, "muster-passing", layout::passable_mode(), |_| true)
            .map_err(EmbeddedError::io("make a directory in", &base))?;
        let lifetime = Lifetime::Ephemeral;
        let started = Self::start(EmbeddedOptions { lifetime, ..options(dir.clone()) }).await;
        if started.is_err() {
            // A server that never ran does not remove it.
            let _ = std::fs::remove_dir_all(dir);
        }
        started
    }

    /// The address of the server.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The options to connect to `database`; see [`Address::connect_options`].
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

    /// The data directory, absolute and without links.
    pub fn data_dir(&self) -> &Path {
        &self.server.layout.data_dir
    }

    /// Creates the database `name` if it is missing.
    pub async fn ensure_database(&self, name: &str) -> Result<(), EmbeddedError> {
        // PostgreSQL shortens a longer name, and a connection to the full name would fail.
        if name.is_empty() || name.len() > 63 || name.contains('\0') {
            return Err(EmbeddedError::DatabaseName { name: name.to_owned() });
        }
        create_database(&self.connect_options("postgres"), name)
            .await
            .map_err(|source| EmbeddedError::Database { name: name.to_owned(), source })
    }

    /// Makes the database and copies the file of a [`Dumper`] into it.
    async fn load(&self, loader: &Loader, name: &str, from: &File) -> Result<(), EmbeddedError> {
        self.ensure_database(name).await?;
        loader.load(from, &self.address, name).await?;
        // The file has no statistics, and the first plans need them.
        let analyze = async {
            let mut connection = PgConnection::connect_with(&self.connect_options(name)).await?;
            sqlx::query("ANALYZE").execute(&mut connection).await?;
            // Now, and not in the time that a stop has.
            sqlx::query("CHECKPOINT").execute(&mut connection).await?;
            connection.close().await
        };
        analyze.await.map_err(|source| EmbeddedError::Database { name: name.to_owned(), source })
    }

    /// Waits for the end of the server and returns its status in words. A service without its database
    /// should end too.
    pub async fn ended(&self) -> String {
        let mut server = self.server.clone();
        server.ended().await;
        server.status()
    }

    /// The same as [`stop`](Self::stop), but the server must have written everything: before its files
    /// replace others.
    async fn stop_cleanly(self) -> Result<(), EmbeddedError> {
        let server = self.server.clone();
        self.stop().await?;
        if server.ended_cleanly() {
            return Ok(());
        }
        EmbeddedError::unusable(format!(
            "PostgreSQL on {} did not end cleanly ({}) and said: {}",
            server.layout.cluster.display(),
            server.status(),
            server.log()
        ))
    }

    /// Stops the server with the signals of a clean shutdown, a fast one and a kill, each with a
    /// deadline. Close the pools before, or their connections break.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let mut server = self.server.clone();
        for (signal, patience) in ENDING {
            server.signal(signal);
            if tokio::time::timeout(patience, server.ended()).await.is_ok() {
                return Ok(());
            }
            tracing::warn!(pid = server.pid, ?signal, "PostgreSQL does not stop");
        }
        EmbeddedError::unusable(format!(
            "PostgreSQL (process {}) does not stop, not even killed; look for a hanging disk",
            server.pid
        ))
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        match self.lifetime {
            // The owner thread waits for the end; if the process ends before, the kernel repeats the
            // signal.
            Lifetime::Kept => self.server.signal(Signal::INT),
            Lifetime::Ephemeral => {
                // No data is needed, but the directory must be removed before the process ends.
                self.server.signal(Signal::QUIT);
                self.server.ended_within(Duration::from_secs(5));
            }
        }
    }
}

/// The parts before the start of the server. Blocks for the second of an `initdb`, or until the end of
/// an orphan.
fn prepare(options: &EmbeddedOptions) -> Result<Launch, EmbeddedError> {
    let (dir, server_lock) = DataDir::take(options)?;
    switch::settle(&dir.layout)?;
    let (layout, bin_dir) = (dir.layout.clone(), options.bin_dir.as_deref());
    let data = cluster::major(&layout.cluster)?;
    let install = Install::find(bin_dir, data, &layout.cluster)?;
    dir.launch(server_lock, layout, &install, options)
}

/// Runs work that blocks beside the async work of the process.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| EmbeddedError::unusable("the thread of the preparations panicked"))
}

async fn create_database(options: &PgConnectOptions, name: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_optional(&mut connection)
        .await?;
    if found.is_none() {
        // From template0, which allows no connections: one would make this fail.
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

/// Whether another process has just created the same database; there are two such errors.
fn created_meanwhile(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("42P04" | "23505"))
}
