//! The running server: the thread that owns it, and the handle that stops it.
//!
//! One thread prepares, starts and reaps the server. The parent-death signal fires when the thread
//! that forked ends, so this thread must live as long as the server; it does, because it waits for
//! it. It also holds the instance lock, which is therefore given back only after the server has
//! ended, however the handle was dropped.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::{oneshot, watch};

use super::error::EmbeddedError;
use super::layout::Layout;
use super::spawn;

/// How many lines of the server's log an error quotes.
const QUOTED: usize = 15;

/// How long the last lines of the log may take after the server has ended.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Everything the owner thread needs to start the server, and to clean up behind it.
pub(super) struct Launch {
    /// What to start.
    pub(super) command: Command,
    /// On which files.
    pub(super) layout: Layout,
    /// Run after the server has ended; owns the locks.
    pub(super) cleanup: Box<dyn FnOnce()>,
}

/// A started server. All clones speak of the same one.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) pid: u32,
    layout: Layout,
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How it ended. While this is none the process is not reaped and its number is its own, so
    /// signals are sent under this lock.
    status: Mutex<Option<ExitStatus>>,
    log: Mutex<VecDeque<String>>,
}

impl Server {
    /// Starts a server with what `prepare` comes up with, on a thread of its own.
    pub(super) async fn start<F>(prepare: F) -> Result<Self, EmbeddedError>
    where
        F: FnOnce() -> Result<Launch, EmbeddedError> + Send + 'static,
    {
        let (report, started) = oneshot::channel();
        std::thread::Builder::new()
            .name("muster-postgres".to_owned())
            .spawn(move || own(prepare, report))
            .map_err(|source| EmbeddedError::Spawn { program: "a thread".into(), source })?;
        started.await.unwrap_or_else(|_| {
            let source = std::io::Error::other("the thread that starts PostgreSQL panicked");
            Err(EmbeddedError::Spawn { program: "postgres".into(), source })
        })
    }

    /// Waits until the server takes connections.
    pub(super) async fn ready(&self, patience: Duration) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + patience;
        let cluster = || self.layout.cluster.clone();
        while !self.says_ready() {
            if *self.ended.borrow() {
                let status = self.status();
                return Err(EmbeddedError::Start { cluster: cluster(), status, log: self.log() });
            }
            if Instant::now() > deadline {
                let seconds = patience.as_secs();
                return Err(EmbeddedError::Slow { cluster: cluster(), seconds, log: self.log() });
            }
            tokio::time::sleep(super::POLL).await;
        }
        Ok(())
    }

    /// The server writes its state on the eighth line. The first line is checked too: what is there
    /// may be the file of a server that was killed.
    fn says_ready(&self) -> bool {
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

    /// Waits until the server has ended and its traces are removed.
    pub(super) async fn ended(&mut self) {
        // An error means that the owner thread is gone, and then so is the server.
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    /// The same for where nothing can be awaited.
    pub(super) fn ended_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !*self.ended.borrow() && Instant::now() < deadline {
            std::thread::sleep(super::POLL);
        }
        *self.ended.borrow()
    }

    /// How it ended, in words.
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
        // Whoever asked has gone away in the meantime.
        unwanted.signal(Signal::INT);
    }
    reap(&mut child, &shared);
    let deadline = Instant::now() + LAST_LINES;
    while !reader.is_finished() && Instant::now() < deadline {
        std::thread::sleep(super::POLL);
    }
    cleanup();
    ended.send_replace(true);
}

type Launched = (Child, JoinHandle<()>, Server, watch::Sender<bool>, Box<dyn FnOnce()>);

fn launch(launch: Launch) -> Result<Launched, EmbeddedError> {
    let Launch { mut command, layout, cleanup } = launch;
    let program = command.get_program().into();
    let spawned = command.spawn().and_then(|mut child| {
        let stderr = child.stderr.take();
        let shared = Arc::new(Shared::default());
        let log = Arc::clone(&shared);
        let reader = std::thread::Builder::new()
            .name("muster-postgres-log".to_owned())
            .spawn(move || forward_log(stderr, &log.log))?;
        Ok((child, reader, shared))
    });
    // The command holds a copy of the server's lock; from here on only the server does.
    drop(command);
    match spawned {
        Ok((child, reader, shared)) => {
            let (sender, ended) = watch::channel(false);
            let server = Server { pid: child.id(), layout, shared, ended };
            Ok((child, reader, server, sender, cleanup))
        }
        Err(source) => {
            cleanup();
            Err(EmbeddedError::Spawn { program, source })
        }
    }
}

/// Waits for the end of the server without freeing its number, then reaps it under the lock that
/// signals are sent under, so that none can hit a stranger.
fn reap(child: &mut Child, shared: &Shared) {
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), end) {}
    }
    let mut status = lock(&shared.status);
    *status = child.wait().ok().or(Some(ExitStatus::default()));
}

/// Hands the server's log to ours, line by line, and keeps the end of it for errors.
///
/// A file of its own would have to be rotated, and found; the operator reads one log.
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

/// The level of a message; none for a line that goes on with one. `ERROR` is a statement that
/// failed: whoever sent it was told, and many are refused on purpose. A stop ends connections that
/// the pool has closed a moment before, which is nothing to warn of.
fn level_of(line: &str) -> Option<tracing::Level> {
    const STOP: &str = "terminating connection due to administrator command";
    let (word, text) = line.split_once(':')?;
    match word {
        "FATAL" if text.trim() == STOP => Some(tracing::Level::DEBUG),
        "PANIC" => Some(tracing::Level::ERROR),
        "FATAL" | "WARNING" => Some(tracing::Level::WARN),
        "LOG" | "ERROR" | "NOTICE" | "INFO" => Some(tracing::Level::DEBUG),
        _ => None,
    }
}

/// A panic while the lock was held leaves nothing half done in what these protect.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts `command` so that it ends when this thread does: a fast, clean shutdown.
pub(super) fn die_with_owner(command: &mut Command) {
    spawn::die_with_thread(command, Signal::INT);
}
