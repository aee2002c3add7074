//! Pools of places, shared by [`judge`].

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::domain::cap::share::{Standing, Verdict, judge};

/// What a place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To look up a key.
    Door,
    /// To send a body that has not arrived with its head.
    Reading,
    /// To be answered soon, with a key.
    Short,
    /// To be answered soon, without a key.
    Public,
    /// To wait for a change.
    Waiting,
    /// To read a list, or to wait for that.
    List,
    /// To read much, or to wait for that.
    Scan,
    /// To send or receive the bytes of an artifact.
    Transfer,
}

const PURPOSES: usize = 8;

impl Purpose {
    /// Its name in metrics and headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Reading => "reading",
            Self::Short => "short",
            Self::Public => "public",
            Self::Waiting => "waiting",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Transfer => "transfer",
        }
    }
}

/// How many places somebody holds, by purpose. Changed under the lock of the pool.
#[derive(Debug, Default)]
pub struct Holder([AtomicUsize; PURPOSES]);

impl Holder {
    fn of(&self, purpose: Purpose) -> &AtomicUsize {
        &self.0[purpose as usize]
    }

    /// The places held for `purpose`.
    #[must_use]
    pub fn held(&self, purpose: Purpose) -> usize {
        self.of(purpose).load(Relaxed)
    }
}

/// Who asks for a place.
#[derive(Debug, Clone)]
pub struct Party {
    /// The key or the address.
    pub own: Arc<Holder>,
    /// The workspace of the key.
    pub group: Option<Arc<Holder>>,
}

/// A number of places for one purpose.
#[derive(Debug)]
pub struct Pool {
    purpose: Purpose,
    size: usize,
    taken: Mutex<usize>,
}

/// A refused place.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// The purpose of the pool.
    pub purpose: Purpose,
    /// Why.
    pub verdict: Verdict,
    /// The places that the refused one holds.
    pub held: usize,
}

impl Pool {
    /// A pool of `size` free places.
    #[must_use]
    pub fn new(purpose: Purpose, size: usize) -> Arc<Self> {
        Arc::new(Self { purpose, size, taken: Mutex::new(0) })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// The pool is full, or `party` has its share.
    pub fn take(self: &Arc<Self>, party: &Party) -> Result<Place, Refused> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = party.own.held(self.purpose);
        let group = party.group.as_ref().map_or(0, |group| group.held(self.purpose));
        match judge(Standing { size: self.size, taken: *taken, own, group }) {
            Verdict::Given => {}
            verdict @ (Verdict::OwnShare | Verdict::GroupShare | Verdict::Full) => {
                let held = if verdict == Verdict::GroupShare { group } else { own };
                return Err(Refused { purpose: self.purpose, verdict, held });
            }
        }
        *taken += 1;
        party.own.of(self.purpose).store(own + 1, Relaxed);
        if let Some(holder) = &party.group {
            holder.of(self.purpose).store(group + 1, Relaxed);
        }
        Ok(Place { pool: Arc::clone(self), party: party.clone() })
    }
}

/// A taken place; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    pool: Arc<Pool>,
    party: Party,
}

impl Drop for Place {
    fn drop(&mut self) {
        let purpose = self.pool.purpose;
        let mut taken = self.pool.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken -= 1;
        self.party.own.of(purpose).fetch_sub(1, Relaxed);
        if let Some(group) = &self.party.group {
            group.of(purpose).fetch_sub(1, Relaxed);
        }
    }
}
