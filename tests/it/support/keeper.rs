//! The keeper: a process that owns what a run of the tests needs, and removes it afterwards.
//!
//! A test process cannot clean up behind itself: the harness ends it without running destructors,
//! and Ctrl-C or `kill -9` leave no chance at all. So the first test that needs a database runs this
//! test binary again as a process of its own, out of reach of Ctrl-C. The keeper starts the server
//! (or uses that of `DATABASE_URL`), migrates the template, says how to reach it, watches the process
//! that the run ends with, and when that is gone, however it went, stops the server and removes
//! the run's directory, or drops the run's databases.
//!
//! If the keeper itself is killed, the server dies with it. What stays is a directory, or databases
//! on the server of `DATABASE_URL`; the next keeper removes them, knowing by a lock that their
//! keeper is gone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster::embedded::{EmbeddedOptions, EmbeddedPostgres, Lifetime};
use rustix::fs::{FlockOperation, flock};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};

use super::process::{self, Helper};
use super::run::{self, Server};

/// The process whose end is the end of the run.
const OWNER: &str = "MUSTER_TEST_KEEPER_OWNER";
/// The directory of the run.
const DIR: &str = "MUSTER_TEST_KEEPER_DIR";

/// What all names of test databases begin with.
const NAMES: &str = "muster_test_";

/// The first half of the advisory locks that say which keepers live.
const LOCK_CLASS: i32 = 0x6d73_7472;

type Error = Box<dyn std::error::Error>;

/// Starts the keeper of a run; returns how to reach its server.
pub fn start(owner: u32, dir: &Path) -> Result<String, String> {
    let mut command = process::this_binary("support::keeper::keep");
    command.env(OWNER, owner.to_string()).env(DIR, dir);
    let mut keeper = Helper::start(command);
    let words = keeper.hear().ok_or("the keeper of the test databases died")?;
    keeper.detach();
    match words.split_once(' ') {
        Some(("ready", line)) => Ok(line.to_owned()),
        _ => Err(words),
    }
}

/// The keeper itself; does nothing in an ordinary run.
#[test]
fn keep() {
    let (Some(owner), Some(dir)) = (std::env::var_os(OWNER), std::env::var_os(DIR)) else { return };
    let owner = owner.to_str().unwrap().parse().unwrap();
    let dir = PathBuf::from(dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Err(error) = runtime.block_on(keep_until_the_end(owner, &dir)) {
        process::say(&format!("the test databases cannot be had: {error}").replace('\n', "; "));
    }
    remove(&dir);
    // Nobody reads what the harness would print now.
    std::process::exit(0);
}

async fn keep_until_the_end(owner: u32, dir: &Path) -> Result<(), Error> {
    let lock = File::create(dir.join("keeper.lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    remove_dead_runs(dir);
    let embedded = match std::env::var("DATABASE_URL") {
        Ok(_) => None,
        Err(_) => Some(start_server(dir).await?),
    };
    let url = match &embedded {
        Some(server) => server.url("postgres"),
        None => std::env::var("DATABASE_URL")?,
    };
    let result = serve(owner, &url).await;
    if let Some(server) = embedded {
        server.stop().await?;
    }
    result
}

async fn start_server(dir: &Path) -> Result<EmbeddedPostgres, Error> {
    let mut options = EmbeddedOptions::new(dir.join("data"));
    options.bin_dir = std::env::var_os("MUSTER_PG_BIN").map(PathBuf::from);
    options.max_connections = 300;
    options.lifetime = Lifetime::Ephemeral;
    Ok(EmbeddedPostgres::start(options).await?)
}

/// Makes the template, waits for the end of the run, and drops what the run has made.
async fn serve(owner: u32, url: &str) -> Result<(), Error> {
    // Never in the database that the URL names: that one is not ours.
    let options: PgConnectOptions = url.parse::<PgConnectOptions>()?.database("postgres");
    let mut admin = PgConnection::connect_with(&options).await?;
    let run: u32 = rand::random();
    let server = Server { url: url.to_owned(), prefix: format!("{NAMES}{run:08x}_") };
    // Held by this session until it ends in whatever way; taken before there is anything to sweep.
    assert!(try_lock(&mut admin, run).await?, "two runs have the same random number");
    drop_dead_databases(&mut admin).await?;
    let made = make_template(&mut admin, &options, &server.template()).await;
    if made.is_ok() {
        process::say(&format!("ready {}", server.line()));
        while process::is_alive(owner) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    drop_databases(&mut admin, &server.prefix).await?;
    made
}

async fn make_template(
    admin: &mut PgConnection,
    options: &PgConnectOptions,
    template: &str,
) -> Result<(), Error> {
    execute(admin, format!("CREATE DATABASE {template} TEMPLATE template0 ENCODING 'UTF8'"))
        .await?;
    let mut connection = PgConnection::connect_with(&options.clone().database(template)).await?;
    migrate(&mut connection).await?;
    connection.close().await?;
    // A database cannot be copied while somebody is connected to it.
    execute(admin, format!("ALTER DATABASE {template} ALLOW_CONNECTIONS false")).await
}

/// Brings an empty database to the schema of this tree. Read when the tests run, so that a tree
/// without migrations works too.
async fn migrate(connection: &mut PgConnection) -> Result<(), Error> {
    let migrations = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"));
    if migrations.is_dir() {
        Migrator::new(migrations).await?.run(connection).await?;
    }
    Ok(())
}

async fn try_lock(admin: &mut PgConnection, run: u32) -> Result<bool, Error> {
    let lock = sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)");
    Ok(lock.bind(LOCK_CLASS).bind(run.cast_signed()).fetch_one(admin).await?)
}

/// Drops the databases of runs whose keeper was killed.
async fn drop_dead_databases(admin: &mut PgConnection) -> Result<(), Error> {
    for name in databases(admin, NAMES).await? {
        let run = name.strip_prefix(NAMES).and_then(|rest| rest.get(..8));
        let Some(run) = run.and_then(|run| u32::from_str_radix(run, 16).ok()) else { continue };
        if try_lock(admin, run).await? {
            drop_databases(admin, &format!("{NAMES}{run:08x}_")).await?;
        }
    }
    Ok(())
}

async fn drop_databases(admin: &mut PgConnection, prefix: &str) -> Result<(), Error> {
    for name in databases(admin, prefix).await? {
        execute(admin, format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await?;
    }
    Ok(())
}

async fn databases(admin: &mut PgConnection, prefix: &str) -> Result<Vec<String>, Error> {
    let names = "SELECT datname::text FROM pg_database WHERE starts_with(datname::text, $1)";
    Ok(sqlx::query_scalar(names).bind(prefix).fetch_all(admin).await?)
}

async fn execute(admin: &mut PgConnection, sql: String) -> Result<(), Error> {
    sqlx::query(AssertSqlSafe(sql)).execute(admin).await?;
    Ok(())
}

/// Removes the directories of runs whose keeper was killed.
fn remove_dead_runs(own: &Path) {
    let Some(Ok(entries)) = own.parent().map(std::fs::read_dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_run = entry.file_name().to_string_lossy().starts_with(&run::dir_prefix());
        // A run that is just beginning has a directory before it has a keeper.
        let is_old = entry.metadata().and_then(|meta| meta.modified()).is_ok_and(|modified| {
            modified.elapsed().is_ok_and(|age| age > Duration::from_secs(600))
        });
        if is_run && is_old && path != own && !has_keeper(&path) {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

fn has_keeper(dir: &Path) -> bool {
    let Ok(lock) = File::open(dir.join("keeper.lock")) else { return false };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err()
}

/// Removes the directory of the run; servers that single tests started may be ending in it.
fn remove(dir: &Path) {
    remove_socket_dirs(dir, 3);
    process::wait_until("the directory of the run is removed", || {
        std::fs::remove_dir_all(dir).is_ok() || !dir.exists()
    });
}

/// Removes the socket directories outside `dir`, of servers whose path was too long: what a killed
/// test leaves there waits for a next start, which a test does not have.
fn remove_socket_dirs(dir: &Path, depth: u32) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.ends_with("run")
            && let Ok(socket_dir) = std::fs::read_link(&path)
        {
            let _ = std::fs::remove_dir_all(socket_dir);
        } else if depth > 1 && path.is_dir() && !path.is_symlink() {
            remove_socket_dirs(&path, depth - 1);
        }
    }
}
