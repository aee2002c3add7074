//! A relay: a TCP proxy in the test's process that does to connections what networks do.
//!
//! Between the server and its database it understands enough of PostgreSQL's protocol to know which
//! statement of which transaction passes, so a test can set a [`Trap`] at any of them: the relay
//! then stands still (and the test kills the server), cuts the connection, or swallows what comes,
//! *before the statement reaches the database* or *before its answer comes back*. Nothing in the
//! product has to help. Between workers and the server it passes plain bytes.
//!
//! What a message asks for is looked at before the message passes, and an answer passes whole or not
//! at all, so a trap is never too late.

mod frames;
mod link;
mod session;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub use session::{Statements, Transaction};

/// Where a relay leads.
#[derive(Debug, Clone)]
pub enum Upstream {
    Tcp(String),
    Unix(PathBuf),
}

impl Upstream {
    /// The database's server.
    pub fn of_database(options: &PgConnectOptions) -> Self {
        let port = options.get_port();
        match options.get_socket() {
            Some(socket) => Self::Unix(socket.join(format!(".s.PGSQL.{port}"))),
            None => Self::Tcp(format!("{}:{port}", options.get_host())),
        }
    }
}

/// What is understood of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Plain,
    Postgres,
}

/// Which side of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It has not reached the database.
    Before,
    /// The database has done it, and the answer has not come back.
    After,
}

/// What happens to the connection in the trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing passes any more, on any connection, until [`Relay::thaw`].
    Freeze,
    /// The connection is reset on both sides.
    Cut,
    /// The connection stays open and everything on it is swallowed.
    Swallow,
}

/// Something that happens once, at one statement.
#[derive(Debug, Clone)]
pub struct Trap {
    /// The statements of the transaction up to and with the one it happens at.
    pub at: Statements,
    pub side: Side,
    pub then: Then,
}

/// What all links of a relay share.
#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    language: Language,
    links: Mutex<BTreeMap<u64, Arc<link::Control>>>,
    next: AtomicU64,
    frozen: watch::Sender<bool>,
    delay: watch::Sender<Duration>,
    trap: Mutex<Option<Trap>>,
    /// The statements at which a trap closed.
    sprung: mpsc::UnboundedSender<Statements>,
    /// Every finished transaction.
    seen: Mutex<Vec<Transaction>>,
}

/// A relay; it and its connections end when it is dropped.
#[derive(Debug)]
pub struct Relay {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    sprung: mpsc::UnboundedReceiver<Statements>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// A relay on a free port that passes everything.
    pub async fn start(upstream: Upstream, language: Language) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sprung, notices) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            upstream,
            language,
            links: Mutex::default(),
            next: AtomicU64::default(),
            frozen: watch::Sender::new(false),
            delay: watch::Sender::new(Duration::ZERO),
            trap: Mutex::default(),
            sprung,
            seen: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, sprung: notices, accepting }
    }

    /// A relay in front of a database.
    pub async fn to_database(options: &PgConnectOptions) -> Self {
        Self::start(Upstream::of_database(options), Language::Postgres).await
    }

    /// The URL of the database behind this relay.
    pub fn database_url(&self, options: &PgConnectOptions) -> String {
        let mut url = options.to_url_lossy();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.set_query(Some("sslmode=disable"));
        url.into()
    }

    /// Sets a trap in place of the last one.
    pub fn set(&self, trap: Option<Trap>) {
        *self.shared.trap.lock().unwrap() = trap;
    }

    /// Returns when a trap has closed, with the statements of its transaction.
    pub async fn sprung(&mut self) -> Statements {
        self.sprung.recv().await.unwrap()
    }

    /// Lets everything pass again that still has a connection.
    pub fn thaw(&self) {
        self.shared.frozen.send_replace(false);
    }

    /// Resets every connection; returns how many there were.
    pub fn cut_all(&self) -> usize {
        let links = std::mem::take(&mut *self.shared.links.lock().unwrap());
        links.values().for_each(|link| link.cut());
        links.len()
    }

    /// Leaves every connection there is now open and swallows what comes on it; new ones pass.
    pub fn swallow_all(&self) -> usize {
        let links = self.shared.links.lock().unwrap();
        links.values().for_each(|link| link.swallow());
        links.len()
    }

    /// From now on everything takes up to this much longer.
    pub fn delay(&self, longest: Duration) {
        self.shared.delay.send_replace(longest);
    }

    /// The transactions that ended since the last call.
    pub fn transactions(&self) -> Vec<Transaction> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_all();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let id = shared.next.fetch_add(1, Ordering::Relaxed);
        link::start(id, client, Arc::clone(&shared));
    }
}
