//! A place for data that nobody is to keep.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use super::error::EmbeddedError;

/// How many names are tried.
const NAMES: u32 = 100;

/// A new directory in the place for temporary files (`TMPDIR`), for
/// [`Lifetime::Ephemeral`](super::Lifetime::Ephemeral). Making it fails on whatever is there, so
/// nobody can have prepared it.
///
/// # Errors
/// When no directory can be made there.
pub fn passing_dir() -> Result<PathBuf, EmbeddedError> {
    // As root, PostgreSQL runs as another user, who must get through.
    let mode = if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 };
    let base = std::env::temp_dir();
    let mut last = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
    for number in 0..NAMES {
        let dir = base.join(format!("muster-passing-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(mode).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) => last = error,
        }
    }
    Err(EmbeddedError::io("make a directory in", &base)(last))
}
