//! What lies where below the data directory.
//!
//! | path | what | owner |
//! |---|---|---|
//! | `postgres/` | the database files | the account of the server |
//! | `postgres.init-<pid>/` | database files being made; left over only by a kill | the same |
//! | `run/` | the socket; a link to a directory elsewhere when the path is too long | the same |
//! | `muster.lock`, `server.lock` | see [`super::lock`] | us |
//! | `pg_hba.conf`, `pg_ident.conf` | who may connect; written at every start | us |
//!
//! When we are root, nothing of ours is written below a directory of the server's account: with SQL
//! alone that account could put a link there and have root write through it.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::account::Account;
use super::error::EmbeddedError;

/// The name of the directory of the database files.
pub(super) const CLUSTER: &str = "postgres";

/// The name of the directory of the socket, or of the link to it.
pub(super) const RUN: &str = "run";

/// There is no TCP; the port is only a part of the socket's name.
pub(super) const PORT: u16 = 5432;

/// How long the path of a socket may be (`sun_path` without its NUL).
const SOCKET_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The paths below one data directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The data directory, absolute and without links.
    pub(super) data_dir: PathBuf,
    /// The database files.
    pub(super) cluster: PathBuf,
}

impl Layout {
    /// Makes the data directory if it is not there.
    pub(super) fn make(data_dir: &Path) -> Result<Self, EmbeddedError> {
        // The account of the server must get through when we are root; what is private lies in
        // directories of its own.
        let mode = if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 };
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(data_dir)
            .map_err(EmbeddedError::io("create", data_dir))?;
        let data_dir = data_dir.canonicalize().map_err(EmbeddedError::io("resolve", data_dir))?;
        let cluster = data_dir.join(CLUSTER);
        Ok(Self { data_dir, cluster })
    }

    /// Where the files are made, before they are complete.
    pub(super) fn init_dir(&self) -> PathBuf {
        self.data_dir.join(format!("postgres.init-{}", std::process::id()))
    }

    /// Where the running server says who and how it is.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.cluster.join("postmaster.pid")
    }

    /// Removes what a killed `initdb` left.
    pub(super) fn remove_init_leftovers(&self) -> Result<(), EmbeddedError> {
        let list = EmbeddedError::io("list", &self.data_dir);
        for entry in std::fs::read_dir(&self.data_dir).map_err(list)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("postgres.init-") {
                let path = entry.path();
                tracing::warn!(path = %path.display(), "removing what an interrupted initdb left");
                remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// Writes the rules of who may connect, and returns the settings that name the files.
    ///
    /// The socket lies in a directory closed to others, and the server also asks the kernel who is
    /// at the other end: only the user that muster runs as is let in, as the role `muster`. No
    /// password means none to store and to leak.
    pub(super) fn write_access_rules(
        &self,
        user: &str,
    ) -> Result<[(&'static str, PathBuf); 2], EmbeddedError> {
        const NOTE: &str = "# Written by muster at every start; changes are lost.";
        let hba = self.data_dir.join("pg_hba.conf");
        let ident = self.data_dir.join("pg_ident.conf");
        write_readable(&hba, &format!("{NOTE}\nlocal all all peer map=muster\n"))?;
        write_readable(&ident, &format!("{NOTE}\nmuster \"{user}\" muster\n"))?;
        Ok([("hba_file", hba), ("ident_file", ident)])
    }

    /// The directory for the socket, made and cleared of what a killed server left.
    pub(super) fn socket_dir(&self, account: &Account) -> Result<SocketDir, EmbeddedError> {
        let run = self.data_dir.join(RUN);
        let dir = if fits(&run) {
            if run.is_symlink() {
                remove_elsewhere(&run, account);
            }
            make_private(&run, account)?;
            SocketDir { path: run, link: None }
        } else {
            SocketDir { path: self.elsewhere(&run, account)?, link: Some(run) }
        };
        // We hold the locks, so these are nobody's; a lock file with a reused pid would stop the
        // server as a stale postmaster.pid does.
        for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
            let _ = std::fs::remove_file(dir.path.join(name));
        }
        Ok(dir)
    }

    /// A directory in a shorter place, remembered by a link so that the next start finds (and uses)
    /// the one that a killed muster left.
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
            // Making a directory fails on whatever is there, so a name that somebody guessed costs
            // one more try and nothing else.
            (0..100)
                .map(|n| base.join(format!("muster-{}-{n}", std::process::id())))
                .find(|dir| fits(dir) && DirBuilder::new().mode(0o700).create(dir).is_ok())
        };
        let dir = bases.iter().find_map(|base| usable(base)).ok_or_else(|| {
            let tried: Vec<_> = bases.iter().map(|base| base.display().to_string()).collect();
            EmbeddedError::NoSocketDir {
                data_dir: self.data_dir.clone(),
                limit: SOCKET_LIMIT,
                tried: tried.join(", "),
            }
        })?;
        account.give(&dir)?;
        std::os::unix::fs::symlink(&dir, run).map_err(EmbeddedError::io("link", run))?;
        Ok(dir)
    }
}

/// The nearest parent of `path` that exists, absolute and without links.
pub(super) fn nearest(path: &Path) -> Result<PathBuf, EmbeddedError> {
    let absolute = std::path::absolute(path).map_err(EmbeddedError::io("resolve", path))?;
    let found = absolute.ancestors().find_map(|parent| parent.canonicalize().ok());
    Ok(found.unwrap_or_else(|| PathBuf::from("/")))
}

/// The directory of the socket.
#[derive(Debug)]
pub(super) struct SocketDir {
    /// Where it is.
    pub(super) path: PathBuf,
    link: Option<PathBuf>,
}

impl SocketDir {
    /// Removes a directory that is outside the data directory.
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

/// Whether this is a directory of the account (no link to one) that is closed to everybody else.
fn is_private(dir: &Path, account: &Account) -> bool {
    let Ok(meta) = std::fs::symlink_metadata(dir) else { return false };
    meta.is_dir() && meta.uid() == account.uid() && meta.mode() & 0o077 == 0
}

/// Removes the link and, if it is what we would have made, the directory it names.
fn remove_elsewhere(link: &Path, account: &Account) {
    if let Ok(dir) = std::fs::read_link(link) {
        let ours = dir.file_name().is_some_and(|n| n.to_string_lossy().starts_with("muster-"));
        if ours && is_private(&dir, account) {
            let _ = std::fs::remove_dir_all(&dir);
        }
        let _ = std::fs::remove_file(link);
    } else {
        // A plain directory: the data was moved from a place where the path was short enough.
        let _ = std::fs::remove_dir_all(link);
    }
}

/// Writes a file that the account of the server can read; it holds no secret.
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

/// Removes a directory in which a dying process may make a last file.
pub(super) fn remove_tree(path: &Path) -> Result<(), EmbeddedError> {
    for _ in 0..100 {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(super::POLL);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => return other.map_err(EmbeddedError::io("remove", path)),
        }
    }
    std::fs::remove_dir_all(path).map_err(EmbeddedError::io("remove", path))
}
