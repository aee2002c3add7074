//! New directories below shared ones.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Tried names.
const NAMES: u32 = 100;

/// Creates a directory `<prefix>-<pid>-<n>` in `base`, for a name that `fits`. Creation fails on any
/// existing file, so no other user can have prepared the directory.
pub(super) fn fresh_dir(
    base: &Path,
    prefix: &str,
    mode: u32,
    fits: impl Fn(&Path) -> bool,
) -> std::io::Result<PathBuf> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
    for number in 0..NAMES {
        let dir = base.join(format!("{prefix}-{}-{number}", std::process::id()));
        if !fits(&dir) {
            continue;
        }
        match DirBuilder::new().mode(mode).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) => last = error,
        }
    }
    Err(last)
}
