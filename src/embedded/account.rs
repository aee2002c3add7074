//! Who the server runs as, and who may connect to it.
//!
//! PostgreSQL refuses root. Started as root, muster runs it as `postgres` (or `_postgres`,
//! `nobody`); started as anybody else, as that user. Data that exists decides for itself: whoever
//! owns it runs the server, so that an account installed later does not lock us out.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::EmbeddedError;

/// In order of preference; `_postgres` is what macOS ships.
const CANDIDATES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The account the server runs as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
    switch: bool,
}

impl Account {
    /// The account for the server on `cluster`, which may not be there yet.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        let us = rustix::process::geteuid().as_raw();
        let owner = std::fs::symlink_metadata(cluster).ok();
        if us == 0 {
            return match owner {
                Some(owner) => Self::owning(&owner, cluster),
                None => Self::first_candidate(),
            };
        }
        if let Some(owner) = owner.map(|owner| owner.uid()).filter(|owner| *owner != us) {
            return Err(EmbeddedError::Owner { path: cluster.to_owned(), owner, us });
        }
        Ok(Self { uid: us, gid: rustix::process::getegid().as_raw(), switch: false })
    }

    fn owning(owner: &Metadata, cluster: &Path) -> Result<Self, EmbeddedError> {
        match owner.uid() {
            0 => Err(EmbeddedError::Owner { path: cluster.to_owned(), owner: 0, us: 0 }),
            uid => Ok(Self { uid, gid: owner.gid(), switch: true }),
        }
    }

    fn first_candidate() -> Result<Self, EmbeddedError> {
        let found = CANDIDATES.into_iter().find_map(|name| {
            let number = |flag| id(&[flag, name])?.parse().ok();
            Some(Self { uid: number("-u")?, gid: number("-g")?, switch: true })
        });
        found.ok_or_else(|| EmbeddedError::NoAccount { tried: CANDIDATES.join(", ") })
    }

    /// Whom to become before a program is run; nobody when we are that user already.
    pub(super) fn switch(&self) -> Option<(u32, u32)> {
        self.switch.then_some((self.uid, self.gid))
    }

    /// The number of the account.
    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Makes `path` (not what a link there points to) the account's own.
    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        let Some((uid, gid)) = self.switch() else { return Ok(()) };
        std::os::unix::fs::lchown(path, Some(uid), Some(gid))
            .map_err(EmbeddedError::io("change the owner of", path))
    }

    /// Whether the account can pass through `dir` and all its parents (an absolute path).
    ///
    /// The server would only say "permission denied" on a file deep below.
    pub(super) fn check_reach(&self, dir: &Path) -> Result<(), EmbeddedError> {
        if !self.switch {
            return Ok(());
        }
        for parent in dir.ancestors() {
            let meta = std::fs::metadata(parent).map_err(EmbeddedError::io("read", parent))?;
            // Other groups do not count: switching the user drops them.
            let bit = match (meta.uid() == self.uid, meta.gid() == self.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            if meta.mode() & bit == 0 {
                return Err(EmbeddedError::Unreachable {
                    closed: parent.to_owned(),
                    uid: self.uid,
                });
            }
        }
        Ok(())
    }
}

/// The name of the user we are: the only one who may connect.
pub(super) fn our_name() -> Result<String, EmbeddedError> {
    id(&["-un"])
        .filter(|name| !name.is_empty())
        .ok_or_else(|| EmbeddedError::NoUserName { uid: rustix::process::geteuid().as_raw() })
}

/// Asks `id`, which knows every source of accounts (files, LDAP, macOS directory services), where
/// reading /etc/passwd would know one.
fn id(args: &[&str]) -> Option<String> {
    let output = Command::new("id").args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
