//! The database files: their version and their creation.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use super::account::Account;
use super::error::EmbeddedError;
use super::install::Install;
use super::layout::{Layout, ROLE};
use super::lock::LockFile;
use super::spawn;

/// The major version of the files; none if there are no files yet.
pub(super) fn major(cluster: &Path) -> Result<Option<u32>, EmbeddedError> {
    if !cluster.try_exists().map_err(EmbeddedError::io("read", cluster))? {
        return Ok(None);
    }
    let not_a_cluster = || EmbeddedError::NotACluster { cluster: cluster.to_owned() };
    let text = std::fs::read_to_string(cluster.join("PG_VERSION")).map_err(|_| not_a_cluster())?;
    let major = text.trim().split('.').next().and_then(|major| major.parse().ok());
    major.map(Some).ok_or_else(not_a_cluster)
}

/// Creates the files beside their place, then renames them: `initdb` takes a second, and a kill within
/// that second must not leave half a database in that place.
pub(super) fn create(
    layout: &Layout,
    install: &Install,
    account: &Account,
    server_lock: &LockFile,
    sync: bool,
) -> Result<(), EmbeddedError> {
    let dir = layout.init_dir();
    DirBuilder::new().mode(0o700).create(&dir).map_err(EmbeddedError::io("create", &dir))?;
    let made = account
        .give(&dir)
        .and_then(|()| initdb(&dir, install, account, server_lock, sync))
        .and_then(|()| {
            std::fs::rename(&dir, &layout.cluster).map_err(EmbeddedError::io("rename", &dir))
        });
    if made.is_err() {
        let _ = std::fs::remove_dir_all(&dir);
        return made;
    }
    // Otherwise a power cut could undo the rename after transactions were acknowledged.
    File::open(&layout.data_dir)
        .and_then(|parent| parent.sync_all())
        .map_err(EmbeddedError::io("sync", &layout.data_dir))
}

fn initdb(
    dir: &Path,
    install: &Install,
    account: &Account,
    server_lock: &LockFile,
    sync: bool,
) -> Result<(), EmbeddedError> {
    let program = install.program("initdb");
    let mut command = spawn::command(&program, account);
    command
        .arg("-D")
        .arg(dir)
        // The C locale: an upgrade of the system's libc cannot change the order of our indexes.
        .args(["-U", ROLE, "--no-locale", "-E", "UTF8", "--data-checksums"])
        .args(["--auth-local=peer", "--auth-host=reject"])
        .stdin(server_lock.as_stdin()?)
        .stderr(Stdio::piped());
    if !sync {
        command.arg("--no-sync");
    }
    spawn::die_with_thread(&mut command, Signal::KILL);
    let output = command.output().map_err(EmbeddedError::io("run", &program))?;
    if output.status.success() {
        return Ok(());
    }
    EmbeddedError::unusable(format!(
        "initdb could not create the database files in {}: {}: {}",
        dir.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
