//! `muster serve` as a process of its own: the service under measurement.
//!
//! It is this program, with its default settings, on the given database. It ends when the value is
//! dropped and, on Linux, when this process dies in any way.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::{Child, Command};

use super::{
    error::{BenchError, Result},
    http::{Connection, Target},
};
use crate::embedded;

/// Longest start.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Longest stop before a kill; only the bench is connected to it.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// Pause between two checks of a condition.
const POLL: Duration = Duration::from_millis(20);
/// Variables of the environment that would change the measured service.
const VARIABLES: [&str; 16] = [
    "MUSTER_CAPTURE",
    "MUSTER_LISTEN",
    "MUSTER_MAX_REQUESTS",
    "MUSTER_MAX_WAITING",
    "MUSTER_MAX_CONNECTIONS",
    "MUSTER_MAX_CONNECTIONS_PER_ADDRESS",
    "MUSTER_TRUSTED_PROXIES",
    "MUSTER_MAX_LISTS",
    "MUSTER_MAX_SCANS",
    "MUSTER_KEY_REQUESTS",
    "MUSTER_KEY_SPEND_ENTRIES",
    "MUSTER_KEY_CHECKPOINT_BYTES",
    "MUSTER_KEY_TASKS",
    "MUSTER_REQUEST_TIMEOUT_SECONDS",
    "MUSTER_LOG_FORMAT",
    "PGOPTIONS",
];

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Its address.
    pub target: Target,
}

impl Server {
    /// Starts it on the database at `url`, with `key` as its first key and these variables of the environment, and waits
    /// until it is ready.
    ///
    /// # Errors
    /// It cannot be started, ends early, or is not ready in time.
    pub async fn start(
        url: &str,
        connections: u16,
        key: &SecretString,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let program = std::env::current_exe().map_err(BenchError::system("find this program"))?;
        let address = free_address()?;
        let mut command = std::process::Command::new(program);
        command
            .args(["serve", "--listen", &address.to_string()])
            .env("DATABASE_URL", url)
            .env("MUSTER_DATABASE_CONNECTIONS", connections.to_string())
            .env("MUSTER_BOOTSTRAP_KEY", key.expose_secret())
            // Without slow statements, which the figures show.
            .env("MUSTER_LOG", "warn,sqlx=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.envs(variables.iter().copied());
        // Ctrl-C must reach the bench only, which stops the server.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        embedded::die_with_thread(&mut command, Signal::KILL);
        let mut command = Command::from(command);
        let spawned = command.kill_on_drop(true).spawn();
        let child = spawned.map_err(BenchError::system("start the server"))?;
        let mut server = Self { child, target: Target::local(address) };
        server.ready(key).await?;
        Ok(server)
    }

    async fn ready(&mut self, key: &SecretString) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Ok(mut connection) = Connection::open(&self.target, key).await
                && connection.get("/readyz").await.is_ok_and(|answer| answer.status == 200)
            {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let text = format!("the measured server ended before it was ready: {status}");
                return Err(BenchError::Impossible(text));
            }
            if Instant::now() > deadline {
                let seconds = READY_WITHIN.as_secs();
                let text = format!("the measured server was not ready within {seconds} s");
                return Err(BenchError::Impossible(text));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Its process number, until it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Stops it and waits for its end; kills it after [`STOP_WITHIN`].
    pub async fn stop(mut self) {
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(STOP_WITHIN, self.child.wait()).await.is_err() {
            tracing::warn!("the measured server did not stop in time and is killed");
            let _ = self.child.kill().await;
        }
    }
}

/// A free address. Another process may take it before the server does; the start then fails.
fn free_address() -> Result<SocketAddr> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    free.map_err(BenchError::system("find a free port"))
}
