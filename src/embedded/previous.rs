//! The remains of an earlier muster: processes and a stale `postmaster.pid`.
//!
//! On Linux the server of a killed muster gets a signal, but needs a moment or may hang; elsewhere it
//! runs on. No server is started before the earlier one has ended: two servers on the same files
//! destroy them.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::error::EmbeddedError;
use super::layout::Layout;
use super::lock::LockFile;
use super::poll;
use super::server::ENDING;
use super::switch::{RESTORING, UPGRADING};

/// Longest time from the release of the lock to the end of a process.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// Returns with `server_lock` taken and no process on the files, nor on those of a killed restore or
/// upgrade.
pub(super) fn clear(layout: &Layout, server_lock: &LockFile) -> Result<(), EmbeddedError> {
    let clusters = [layout.clone(), layout.closed(RESTORING), layout.closed(UPGRADING)];
    if !server_lock.try_lock()? {
        end_orphans(&layout.data_dir, &clusters, server_lock)?;
    }
    // With the lock, no server of ours runs. There may be one started by hand.
    for layout in &clusters {
        let found = || processes::on(&layout.cluster, &layout.pid_file());
        if !poll::until_true(GONE_WITHIN, || found().is_empty())
            && let Some(pid) = found().first()
        {
            let pid = pid.as_raw_nonzero().get();
            return Err(EmbeddedError::Occupied { cluster: layout.cluster.clone(), pid });
        }
    }
    remove_stale_pid_file(&layout.pid_file())
}

fn end_orphans(
    data_dir: &Path,
    clusters: &[Layout],
    server_lock: &LockFile,
) -> Result<(), EmbeddedError> {
    let data_dir = data_dir.display();
    tracing::warn!(%data_dir, "ending the PostgreSQL server of a killed muster");
    for (signal, patience) in ENDING {
        for layout in clusters {
            for pid in processes::on(&layout.cluster, &layout.pid_file()) {
                // SIGINT stops the postmaster; in other processes it cancels a query.
                if signal != Signal::INT || first_line(&layout.pid_file()) == Some(pid) {
                    let _ = kill_process(pid, signal);
                }
            }
        }
        if poll::until(patience, || server_lock.try_lock())? {
            return Ok(());
        }
    }
    EmbeddedError::unusable(format!(
        "the PostgreSQL server of a killed muster on {data_dir} does not stop; end its processes \
         and start again"
    ))
}

/// PostgreSQL ignores a file with the number of a dead process. It refuses to start if another process
/// of the same user has the number now, or a zombie, which still answers `kill(pid, 0)` and is never
/// reaped in many containers.
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

#[cfg(target_os = "linux")]
mod processes {
    use super::{Path, Pid};
    use std::os::unix::fs::MetadataExt;

    /// The processes on the files: the data directory is the working directory of every process of a
    /// server. A zombie has none, and a process with a dead server's number has another. Compared by
    /// inode, because the directory may have another path in another mount namespace.
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

    /// Without /proc: the process of `postmaster.pid`, if it was started with `-D` on the files.
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
