//! The test support itself: databases are separate, and a run leaves nothing behind.

use std::path::PathBuf;

use sqlx::postgres::PgPool;

use super::database::fresh_database;
use super::process::{self, Helper, say, wait_until};
use super::run;

/// Set for the process that plays a run of its own.
const RUN: &str = "MUSTER_TEST_SUPPORT_RUN";

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = (fresh_database().await, fresh_database().await);
    assert_ne!(one.name(), other.name());
    let (one_pool, other_pool) = (one.pool().await, other.pool().await);
    sqlx::query("CREATE TABLE mine (n int)").execute(&one_pool).await.unwrap();
    let seen: bool = sqlx::query_scalar("SELECT to_regclass('mine') IS NOT NULL")
        .fetch_one(&other_pool)
        .await
        .unwrap();
    assert!(!seen);
}

#[tokio::test]
async fn a_dropped_database_is_gone() {
    let (database, witness) = (fresh_database().await, fresh_database().await);
    let pool = witness.pool().await;
    let name = database.name().to_owned();
    drop(database);
    let gone = async {
        while exists(&pool, &name).await {
            tokio::task::yield_now().await;
        }
    };
    // Those of other tests are dropped before it, one after the other.
    tokio::time::timeout(5 * process::PATIENCE, gone).await.expect("the database is still there");
}

async fn exists(pool: &PgPool, name: &str) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(pool)
        .await
        .unwrap()
}

/// A run of its own: says where it is, and waits to be killed.
#[test]
fn a_run() {
    if std::env::var_os(RUN).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _database = runtime.block_on(fresh_database());
    let dir = run::dir();
    let pid = std::fs::read_to_string(dir.join("data/postgres/postmaster.pid")).unwrap();
    say(&format!("{} {}", pid.lines().next().unwrap(), dir.display()));
    loop {
        std::thread::park();
    }
}

#[test]
fn a_killed_run_leaves_no_server_and_no_directory() {
    let mut command = process::this_binary("support::tests::a_run");
    command.env(RUN, "1").env_remove("NEXTEST_RUN_ID").env_remove("DATABASE_URL");
    let mut run = Helper::start(command);
    let words = run.hear().unwrap();
    let (server, dir) = words.split_once(' ').unwrap();
    let (server, dir) = (server.parse().unwrap(), PathBuf::from(dir));
    assert!(process::is_alive(server) && dir.exists());
    run.kill();
    wait_until("the server has ended", || !process::is_alive(server));
    wait_until("the directory is removed", || !dir.exists());
}
