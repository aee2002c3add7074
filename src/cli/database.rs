//! The database that a command works on.
//!
//! One named by `DATABASE_URL`, or a private one: started here, or, for commands that work beside a
//! running service, the one that the service runs.

use sqlx::{PgPool, postgres::PgConnectOptions};

use super::{Failure, print};
use crate::{
    app::App,
    clock::Clock,
    config::{DATABASE, DatabaseConfig},
    embedded::{Address, EmbeddedError, EmbeddedOptions, EmbeddedPostgres, Lifetime, passing_dir},
    entropy::Entropy,
    shutdown::Shutdown,
    store,
};

/// The URL of the database cannot be read. It is not repeated, because it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("DATABASE_URL is not postgres://user:password@host:5432/database: {0}")]
struct DatabaseUrlError(#[source] sqlx::Error);

fn server(config: &DatabaseConfig) -> Result<Option<PgConnectOptions>, DatabaseUrlError> {
    config.url().map(|url| url.parse().map_err(DatabaseUrlError)).transpose()
}

/// An open database.
#[derive(Debug)]
pub struct Database {
    options: PgConnectOptions,
    private: Option<EmbeddedPostgres>,
}

impl Database {
    /// The database of a service: a private one must not be run by anybody else.
    pub async fn own(config: &DatabaseConfig) -> Result<Self, Failure> {
        if let Some(options) = server(config)? {
            tracing::info!(
                host = options.get_host(),
                port = options.get_port(),
                database = options.get_database(),
                "using the PostgreSQL of DATABASE_URL"
            );
            return Ok(Self { options, private: None });
        }
        Ok(Self::started(config).await?)
    }

    /// The database of a service that leaves nothing behind: a private one is made in a temporary
    /// directory, and removed when it is closed.
    pub async fn passing(config: &DatabaseConfig) -> Result<Self, Failure> {
        if let Some(options) = server(config)? {
            return Ok(Self { options, private: None });
        }
        let dir = passing_dir()?;
        let passing = DatabaseConfig { data_dir: Some(dir.clone()), ..config.clone() };
        let options = EmbeddedOptions { lifetime: Lifetime::Ephemeral, ..passing.embedded()? };
        let started = Self::start(options).await;
        if started.is_err() {
            // A server that never ran does not remove it.
            let _ = std::fs::remove_dir_all(dir);
        }
        Ok(started?)
    }

    /// The database of a command that works beside a service.
    pub async fn shared(config: &DatabaseConfig) -> Result<Self, Failure> {
        if let Some(options) = server(config)? {
            return Ok(Self { options, private: None });
        }
        match Self::started(config).await {
            Ok(database) => Ok(database),
            Err(EmbeddedError::InUse { data_dir, .. }) => {
                let options = Address::of_running(&data_dir)?.connect_options(DATABASE);
                Ok(Self { options, private: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn started(config: &DatabaseConfig) -> Result<Self, EmbeddedError> {
        Self::start(config.embedded()?).await
    }

    async fn start(options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let private = EmbeddedPostgres::start(options).await?;
        private.ensure_database(DATABASE).await?;
        Ok(Self { options: private.connect_options(DATABASE), private: Some(private) })
    }

    /// Connections to it.
    pub async fn connect(&self, connections: u16) -> Result<PgPool, Failure> {
        Ok(store::connect(self.options.clone(), u32::from(connections)).await?)
    }

    /// The use cases on it, for a command that takes the schema as it is.
    pub async fn app(&self) -> Result<App, Failure> {
        let pool = self.connect(2).await?;
        let app = App::new(pool, Clock::default(), Entropy::system());
        if app.is_migrated().await? {
            return Ok(app);
        }
        Err("the schema of the database is not that of this version of muster; run `muster \
             migrate` with this version, or the version that serves the database"
            .into())
    }

    /// Returns when a private server that was started here has ended by itself, saying how.
    pub async fn ended(&self) -> String {
        match &self.private {
            Some(private) => private.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Ends a private server that was started here. The pools must be closed.
    pub async fn close(self) -> Result<(), Failure> {
        match self.private {
            Some(private) => Ok(private.stop().await?),
            None => Ok(()),
        }
    }
}

/// `muster migrate`.
pub async fn migrate(config: &DatabaseConfig) -> Result<(), Failure> {
    let database = Database::shared(config).await?;
    let pool = database.connect(2).await?;
    store::migrate(&pool).await?;
    pool.close().await;
    database.close().await?;
    print::text("the schema is up to date\n")
}

/// `muster database`.
pub async fn run(config: &DatabaseConfig) -> Result<(), Failure> {
    if config.url().is_some() {
        return Err("DATABASE_URL names the database; there is no private one to give".into());
    }
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
