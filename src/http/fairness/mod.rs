//! Fairness: no caller can stop the others.
//!
//! Every request goes through these in order; what refuses it has cost little:
//!
//! 0. **The entrance.** Requests begin by turns of workspaces and addresses ([`entrance`]).
//! 1. **The key.** A key that was valid a moment ago is recognised by its hash, and pays one request of
//!    its bucket before the database is asked. Every key is looked up, in a pool of its own (`door`)
//!    that recognised keys share by key, and all others by address. Failed keys and sessions are counted
//!    by address: beyond [`FAILURES`] the answer is 429 instead of 401, and few look-ups of the address
//!    run at once. A valid key works all the time.
//! 2. **The body.** A body that has not arrived with its head takes a place to read (`reading`), and
//!    must be complete within a deadline.
//! 3. **The place.** Requests with a key (`short`), without one (`public`), and waiting ones (`waiting`)
//!    have places of their own. Lists and scans queue for very few places, by turns of workspaces, half of
//!    which are the most of one. Artifacts are sent and received in places of their own (`transfer`), at a
//!    least rate; beyond the rate of its key an upload is read slower instead of refused.
//!
//! Pools are shared by one rule, [`crate::domain::cap::share`]. Who has a share gets 429, everybody gets
//! 503 when a pool is full. Who goes on asking after many a 429 gets the next ones at a
//! [pace](crate::domain::cap::pace): such a connection waits for its answer without a place, and is closed
//! before all others if connections become rare. `/livez` and `/readyz` take no place. Everything is in the memory of this
//! process: a caller of two processes may use both.
//!
//! Connections have caps of their own: [`super::serve`].

pub mod address;
pub mod admission;
mod entrance;
pub mod limits;
pub mod pool;
pub mod quotas;
pub mod registry;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use uuid::Uuid;

use crate::{
    app::Stopwatch,
    domain::{
        access::{credential::Presented, token::SecretHash},
        cap::{
            bucket::{BURST_SECONDS, Bucket, Quota},
            pace::Pace,
            share::Verdict,
        },
        ids::WorkspaceId,
    },
    http::problem::{Error, Result, UNAVAILABLE_DETAIL, limited::Limited},
    turns::Turns,
};
use entrance::Entrance;
use limits::Limits;
use pool::{Holder, Party, Pool, Purpose, Refused};
use quotas::{Buckets, Counted, KeyLimit};
use registry::Registry;

/// Failed keys of one address: ten a second, fifty at once.
pub const FAILURES: u64 = 10;
/// Look-ups of unknown keys at once for an address with too many failed ones.
const DOUBTED: usize = 8;
/// Requests that queue for one place of lists or scans.
const QUEUE: usize = 16;
/// The address of a request without a connection.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

const REFUSED: &str = "muster_http_places_refused_total";

/// What is known of a key that was valid.
#[derive(Debug)]
pub struct KeyUse {
    secret: SecretHash,
    workspace: WorkspaceId,
    party: Party,
    buckets: Buckets,
    pace: Mutex<Pace>,
}

/// How long the answer to a refused request is held back; an extension of it.
#[derive(Debug, Clone, Copy)]
pub struct HeldBack(pub Duration);

/// What is known of an address.
#[derive(Debug)]
struct AddressUse {
    party: Party,
    failures: Mutex<Bucket>,
    pace: Mutex<Pace>,
}

/// Who takes turns: the workspace of a key, or without one an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lane {
    Workspace(WorkspaceId),
    Address(IpAddr),
}

/// A pool in front of a few places to run.
#[derive(Debug)]
struct Queue {
    places: Arc<Pool>,
    running: Turns<Lane>,
}

impl Queue {
    fn new(purpose: Purpose, running: usize) -> Self {
        let places = Pool::new(purpose, running * QUEUE);
        Self { places, running: Turns::halved(running) }
    }
}

/// The pools and buckets of this process.
#[derive(Debug)]
pub struct Caps {
    limits: Limits,
    clock: Stopwatch,
    keys: Registry<(WorkspaceId, Uuid), KeyUse>,
    workspaces: Registry<WorkspaceId, Holder>,
    addresses: Registry<IpAddr, AddressUse>,
    entrance: Entrance,
    door: Arc<Pool>,
    reading: Arc<Pool>,
    short: Arc<Pool>,
    public: Arc<Pool>,
    waiting: Arc<Pool>,
    lists: Queue,
    scans: Queue,
    transfers: Arc<Pool>,
}

impl Caps {
    /// Full buckets and free places.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let short = limits.in_flight;
        Self {
            clock: Stopwatch::start(),
            keys: Registry::default(),
            workspaces: Registry::default(),
            addresses: Registry::default(),
            entrance: Entrance::new(),
            door: Pool::new(Purpose::Door, short),
            reading: Pool::new(Purpose::Reading, short),
            short: Pool::new(Purpose::Short, short),
            // Pages and documents: few people, each with few requests.
            public: Pool::new(Purpose::Public, short.div_ceil(8)),
            waiting: Pool::new(Purpose::Waiting, limits.waiting),
            lists: Queue::new(Purpose::List, limits.lists),
            scans: Queue::new(Purpose::Scan, limits.scans),
            transfers: Pool::new(Purpose::Transfer, limits.transfers),
            limits,
        }
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// The key of `token`, if it was valid a moment ago with this secret.
    fn recognise(&self, token: &Presented) -> Option<Arc<KeyUse>> {
        let known = self.keys.get(&(token.workspace, token.id))?;
        known.secret.matches(token.secret.as_bytes()).then_some(known)
    }

    /// Remembers a key that was just valid.
    fn remember(&self, token: &Presented) -> Arc<KeyUse> {
        let id = (token.workspace, token.id);
        let (quotas, now) = (&self.limits.quotas, self.now());
        let make = || {
            let idle = |holder: &Holder| {
                [
                    Purpose::Door,
                    Purpose::Reading,
                    Purpose::Short,
                    Purpose::Waiting,
                    Purpose::Transfer,
                ]
                .iter()
                .all(|purpose| holder.held(*purpose) == 0)
            };
            let group = self.workspaces.get_or(token.workspace, Holder::default, idle);
            KeyUse {
                secret: token.secret,
                workspace: token.workspace,
                party: Party { own: Arc::default(), group: Some(group) },
                buckets: Buckets::full(quotas, now),
                pace: Mutex::default(),
            }
        };
        let known = self.keys.get_or(id, make, |key| key.buckets.are_full(quotas, now));
        if known.secret.matches(token.secret.as_bytes()) {
            return known;
        }
        // A key with the same id and another secret: only after a change in the database by hand.
        self.keys.remove(&id);
        known
    }

    fn address(&self, address: IpAddr) -> Arc<AddressUse> {
        let (quota, now) = (Quota::per_second(FAILURES), self.now());
        let make = || AddressUse {
            party: Party { own: Arc::default(), group: None },
            failures: Mutex::new(Bucket::full(quota, now)),
            pace: Mutex::default(),
        };
        let idle = |known: &AddressUse| known.level(now).full_in == 0;
        self.addresses.get_or(address::network(address), make, idle)
    }

    /// Counts a use of the key.
    ///
    /// # Errors
    /// `rate_limited`.
    fn charge(&self, key: &KeyUse, counted: Counted, amount: u64) -> Result<()> {
        key.buckets.take(&self.limits.quotas, counted, amount, self.now())
    }

    /// What the key may still use.
    fn levels(&self, key: &KeyUse) -> Vec<KeyLimit> {
        key.buckets.levels(&self.limits.quotas, self.now())
    }

    fn queue(&self, purpose: Purpose) -> Option<&Queue> {
        match purpose {
            Purpose::List => Some(&self.lists),
            Purpose::Scan => Some(&self.scans),
            Purpose::Door
            | Purpose::Reading
            | Purpose::Short
            | Purpose::Public
            | Purpose::Waiting
            | Purpose::Transfer => None,
        }
    }

    fn pool(&self, purpose: Purpose) -> &Arc<Pool> {
        match purpose {
            Purpose::Door => &self.door,
            Purpose::Reading => &self.reading,
            Purpose::Short => &self.short,
            Purpose::Public => &self.public,
            Purpose::Waiting => &self.waiting,
            Purpose::List => &self.lists.places,
            Purpose::Scan => &self.scans.places,
            Purpose::Transfer => &self.transfers,
        }
    }
}

impl AddressUse {
    fn level(&self, now: Duration) -> crate::domain::cap::bucket::Level {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.level(Quota::per_second(FAILURES), now)
    }

    /// Counts a failed key. Returns whether the address had any left.
    fn fail(&self, now: Duration) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.take(Quota::per_second(FAILURES), now, 1)
    }

    /// Whether a look-up of an unknown key may begin.
    fn may_try(&self, now: Duration) -> bool {
        self.level(now).remaining > 0 || self.party.own.held(Purpose::Door) < DOUBTED
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let pool = refused.purpose.as_str();
        let (why, policy, who) = match refused.verdict {
            Verdict::OwnShare => ("own", "places_of_key", "this key or address"),
            Verdict::GroupShare => ("workspace", "places_of_workspace", "this workspace"),
            Verdict::Full | Verdict::Given => {
                metrics::counter!(REFUSED, "pool" => pool, "why" => "full").increment(1);
                return full(pool);
            }
        };
        metrics::counter!(REFUSED, "pool" => pool, "why" => why).increment(1);
        let held = u64::try_from(refused.held).unwrap_or(u64::MAX);
        let limited = Limited {
            policy,
            quota: held,
            unit: Some("concurrent-requests"),
            window: None,
            retry_after: 1,
        };
        let detail = format!(
            "{who} has {held} requests at once (`{pool}`), which is its share while others use \
             the service; wait until some are answered"
        );
        Self::limited(&detail, limited)
    }
}

fn full(pool: &str) -> Error {
    Error::unavailable(UNAVAILABLE_DETAIL, format!("too many concurrent requests: {pool}"))
}

fn too_many_failures(passes_in: u64) -> Error {
    quotas::count_failed_keys();
    let limited = Limited {
        policy: "failed_keys",
        quota: FAILURES * BURST_SECONDS,
        unit: None,
        window: Some(BURST_SECONDS),
        retry_after: passes_in.max(1),
    };
    Error::limited("too many requests with invalid keys came from this address", limited)
}

/// Registers the descriptions of these metrics, which `/metrics` shows.
pub fn describe_metrics() {
    quotas::describe_metrics();
    metrics::describe_counter!(
        REFUSED,
        "Requests without a place, by pool; `why`: the share of the key or address (`own`), the \
         share of the workspace (`workspace`), or none was free (`full`)."
    );
}
