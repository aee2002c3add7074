//! How many files this process may have open.
//!
//! Every connection is one, and the usual limit of a shell (1,024) is far below what waiting agents
//! need. A process may raise its own limit up to what the system allows; what it starts inherits it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as it may be; returns it, or nothing when there is none.
///
/// # Errors
/// When the system does not let us.
pub fn raise() -> rustix::io::Result<Option<u64>> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum)
}
