//! `muster serve` as a process of its own, which is what is measured.
//!
//! It is this very program, with the settings that it has when nobody sets any, on the database it
//! is given. It ends when this value is dropped, and, on Linux, when this process dies in any way.

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

/// How long it may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to stop before it is killed: only the bench is connected to it.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);
/// What the service takes from its environment that would change what is measured.
const VARIABLES: [&str; 6] = [
    "MUSTER_LISTEN",
    "MUSTER_MAX_REQUESTS",
    "MUSTER_MAX_WAITING",
    "MUSTER_REQUEST_TIMEOUT_SECONDS",
    "MUSTER_LOG_FORMAT",
    "PGOPTIONS",
];

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub target: Target,
}

impl Server {
    /// Starts it on the database at `url`, where `key` becomes the first key, and waits until it is
    /// ready.
    ///
    /// # Errors
    /// When it cannot be started, or ends, or is not ready in time.
    pub async fn start(url: &str, connections: u16, key: &SecretString) -> Result<Self> {
        let program = std::env::current_exe().map_err(BenchError::system("find this program"))?;
        let address = free_address()?;
        let mut command = std::process::Command::new(program);
        command
            .args(["serve", "--listen", &address.to_string()])
            .env("DATABASE_URL", url)
            .env("MUSTER_DATABASE_CONNECTIONS", connections.to_string())
            .env("MUSTER_BOOTSTRAP_KEY", key.expose_secret())
            // Not each slow statement: the figures show them.
            .env("MUSTER_LOG", "warn,sqlx=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        // Ctrl-C is for us: we stop the server.
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
                return Err(BenchError::Server(format!("ended before it was ready: {status}")));
            }
            if Instant::now() > deadline {
                let seconds = READY_WITHIN.as_secs();
                return Err(BenchError::Server(format!("was not ready within {seconds} s")));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Its process number, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks it to stop, and waits for it; what does not stop in time is killed.
    pub async fn stop(mut self) {
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(STOP_WITHIN, self.child.wait()).await.is_err() {
            tracing::warn!("the server that was measured did not stop in time and is killed");
            let _ = self.child.kill().await;
        }
    }
}

/// An address that nobody listens on. Somebody may take it before the server does; then the server
/// says so and ends.
fn free_address() -> Result<SocketAddr> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    free.map_err(BenchError::system("find a free port"))
}
