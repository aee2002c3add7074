//! The open connections: how many, whose, and which are closed for new ones.
//!
//! - Beyond the cap of its address, or of all, a connection is accepted into a small reserve: it may ask
//!   for `/livez` or `/readyz` once and is closed then. Everything else gets 503.
//! - Near the cap of all, the connections that have waited longest for a head are closed. So idle
//!   connections never keep a new one out; only requests at work do.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    app::Stopwatch,
    domain::artifact::SLOWEST,
    http::fairness::address::{self, TrustedProxies},
};

const OPEN: &str = "muster_http_connections";
const CLOSED: &str = "muster_http_connections_closed_total";

/// Connections in the reserve for health checks.
pub const RESERVE: usize = 64;
/// The longest wait for the head of a health check in the reserve.
const RESERVE_HEAD: Duration = Duration::from_secs(2);
/// Near the cap: this part of it is left.
const NEAR: usize = 16;
/// The part of the cap that is closed at once.
const CLOSE: usize = 64;

/// How many connections, and for how long.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// The most connections.
    pub most: usize,
    /// The most connections of one address; those of trusted proxies are not counted.
    pub per_address: usize,
    /// The proxies whose connections are not counted by address.
    pub trusted_proxies: TrustedProxies,
    /// The longest time for a head to arrive: the first from the beginning of the connection, later
    /// ones from their first byte.
    pub head: Duration,
    /// The longest wait for the first byte of a later head.
    pub idle: Duration,
    /// The longest time in which a client takes nothing of an answer.
    pub stall: Duration,
    /// The least rate in bytes per second at which a client takes an answer that is sent piece by piece; `stall` is
    /// the time beside it.
    pub slowest: u64,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            most: 16_384,
            per_address: 12_288,
            trusted_proxies: TrustedProxies::default(),
            head: Duration::from_secs(10),
            // Longer than the pause between two heartbeats of a common lease.
            idle: Duration::from_secs(120),
            stall: Duration::from_secs(30),
            slowest: SLOWEST,
        }
    }
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its head has begun, or is its first.
    Head,
    /// It waits for a later head.
    Quiet,
    /// A request is at work.
    Busy,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// The address at its other end.
    pub address: IpAddr,
    /// Whether it may only ask for health.
    pub is_reserve: bool,
    /// Microseconds since the start and, in the lowest two bits, the phase.
    state: AtomicU64,
    /// Number of its requests so far.
    requests: AtomicU64,
    clock: Stopwatch,
    close: Notify,
}

impl Connection {
    fn new(address: IpAddr, is_reserve: bool, clock: Stopwatch) -> Self {
        let connection = Self {
            address,
            is_reserve,
            state: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            clock,
            close: Notify::new(),
        };
        connection.set(Phase::Head);
        connection
    }

    fn set(&self, phase: Phase) {
        let micros = u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.state.store((micros << 2) | phase as u64, Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.state.load(Relaxed) & 3 {
            0 => Phase::Head,
            1 => Phase::Quiet,
            _ => Phase::Busy,
        }
    }

    fn since(&self) -> Duration {
        Duration::from_micros(self.state.load(Relaxed) >> 2)
    }

    /// Bytes have come in.
    pub fn receives(&self) {
        if self.phase() == Phase::Quiet {
            self.set(Phase::Head);
        }
    }

    /// A request has begun.
    pub fn begins(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.set(Phase::Busy);
    }

    /// The answer is complete.
    pub fn rests(&self) {
        self.set(Phase::Quiet);
    }

    /// The number of the request at work; `None`: there is none, or its answer is complete.
    pub fn request(&self) -> Option<u64> {
        (self.phase() == Phase::Busy).then(|| self.requests.load(Relaxed))
    }

    /// The time left for the head; `None` while a request is at work.
    pub fn time_left(&self, limits: &ConnectionLimits) -> Option<Duration> {
        let whole = match self.phase() {
            Phase::Head if self.is_reserve => limits.head.min(RESERVE_HEAD),
            Phase::Head => limits.head,
            Phase::Quiet => limits.idle,
            Phase::Busy => return None,
        };
        Some((self.since() + whole).saturating_sub(self.clock.elapsed()))
    }

    /// Returns when the connection is to be closed for a new one, and no request is at work.
    pub async fn closed(&self) {
        loop {
            self.close.notified().await;
            if self.phase() != Phase::Busy {
                return;
            }
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    /// By the order of their acceptance.
    open: BTreeMap<u64, Arc<Connection>>,
    reserve: BTreeMap<u64, Arc<Connection>>,
    by_address: HashMap<IpAddr, usize>,
    next: u64,
}

/// All open connections.
#[derive(Debug)]
pub struct Connections {
    /// Their limits.
    pub limits: ConnectionLimits,
    clock: Stopwatch,
    table: Mutex<Table>,
}

/// An open connection; counted until it is dropped.
#[derive(Debug)]
pub struct Open {
    /// The connection.
    pub connection: Arc<Connection>,
    all: Arc<Connections>,
    id: u64,
}

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, clock: Stopwatch::start(), table: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection; `None`: close it at once.
    #[must_use]
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Open> {
        let mut table = self.table();
        let most = self.limits.most;
        if table.open.len() >= most - most / NEAR {
            table.close_oldest((most / CLOSE).max(1), "for_a_new_one");
        }
        let address = address::network(peer);
        let counted = !self.limits.trusted_proxies.contain(peer);
        let held = table.by_address.get(&address).copied().unwrap_or_default();
        let over = counted && held >= self.limits.per_address;
        let is_reserve = over || table.open.len() >= most;
        if is_reserve && !table.makes_room_in_reserve() {
            metrics::counter!(CLOSED, "why" => "full").increment(1);
            return None;
        }
        table.next += 1;
        let id = table.next;
        let connection = Arc::new(Connection::new(peer, is_reserve, self.clock));
        if is_reserve {
            table.reserve.insert(id, Arc::clone(&connection));
        } else {
            table.open.insert(id, Arc::clone(&connection));
            *table.by_address.entry(address).or_default() += 1;
            metrics::gauge!(OPEN).increment(1.0);
        }
        Some(Open { connection, all: Arc::clone(self), id })
    }
}

impl Table {
    /// Closes up to `count` connections without a request, those first that have waited longest. They
    /// count no more from now on; their files are closed a moment later.
    fn close_oldest(&mut self, count: usize, why: &'static str) {
        let mut idle: Vec<(Duration, u64)> = self
            .open
            .iter()
            .filter(|(_, connection)| connection.phase() != Phase::Busy)
            .map(|(id, connection)| (connection.since(), *id))
            .collect();
        if idle.len() > count {
            idle.select_nth_unstable(count);
            idle.truncate(count);
        }
        for (_, id) in idle {
            if let Some(connection) = self.remove(id) {
                metrics::counter!(CLOSED, "why" => why).increment(1);
                connection.close.notify_one();
            }
        }
    }

    /// Whether there is room, or the oldest without a request has made some.
    fn makes_room_in_reserve(&mut self) -> bool {
        if self.reserve.len() < RESERVE {
            return true;
        }
        let idle = self.reserve.iter().find(|(_, connection)| connection.phase() != Phase::Busy);
        let Some(id) = idle.map(|(id, _)| *id) else { return false };
        if let Some(connection) = self.reserve.remove(&id) {
            connection.close.notify_one();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Connection>> {
        let connection = self.open.remove(&id)?;
        metrics::gauge!(OPEN).decrement(1.0);
        let address = address::network(connection.address);
        if let Some(held) = self.by_address.get_mut(&address) {
            *held -= 1;
            if *held == 0 {
                self.by_address.remove(&address);
            }
        }
        Some(connection)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut table = self.all.table();
        if self.connection.is_reserve {
            table.reserve.remove(&self.id);
        } else {
            table.remove(self.id);
        }
    }
}

/// Registers the descriptions of these metrics, which `/metrics` shows.
pub fn describe_metrics() {
    metrics::describe_gauge!(OPEN, "Open connections, without the reserve for health checks.");
    metrics::describe_counter!(
        CLOSED,
        "Connections closed by the caps; `why`: `for_a_new_one` (idle the longest), or `full`."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(most: usize, per_address: usize) -> ConnectionLimits {
        ConnectionLimits { most, per_address, ..ConnectionLimits::default() }
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 1, last])
    }

    fn busy(all: &Arc<Connections>, peer: IpAddr) -> Open {
        let open = all.admit(peer).unwrap();
        open.connection.begins();
        open
    }

    #[test]
    fn one_address_keeps_no_other_out() {
        let all = Connections::new(limits(100, 3));
        let held: Vec<Open> = (0..3).map(|_| busy(&all, ip(1))).collect();
        assert!(held.iter().all(|open| !open.connection.is_reserve));
        assert!(busy(&all, ip(1)).connection.is_reserve, "the fourth may ask for health");
        assert!(!busy(&all, ip(2)).connection.is_reserve);
        drop(held);
        assert!(!busy(&all, ip(1)).connection.is_reserve);
        assert!(all.table().by_address.is_empty());
    }

    #[test]
    fn a_trusted_proxy_is_not_counted() {
        let trusted_proxies = TrustedProxies::new(&["127.0.1.1/32".parse().unwrap()]);
        let all = Connections::new(ConnectionLimits { trusted_proxies, ..limits(100, 1) });
        let held: Vec<Open> = (0..9).map(|_| busy(&all, ip(1))).collect();
        assert!(held.iter().all(|open| !open.connection.is_reserve));
    }

    #[test]
    fn the_longest_idle_make_room() {
        let all = Connections::new(limits(32, 32));
        let idle: Vec<Open> = (0..30).map(|last| all.admit(ip(last)).unwrap()).collect();
        idle[0].connection.begins();
        let new = all.admit(ip(99)).unwrap();
        assert!(!new.connection.is_reserve);
        let table = all.table();
        assert!(table.open.contains_key(&idle[0].id), "a request at work is kept");
        assert!(!table.open.contains_key(&idle[1].id), "the oldest idle one is closed");
        assert!(table.open.contains_key(&idle[2].id));
    }

    #[test]
    fn requests_at_work_leave_a_reserve_for_health() {
        let all = Connections::new(limits(32, 32));
        let held: Vec<Open> = (0..32).map(|last| busy(&all, ip(last))).collect();
        let reserve: Vec<Open> = (0..RESERVE).map(|_| all.admit(ip(99)).unwrap()).collect();
        assert!(reserve.iter().all(|open| open.connection.is_reserve));
        assert!(all.admit(ip(99)).is_some(), "the oldest of the reserve makes room");
        for open in &reserve {
            open.connection.begins();
        }
        drop(held);
    }
}
