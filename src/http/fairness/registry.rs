//! A map in shards, whose idle entries are forgotten.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const SHARDS: usize = 32;
/// The fewest entries of a shard before it looks for idle ones.
const LEAST: usize = 64;

#[derive(Debug)]
struct Shard<K, V> {
    entries: HashMap<K, Arc<V>>,
    /// The number of entries at which idle ones are forgotten.
    sweep_at: usize,
}

/// A map from callers to what is known of them.
#[derive(Debug)]
pub struct Registry<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
    hasher: RandomState,
}

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        let shard = |_| Mutex::new(Shard { entries: HashMap::new(), sweep_at: LEAST });
        Self { shards: std::array::from_fn(shard), hasher: RandomState::new() }
    }
}

impl<K: Eq + Hash + Copy, V> Registry<K, V> {
    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K, V>> {
        let index = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry of `key`.
    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        self.shard(key).entries.get(key).cloned()
    }

    /// The entry of `key`, made if there is none. `idle`: whether an entry that nobody uses may be
    /// forgotten.
    pub fn get_or(&self, key: K, make: impl FnOnce() -> V, idle: impl Fn(&V) -> bool) -> Arc<V> {
        let mut shard = self.shard(&key);
        if let Some(found) = shard.entries.get(&key) {
            return Arc::clone(found);
        }
        if shard.entries.len() >= shard.sweep_at {
            shard.entries.retain(|_, entry| Arc::strong_count(entry) > 1 || !idle(entry));
            shard.sweep_at = LEAST.max(shard.entries.len() * 2);
        }
        let made = Arc::new(make());
        shard.entries.insert(key, Arc::clone(&made));
        made
    }

    /// Forgets the entry of `key`.
    pub fn remove(&self, key: &K) {
        self.shard(key).entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_entries_are_forgotten_and_used_ones_kept() {
        let registry = Registry::<u32, u32>::default();
        let used = registry.get_or(0, || 0, |_| true);
        for key in 1..100_000 {
            registry.get_or(key, || key, |_| true);
        }
        let count: usize =
            registry.shards.iter().map(|shard| shard.lock().unwrap().entries.len()).sum();
        assert!(count <= SHARDS * LEAST, "{count}");
        assert!(Arc::ptr_eq(&used, &registry.get(&0).unwrap()));
    }
}
