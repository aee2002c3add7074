//! Waiting for a condition that sends no notice, on a thread that may block.

use std::time::{Duration, Instant};

/// Pause between two checks.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// Waits until `done` returns `true` or an error, at most for `patience`. Returns `false` after that.
pub(super) fn until<E>(
    patience: Duration,
    mut done: impl FnMut() -> Result<bool, E>,
) -> Result<bool, E> {
    let deadline = Instant::now() + patience;
    while !done()? {
        if Instant::now() > deadline {
            return Ok(false);
        }
        std::thread::sleep(POLL);
    }
    Ok(true)
}

/// Waits until `done` returns `true`, at most for `patience`.
pub(super) fn until_true(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    until(patience, || Ok::<_, std::convert::Infallible>(done())).unwrap_or(false)
}
