//! The account of the server, and the user who may connect to it.
//!
//! PostgreSQL refuses root. Started as root, muster runs it as `postgres` (or `_postgres`,
//! `nobody`); started as another user, as that user. Existing data overrides this: its owner runs the
//! server, so that an account installed later does not make the data unusable.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::{ELSEWHERE, EmbeddedError};

/// In order of preference; `_postgres` is what macOS ships.
const CANDIDATES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The account of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
    switch: bool,
}

impl Account {
    /// The account for the server on `cluster`, which may not exist yet.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        let us = rustix::process::geteuid().as_raw();
        let owner = std::fs::symlink_metadata(cluster).ok();
        if us == 0 {
            return match owner {
                Some(owner) if owner.uid() == 0 => wrong_owner(cluster, 0, 0),
                Some(owner) => Ok(Self { uid: owner.uid(), gid: owner.gid(), switch: true }),
                None => Self::first_candidate(),
            };
        }
        if let Some(owner) = owner.map(|owner| owner.uid()).filter(|owner| *owner != us) {
            return wrong_owner(cluster, owner, us);
        }
        Ok(Self { uid: us, gid: rustix::process::getegid().as_raw(), switch: false })
    }

    fn first_candidate() -> Result<Self, EmbeddedError> {
        let found = CANDIDATES.into_iter().find_map(|name| {
            let number = |flag| id(&[flag, name])?.parse().ok();
            Some(Self { uid: number("-u")?, gid: number("-g")?, switch: true })
        });
        found.map_or_else(
            || {
                EmbeddedError::unusable(format!(
                    "PostgreSQL does not run as root, and none of the accounts {} exists to run it \
                     as; create one (`useradd --system postgres`), start muster as an ordinary \
                     user, {ELSEWHERE}",
                    CANDIDATES.join(", ")
                ))
            },
            Ok,
        )
    }

    /// User and group to change to before a program runs; none if they are ours.
    pub(super) fn switch(&self) -> Option<(u32, u32)> {
        self.switch.then_some((self.uid, self.gid))
    }

    /// The number of the account.
    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Makes the account the owner of `path` (of a link, not of its target).
    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        let Some((uid, gid)) = self.switch() else { return Ok(()) };
        std::os::unix::fs::lchown(path, Some(uid), Some(gid))
            .map_err(EmbeddedError::io("change the owner of", path))
    }

    /// Whether the account can pass through `dir` and all its parents (an absolute path).
    ///
    /// The server itself would only report "permission denied" on a file below.
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

fn wrong_owner<T>(path: &Path, owner: u32, us: u32) -> Result<T, EmbeddedError> {
    EmbeddedError::unusable(format!(
        "{} belongs to user id {owner}, which is not usable here (muster runs as user id {us}); \
         start muster as the user that made it, change its owner, or choose another --data-dir",
        path.display()
    ))
}

/// The name of our user, the only one who may connect.
pub(super) fn our_name() -> Result<String, EmbeddedError> {
    match id(&["-un"]).filter(|name| !name.is_empty()) {
        Some(name) => Ok(name),
        None => EmbeddedError::unusable(format!(
            "user id {} has no name (no entry in /etc/passwd), and PostgreSQL needs one; add an \
             entry, start muster as a user that has one, {ELSEWHERE}",
            rustix::process::geteuid().as_raw()
        )),
    }
}

/// Runs `id`, which reads every source of accounts (files, LDAP, macOS directory services), not only
/// /etc/passwd.
fn id(args: &[&str]) -> Option<String> {
    let output = Command::new("id").args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
