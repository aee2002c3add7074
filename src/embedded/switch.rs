//! Other database files beside the current ones, and the renames that put them in their place.
//!
//! | directory | content | at the next start |
//! |---|---|---|
//! | `postgres.restoring/` | a restore that has not ended | refused, until the restore is repeated |
//! | `postgres.upgrading/` | an upgrade that has not ended | removed; `postgres/` is untouched |
//! | `postgres.upgraded/` | the whole result of an upgrade | becomes `postgres/` |
//! | `postgres.old-<major>/` | the files before an upgrade | left alone |
//!
//! A directory gets its next name when its content is on disk. So after a kill at any moment one
//! directory has all data, and its name says so.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::cluster;
use super::error::EmbeddedError;
use super::layout::{CLUSTER, INIT, Layout, RUN, RUN_CLOSED, remove_tree};

/// The files of a restore.
pub(super) const RESTORING: &str = "postgres.restoring";

/// The files of an upgrade.
pub(super) const UPGRADING: &str = "postgres.upgrading";

/// The files after an upgrade.
const UPGRADED: &str = "postgres.upgraded";

/// The beginning of the names of files before an upgrade.
const OLD: &str = "postgres.old-";

/// What a data directory may hold besides database files: each is written anew by every start, or is
/// the key file of the secrets, which comes from elsewhere.
const BESIDE: [&str; 7] =
    ["muster.lock", "server.lock", "pg_hba.conf", "pg_ident.conf", RUN, RUN_CLOSED, "lost+found"];

/// The beginning of the names of the key file and of its earlier versions.
const SECRET_KEY: &str = "secret.key";

/// The database files that the next start uses, also before it completes an upgrade that was killed.
pub(super) fn current(data_dir: &Path) -> PathBuf {
    let upgraded = data_dir.join(UPGRADED);
    if upgraded.exists() { upgraded } else { data_dir.join(CLUSTER) }
}

/// Fails if the database files are the root of a mount, which cannot be renamed.
pub(super) fn refuse_mount(layout: &Layout) -> Result<(), EmbeddedError> {
    let device = |path: &Path| {
        std::fs::symlink_metadata(path)
            .map(|about| about.dev())
            .map_err(EmbeddedError::io("read", path))
    };
    if device(&layout.cluster)? == device(&layout.data_dir)? && !is_mounted(&layout.cluster) {
        return Ok(());
    }
    EmbeddedError::unusable(format!(
        "{} is mounted, and an upgrade renames it. Nothing was changed. Mount its parent {} instead, \
         with the data in a plain directory `{CLUSTER}`; or make a backup with `muster backup FILE` \
         while the old version is installed, and restore it into another data directory",
        layout.cluster.display(),
        layout.data_dir.display()
    ))
}

/// Whether something is mounted there. A bind mount may be of the same device. Without /proc: no.
fn is_mounted(path: &Path) -> bool {
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let escaped: Vec<u8> = path
        .as_os_str()
        .as_bytes()
        .iter()
        .flat_map(|byte| match byte {
            b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
            byte => vec![*byte],
        })
        .collect();
    let place = |line: &[u8]| line.split(|byte| *byte == b' ').nth(4) == Some(&escaped[..]);
    mounts.split(|byte| *byte == b'\n').any(place)
}

/// Completes an upgrade whose new files are whole. Returns the place of the old ones.
pub(super) fn complete_upgrade(layout: &Layout) -> Result<Option<PathBuf>, EmbeddedError> {
    let upgraded = layout.data_dir.join(UPGRADED);
    if !exists(&upgraded)? {
        return Ok(None);
    }
    let old = cluster::major(&layout.cluster)?.map(|major| free_name(layout, major));
    if let Some(old) = &old {
        rename(layout, &layout.cluster, old)?;
    }
    rename(layout, &upgraded, &layout.cluster)?;
    tracing::info!(data = %layout.cluster.display(), "the upgrade of PostgreSQL is complete");
    Ok(old)
}

/// A name for the old files; a data directory can be upgraded, restored from a backup and upgraded again.
fn free_name(layout: &Layout, major: u32) -> PathBuf {
    let first = layout.data_dir.join(format!("{OLD}{major}"));
    let next = |number| layout.data_dir.join(format!("{OLD}{major}-{number}"));
    let mut names = std::iter::once(first.clone()).chain((2..1000).map(next));
    names.find(|name| !name.exists()).unwrap_or(first)
}

/// Marks the files of an upgrade as whole. From here on every start completes the upgrade.
pub(super) fn mark_upgraded(layout: &Layout) -> Result<(), EmbeddedError> {
    rename(layout, &layout.data_dir.join(UPGRADING), &layout.data_dir.join(UPGRADED))
}

/// Puts the files of a restore in their place.
pub(super) fn complete_restore(layout: &Layout) -> Result<(), EmbeddedError> {
    rename(layout, &layout.data_dir.join(RESTORING), &layout.cluster)
}

/// Completes or removes what a killed upgrade or `initdb` left. Fails if a restore was interrupted: an
/// empty database in its place would look like a loss of all data.
pub(super) fn settle(layout: &Layout) -> Result<(), EmbeddedError> {
    complete_upgrade(layout)?;
    let restoring = layout.data_dir.join(RESTORING);
    if exists(&restoring)? && !exists(&layout.cluster)? {
        return Err(EmbeddedError::RestoreInterrupted { restoring });
    }
    remove_leftovers(layout, &[INIT, UPGRADING])
}

/// Fails unless a restore may use the data directory. Files of a restore that was interrupted and of a
/// version before an upgrade are no obstacle.
pub(super) fn refuse_unless_empty(data_dir: &Path) -> Result<(), EmbeddedError> {
    let entries = match std::fs::read_dir(data_dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(EmbeddedError::io("list", data_dir))?,
    };
    for entry in entries {
        let name = entry.map_err(EmbeddedError::io("list", data_dir))?.file_name();
        let name = name.to_string_lossy();
        let harmless = BESIDE.contains(&&*name)
            || [SECRET_KEY, INIT, OLD, RESTORING, UPGRADING]
                .iter()
                .any(|own| name.starts_with(own));
        if !harmless {
            return EmbeddedError::unusable(format!(
                "a restore needs an empty data directory, and {} holds `{name}`; choose another \
                 --data-dir, or stop the service and move that away first",
                data_dir.display()
            ));
        }
    }
    Ok(())
}

/// Removes what a restore left, or what an earlier one did.
pub(super) fn remove_restore(layout: &Layout) -> Result<(), EmbeddedError> {
    remove_leftovers(layout, &[INIT, UPGRADING, RESTORING])
}

/// Removes everything with such a beginning of its name.
fn remove_leftovers(layout: &Layout, names: &[&str]) -> Result<(), EmbeddedError> {
    let list = EmbeddedError::io("list", &layout.data_dir);
    for entry in std::fs::read_dir(&layout.data_dir).map_err(list)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if names.iter().any(|left| name.starts_with(left)) {
            let path = entry.path();
            tracing::warn!(path = %path.display(), "removing the files of an interrupted start");
            if path.is_dir() {
                remove_tree(&path)?;
            } else {
                std::fs::remove_file(&path).map_err(EmbeddedError::io("remove", &path))?;
            }
        }
    }
    Ok(())
}

fn exists(path: &Path) -> Result<bool, EmbeddedError> {
    path.try_exists().map_err(EmbeddedError::io("read", path))
}

/// Renames, and waits for the disk: a power cut must not undo it after the next step.
fn rename(layout: &Layout, from: &Path, to: &Path) -> Result<(), EmbeddedError> {
    std::fs::rename(from, to).map_err(EmbeddedError::io("rename", from))?;
    File::open(&layout.data_dir)
        .and_then(|dir| dir.sync_all())
        .map_err(EmbeddedError::io("sync", &layout.data_dir))
}
