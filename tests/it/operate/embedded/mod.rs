//! The private PostgreSQL: durable, private, one per directory, and gone when we are.

mod crash;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{
    process::{self, Helper, is_alive, say, wait_until},
    scratch_dir,
};
use muster::embedded::{EmbeddedError, EmbeddedOptions, EmbeddedPostgres, Lifetime};
use rustix::process::{Pid, Signal, getpgid, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};

/// What the helper process is to do, and with which data directory.
const HELPER: &str = "MUSTER_TEST_EMBEDDED_HELPER";

async fn start(data_dir: &Path) -> Result<EmbeddedPostgres, EmbeddedError> {
    EmbeddedPostgres::start(options(data_dir)).await
}

fn options(data_dir: &Path) -> EmbeddedOptions {
    let mut options = EmbeddedOptions::new(data_dir);
    options.bin_dir = std::env::var_os("MUSTER_PG_BIN").map(PathBuf::from);
    options
}

async fn ask(options: PgConnectOptions, sql: &str) -> String {
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let answer: String = sqlx::query_scalar(AssertSqlSafe(format!("SELECT ({sql})::text")))
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    answer
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// The helper: starts a server in the directory given, and does as it is told until it is killed.
#[test]
fn helper() {
    let Some(task) = std::env::var_os(HELPER) else { return };
    let (task, dir) = task.to_str().unwrap().split_once(' ').unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = start(Path::new(dir)).await.unwrap();
        match task {
            "write" => write_rows(&server).await,
            "ask" => say(&ask(server.connect_options("postgres"), "current_user").await),
            _ => panic!("no such task: {task}"),
        }
    });
}

async fn write_rows(server: &EmbeddedPostgres) {
    say(&server.pid().to_string());
    let mut connection =
        PgConnection::connect_with(&server.connect_options("postgres")).await.unwrap();
    sqlx::query("CREATE TABLE IF NOT EXISTS acknowledged (n int)")
        .execute(&mut connection)
        .await
        .unwrap();
    for n in 1.. {
        sqlx::query("INSERT INTO acknowledged VALUES ($1)")
            .bind(n)
            .execute(&mut connection)
            .await
            .unwrap();
        say(&n.to_string());
    }
}

fn start_helper(task: &str, dir: &Path, environment: &[(&str, &str)]) -> Helper {
    let mut command = process::this_binary("operate::embedded::helper");
    command.env(HELPER, format!("{task} {}", dir.display())).envs(environment.iter().copied());
    Helper::start(command)
}

#[tokio::test]
async fn a_server_is_durable_private_and_keeps_its_data() {
    let dir = scratch_dir();
    let data_dir = dir.path().join("with, a space");
    let server = start(&data_dir).await.unwrap();
    for (setting, value) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
    ] {
        let sql = format!("current_setting('{setting}')");
        assert_eq!(ask(server.connect_options("postgres"), &sql).await, value, "{setting}");
    }
    let run = std::fs::metadata(data_dir.join("run")).unwrap();
    assert_eq!(run.permissions().mode() & 0o777, 0o700, "others reach the socket");
    let rules = std::fs::read_to_string(data_dir.join("pg_hba.conf")).unwrap();
    assert_eq!(rules.lines().last(), Some("local all all peer map=muster"));
    server.ensure_database("a \"name\"").await.unwrap();
    server.ensure_database("a \"name\"").await.unwrap();
    let url = server.url("a \"name\"").parse().unwrap();
    assert_eq!(ask(url, "current_database()").await, "a \"name\"");
    let too_long = server.ensure_database(&"x".repeat(64)).await;
    assert!(matches!(too_long, Err(EmbeddedError::DatabaseName { .. })));
    server.stop().await.unwrap();

    let server = start(&data_dir).await.unwrap();
    assert_eq!(ask(server.connect_options("a \"name\""), "1").await, "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_start_is_refused_and_the_first_goes_on() {
    let dir = scratch_dir();
    let first = start(dir.path()).await.unwrap();
    let refusal = start(dir.path()).await.unwrap_err();
    assert!(matches!(refusal, EmbeddedError::InUse { .. }), "{refusal}");
    assert!(refusal.to_string().contains(&format!("process {}", std::process::id())));
    assert_eq!(ask(first.connect_options("postgres"), "1").await, "1");
    first.stop().await.unwrap();
}

#[tokio::test]
async fn stop_leaves_no_process_and_no_socket() {
    let dir = scratch_dir();
    let server = start(dir.path()).await.unwrap();
    let (pid, socket) = (server.pid(), dir.path().join("run/.s.PGSQL.5432"));
    assert!(is_alive(pid) && socket.exists());
    let own_group = getpgid(None).unwrap();
    assert_ne!(getpgid(Pid::from_raw(pid.cast_signed())).unwrap(), own_group, "Ctrl-C reaches it");
    server.stop().await.unwrap();
    assert!(!is_alive(pid) && !socket.exists());
    assert!(!dir.path().join("postgres/postmaster.pid").exists(), "the stop was not a clean one");
}

#[tokio::test]
async fn a_dropped_server_ends() {
    let dir = scratch_dir();
    let server = start(dir.path()).await.unwrap();
    let pid = server.pid();
    drop(server);
    wait_until("the server has ended", || !is_alive(pid));
}

#[tokio::test]
async fn an_ephemeral_server_takes_its_data_along() {
    let dir = scratch_dir();
    let data_dir = dir.path().join("data");
    let options = EmbeddedOptions { lifetime: Lifetime::Ephemeral, ..options(&data_dir) };
    let server = EmbeddedPostgres::start(options).await.unwrap();
    assert_eq!(ask(server.connect_options("postgres"), "current_setting('fsync')").await, "on");
    let pid = server.pid();
    drop(server);
    assert!(!is_alive(pid) && !data_dir.exists());
}

#[tokio::test]
async fn the_death_of_the_server_is_told() {
    let dir = scratch_dir();
    let server = start(dir.path()).await.unwrap();
    signal(server.pid(), Signal::KILL);
    assert_eq!(server.ended().await, "signal 9");
    server.stop().await.unwrap();
    // A server that is killed leaves a segment of shared memory; the next one takes it away.
    start(dir.path()).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_long_path_puts_the_socket_elsewhere() {
    let dir = scratch_dir();
    let data_dir = dir.path().join("x".repeat(100));
    let server = start(&data_dir).await.unwrap();
    let elsewhere = std::fs::read_link(data_dir.join("run")).unwrap();
    let mode = std::fs::metadata(&elsewhere).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "others reach the socket");
    let url = server.url("postgres").parse().unwrap();
    assert_eq!(ask(url, "1").await, "1");
    server.stop().await.unwrap();
    assert!(!elsewhere.exists() && !data_dir.join("run").is_symlink());
}

#[tokio::test]
async fn data_of_another_major_version_is_refused() {
    let dir = scratch_dir();
    start(dir.path()).await.unwrap().stop().await.unwrap();
    std::fs::write(dir.path().join("postgres/PG_VERSION"), "13\n").unwrap();
    let refusal = start(dir.path()).await.unwrap_err();
    assert!(matches!(refusal, EmbeddedError::OtherMajor { data: 13, .. }), "{refusal}");
    assert!(refusal.to_string().contains("muster database upgrade"), "{refusal}");
    std::fs::write(dir.path().join("postgres/PG_VERSION"), "99\n").unwrap();
    let refusal = start(dir.path()).await.unwrap_err();
    assert!(refusal.to_string().contains("install PostgreSQL 99"), "{refusal}");
}

#[tokio::test]
async fn a_directory_that_is_no_database_is_left_alone() {
    let dir = scratch_dir();
    let precious = dir.path().join("postgres/precious");
    std::fs::create_dir(dir.path().join("postgres")).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(dir.path().join("postgres"), Some(1), Some(1)).unwrap();
    }
    std::fs::write(&precious, "").unwrap();
    let refusal = start(dir.path()).await.unwrap_err();
    assert!(matches!(refusal, EmbeddedError::NotACluster { .. }), "{refusal}");
    assert!(precious.exists());
}

#[tokio::test]
async fn without_programs_the_packages_are_named() {
    let dir = scratch_dir();
    let options =
        EmbeddedOptions { bin_dir: Some(dir.path().to_owned()), ..options(&dir.path().join("d")) };
    let refusal = EmbeddedPostgres::start(options).await.unwrap_err().to_string();
    for words in ["MUSTER_PG_BIN", "apt install", "dnf install", "brew install", "DATABASE_URL"] {
        assert!(refusal.contains(words), "{words} is not in: {refusal}");
    }
}

#[tokio::test]
async fn as_root_a_closed_parent_is_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = scratch_dir();
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
    let refusal = start(&closed.join("data")).await.unwrap_err();
    assert!(matches!(refusal, EmbeddedError::Unreachable { .. }), "{refusal}");
    assert!(refusal.to_string().contains(&closed.display().to_string()), "{refusal}");
    assert!(!closed.join("data").exists());
}

#[test]
fn the_callers_postgres_variables_are_not_read() {
    let dir = scratch_dir();
    let environment = [
        ("PGHOST", "nowhere.invalid"),
        ("PGPORT", "1"),
        ("PGUSER", "nobody"),
        ("PGDATABASE", "none"),
        ("PGSSLMODE", "verify-full"),
        ("PGDATA", "/nowhere"),
    ];
    let mut helper = start_helper("ask", dir.path(), &environment);
    assert_eq!(helper.hear().as_deref(), Some("muster"));
}
