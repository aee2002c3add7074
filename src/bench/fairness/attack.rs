//! The attackers.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use crate::bench::{
    error::{BenchError, Result},
    fleet,
    http::Connection,
    settings::BenchSettings,
    stage::{Setup, Stage},
    supply::{GOAL_TASKS, Needs, Supply},
};

/// Connections of the agent at full rate.
const FULL_RATE: u32 = 32;
/// The longest time until the load is complete.
const LOADED_WITHIN: Duration = Duration::from_secs(20);
/// The pause before a connection that was closed or refused is made again.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections of one attacking address: 254 addresses share the load.
const ADDRESSES: u32 = 254;

/// One kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attack {
    /// Connections that send nothing.
    IdleSockets,
    /// Long polls of one key.
    LongPolls,
    /// Requests of one key whose bodies do not come.
    StalledBodies,
    /// Viewers of one workspace that scan its journal.
    ScanningViewers,
    /// An agent that sends as fast as it can.
    FullRate,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::IdleSockets,
        Self::LongPolls,
        Self::StalledBodies,
        Self::ScanningViewers,
        Self::FullRate,
    ];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::IdleSockets => "idle_sockets",
            Self::LongPolls => "long_polls",
            Self::StalledBodies => "stalled_bodies",
            Self::ScanningViewers => "scanning_viewers",
            Self::FullRate => "full_rate",
        }
    }

    /// Its name for people.
    pub fn what(self) -> &'static str {
        match self {
            Self::IdleSockets => "idle sockets",
            Self::LongPolls => "long polls of one key",
            Self::StalledBodies => "stalled bodies of one key",
            Self::ScanningViewers => "viewers that scan",
            Self::FullRate => "an agent at full rate",
        }
    }

    /// Whether it goes on only with an answer.
    pub fn is_answered(self) -> bool {
        match self {
            Self::IdleSockets | Self::LongPolls | Self::StalledBodies => false,
            Self::ScanningViewers | Self::FullRate => true,
        }
    }

    /// Its number of connections.
    pub fn size(self, settings: &BenchSettings) -> u32 {
        match self {
            Self::IdleSockets => settings.fairness_sockets,
            Self::LongPolls => settings.fairness_polls,
            Self::StalledBodies => settings.fairness_bodies,
            Self::ScanningViewers => settings.fairness_viewers,
            Self::FullRate => FULL_RATE,
        }
    }
}

/// The keys of the attackers, and the sizes of their attacks.
#[derive(Debug)]
pub struct Attackers {
    admin: SecretString,
    agent: SecretString,
    newest: i64,
    settings: BenchSettings,
}

/// A running attack. Dropped, it ends.
#[derive(Debug)]
pub struct Load(#[allow(dead_code, reason = "held until the end of the attack")] JoinSet<()>);

impl Attackers {
    /// Makes their keys, and a journal to scan.
    pub async fn prepare(setup: &Setup, stage: &Stage) -> Result<Self> {
        let kind = fleet::Kind { name: "attacker", capability: None, max_concurrent: 1 };
        let registered = fleet::register(setup, stage, kind, 1).await?;
        let agent = registered
            .first()
            .map(fleet::Registered::token)
            .ok_or_else(|| BenchError::Impossible("no attacker is registered".into()))?;
        let mut supply = Supply::new(setup, stage, Some("nobody"), Needs::Nothing).await?;
        for _ in 0..(setup.settings.fairness_tasks as usize).div_ceil(GOAL_TASKS) {
            supply.post().await?;
        }
        let mut connection = Connection::open(&stage.target, &stage.key).await?;
        let newest = connection.read("/v1/audit?limit=1").await?;
        let newest = newest["items"][0]["row"]["number"].as_i64();
        let newest = newest.ok_or_else(|| BenchError::Impossible("the journal is empty".into()))?;
        let (admin, settings) = (stage.key.clone(), setup.settings.clone());
        Ok(Self { admin, agent, newest, settings })
    }

    /// Starts the attack on `target`, and returns when every connection was made once, or after
    /// [`LOADED_WITHIN`].
    pub async fn start(&self, attack: Attack, target: SocketAddr) -> Load {
        let request = self.request(attack);
        let (sender, mut loaded) = tokio::sync::mpsc::unbounded_channel::<()>();
        let mut all = JoinSet::new();
        for number in 0..attack.size(&self.settings) {
            let (request, sender) = (request.clone(), sender.clone());
            let from = IpAddr::from([127, 0, 1, (1 + number % ADDRESSES) as u8]);
            all.spawn_local(async move {
                let mut loaded = Some(sender);
                loop {
                    if let Ok(stream) = open(from, target).await {
                        let sender = &mut loaded;
                        let _ = attack_on(attack, stream, &request, || *sender = None).await;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        drop(sender);
        let everybody = async { while loaded.recv().await.is_some() {} };
        let began = Instant::now();
        let _ = tokio::time::timeout(LOADED_WITHIN, everybody).await;
        tracing::info!(?attack, seconds = began.elapsed().as_secs_f64(), "the load is complete");
        Load(all)
    }

    fn request(&self, attack: Attack) -> String {
        let admin = self.admin.expose_secret();
        let get = |path: String, key: &str| {
            format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n\r\n")
        };
        match attack {
            Attack::IdleSockets => String::new(),
            Attack::LongPolls => {
                let after = self.newest;
                get(format!("/v1/events?kind=goal.created&wait_seconds=60&after={after}"), admin)
            }
            Attack::StalledBodies => format!(
                "POST /v1/heartbeats HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {admin}\r\n\
                 content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
            ),
            Attack::ScanningViewers => get("/v1/audit?actor_person=nobody&limit=200".into(), admin),
            Attack::FullRate => get("/v1/whoami".into(), self.agent.expose_secret()),
        }
    }
}

async fn open(from: IpAddr, target: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(target).await
}

/// Attacks on one connection until it is closed. Calls `loaded` when it is part of the load.
async fn attack_on(
    attack: Attack,
    mut stream: TcpStream,
    request: &str,
    mut loaded: impl FnMut(),
) -> std::io::Result<()> {
    let mut bytes = [0; 16 * 1024];
    loop {
        stream.write_all(request.as_bytes()).await?;
        loaded();
        // The whole answer is of no interest: its beginning says that it came.
        let count = stream.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        let refused = !bytes.starts_with(b"HTTP/1.1 2");
        if refused && attack != Attack::FullRate {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
