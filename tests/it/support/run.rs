//! One run of the tests: its directory, and the server all of its tests share.
//!
//! A run is one process under `cargo test`, and many under `cargo nextest`, which names the run in
//! `NEXTEST_RUN_ID`. The first process of a run that needs a database starts the [keeper], under a
//! lock on the run's directory, and leaves there how to reach the server; the others read it.
//!
//! [keeper]: super::keeper

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};

use super::keeper;

/// How to reach the server of this run.
#[derive(Debug, Clone)]
pub struct Server {
    /// A URL for creating and dropping databases.
    pub url: String,
    /// The names of this run's databases begin so.
    pub prefix: String,
}

impl Server {
    /// The database that is copied for each test.
    pub fn template(&self) -> String {
        format!("{}template", self.prefix)
    }

    fn parse(text: &str) -> Self {
        let (url, prefix) = text.trim().split_once(' ').unwrap();
        Self { url: url.to_owned(), prefix: prefix.to_owned() }
    }

    /// One line, as [`parse`](Self::parse) reads it.
    pub fn line(&self) -> String {
        format!("{} {}", self.url, self.prefix)
    }
}

/// The server of this run, started if this is the first to ask. Blocks.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let (owner, dir) = run();
        make_dir(&dir);
        let lock = File::create(dir.join("start.lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let announcement = dir.join("server");
        if let Ok(text) = std::fs::read_to_string(&announcement) {
            return Server::parse(&text);
        }
        let line = keeper::start(owner, &dir).unwrap_or_else(|error| panic!("{error}"));
        // Written under the lock, so nobody reads a half.
        std::fs::write(&announcement, &line).unwrap();
        Server::parse(&line)
    })
}

/// An empty directory that every user can reach (a server that root starts runs as somebody else).
///
/// Removed when dropped, and by the keeper if this process is killed before that.
pub fn scratch_dir() -> tempfile::TempDir {
    server();
    tempfile::Builder::new()
        .prefix("scratch-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(dir())
        .unwrap()
}

/// The directory of this run.
pub fn dir() -> PathBuf {
    run().1
}

/// The process that the run ends with, and the directory of the run.
fn run() -> (u32, PathBuf) {
    let (owner, key) = match std::env::var("NEXTEST_RUN_ID") {
        Ok(id) => (std::os::unix::process::parent_id(), id),
        Err(_) => (std::process::id(), std::process::id().to_string()),
    };
    (owner, std::env::temp_dir().join(format!("{}{key}", dir_prefix())))
}

/// What the directories of this user's runs are called.
pub fn dir_prefix() -> String {
    format!("muster-test-{}-", rustix::process::geteuid().as_raw())
}

fn make_dir(dir: &Path) {
    // An error is that of a directory that is there already.
    let _ = DirBuilder::new().mode(0o755).create(dir);
    let meta = std::fs::symlink_metadata(dir).unwrap();
    let ours = meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw();
    assert!(ours, "{} is somebody else's", dir.display());
}
