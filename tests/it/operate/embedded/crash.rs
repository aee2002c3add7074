//! Kills at every point, and what they leave: nothing is lost, nothing stays, nothing is damaged.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{ask, signal, start, start_helper};
use crate::support::{
    process::{Helper, is_alive, wait_until},
    scratch_dir,
};
use muster::embedded::{EmbeddedError, EmbeddedPostgres};
use rustix::process::Signal;

/// A command run as whoever owns `path`.
fn as_owner_of(path: &Path, program: &Path) -> Command {
    use std::os::unix::process::CommandExt;

    let meta = std::fs::metadata(path).unwrap();
    let mut command = Command::new(program);
    command.current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(meta.uid()).gid(meta.gid());
    }
    command
}

/// A child that is killed when the test ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process of the server's account that has nothing to do with a server.
fn bystander(cluster: &Path) -> Killed {
    let mut cat = as_owner_of(cluster, Path::new("cat"));
    Killed(cat.stdin(Stdio::piped()).spawn().unwrap())
}

/// Has a helper write, and returns it with the server's number and the last acknowledged row.
fn writing_helper(dir: &Path) -> (Helper, u32, i64) {
    let mut helper = start_helper("write", dir, &[]);
    let server = helper.hear().unwrap().parse().unwrap();
    let acknowledged = (0..50).map(|_| helper.hear().unwrap().parse().unwrap()).last().unwrap();
    (helper, server, acknowledged)
}

async fn rows(server: &EmbeddedPostgres) -> i64 {
    let options = server.connect_options("postgres");
    ask(options, "SELECT count(*) FROM acknowledged").await.parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_muster_takes_its_server_along_and_loses_nothing() {
    let dir = scratch_dir();
    let (helper, server, acknowledged) = writing_helper(dir.path());
    helper.kill();
    wait_until("the orphan has ended", || !is_alive(server));
    let server = start(dir.path()).await.unwrap();
    assert!(rows(&server).await >= acknowledged);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_right_after_a_kill_waits_for_the_orphan() {
    let dir = scratch_dir();
    let (helper, orphan, acknowledged) = writing_helper(dir.path());
    helper.kill();
    let server = start(dir.path()).await.unwrap();
    assert!(!is_alive(orphan));
    assert!(rows(&server).await >= acknowledged);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn muster_and_server_killed_together_lose_nothing() {
    let dir = scratch_dir();
    let (helper, server, acknowledged) = writing_helper(dir.path());
    signal(server, Signal::KILL);
    helper.kill();
    let server = start(dir.path()).await.unwrap();
    assert!(rows(&server).await >= acknowledged);
    server.stop().await.unwrap();
}

/// A server on the files that no muster owns, with `stdin`; ready when this returns.
#[cfg(target_os = "linux")]
fn by_hand(dir: &Path, postgres: &Path, stdin: Stdio) -> Killed {
    let cluster = dir.join("postgres");
    let mut command = as_owner_of(&cluster, postgres);
    command.arg("-D").arg(&cluster).args(["-c", "listen_addresses="]);
    command.arg("-c").arg(format!("unix_socket_directories={}", dir.join("run").display()));
    let server = Killed(command.stdin(stdin).stderr(Stdio::null()).spawn().unwrap());
    let pid_file = cluster.join("postmaster.pid");
    wait_until("the server by hand is ready", || {
        std::fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("\nready"))
    });
    server
}

/// A data directory, and the `postgres` that made it.
#[cfg(target_os = "linux")]
async fn made(dir: &Path) -> PathBuf {
    let server = start(dir).await.unwrap();
    let postgres = std::fs::read_link(format!("/proc/{}/exe", server.pid())).unwrap();
    server.stop().await.unwrap();
    postgres
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_orphan_that_runs_on_is_ended_first() {
    let dir = scratch_dir();
    let postgres = made(dir.path()).await;
    let lock = std::fs::File::open(dir.path().join("server.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut orphan = by_hand(dir.path(), &postgres, lock.into());
    let server = start(dir.path()).await.unwrap();
    assert!(orphan.0.try_wait().unwrap().unwrap().success(), "it was not shut down cleanly");
    server.stop().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_muster_did_not_start_is_left_alone() {
    let dir = scratch_dir();
    let postgres = made(dir.path()).await;
    let mut stranger = by_hand(dir.path(), &postgres, Stdio::null());
    let refusal = start(dir.path()).await.unwrap_err();
    assert!(matches!(refusal, EmbeddedError::Occupied { .. }), "{refusal}");
    assert!(stranger.0.try_wait().unwrap().is_none(), "it was ended");
    assert!(dir.path().join("postgres/postmaster.pid").exists());
    signal(stranger.0.id(), Signal::INT);
    assert!(stranger.0.wait().unwrap().success());
}

#[tokio::test]
async fn a_stale_pid_file_with_a_reused_number_is_no_obstacle() {
    let dir = scratch_dir();
    start(dir.path()).await.unwrap().stop().await.unwrap();
    let bystander = bystander(&dir.path().join("postgres"));
    let stale = format!("{}\n", bystander.0.id());
    std::fs::write(dir.path().join("postgres/postmaster.pid"), &stale).unwrap();
    std::fs::write(dir.path().join("run/.s.PGSQL.5432.lock"), &stale).unwrap();
    start(dir.path()).await.unwrap().stop().await.unwrap();
    assert!(is_alive(bystander.0.id()));
}

#[tokio::test]
async fn an_interrupted_initdb_leaves_nothing() {
    let dir = scratch_dir();
    let leftover = || {
        let mut entries = std::fs::read_dir(dir.path()).unwrap().flatten();
        entries.find(|entry| entry.file_name().to_string_lossy().starts_with("postgres.init-"))
    };
    let helper = start_helper("write", dir.path(), &[]);
    wait_until("initdb is at work", || {
        leftover().is_some_and(|entry| entry.path().join("PG_VERSION").exists())
    });
    helper.kill();
    assert!(leftover().is_some(), "the kill came too late to test anything");
    let server = start(dir.path()).await.unwrap();
    assert!(leftover().is_none());
    assert_eq!(ask(server.connect_options("postgres"), "1").await, "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_socket_directory_left_by_a_kill_is_used_again() {
    let dir = scratch_dir();
    let data_dir = dir.path().join("x".repeat(100));
    let (helper, ..) = writing_helper(&data_dir);
    helper.kill();
    let left = std::fs::read_link(data_dir.join("run")).unwrap();
    let server = start(&data_dir).await.unwrap();
    assert_eq!(std::fs::read_link(data_dir.join("run")).unwrap(), left);
    server.stop().await.unwrap();
    assert!(!left.exists());
}
