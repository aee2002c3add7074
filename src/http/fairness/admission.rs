//! The way of one request through the caps.

use std::{
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Caps, HeldBack, KeyUse, Lane, NOWHERE,
    address::PeerAddress,
    full,
    pool::{Party, Place, Purpose},
    quotas::{Counted, KeyLimit},
    too_many_failures,
};
use crate::{
    app::{self, Stopwatch},
    domain::{
        access::credential::{Credential, Presented},
        artifact::SLOWEST,
        cap::pace::Pace,
        refusal::{Code, Refusal},
    },
    http::problem::{Error, Result},
    turns::Turn,
};
use axum::http::{Extensions, HeaderMap};
use futures_util::{FutureExt as _, future};

/// The longest wait for a place among lists or scans.
const QUEUED: Duration = Duration::from_secs(10);

/// What the page says of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteCaps {
    /// Takes no place.
    pub always: bool,
    /// Needs a key.
    pub keyed: bool,
    /// Reads a body.
    pub reads_body: bool,
    /// May wait.
    pub long_poll: bool,
    /// Reads a list.
    pub list: bool,
    /// Reads much.
    pub scan: bool,
    /// Sends or receives the bytes of an artifact.
    pub transfer: bool,
}

/// The places and the key of one request; an extension of it. Dropped with the answer.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    caps: Arc<Caps>,
    route: RouteCaps,
    waits: bool,
    address: IpAddr,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    key: Option<Arc<KeyUse>>,
    place: Option<Place>,
    running: Option<Turn<Lane>>,
}

impl Admission {
    /// A request to `route`, that `waits` for a change or not.
    #[must_use]
    pub fn new(
        caps: &Arc<Caps>,
        route: RouteCaps,
        waits: bool,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Self {
        let peer = extensions.get::<PeerAddress>().map_or(NOWHERE, |peer| peer.0);
        let address = caps.limits.trusted_proxies.client(peer, headers);
        let (caps, held) = (Arc::clone(caps), Mutex::default());
        Self(Arc::new(Inner { caps, route, waits, address, held }))
    }

    /// What the page says of the route.
    #[must_use]
    pub fn route(&self) -> RouteCaps {
        self.0.route
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self) -> Option<Arc<KeyUse>> {
        self.held().key.clone()
    }

    fn party(&self) -> Party {
        match self.key() {
            Some(key) => key.party.clone(),
            None => self.0.caps.address(self.0.address).party.clone(),
        }
    }

    /// Has `credential` looked up by `identify`, and counts the request.
    ///
    /// # Errors
    /// Those of `identify`; `rate_limited`, `unavailable`.
    pub async fn identify<C>(
        &self,
        credential: Credential<'_>,
        identify: impl Future<Output = app::Result<C>>,
    ) -> Result<C> {
        // A malformed token costs no query.
        let Some(token) = Presented::of(credential) else { return Ok(identify.await?) };
        let caps = &self.0.caps;
        let known = caps.recognise(&token);
        if let Some(key) = &known {
            self.held().key = known.clone();
            let identified = async {
                caps.charge(key, Counted::Requests, 1)?;
                let door = caps.door.take(&key.party)?;
                let identified = identify.await;
                drop(door);
                if identified.as_ref().is_err_and(|error| error.code() == Code::Unauthenticated) {
                    caps.keys.remove(&(token.workspace, token.id));
                }
                Ok(identified?)
            };
            return caps.entrance.begin(Lane::Workspace(key.workspace), identified).await;
        }
        let identified = self.identify_stranger(identify);
        let caller = caps.entrance.begin(Lane::Address(self.0.address), identified).await?;
        let key = caps.remember(&token);
        self.held().key = Some(Arc::clone(&key));
        caps.charge(&key, Counted::Requests, 1)?;
        Ok(caller)
    }

    /// Has somebody looked up who is only known by their address: with a key that was not valid a
    /// moment ago, or with a session.
    ///
    /// # Errors
    /// Those of `identify`; `rate_limited`, `unavailable`.
    pub async fn identify_stranger<C>(
        &self,
        identify: impl Future<Output = app::Result<C>>,
    ) -> Result<C> {
        let caps = &self.0.caps;
        let address = caps.address(self.0.address);
        if !address.may_try(caps.now()) {
            return Err(too_many_failures(address.level(caps.now()).passes_in));
        }
        let door = caps.door.take(&address.party)?;
        let identified = identify.await;
        drop(door);
        match identified {
            Ok(caller) => Ok(caller),
            Err(error) if error.code() == Code::Unauthenticated => {
                let now = caps.now();
                if address.fail(now) {
                    return Err(error.into());
                }
                Err(too_many_failures(address.level(now).passes_in))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the place of the request. Does nothing if it has one, or needs none.
    ///
    /// # Errors
    /// `rate_limited`, `unavailable`.
    pub async fn enter(&self) -> Result<()> {
        let Inner { caps, route, waits, .. } = &*self.0;
        if route.always || self.held().place.is_some() {
            return Ok(());
        }
        let purpose = match route {
            RouteCaps { scan: true, .. } => Purpose::Scan,
            RouteCaps { list: true, .. } => Purpose::List,
            RouteCaps { transfer: true, .. } => Purpose::Transfer,
            RouteCaps { .. } if *waits => Purpose::Waiting,
            RouteCaps { .. } if self.key().is_some() => Purpose::Short,
            RouteCaps { .. } => Purpose::Public,
        };
        let place = caps.pool(purpose).take(&self.party())?;
        self.held().place = Some(place);
        let Some(queue) = caps.queue(purpose) else { return Ok(()) };
        let lane = self
            .key()
            .map_or_else(|| Lane::Address(self.0.address), |key| Lane::Workspace(key.workspace));
        let Ok(turn) = tokio::time::timeout(QUEUED, queue.running.take(lane)).await else {
            self.leave();
            return Err(full(purpose.as_str()));
        };
        self.held().running = Some(turn);
        Ok(())
    }

    /// Gives the place back, while the request waits for its sender.
    pub fn leave(&self) {
        let mut held = self.held();
        held.running = None;
        held.place = None;
    }

    /// Waits for a change from now on: a waiting place in exchange for the short one.
    ///
    /// # Errors
    /// `rate_limited`, `unavailable`.
    pub fn wait(&self) -> Result<()> {
        let place = self.0.caps.waiting.take(&self.party())?;
        self.held().place = Some(place);
        Ok(())
    }

    /// Reads a body. It takes a place to read unless it has arrived already.
    ///
    /// # Errors
    /// `body_too_slow`, `rate_limited`, `unavailable`.
    pub async fn read<T>(&self, body: impl Future<Output = T>) -> Result<T> {
        let mut body = pin!(body);
        // One look: most bodies arrive with their heads.
        if let Some(read) = future::poll_fn(|cx| std::task::Poll::Ready(poll(&mut body, cx))).await
        {
            return Ok(read);
        }
        let Inner { caps, .. } = &*self.0;
        let _place = caps.reading.take(&self.party())?;
        let deadline = caps.limits.body;
        tokio::time::timeout(deadline, body).await.map_err(|_| {
            let detail = format!("the body was not complete within {deadline:?}; send it at once");
            Error::from(Refusal::new(Code::BodyTooSlow, detail))
        })
    }

    /// Waits for the next piece of a long body of which `received` bytes have arrived. Its sender may take the
    /// time of a short body and that of the least rate; `waited` is what it has taken so far.
    ///
    /// # Errors
    /// `body_too_slow`.
    pub async fn next<T>(
        &self,
        piece: impl Future<Output = T>,
        received: u64,
        waited: &mut Duration,
    ) -> Result<T> {
        let limits = &self.0.caps.limits;
        let allowed = limits.body + Duration::from_secs(received / SLOWEST);
        // A fast beginning earns no long silence.
        let left = allowed.saturating_sub(*waited).min(limits.timeout);
        let since = Stopwatch::start();
        let arrived = tokio::time::timeout(left, piece).await;
        *waited += since.elapsed();
        arrived.map_err(|_| {
            let detail = format!(
                "the body stopped, or arrived with less than {SLOWEST} bytes per second; send it again"
            );
            Error::from(Refusal::new(Code::BodyTooSlow, detail))
        })
    }

    /// Waits until the key may use `amount` more, and counts it.
    pub async fn pace(&self, counted: Counted, amount: u64) {
        let Some(key) = self.key() else { return };
        let caps = &self.0.caps;
        while let Some(wait) =
            key.buckets.take_later(&caps.limits.quotas, counted, amount, caps.now())
        {
            tokio::time::sleep(wait).await;
        }
    }

    /// Counts a refusal for too much. Returns how long its answer is held back.
    #[must_use]
    pub fn refuse(&self) -> HeldBack {
        self.leave();
        let caps = &self.0.caps;
        let refuse = |pace: &Mutex<Pace>| {
            HeldBack(pace.lock().unwrap_or_else(PoisonError::into_inner).refuse(caps.now()))
        };
        match self.key() {
            Some(key) => refuse(&key.pace),
            None => refuse(&caps.address(self.0.address).pace),
        }
    }

    /// Counts a use of the key beside the request itself.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn charge(&self, counted: Counted, amount: u64) -> Result<()> {
        match self.key() {
            Some(key) => self.0.caps.charge(&key, counted, amount),
            None => Ok(()),
        }
    }

    /// What the key may still use.
    #[must_use]
    pub fn levels(&self) -> Vec<KeyLimit> {
        self.key().map(|key| self.0.caps.levels(&key)).unwrap_or_default()
    }
}

fn poll<T>(
    body: &mut std::pin::Pin<&mut impl Future<Output = T>>,
    cx: &mut std::task::Context<'_>,
) -> Option<T> {
    match body.poll_unpin(cx) {
        std::task::Poll::Ready(read) => Some(read),
        std::task::Poll::Pending => None,
    }
}
