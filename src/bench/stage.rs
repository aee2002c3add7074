//! The service and the PostgreSQL under measurement.
//!
//! Both are processes of their own, started for one scenario and ended after it, so that scenarios
//! do not affect each other. The PostgreSQL has the settings of production: acknowledged data is on
//! disk. With `--url` the service is a given one, and nothing is started.

use std::{cell::RefCell, path::Path, rc::Rc};

use data_encoding::HEXLOWER;
use secrecy::SecretString;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions,
};
use tokio::sync::Mutex;

use super::{
    error::{BenchError, Result},
    http::Target,
    process::Processor,
    server::Server,
    settings::BenchSettings,
};
use crate::{
    config::{DATABASE, DatabaseConfig},
    embedded::{EmbeddedOptions, EmbeddedPostgres},
    entropy::Entropy,
};

/// Connections beside those of the services: the reference's, and those that read statistics.
const OWN_CONNECTIONS: u16 = 140;

/// The library with PostgreSQL's own count of statements.
pub const STATEMENTS: &str = "pg_stat_statements";

/// Locked during the start of a PostgreSQL, which cannot be cancelled half-way: take it before
/// dropping the bench.
pub type Starting = Rc<Mutex<()>>;

/// The inputs of every scenario.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The scenarios and their sizes.
    pub settings: BenchSettings,
    /// The programs of PostgreSQL, and the number of connections of a service.
    pub database: DatabaseConfig,
    /// Part of every created name, so that runs on the same service do not meet.
    pub run: String,
    starting: Starting,
}

impl Setup {
    /// For one run.
    pub fn new(settings: BenchSettings, database: DatabaseConfig, starting: Starting) -> Self {
        let run = HEXLOWER.encode(&Entropy::system().bytes::<4>());
        Self { settings, database, run, starting }
    }

    /// A private PostgreSQL in a temporary directory, for this many services.
    pub async fn postgres(
        &self,
        services: u16,
        preload: Option<&'static str>,
    ) -> Result<Rc<EmbeddedPostgres>> {
        let _starting = self.starting.lock().await;
        let connections = self.database.database_connections.saturating_mul(services);
        let options = |data_dir| EmbeddedOptions {
            bin_dir: self.database.pg_bin.clone(),
            max_connections: connections.saturating_add(OWN_CONNECTIONS),
            preload,
            ..EmbeddedOptions::new(data_dir)
        };
        Ok(Rc::new(EmbeddedPostgres::passing(options).await?))
    }

    /// A service on a private PostgreSQL, or the one of `--url`.
    pub async fn stage(&self, preload: Option<&'static str>) -> Result<Stage> {
        let Some(url) = &self.settings.url else {
            return self.stage_on(&self.postgres(1, preload).await?, DATABASE).await;
        };
        let missing = || BenchError::Impossible("--url needs --key".into());
        Ok(Stage {
            target: Target::parse(url).await?,
            key: self.settings.key.clone().ok_or_else(missing)?,
            database: self.database.url().map(str::parse).transpose()?,
            server: None,
            postgres: None,
            made: RefCell::default(),
        })
    }

    /// A service on a new database of a private PostgreSQL.
    pub async fn stage_on(&self, postgres: &Rc<EmbeddedPostgres>, name: &str) -> Result<Stage> {
        self.stage_with(postgres, name, &[]).await
    }

    /// The same with variables of the environment of the service.
    pub async fn stage_with(
        &self,
        postgres: &Rc<EmbeddedPostgres>,
        name: &str,
        variables: &[(&str, &str)],
    ) -> Result<Stage> {
        let database = ensure(postgres, name).await?;
        // Any long secret given to the first start is its admin's key.
        let key = SecretString::from(HEXLOWER.encode(&Entropy::system().bytes::<32>()));
        let connections = self.database.database_connections;
        let server = Server::start(&postgres.url(name), connections, &key, variables).await?;
        Ok(Stage {
            target: server.target.clone(),
            key,
            database: Some(database),
            server: Some(server),
            postgres: Some(Rc::clone(postgres)),
            made: RefCell::default(),
        })
    }
}

async fn ensure(postgres: &EmbeddedPostgres, name: &str) -> Result<PgConnectOptions> {
    postgres.ensure_database(name).await?;
    // Preparing a large database takes slow statements, and these are no news.
    Ok(postgres.connect_options(name).disable_statement_logging())
}

/// A service with its database. Dropping it ends the service, then the PostgreSQL unless another
/// stage is on it.
#[derive(Debug)]
pub struct Stage {
    /// The address of the service.
    pub target: Target,
    /// A key that may register agents and post goals.
    pub key: SecretString,
    /// The database of the service, if it is known.
    pub database: Option<PgConnectOptions>,
    server: Option<Server>,
    postgres: Option<Rc<EmbeddedPostgres>>,
    /// Databases created on a given server, to be dropped.
    made: RefCell<Vec<String>>,
}

impl Stage {
    /// The process of the service, unless it is that of `--url`.
    pub fn server_pid(&self) -> Option<u32> {
        self.server.as_ref().and_then(Server::pid)
    }

    /// Processor time used until now, unless the service is that of `--url`.
    pub fn processor(&self) -> Option<Processor> {
        Processor::used(self.server_pid()?, self.postgres.as_ref()?.pid())
    }

    /// The data directory of the private PostgreSQL.
    pub fn data_dir(&self) -> Option<&Path> {
        self.postgres.as_ref().map(|postgres| postgres.data_dir())
    }

    /// Options to connect to the database of the service.
    pub fn options(&self) -> Result<&PgConnectOptions> {
        self.database.as_ref().ok_or_else(|| {
            let text = "the database of --url is not known; name it with --database-url";
            BenchError::Impossible(text.into())
        })
    }

    /// A connection to the database of the service.
    pub async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect_with(self.options()?).await?)
    }

    /// Options to connect to a new database on the same server, dropped together with the stage.
    pub async fn beside(&self, name: &str) -> Result<PgConnectOptions> {
        if let Some(postgres) = &self.postgres {
            return ensure(postgres, name).await;
        }
        let create = format!("create database \"{name}\"");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut self.connect().await?).await?;
        self.made.borrow_mut().push(name.to_owned());
        Ok(self.options()?.clone().database(name))
    }

    /// Vacuums and analyses the tables of the service, as autovacuum does within minutes. The
    /// reference gets the same. A given database is left alone.
    pub async fn tidy(&self) -> Result<()> {
        if self.postgres.is_none() {
            return Ok(());
        }
        let mut connection = self.connect().await?;
        sqlx::raw_sql("vacuum analyze").execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Ends the processes that were started.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        for name in self.made.take() {
            let drop = format!("drop database if exists \"{name}\" with (force)");
            sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut self.connect().await?).await?;
        }
        // The last stage ends the PostgreSQL.
        match self.postgres.map(Rc::try_unwrap) {
            Some(Ok(postgres)) => Ok(postgres.stop().await?),
            Some(Err(_)) | None => Ok(()),
        }
    }
}
