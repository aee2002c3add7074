//! The limit of open files of this process.
//!
//! Each connection is one, and the usual limit of a shell (1,024) is far too low for waiting
//! agents. A process may raise its own limit up to the system's maximum; child processes inherit
//! it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the maximum and returns it; `None`: unlimited.
///
/// # Errors
/// When the system refuses.
pub fn raise() -> rustix::io::Result<Option<u64>> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum)
}

/// The limit as it is; `None`: unlimited.
#[must_use]
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
