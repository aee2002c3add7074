//! A `muster serve` of its own, to be killed and started again at the same address.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::process::wait_until;

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Settings {
    pub database_url: String,
    pub listen: String,
    pub bootstrap_key: String,
    /// More variables of its environment.
    pub more: Vec<(&'static str, String)>,
}

/// Every line that a server said, on both of its outputs.
pub type Heard = Arc<Mutex<Vec<String>>>;

/// A running server, killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    settings: Settings,
    heard: Option<Heard>,
}

impl Server {
    /// Starts it, and returns when it listens.
    pub async fn start(settings: Settings) -> Self {
        Self::start_with(settings, None).await
    }

    /// The same, with everything that it says.
    pub async fn start_heard(settings: Settings, heard: Heard) -> Self {
        Self::start_with(settings, Some(heard)).await
    }

    async fn start_with(settings: Settings, heard: Option<Heard>) -> Self {
        tokio::task::spawn_blocking(|| Self::start_blocking(settings, heard)).await.unwrap()
    }

    fn start_blocking(mut settings: Settings, heard: Option<Heard>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .arg("serve")
            .env("DATABASE_URL", &settings.database_url)
            .env("MUSTER_LISTEN", &settings.listen)
            .env("MUSTER_BOOTSTRAP_KEY", &settings.bootstrap_key)
            .env("MUSTER_DATABASE_CONNECTIONS", "10")
            .env("MUSTER_LOG", "info")
            .env("MUSTER_LOG_FORMAT", "json")
            .envs(settings.more.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(if heard.is_some() { Stdio::piped() } else { Stdio::null() })
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if let (Some(heard), Some(out)) = (&heard, child.stdout.take()) {
            listen(heard, out);
        }
        let keep = heard.clone();
        let hear = move |line: &String| {
            if let Some(heard) = &keep {
                heard.lock().unwrap().push(line.clone());
            }
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let json: Value = serde_json::from_str(&line).unwrap_or_default();
            let address = json.pointer("/fields/address").or_else(|| json.get("address"));
            let address = address.and_then(Value::as_str).map(str::to_owned);
            hear(&line);
            said.push(line);
            address
        });
        // Somebody must read what it goes on to say, or it would wait for a reader.
        let aloud = std::env::var_os("MUSTER_FAULT_LOG").is_some();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                hear(&line);
                if aloud {
                    println!("{line}");
                }
            }
        });
        settings.listen =
            address.unwrap_or_else(|| panic!("the server ended instead of listening: {said:#?}"));
        Self { child, settings, heard }
    }

    /// Kills it if it still runs, and starts the same again at the same address.
    pub async fn restart(&mut self) {
        self.kill();
        *self = Self::start_with(self.settings.clone(), self.heard.clone()).await;
    }

    /// Where it listens: `127.0.0.1:8080`.
    pub fn address(&self) -> &str {
        &self.settings.listen
    }

    /// Ends it as `kill -9` does, and returns when it has ended.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> (Settings, ExitStatus) {
        let settings = self.settings.clone();
        let wait = move || {
            let mut status = None;
            wait_until("the server has ended", || {
                status = self.child.try_wait().unwrap();
                status.is_some()
            });
            status.unwrap()
        };
        (settings, tokio::task::spawn_blocking(wait).await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Keeps what a server says on its standard output.
fn listen(heard: &Heard, out: ChildStdout) {
    let heard = Arc::clone(heard);
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            heard.lock().unwrap().push(line);
        }
    });
}
