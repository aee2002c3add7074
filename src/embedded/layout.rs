//! The files below the data directory.
//!
//! | path | content | owner |
//! |---|---|---|
//! | `postgres/` | the database files | the account of the server |
//! | `postgres.init-<pid>/` | database files during their creation | the same |
//! | `postgres.restoring/`, `postgres.upgrading/` and others | see [`super::switch`] | the same |
//! | `run/` | the socket; a link to another directory if the path is too long | the same |
//! | `run.closed/` | the socket of a server that no other process may find | the same |
//! | `muster.lock`, `server.lock` | see [`super::lock`] | us |
//! | `pg_hba.conf`, `pg_ident.conf` | access rules; written at every start | us |
//!
//! As root, muster writes nothing below a directory of the server's account: with SQL alone that
//! account could put a link there and have root write through it.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::account::Account;
use super::error::EmbeddedError;
use super::passing::fresh_dir;
use super::poll;

/// The name of the directory of the database files.
pub(super) const CLUSTER: &str = "postgres";

/// The name of the directory of the socket, or of the link to it.
pub(super) const RUN: &str = "run";

/// The same for a server during a restore or an upgrade. Commands beside it would write what is lost.
pub(super) const RUN_CLOSED: &str = "run.closed";

/// The beginning of the names of directories during their creation.
pub(super) const INIT: &str = "postgres.init-";

/// Part of the socket's name; the server has no TCP.
pub(super) const PORT: u16 = 5432;

/// The superuser, and the only role.
pub(super) const ROLE: &str = "muster";

/// Longest path of a socket (`sun_path` without its NUL).
const SOCKET_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Longest removal of a directory tree.
const REMOVED_WITHIN: Duration = Duration::from_secs(1);

/// The paths below one data directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The data directory, absolute and without links.
    pub(super) data_dir: PathBuf,
    /// The database files.
    pub(super) cluster: PathBuf,
    /// The socket.
    run: PathBuf,
}

impl Layout {
    /// Creates the data directory if it is missing.
    pub(super) fn make(data_dir: &Path) -> Result<Self, EmbeddedError> {
        DirBuilder::new()
            .recursive(true)
            .mode(passable_mode())
            .create(data_dir)
            .map_err(EmbeddedError::io("create", data_dir))?;
        let data_dir = data_dir.canonicalize().map_err(EmbeddedError::io("resolve", data_dir))?;
        Ok(Self { cluster: data_dir.join(CLUSTER), run: data_dir.join(RUN), data_dir })
    }

    /// The same data directory with other database files, for a server that no other process may find.
    pub(super) fn closed(&self, cluster: &str) -> Self {
        let data_dir = self.data_dir.clone();
        Self { cluster: data_dir.join(cluster), run: data_dir.join(RUN_CLOSED), data_dir }
    }

    /// Removes the directory of the socket of a server that has ended.
    pub(super) fn remove_socket_dir(&self, account: &Account) {
        remove_elsewhere(&self.run, account);
    }

    /// The directory of the database files during their creation.
    pub(super) fn init_dir(&self) -> PathBuf {
        self.data_dir.join(format!("{INIT}{}", std::process::id()))
    }

    /// The file of the running server with its process number and state.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.cluster.join("postmaster.pid")
    }

    /// Writes the access rules, and returns the settings that name the files.
    ///
    /// The directory of the socket is closed to others, and the server also asks the kernel for the
    /// user at the other end: only muster's user is accepted, as the role `muster`. A password would
    /// have to be stored and could leak.
    pub(super) fn write_access_rules(
        &self,
        user: &str,
    ) -> Result<[(&'static str, PathBuf); 2], EmbeddedError> {
        const NOTE: &str = "# Written by muster at every start; changes are lost.";
        let hba = self.data_dir.join("pg_hba.conf");
        let ident = self.data_dir.join("pg_ident.conf");
        write_readable(&hba, &format!("{NOTE}\nlocal all all peer map={ROLE}\n"))?;
        write_readable(&ident, &format!("{NOTE}\n{ROLE} \"{user}\" {ROLE}\n"))?;
        Ok([("hba_file", hba), ("ident_file", ident)])
    }

    /// The directory for the socket, created and cleared of the files of a killed server.
    pub(super) fn socket_dir(&self, account: &Account) -> Result<SocketDir, EmbeddedError> {
        let run = self.run.clone();
        let dir = if fits(&run) {
            if run.is_symlink() {
                remove_elsewhere(&run, account);
            }
            make_private(&run, account)?;
            SocketDir { path: run, link: None }
        } else {
            SocketDir { path: self.elsewhere(&run, account)?, link: Some(run) }
        };
        // We have the locks, so no server uses these; a lock file with a reused pid would prevent the
        // start, as a stale postmaster.pid does.
        for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
            let _ = std::fs::remove_file(dir.path.join(name));
        }
        Ok(dir)
    }

    /// A directory with a shorter path. A link to it lets the next start reuse the one of a killed
    /// muster.
    fn elsewhere(&self, run: &Path, account: &Account) -> Result<PathBuf, EmbeddedError> {
        if let Ok(left) = std::fs::read_link(run)
            && fits(&left)
            && is_private(&left, account)
        {
            return Ok(left);
        }
        remove_elsewhere(run, account);
        let mut bases = vec![std::env::temp_dir(), PathBuf::from("/tmp")];
        bases.dedup();
        let usable = |base: &Path| {
            let base = base.canonicalize().ok()?;
            account.check_reach(&base).ok()?;
            fresh_dir(&base, "muster", 0o700, fits).ok()
        };
        let Some(dir) = bases.iter().find_map(|base| usable(base)) else {
            let tried: Vec<_> = bases.iter().map(|base| base.display().to_string()).collect();
            return EmbeddedError::unusable(format!(
                "no directory for the server's socket: the path below {} is longer than the \
                 {SOCKET_LIMIT} bytes of a socket's path, and nothing in {} can be used instead; \
                 choose a shorter --data-dir",
                self.data_dir.display(),
                tried.join(", ")
            ));
        };
        account.give(&dir)?;
        std::os::unix::fs::symlink(&dir, run).map_err(EmbeddedError::io("link", run))?;
        Ok(dir)
    }
}

/// The nearest existing parent of `path`, absolute and without links.
pub(super) fn nearest(path: &Path) -> Result<PathBuf, EmbeddedError> {
    let absolute = std::path::absolute(path).map_err(EmbeddedError::io("resolve", path))?;
    let found = absolute.ancestors().find_map(|parent| parent.canonicalize().ok());
    Ok(found.unwrap_or_else(|| PathBuf::from("/")))
}

/// The directory of the socket.
#[derive(Debug)]
pub(super) struct SocketDir {
    /// Its path.
    pub(super) path: PathBuf,
    link: Option<PathBuf>,
}

impl SocketDir {
    /// Removes the directory if it is outside the data directory.
    pub(super) fn remove(&self) {
        if let Some(link) = &self.link {
            let _ = std::fs::remove_dir_all(&self.path);
            let _ = std::fs::remove_file(link);
        }
    }
}

fn fits(dir: &Path) -> bool {
    dir.as_os_str().len() + format!("/.s.PGSQL.{PORT}").len() <= SOCKET_LIMIT
}

fn make_private(dir: &Path, account: &Account) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => account.give(dir),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_private(dir, account) => {
            Ok(())
        }
        Err(error) => Err(EmbeddedError::io("create", dir)(error)),
    }
}

/// Whether this is a directory (no link to one) of the account that is closed to all others.
fn is_private(dir: &Path, account: &Account) -> bool {
    let Ok(meta) = std::fs::symlink_metadata(dir) else { return false };
    meta.is_dir() && meta.uid() == account.uid() && meta.mode() & 0o077 == 0
}

/// Removes the link and, if it has the form of ours, its target.
fn remove_elsewhere(link: &Path, account: &Account) {
    if let Ok(dir) = std::fs::read_link(link) {
        let ours = dir.file_name().is_some_and(|n| n.to_string_lossy().starts_with("muster-"));
        if ours && is_private(&dir, account) {
            let _ = std::fs::remove_dir_all(&dir);
        }
        let _ = std::fs::remove_file(link);
    } else {
        // A plain directory: the data was moved from a place with a shorter path.
        let _ = std::fs::remove_dir_all(link);
    }
}

/// Writes a file that all accounts may read; it has no secret.
fn write_readable(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())
    };
    write().map_err(EmbeddedError::io("write", path))
}

/// Removes a directory in which an ending process may still create a file.
pub(super) fn remove_tree(path: &Path) -> Result<(), EmbeddedError> {
    let removed = poll::until(REMOVED_WITHIN, || match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        other => other.map(|()| true),
    });
    match removed.map_err(EmbeddedError::io("remove", path))? {
        true => Ok(()),
        false => EmbeddedError::unusable(format!("cannot remove {}: it is in use", path.display())),
    }
}

/// The mode of a directory that the account of the server can pass through. Private files are in
/// directories of their own below it.
pub(super) fn passable_mode() -> u32 {
    if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 }
}
