//! The database of a command.
//!
//! That of `DATABASE_URL`, or a private one: started here or, for commands beside a running service,
//! that of the service.

use std::path::PathBuf;

use clap::Subcommand;
use sqlx::{PgPool, postgres::PgConnectOptions};

use super::{failure::Failure, print};
use crate::{
    app::{App, access::keys::LocalAdmin},
    clock::Clock,
    config::{DATABASE, DatabaseConfig},
    domain::ids::WorkspaceId,
    embedded::{Address, EmbeddedError, EmbeddedOptions, EmbeddedPostgres, Upgrade, upgrade},
    entropy::Entropy,
    shutdown::Shutdown,
    store,
};

#[derive(Debug, Subcommand)]
pub enum DatabaseCommand {
    /// Move the data to the newest installed major version of PostgreSQL
    ///
    /// Stop the service first. Needs the programs of the version that wrote the data once more. The
    /// old files are kept beside the new ones. An interrupted upgrade is repeated.
    Upgrade {
        /// Directory of the programs that wrote the data; found automatically by default
        #[arg(long, value_name = "DIRECTORY")]
        old_bin: Option<PathBuf>,
    },
}

/// The URL of the database has another form. The text leaves it out, because it may have a password.
#[derive(Debug, thiserror::Error)]
#[error("DATABASE_URL is not postgres://user:password@host:5432/database: {0}")]
struct DatabaseUrlError(#[source] sqlx::Error);

fn server(config: &DatabaseConfig) -> Result<Option<PgConnectOptions>, DatabaseUrlError> {
    config.url().map(|url| url.parse().map_err(DatabaseUrlError)).transpose()
}

/// The use of a private PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// By a service, alone.
    Own,
    /// By a service that leaves nothing behind: in a temporary directory, removed on close.
    Passing,
    /// By a command, beside a service or alone.
    Shared,
}

/// An open database.
#[derive(Debug)]
pub struct Database {
    options: PgConnectOptions,
    private: Option<EmbeddedPostgres>,
}

impl Database {
    /// Opens the database of `DATABASE_URL`, or a private one for this use.
    pub async fn open(config: &DatabaseConfig, how: Use) -> Result<Self, Failure> {
        if let Some(options) = server(config)? {
            if how == Use::Own {
                let (host, port) = (options.get_host(), options.get_port());
                let database = options.get_database();
                tracing::info!(host, port, database, "using the PostgreSQL of DATABASE_URL");
            }
            return Ok(Self { options, private: None });
        }
        let started = match how {
            Use::Own | Use::Shared => EmbeddedPostgres::start(config.embedded()?).await,
            Use::Passing => {
                let passing = |data_dir| EmbeddedOptions {
                    bin_dir: config.pg_bin.clone(),
                    max_connections: config.database_connections.saturating_add(20),
                    ..EmbeddedOptions::new(data_dir)
                };
                EmbeddedPostgres::passing(passing).await
            }
        };
        let private = match started {
            Err(EmbeddedError::InUse { data_dir, .. }) if how == Use::Shared => {
                let options = Address::of_running(&data_dir)?.connect_options(DATABASE);
                return Ok(Self { options, private: None });
            }
            started => started?,
        };
        private.ensure_database(DATABASE).await?;
        Ok(Self { options: private.connect_options(DATABASE), private: Some(private) })
    }

    /// Runs a command beside a service, on the schema as it is.
    pub async fn with_app<T>(
        config: &DatabaseConfig,
        command: impl AsyncFnOnce(&App) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let database = Self::open(config, Use::Shared).await?;
        let pool = database.connect(2).await?;
        let app = App::new(pool.clone(), Clock::default(), Entropy::system());
        let done = match app.is_migrated().await {
            Ok(true) => command(&app).await,
            Ok(false) => {
                Err("the schema of the database is not that of this version of muster; run \
                 `muster migrate` with this version, or use the version that serves the database"
                    .into())
            }
            Err(error) => Err(error.into()),
        };
        pool.close().await;
        database.close().await?;
        done
    }

    /// Runs a check beside a service, on one workspace or on all.
    pub async fn in_workspaces<T>(
        config: &DatabaseConfig,
        one: Option<WorkspaceId>,
        check: impl AsyncFn(LocalAdmin<'_>) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let command = async |app: &App| {
            let workspaces = match one {
                Some(workspace) => vec![workspace],
                None => app.workspaces().await?,
            };
            let mut found = Vec::new();
            for workspace in workspaces {
                found.push(check(app.local_admin(Some(workspace)).await?).await?);
            }
            Ok(found)
        };
        Self::with_app(config, command).await
    }

    /// A pool of connections.
    pub async fn connect(&self, connections: u16) -> Result<PgPool, Failure> {
        Ok(store::connect(self.options.clone(), u32::from(connections)).await?)
    }

    /// Waits for the unexpected end of a private server and returns its status in words.
    pub async fn ended(&self) -> String {
        match &self.private {
            Some(private) => private.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Stops a private server that was started here. The pools must be closed.
    pub async fn close(self) -> Result<(), Failure> {
        match self.private {
            Some(private) => Ok(private.stop().await?),
            None => Ok(()),
        }
    }
}

/// `muster migrate`.
pub async fn migrate(config: &DatabaseConfig) -> Result<(), Failure> {
    let database = Database::open(config, Use::Shared).await?;
    let pool = database.connect(2).await?;
    store::migrate(&pool).await?;
    pool.close().await;
    database.close().await?;
    print::text("the schema is up to date\n")
}

/// `muster database` with a subcommand.
pub async fn change(config: &DatabaseConfig, command: DatabaseCommand) -> Result<(), Failure> {
    refuse_external(config)?;
    let DatabaseCommand::Upgrade { old_bin } = command;
    match upgrade(config.embedded()?, old_bin).await? {
        Upgrade::NotNeeded(major) => print::text(&format!(
            "the data is of PostgreSQL {major}, the newest found; to move it to another, install \
             that or name its directory with MUSTER_PG_BIN\n"
        )),
        Upgrade::Done { from, to, data, kept } => {
            let data = data.display();
            print::text(&format!("PostgreSQL {from} -> {to}: the data is in {data}\n"))?;
            kept.map_or(Ok(()), |kept| {
                let kept = kept.display();
                print::text(&format!(
                    "The old files are in {kept}. When the service works, `rm -r {kept}`.\n"
                ))
            })
        }
    }
}

fn refuse_external(config: &DatabaseConfig) -> Result<(), Failure> {
    match config.url() {
        Some(_) => Err("DATABASE_URL is set, so there is no private PostgreSQL".into()),
        None => Ok(()),
    }
}

/// `muster database`.
pub async fn run(config: &DatabaseConfig) -> Result<(), Failure> {
    refuse_external(config)?;
    let private = match EmbeddedPostgres::start(config.embedded()?).await {
        Ok(private) => private,
        Err(EmbeddedError::InUse { data_dir, .. }) => {
            return print::text(&format!("{}\n", Address::of_running(&data_dir)?.url(DATABASE)));
        }
        Err(error) => return Err(error.into()),
    };
    private.ensure_database(DATABASE).await?;
    let shutdown = Shutdown::on_signals()?;
    print::text(&format!("{}\n", private.url(DATABASE)))?;
    tokio::select! {
        () = shutdown.begun() => Ok(private.stop().await?),
        status = private.ended() => Err(format!("PostgreSQL ended: {status}").into()),
    }
}
