//! The source of ids, secrets and jitter.
//!
//! In production it is a generator for cryptography (ChaCha) in each thread, which the operating system's
//! seeds, and seeds again after every 64 KiB: a cycle of one task needs a dozen ids, and a call of the system
//! for each would take a hundredth of its time. Tests may seed it to repeat a run. Nothing else in muster
//! makes random numbers.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use uuid::Uuid;

use crate::domain::ids::Id;

/// Source of randomness; cheap to clone.
#[derive(Clone, Debug)]
pub struct Entropy(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Seeded(Arc<Mutex<ChaCha20Rng>>),
}

impl Entropy {
    /// The generator of the thread, seeded by the operating system. Without the system's generator no key or
    /// lease is safe: then every use panics.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A generator with a seed, for tests only: its secrets can be guessed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))))
    }

    /// Random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => rand::rng().fill_bytes(&mut bytes),
            Source::Seeded(generator) => {
                generator.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
            }
        }
        bytes
    }

    /// A new UUIDv7 with timestamp `now`.
    #[must_use]
    pub fn id<T: Id>(&self, now: DateTime<Utc>) -> T {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        let random: [u8; 10] = self.bytes();
        T::from(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// New ids in ascending order, as pages and plans sort by id.
    #[must_use]
    pub fn ids<T: Id>(&self, now: DateTime<Utc>, count: usize) -> Vec<T> {
        let mut ids: Vec<Uuid> = (0..count).map(|_| self.id::<T>(now).into()).collect();
        ids.sort_unstable();
        ids.into_iter().map(T::from).collect()
    }

    /// A number from 0 to 1 to spread retries.
    #[must_use]
    pub fn jitter(&self) -> f64 {
        f64::from(u32::from_be_bytes(self.bytes())) / f64::from(u32::MAX)
    }
}
