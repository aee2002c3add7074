//! What a scenario runs on: a PostgreSQL, and a service on it.
//!
//! Both are processes of their own, started for the scenario and gone afterwards, so that no
//! scenario sees what another left behind. The PostgreSQL has the settings of production: what is
//! acknowledged is on the disk. With `--url` there is neither, and the service is somebody's.

use std::{cell::RefCell, path::PathBuf, rc::Rc};

use data_encoding::HEXLOWER;
use secrecy::SecretString;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::Mutex;

use super::{
    error::{BenchError, Result},
    http::Target,
    server::Server,
    settings::BenchSettings,
};
use crate::{
    config::{DATABASE, DatabaseConfig},
    embedded::{EmbeddedOptions, EmbeddedPostgres, Lifetime, passing_dir},
    entropy::Entropy,
};

/// Connections beside those of the services: the reference's, and those that look.
const OWN_CONNECTIONS: u16 = 140;

/// Loads PostgreSQL's own count of statements.
pub const STATEMENTS: &str = "pg_stat_statements";

/// Held while a PostgreSQL is being started: half of one cannot be taken back, so whoever wants to
/// drop the bench takes it first.
pub type Starting = Rc<Mutex<()>>;

/// Everything that the scenarios share.
#[derive(Debug, Clone)]
pub struct Ground {
    /// What is measured.
    pub settings: BenchSettings,
    /// The programs of PostgreSQL, and how many connections a service opens.
    pub database: DatabaseConfig,
    /// Names what this run makes, so that a second one on the same service meets nothing of it.
    pub run: String,
    starting: Starting,
}

impl Ground {
    /// For one run.
    #[must_use]
    pub fn new(settings: BenchSettings, database: DatabaseConfig, starting: Starting) -> Self {
        let run = HEXLOWER.encode(&Entropy::system().bytes::<4>());
        Self { settings, database, run, starting }
    }

    /// How to connect to the database of the service that `--url` names.
    fn named_database(&self) -> Result<Option<PgConnectOptions>> {
        let url = self.database.url().filter(|_| self.settings.url.is_some());
        Ok(url.map(str::parse).transpose()?)
    }

    /// A private PostgreSQL in a temporary directory; `services` says how many use it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn postgres(&self, services: u16, preload: Option<&'static str>) -> Result<Postgres> {
        let _starting = self.starting.lock().await;
        let dir = passing_dir()?;
        let started = EmbeddedPostgres::start(EmbeddedOptions {
            data_dir: dir.clone(),
            bin_dir: self.database.pg_bin.clone(),
            max_connections: self
                .database
                .database_connections
                .saturating_mul(services)
                .saturating_add(OWN_CONNECTIONS),
            lifetime: Lifetime::Ephemeral,
            preload,
        })
        .await;
        if started.is_err() {
            // A server that never ran does not remove it.
            let _ = std::fs::remove_dir_all(&dir);
        }
        Ok(Postgres { server: started?, dir })
    }

    /// A service on a private PostgreSQL, or the one of `--url`.
    ///
    /// # Errors
    /// When something does not start, or cannot be reached.
    pub async fn stage(&self, preload: Option<&'static str>) -> Result<Stage> {
        let Some(url) = &self.settings.url else {
            let postgres = Rc::new(self.postgres(1, preload).await?);
            return self.stage_on(&postgres, DATABASE).await;
        };
        let missing = || BenchError::Impossible("--url needs --key".into());
        Ok(Stage {
            target: Target::parse(url).await?,
            key: self.settings.key.clone().ok_or_else(missing)?,
            database: self.named_database()?,
            server: None,
            postgres: None,
            made: RefCell::default(),
        })
    }

    /// A service on a new database of a private PostgreSQL.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn stage_on(&self, postgres: &Rc<Postgres>, database: &str) -> Result<Stage> {
        let options = postgres.database(database).await?;
        let key = SecretString::from(HEXLOWER.encode(&Entropy::system().bytes::<32>()));
        // A secret of one's own choice, given to the first start, is its admin's key.
        let url = postgres.server.url(database);
        let server = Server::start(&url, self.database.database_connections, &key).await?;
        Ok(Stage {
            target: server.target.clone(),
            key,
            database: Some(options),
            server: Some(server),
            postgres: Some(Rc::clone(postgres)),
            made: RefCell::default(),
        })
    }
}

/// A private PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    server: EmbeddedPostgres,
    /// Where its data is.
    pub dir: PathBuf,
}

impl Postgres {
    /// How to connect to a database of it, which is made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn database(&self, name: &str) -> Result<PgConnectOptions> {
        self.server.ensure_database(name).await?;
        // Preparing a large database takes long, and is no news.
        Ok(self.server.connect_options(name).disable_statement_logging())
    }

    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Ends it and removes its data.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(self) -> Result<()> {
        Ok(self.server.stop().await?)
    }
}

/// What a scenario runs on. What was started ends when this is dropped: first the service, then
/// the PostgreSQL, if no other stage is on it.
#[derive(Debug)]
pub struct Stage {
    /// Where the service is.
    pub target: Target,
    /// A key that may register agents and post goals.
    pub key: SecretString,
    /// Its database, if that may be looked at.
    pub database: Option<PgConnectOptions>,
    server: Option<Server>,
    postgres: Option<Rc<Postgres>>,
    /// Databases that were made on somebody's server, to be dropped.
    made: RefCell<Vec<String>>,
}

impl Stage {
    /// The process of the service, if it is ours.
    #[must_use]
    pub fn server_pid(&self) -> Option<u32> {
        self.server.as_ref().and_then(Server::pid)
    }

    /// The process of PostgreSQL, if it is ours.
    #[must_use]
    pub fn postgres_pid(&self) -> Option<u32> {
        self.postgres.as_ref().map(|postgres| postgres.pid())
    }

    /// Where the data is, if it is ours.
    #[must_use]
    pub fn data_dir(&self) -> Option<&std::path::Path> {
        self.postgres.as_ref().map(|postgres| postgres.dir.as_path())
    }

    /// How to connect to a new database of the same server, which goes with the stage.
    ///
    /// # Errors
    /// When there is no server that may be used, or there is such a database on somebody's.
    pub async fn beside(&self, name: &str) -> Result<PgConnectOptions> {
        match (&self.postgres, &self.database) {
            (Some(postgres), _) => postgres.database(name).await,
            (None, Some(database)) => {
                let mut connection = PgConnection::connect_with(database).await?;
                let create = format!("create database \"{name}\"");
                sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await?;
                self.made.borrow_mut().push(name.to_owned());
                Ok(database.clone().database(name))
            }
            (None, None) => Err(BenchError::Impossible(
                "the database of --url is not known; name it with --database-url".into(),
            )),
        }
    }

    /// Clears the tables of the service up and counts them anew, as autovacuum does within minutes.
    /// The reference is treated alike. Somebody's database is left alone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tidy(&self) -> Result<()> {
        let (Some(_), Some(options)) = (&self.postgres, &self.database) else { return Ok(()) };
        let mut connection = PgConnection::connect_with(options).await?;
        sqlx::raw_sql("vacuum analyze").execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Ends what was started.
    ///
    /// # Errors
    /// When PostgreSQL does not end.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        self.drop_made().await?;
        // The last one on it ends it.
        match self.postgres.map(Rc::try_unwrap) {
            Some(Ok(postgres)) => postgres.stop().await,
            Some(Err(_)) | None => Ok(()),
        }
    }

    async fn drop_made(&self) -> Result<()> {
        let made = self.made.take();
        let Some(options) = self.database.as_ref().filter(|_| !made.is_empty()) else {
            return Ok(());
        };
        let mut connection = PgConnection::connect_with(options).await?;
        for name in made {
            let drop = format!("drop database if exists \"{name}\" with (force)");
            sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut connection).await?;
        }
        Ok(connection.close().await?)
    }
}
