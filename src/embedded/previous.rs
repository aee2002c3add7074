//! What an earlier muster left behind: processes, and a `postmaster.pid` that lies.
//!
//! A killed muster takes its server along on Linux, but the server needs a moment, may hang, or may
//! be left running where there is no parent-death signal. Nothing is started before all of that is
//! gone: two servers on one set of files destroy it.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::EmbeddedError;
use super::layout::Layout;
use super::lock::LockFile;

/// How an orphan is asked to end, and for how long each time.
const ENDING: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(15)),
    (Signal::QUIT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// How long a process may be seen in the directory after it has given up the lock.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// Returns with `server_lock` taken and nobody on the files.
pub(super) fn settle(layout: &Layout, server_lock: &LockFile) -> Result<(), EmbeddedError> {
    if !server_lock.try_lock()? {
        end_orphans(layout, server_lock)?;
    }
    // The lock says that nothing of ours runs. Somebody may have started a server by hand.
    let found = || processes::on(&layout.cluster, &layout.pid_file());
    if !poll(LAST_BREATH, || Ok(found().is_empty()))?
        && let Some(pid) = found().first()
    {
        let pid = pid.as_raw_nonzero().get();
        return Err(EmbeddedError::Occupied { cluster: layout.cluster.clone(), pid });
    }
    remove_stale_pid_file(&layout.pid_file())
}

fn end_orphans(layout: &Layout, server_lock: &LockFile) -> Result<(), EmbeddedError> {
    tracing::warn!(
        data = %layout.cluster.display(),
        "ending the PostgreSQL server that a killed muster left"
    );
    for (signal, patience) in ENDING {
        for pid in processes::on(&layout.cluster, &layout.pid_file()) {
            // SIGINT is for the postmaster; for the others it means to cancel a query.
            if signal != Signal::INT || first_line(&layout.pid_file()) == Some(pid) {
                let _ = kill_process(pid, signal);
            }
        }
        if poll(patience, || server_lock.try_lock())? {
            return Ok(());
        }
    }
    Err(EmbeddedError::Orphan { cluster: layout.cluster.clone() })
}

/// PostgreSQL itself copes with a file that names a dead process. It refuses to start when the
/// number has been given to another process of the same user, or to a zombie, which still answers
/// `kill(pid, 0)` and which nobody reaps in many containers.
fn remove_stale_pid_file(pid_file: &Path) -> Result<(), EmbeddedError> {
    match std::fs::remove_file(pid_file) {
        Ok(()) => {
            tracing::warn!("the last server was killed; PostgreSQL will recover from its log");
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(EmbeddedError::io("remove", pid_file)(error)),
    }
}

fn first_line(pid_file: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(pid_file).ok()?;
    Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

fn poll(
    patience: Duration,
    mut done: impl FnMut() -> Result<bool, EmbeddedError>,
) -> Result<bool, EmbeddedError> {
    let deadline = Instant::now() + patience;
    while !done()? {
        if Instant::now() > deadline {
            return Ok(false);
        }
        std::thread::sleep(super::POLL);
    }
    Ok(true)
}

#[cfg(target_os = "linux")]
mod processes {
    use super::{Path, Pid};
    use std::os::unix::fs::MetadataExt;

    /// The processes that work on the files: every process of a server makes the data directory its
    /// working directory. A zombie has none, and a process that got a dead server's number has
    /// another. Compared by inode: another mount namespace may call the directory something else.
    pub(super) fn on(cluster: &Path, _: &Path) -> Vec<Pid> {
        let Ok(cluster) = std::fs::metadata(cluster) else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        let is_there = |pid: &Pid| {
            std::fs::metadata(format!("/proc/{pid}/cwd"))
                .is_ok_and(|cwd| (cwd.dev(), cwd.ino()) == (cluster.dev(), cluster.ino()))
        };
        let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        entries.flatten().filter_map(number).filter_map(Pid::from_raw).filter(is_there).collect()
    }
}

#[cfg(not(target_os = "linux"))]
mod processes {
    use super::{Path, Pid, first_line};
    use std::process::Command;

    /// There is no /proc: the process that `postmaster.pid` names, if it was started with `-D` on
    /// the files.
    pub(super) fn on(cluster: &Path, pid_file: &Path) -> Vec<Pid> {
        let runs_on_it = |pid: &Pid| {
            let output =
                Command::new("ps").args(["-ww", "-o", "args=", "-p"]).arg(pid.to_string()).output();
            output.is_ok_and(|output| {
                let line = String::from_utf8_lossy(&output.stdout).into_owned();
                line.contains("postgres") && line.contains(&*cluster.to_string_lossy())
            })
        };
        first_line(pid_file).filter(runs_on_it).into_iter().collect()
    }
}
