//! A fresh database for each test.

use std::{
    sync::{LazyLock, mpsc},
    time::Instant,
};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection};

use super::{
    process::PATIENCE,
    run::{self, Server},
};

/// A database of one test, with the schema and nothing in it. Dropped when this is.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    options: PgConnectOptions,
}

/// A database that nobody else has, on the server of this run: that of `DATABASE_URL` (beside the
/// database named there, which is left alone), else a private one.
///
/// It is a copy of a template that is migrated once per run, which takes some 20 ms.
pub async fn fresh_database() -> TestDatabase {
    let server = tokio::task::spawn_blocking(run::server).await.unwrap();
    copy_of(server, &server.template()).await
}

async fn copy_of(server: &Server, template: &str) -> TestDatabase {
    // Not the number of this process: a run can have more processes than there are numbers.
    let name = format!("{}{:016x}", server.prefix, rand::random::<u64>());
    let options = admin_options(server);
    let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
    execute(&options, create).await.unwrap();
    TestDatabase { options: options.database(&name), name }
}

impl TestDatabase {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A database with the same in it. Nobody may be connected to this one.
    pub async fn copy(&self) -> Self {
        copy_of(run::server(), &self.name).await
    }

    /// How to connect to it, as a URL.
    pub fn url(&self) -> String {
        let (before, _) = run::server().url.rsplit_once('/').unwrap();
        format!("{before}/{}", self.name)
    }

    /// How to connect to it.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// A small pool on it. A pool belongs to the runtime it was made in, that is, to its test.
    pub async fn pool(&self) -> PgPool {
        PgPoolOptions::new().max_connections(5).connect_with(self.connect_options()).await.unwrap()
    }
}

/// Waits until a query, made again and again, says yes.
pub async fn until(pool: &PgPool, query: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(query.to_owned()))
        .fetch_one(pool)
        .await
        .unwrap()
    {
        assert!(Instant::now() < deadline, "waited in vain: {query}");
    }
}

/// Waits until `count` transactions wait for locks of others.
pub async fn until_blocked(pool: &PgPool, count: u32) {
    let blocked = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    until(pool, &format!("select ({blocked}) >= {count}")).await;
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Not waited for; what is not dropped when the process ends goes at the end of the run.
        let _ = DROPPER.send(self.name.clone());
    }
}

/// Drops databases one after the other on a thread that belongs to no test: the runtime of the test
/// may be gone already, and a thousand empty databases are 8 GB.
static DROPPER: LazyLock<mpsc::Sender<String>> = LazyLock::new(|| {
    let (sender, names) = mpsc::channel::<String>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for name in names {
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            let _ = runtime.block_on(execute(&admin_options(run::server()), drop));
        }
    });
    sender
});

fn admin_options(server: &Server) -> PgConnectOptions {
    server.url.parse::<PgConnectOptions>().unwrap().database("postgres")
}

async fn execute(options: &PgConnectOptions, sql: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
    connection.close().await
}
