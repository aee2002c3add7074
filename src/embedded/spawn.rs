//! The start of a program that must not outlive us: the only unsafe code of muster.

use std::path::Path;
use std::process::{Command, Stdio};

use super::account::Account;

/// The same as [`ours`], but as root it runs under the account of the server.
pub(super) fn command(program: &Path, account: &Account) -> Command {
    use std::os::unix::process::CommandExt;

    let mut command = ours(program);
    if let Some((uid, gid)) = account.switch() {
        command.gid(gid).uid(uid);
    }
    command
}

/// A command for `program` that inherits nothing: no environment, no working directory (it would keep
/// a file system busy), no process group (Ctrl-C in the terminal would stop the server before muster
/// has drained).
pub(super) fn ours(program: &Path) -> Command {
    use std::os::unix::process::CommandExt;

    let mut command = Command::new(program);
    command
        .env_clear()
        // initdb runs `postgres` through a shell. LC_ALL prevents threads in the postmaster on macOS,
        // and keeps the messages in English, from which we read the log levels.
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Makes the kernel send `signal` to the child when the *thread* that starts it ends.
///
/// Otherwise the server of a killed muster runs on. Only Linux has this; elsewhere the next start ends
/// the orphan (see [`super::previous`]).
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub(crate) fn die_with_thread(command: &mut Command, signal: rustix::process::Signal) {
    use std::os::unix::process::CommandExt;

    let parent = rustix::process::getpid();
    let hook = move || {
        // This runs after std's setuid, which clears the setting.
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // After a kill between fork and here no signal comes.
        if rustix::process::getppid() != Some(parent) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The hook makes two
    // plain system calls (prctl, getppid) through rustix, allocates nothing, takes no lock, and
    // builds its error from a bare number.
    unsafe { command.pre_exec(hook) };
}

/// There is no such signal here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_thread(_: &mut Command, _: rustix::process::Signal) {}
