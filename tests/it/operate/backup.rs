//! Backup, restore and the upgrade of PostgreSQL, as an operator runs them.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::cli::{SET, Serve, fed, muster, run, succeeds, text};
use crate::support::{
    agent::Agent, client::Client, fleet::register, process::wait_until, scratch_dir,
};
use muster::embedded::{EmbeddedError, EmbeddedOptions, EmbeddedPostgres};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, postgres::PgConnection};

/// The names in a directory that begin so.
fn beginning(dir: &Path, beginning: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(beginning)).collect()
}

#[track_caller]
fn fails(data_dir: &Path, args: &[&str]) -> String {
    let output = run(data_dir, args);
    assert!(!output.status.success(), "{args:?} succeeded: {}", text(&output.stdout));
    text(&output.stderr)
}

/// Runs a command until `moment`, and kills it.
fn killed_when(mut command: Command, moment: impl Fn() -> bool) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the command is at that point", || {
        let ended = child.try_wait().unwrap();
        assert!(moment() || ended.is_none(), "it ended before: {ended:?}");
        moment()
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Claims and completes; keeps the tasks whose completion was acknowledged.
async fn works(agent: Agent, done: Arc<Mutex<Vec<String>>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let held = agent.take().await;
        agent.complete(&held).await;
        done.lock().unwrap().push(held.task);
    }
}

async fn run_beside(data: &Path, args: &[&str]) -> Output {
    let mut command = muster(data, args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn until(condition: impl Fn() -> bool) {
    tokio::task::block_in_place(|| wait_until("the agents have worked", condition));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_restores_all_that_was_acknowledged_before() {
    let dir = scratch_dir();
    let (data, backups) = (dir.path().join("data"), dir.path().join("backups"));
    std::fs::create_dir(&backups).unwrap();
    let (file, restored) = (backups.join("muster.backup"), dir.path().join("restored"));
    let mut service = Serve::start(&data, &[]);
    let token = service.line().rsplit(' ').next().unwrap().to_owned();
    let admin = service.ready().await.with_key(&token);
    assert!(fed(&data, &SET, &[], "sk-hunter2").status.success());
    let tasks: Vec<Value> =
        (0..3000).map(|n| json!({"ref": format!("t{n}"), "title": "work"})).collect();
    admin.post("/v1/goals", &json!({"title": "load", "tasks": tasks})).await.expect(201);

    let done = Arc::new(Mutex::new(Vec::new()));
    let (stop, mut agents) = (Arc::new(AtomicBool::new(false)), Vec::new());
    for n in 0..3 {
        let agent = register(&admin, json!({"name": format!("agent {n}")})).await;
        agents.push(tokio::spawn(works(agent, Arc::clone(&done), Arc::clone(&stop))));
    }
    let count = || done.lock().unwrap().len();
    until(|| count() >= 20).await;
    let before = done.lock().unwrap().clone();
    let output = run_beside(&data, &["backup", file.to_str().unwrap()]).await;
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let meanwhile = count();
    assert!(meanwhile > before.len(), "nothing was done beside the backup");
    until(|| count() > meanwhile).await;
    stop.store(true, Ordering::Relaxed);
    for agent in agents {
        agent.await.unwrap();
    }
    assert!(said.contains("secret.key") && !said.contains("hunter2"), "{said}");
    assert_eq!(beginning(&backups, ""), ["muster.backup"]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    drop(service);

    restores(&restored, &file);
    let verified = succeeds(&restored, &["verify", "--at-rest"]);
    assert!(verified.contains("every invariant holds"), "{verified}");
    std::fs::copy(data.join("secret.key"), restored.join("secret.key")).unwrap();
    let service = Serve::start(&restored, &[]);
    holds(&service.ready().await.with_key(&token), &before).await;
    let verified = succeeds(&restored, &["verify"]);
    assert!(verified.contains("every invariant holds"), "{verified}");
    assert!(succeeds(&restored, &["secrets", "list"]).contains("planner_key"));
}

/// Restores after a restore that was killed.
fn restores(data: &Path, file: &Path) {
    let restore = ["restore", file.to_str().unwrap()];
    killed_when(muster(data, &restore), || data.join("postgres.restoring/postmaster.pid").exists());
    let refused = fails(data, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(refused.contains("interrupted") && refused.contains("muster restore"), "{refused}");
    let said = succeeds(data, &restore);
    assert!(said.contains("Put the key file there"), "{said}");
    assert_eq!(beginning(data, "postgres"), ["postgres"]);
    let again = fails(data, &restore);
    assert!(again.contains("holds `postgres`") && again.contains("--data-dir"), "{again}");
}

/// Every task is done, and the service goes on with the rest.
async fn holds(admin: &Client, done: &[String]) {
    for task in done {
        let task = admin.get(format!("/v1/tasks/{task}")).await.value(200);
        assert_eq!(task["state"], "done", "{task}");
    }
    let agent = register(admin, json!({"name": "after"})).await;
    agent.complete(&agent.take().await).await;
}

#[test]
fn what_is_no_backup_changes_nothing() {
    let dir = scratch_dir();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    let file = dir.path().join("backup");
    let name = file.to_str().unwrap();
    let nothing = fails(&data, &["backup", name]);
    assert!(nothing.contains("there is no database"), "{nothing}");
    assert!(!file.exists() && !data.exists());

    // Without a running service.
    succeeds(&data, &["migrate"]);
    succeeds(&data, &["backup", name]);
    let whole = std::fs::read(&file).unwrap();
    let (dump, line) = whole.split_at(whole.iter().rposition(|byte| *byte == b'{').unwrap());
    // The last brace is that of the schema.
    let newer = text(line).replacen("\"newest\":", "\"newest\":9", 1);
    let unknown = text(line).replacen("\"sha256\":\"", "\"sha256\":\"0", 1);
    let bad = [
        (b"no backup".to_vec(), "is no backup"),
        (whole[..whole.len() / 2].to_vec(), "cut off"),
        (whole[..whole.len() - 1].to_vec(), "cut off"),
        ([&whole[..100], &whole[101..]].concat(), "damaged"),
        ([dump, newer.as_bytes()].concat(), "or a newer one"),
        ([dump, unknown.as_bytes()].concat(), "none of this muster's"),
    ];
    for (content, reason) in bad {
        std::fs::write(&file, content).unwrap();
        let refused = fails(&other, &["restore", name]);
        assert!(refused.contains(reason), "{reason}: {refused}");
        assert!(!other.exists(), "{reason}: something was written");
    }

    std::fs::write(&file, whole).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("precious"), "").unwrap();
    let refused = fails(&other, &["restore", name]);
    assert!(refused.contains("precious"), "{refused}");
    assert_eq!(beginning(&other, ""), ["precious"]);
    for args in [["backup", name], ["restore", name]] {
        let url = [("DATABASE_URL", "postgres://user:hunter2@host/db")];
        let refused = fed(&other, &args, &url, "");
        let error = text(&refused.stderr);
        assert!(!refused.status.success() && error.contains("pg_"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

async fn start(data: &Path) -> Result<EmbeddedPostgres, EmbeddedError> {
    let mut options = EmbeddedOptions::new(data);
    options.bin_dir = std::env::var_os("MUSTER_PG_BIN").map(PathBuf::from);
    EmbeddedPostgres::start(options).await
}

async fn sql(server: &EmbeddedPostgres, database: &str, sql: &str) -> String {
    let options = server.connect_options(database);
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let sql = AssertSqlSafe(sql.to_owned());
    let answer: Option<String> =
        sqlx::query_scalar(sql).fetch_optional(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer.unwrap_or_default()
}

/// Two databases with a row each, as if version 13 had written them. Returns the directory of a
/// `postgres` that claims to be that version.
#[cfg(target_os = "linux")]
async fn old_data(dir: &Path, data: &Path) -> PathBuf {
    let server = start(data).await.unwrap();
    let postgres = std::fs::read_link(format!("/proc/{}/exe", server.pid())).unwrap();
    for name in ["muster", "a \"name\""] {
        server.ensure_database(name).await.unwrap();
        sql(&server, name, "CREATE TABLE kept AS SELECT current_database()::text AS word").await;
    }
    server.stop().await.unwrap();
    let version = std::fs::read_to_string(data.join("postgres/PG_VERSION")).unwrap();
    let old_bin = dir.join("old");
    std::fs::create_dir(&old_bin).unwrap();
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'postgres (PostgreSQL) 13.9'; exit; fi\n\
         echo {} > \"$2/PG_VERSION\"\nexec '{}' \"$@\"\n",
        version.trim(),
        postgres.display()
    );
    std::fs::write(old_bin.join("postgres"), script).unwrap();
    std::fs::set_permissions(old_bin.join("postgres"), Permissions::from_mode(0o755)).unwrap();
    old_bin
}

/// Checks that all data is there, on files that muster starts with.
#[cfg(target_os = "linux")]
async fn has_all(data: &Path) {
    let server = start(data).await.unwrap();
    for name in ["muster", "a \"name\""] {
        assert_eq!(sql(&server, name, "SELECT word FROM kept").await, name);
    }
    server.stop().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn data_of_another_version_is_upgraded() {
    let dir = scratch_dir();
    let data = dir.path().join("data");
    let old_bin = old_data(dir.path(), &data).await;
    let age = || std::fs::write(data.join("postgres/PG_VERSION"), "13\n").unwrap();
    age();
    let refused = fails(&data, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(refused.contains("muster database upgrade"), "{refused}");
    let missing = fails(&data, &["database", "upgrade"]);
    for way in ["postgresql-13", "--old-bin", "muster restore FILE"] {
        assert!(missing.contains(way), "{way} is missing in: {missing}");
    }
    let upgrade = ["database", "upgrade", "--old-bin", old_bin.to_str().unwrap()];
    killed_when(muster(&data, &upgrade), || data.join("postgres.upgrading/PG_VERSION").exists());
    has_all(&data).await;
    assert_eq!(beginning(&data, "postgres"), ["postgres"]);

    age();
    let said = succeeds(&data, &upgrade);
    assert!(said.starts_with("PostgreSQL 13 -> ") && said.contains("rm -r"), "{said}");
    has_all(&data).await;
    let [old] = &beginning(&data, "postgres.")[..] else { panic!("not one old directory") };
    assert!(old.starts_with("postgres.old-"), "{old}");
    assert!(succeeds(&data, &["database", "upgrade"]).contains("the newest found"));

    // As a kill before each of the two last renames leaves it.
    let (current, upgraded) = (data.join("postgres"), data.join("postgres.upgraded"));
    std::fs::rename(&current, &upgraded).unwrap();
    has_all(&data).await;
    std::fs::rename(&current, &upgraded).unwrap();
    std::fs::rename(data.join(old), &current).unwrap();
    std::fs::write(current.join("PG_VERSION"), "13\n").unwrap();
    has_all(&data).await;
    assert_eq!(beginning(&data, "postgres."), ["postgres.old-13"]);
}
