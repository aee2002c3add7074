//! The running server: the thread that owns it, and the handle that stops it.
//!
//! One thread prepares, starts and reaps the server. The parent-death signal fires at the end of the
//! thread that forked, so this thread must live as long as the server: it waits for the server's end.
//! It also has the instance lock, which it releases after that end, however the handle was dropped.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::{oneshot, watch};

use super::error::EmbeddedError;
use super::layout::Layout;
use super::poll::{self, POLL};
use super::spawn;

/// Lines of the server's log that an error quotes.
const QUOTED: usize = 15;

/// Longest wait for the last lines of the log after the end of the server.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The signals of a stop, each with the time for its effect: a clean shutdown, one without the last
/// checkpoint (the next start recovers), and a kill.
pub(super) const ENDING: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(20)),
    (Signal::QUIT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// The input of the owner thread.
pub(super) struct Launch {
    /// The command of the server.
    pub(super) command: Command,
    /// The paths of its files.
    pub(super) layout: Layout,
    /// The directory of its socket.
    pub(super) socket_dir: PathBuf,
    /// Its version.
    pub(super) version: String,
    /// Runs after the end of the server; owns the locks.
    pub(super) cleanup: Box<dyn FnOnce()>,
}

/// A started server. All clones are handles of the same one.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) pid: u32,
    pub(super) layout: Layout,
    pub(super) socket_dir: PathBuf,
    pub(super) version: String,
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The status of its end. While this is none the process is not reaped and its number is valid,
    /// so signals are sent under this lock.
    status: Mutex<Option<ExitStatus>>,
    log: Mutex<VecDeque<String>>,
}

impl Server {
    /// Starts the server that `prepare` returns, on a thread of its own.
    pub(super) async fn start<F>(prepare: F) -> Result<Self, EmbeddedError>
    where
        F: FnOnce() -> Result<Launch, EmbeddedError> + Send + 'static,
    {
        let (report, started) = oneshot::channel();
        std::thread::Builder::new()
            .name("muster-postgres".to_owned())
            .spawn(move || own(prepare, report))
            .map_err(EmbeddedError::io("start", "a thread".as_ref()))?;
        started.await.unwrap_or_else(|_| {
            EmbeddedError::unusable("the thread that starts PostgreSQL panicked")
        })
    }

    /// Waits until the server accepts connections.
    pub(super) async fn ready(&self, patience: Duration) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + patience;
        while !self.is_ready() {
            let fault = if *self.ended.borrow() {
                format!("ended before it was ready, with {},", self.status())
            } else if Instant::now() > deadline {
                let seconds = patience.as_secs();
                format!("was not ready after {seconds} s (a long crash recovery?)")
            } else {
                tokio::time::sleep(POLL).await;
                continue;
            };
            let (cluster, log) = (self.layout.cluster.display(), self.log());
            return EmbeddedError::unusable(format!(
                "PostgreSQL on {cluster} {fault} and said: {log}"
            ));
        }
        Ok(())
    }

    /// The eighth line of the file is the state. The first line is checked too, because the file may
    /// be that of a killed server.
    fn is_ready(&self) -> bool {
        let Ok(text) = std::fs::read_to_string(self.layout.pid_file()) else { return false };
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        lines.first() == Some(&self.pid.to_string().as_str()) && lines.get(7) == Some(&"ready")
    }

    /// Sends a signal, unless the server has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let status = lock(&self.shared.status);
        if status.is_none()
            && let Some(pid) = Pid::from_raw(self.pid.cast_signed())
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for the end of the server and the removal of its files.
    pub(super) async fn ended(&mut self) {
        // After an error the owner thread has ended, and so has the server.
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    /// The same as a blocking call.
    pub(super) fn ended_within(&self, patience: Duration) -> bool {
        poll::until_true(patience, || *self.ended.borrow())
    }

    /// Whether it has ended, by itself and with everything on the disk.
    pub(super) fn ended_cleanly(&self) -> bool {
        lock(&self.shared.status).is_some_and(|status| status.success())
    }

    /// The status of its end, in words.
    pub(super) fn status(&self) -> String {
        match *lock(&self.shared.status) {
            Some(status) => match status.signal() {
                Some(signal) => format!("signal {signal}"),
                None => status.to_string(),
            },
            None => "no status".to_owned(),
        }
    }

    /// The end of the log.
    pub(super) fn log(&self) -> String {
        lock(&self.shared.log).iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

/// The life of the owner thread.
fn own<F>(prepare: F, report: oneshot::Sender<Result<Server, EmbeddedError>>)
where
    F: FnOnce() -> Result<Launch, EmbeddedError>,
{
    let launched = prepare().and_then(launch);
    let (mut child, reader, server, ended, cleanup) = match launched {
        Ok(launched) => launched,
        Err(error) => {
            let _ = report.send(Err(error));
            return;
        }
    };
    let shared = Arc::clone(&server.shared);
    if let Err(Ok(unwanted)) = report.send(Ok(server)) {
        // The caller has dropped its future.
        unwanted.signal(Signal::INT);
    }
    reap(&mut child, &shared);
    poll::until_true(LAST_LINES, || reader.is_finished());
    cleanup();
    ended.send_replace(true);
}

type Launched = (Child, JoinHandle<()>, Server, watch::Sender<bool>, Box<dyn FnOnce()>);

fn launch(launch: Launch) -> Result<Launched, EmbeddedError> {
    let Launch { mut command, layout, socket_dir, version, cleanup } = launch;
    // A fast, clean shutdown at the end of this thread.
    spawn::die_with_thread(&mut command, Signal::INT);
    let program = PathBuf::from(command.get_program());
    let spawned = command.spawn().and_then(|mut child| {
        let stderr = child.stderr.take();
        let shared = Arc::new(Shared::default());
        let log = Arc::clone(&shared);
        let reader = std::thread::Builder::new()
            .name("muster-postgres-log".to_owned())
            .spawn(move || forward_log(stderr, &log.log))?;
        Ok((child, reader, shared))
    });
    // The command has a copy of the server's lock, which only the server may have from here on.
    drop(command);
    match spawned {
        Ok((child, reader, shared)) => {
            let (sender, ended) = watch::channel(false);
            let server = Server { pid: child.id(), layout, socket_dir, version, shared, ended };
            Ok((child, reader, server, sender, cleanup))
        }
        Err(source) => {
            cleanup();
            Err(EmbeddedError::io("run", &program)(source))
        }
    }
}

/// Waits for the end of the server without freeing its number, then reaps it under the lock of the
/// signals, so that none can reach another process.
fn reap(child: &mut Child, shared: &Shared) {
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), end) {}
    }
    let mut status = lock(&shared.status);
    *status = child.wait().ok().or(Some(ExitStatus::default()));
}

/// Copies the server's log to ours, line by line, and keeps its end for errors.
///
/// A file of its own would need rotation; the operator reads one log.
fn forward_log(stderr: Option<ChildStderr>, tail: &Mutex<VecDeque<String>>) {
    let Some(stderr) = stderr else { return };
    let mut level = tracing::Level::DEBUG;
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        level = level_of(&line).unwrap_or(level);
        match level {
            tracing::Level::ERROR => tracing::error!(target: "muster::postgres", "{line}"),
            tracing::Level::WARN => tracing::warn!(target: "muster::postgres", "{line}"),
            _ => tracing::debug!(target: "muster::postgres", "{line}"),
        }
        let mut tail = lock(tail);
        if tail.len() == QUOTED {
            tail.pop_front();
        }
        tail.push_back(line);
    }
}

/// The level of a message; none for a continued line. `ERROR` is a failed statement: its sender has
/// the error, and many are refused on purpose. A stop also ends connections that the pool has just
/// closed, a vacuum in the middle of its table, and workers: each says so, and none needs a warning.
fn level_of(line: &str) -> Option<tracing::Level> {
    const STOPPED: (&str, &str) = ("terminating ", " due to administrator command");
    let (word, text) = line.split_once(':')?;
    let text = text.trim();
    match word {
        "FATAL" if text.starts_with(STOPPED.0) && text.ends_with(STOPPED.1) => {
            Some(tracing::Level::DEBUG)
        }
        "PANIC" => Some(tracing::Level::ERROR),
        "FATAL" | "WARNING" => Some(tracing::Level::WARN),
        "LOG" | "ERROR" | "NOTICE" | "INFO" => Some(tracing::Level::DEBUG),
        _ => None,
    }
}

/// A panic under these locks leaves no partial change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::level_of;
    use tracing::Level;

    #[test]
    fn what_a_stop_ends_is_no_warning() {
        let what = ["connection", "autovacuum process", "background worker \"parallel worker\""];
        for what in what {
            let line = format!("FATAL:  terminating {what} due to administrator command");
            assert_eq!(level_of(&line), Some(Level::DEBUG), "{line}");
        }
    }

    #[test]
    fn what_an_operator_should_see_is_told() {
        for (line, level) in [
            ("FATAL:  terminating connection due to idle-session timeout", Some(Level::WARN)),
            ("FATAL:  could not write lock file", Some(Level::WARN)),
            ("WARNING:  there is no transaction in progress", Some(Level::WARN)),
            ("PANIC:  could not write to file", Some(Level::ERROR)),
            ("ERROR:  duplicate key value", Some(Level::DEBUG)),
            ("CONTEXT:  while scanning block 0", None),
        ] {
            assert_eq!(level_of(line), level, "{line}");
        }
    }
}
