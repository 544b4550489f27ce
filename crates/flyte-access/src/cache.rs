//! What came of verifying tokens, so that no signature is verified twice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Caller;
use flyte_model::clock::UnixTime;

/// Independent parts, so that cores seldom wait for each other.
const SHARDS: usize = 16;
/// The most tokens that a part remembers: about 16,000 in all, some megabytes.
const SHARD_CAPACITY: usize = 1024;

/// SHA-256 of a token.
type Key = [u8; 32];

/// What came of verifying one token.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) caller: Arc<Caller>,
    pub(super) expires_at: UnixTime,
    /// [`SigningKeys::generation`](flyte_keys::SigningKeys::generation) when it was verified.
    pub(super) keys: u64,
    /// When the account was last looked up.
    pub(super) account_checked_at: UnixTime,
}

/// A bounded map from tokens to what came of verifying them.
#[derive(Debug)]
pub(super) struct Cache([Mutex<HashMap<Key, Verified>>; SHARDS]);

impl Default for Cache {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Cache {
    /// What is remembered of a token that has not expired.
    pub(super) fn get(&self, key: &Key, now: UnixTime) -> Option<Verified> {
        let mut shard = self.shard(key);
        let found = shard.get(key)?;
        if found.expires_at <= now {
            shard.remove(key);
            return None;
        }
        Some(found.clone())
    }

    /// Remembers a token, at the cost of expired ones and then of any.
    pub(super) fn put(&self, key: Key, verified: Verified, now: UnixTime) {
        let mut shard = self.shard(&key);
        if shard.len() >= SHARD_CAPACITY && !shard.contains_key(&key) {
            shard.retain(|_, verified| verified.expires_at > now);
            if shard.len() >= SHARD_CAPACITY {
                // Half of them, in the map's own random order: forgetting costs one verification, and this is seldom.
                let mut keep = false;
                shard.retain(|_, _| {
                    keep = !keep;
                    keep
                });
            }
        }
        shard.insert(key, verified);
    }

    /// Forgets the tokens of a caller's principal, so that they are verified again.
    pub(super) fn forget(&self, of: &Caller) {
        for shard in &self.0 {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, Verified { caller, .. }| {
                caller.principal != of.principal || caller.subject != of.subject
            });
        }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Verified>> {
        self.0[usize::from(key[0]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(expires_at: UnixTime) -> Verified {
        let caller = Arc::new(Caller::nobody());
        Verified { caller, expires_at, keys: 0, account_checked_at: 0 }
    }

    fn key(n: u32) -> Key {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        key
    }

    #[test]
    fn it_forgets_at_expiry_and_never_grows_beyond_its_bound() {
        let cache = Cache::default();
        cache.put(key(1), verified(100), 0);
        assert!(cache.get(&key(1), 99).is_some() && cache.get(&key(1), 100).is_none());
        for n in 0..100_000 {
            cache.put(key(n), verified(1000), 0);
        }
        assert!(cache.len() <= SHARDS * SHARD_CAPACITY, "{}", cache.len());
        assert!(cache.get(&key(99_999), 0).is_some());
    }
}
