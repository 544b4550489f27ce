//! The cache of verified tokens: no signature is verified twice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{ACCOUNT_CHECK_INTERVAL, Caller};
use flyte_model::clock::UnixTime;

/// The number of independently locked shards, so that threads rarely wait for each other.
const SHARDS: usize = 16;
/// The maximum number of tokens in a shard: about 16,000 tokens in total, a few megabytes.
const SHARD_CAPACITY: usize = 1024;

/// SHA-256 of a token.
type Key = [u8; 32];

/// The result of verifying one token.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) caller: Arc<Caller>,
    pub(super) expires_at: UnixTime,
    /// [`SigningKeys::generation`](flyte_keys::SigningKeys::generation) at the time of verification.
    pub(super) keys_generation: u64,
    /// The generation of the policies that the principal was looked up under, or of earlier ones.
    pub(super) policies_generation: Option<i64>,
    /// The time at which the principal was last looked up.
    pub(super) account_checked_at: UnixTime,
}

impl Verified {
    /// Whether the principal was looked up not long ago, and under the current policies.
    pub(super) fn is_recent(&self, now: UnixTime, policies_generation: Option<i64>) -> bool {
        now - self.account_checked_at < ACCOUNT_CHECK_INTERVAL
            && self.policies_generation == policies_generation
    }
}

/// A bounded map from tokens to the results of their verification.
#[derive(Debug)]
pub(super) struct Cache([Mutex<HashMap<Key, Verified>>; SHARDS]);

impl Default for Cache {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Cache {
    /// Returns the result for a token that has not expired.
    pub(super) fn get(&self, key: &Key, now: UnixTime) -> Option<Verified> {
        let mut shard = self.shard(key);
        let found = shard.get(key)?;
        if found.expires_at <= now {
            shard.remove(key);
            return None;
        }
        Some(found.clone())
    }

    /// Stores a result. A full shard first drops expired tokens, then any others.
    pub(super) fn put(&self, key: Key, verified: Verified, now: UnixTime) {
        let mut shard = self.shard(&key);
        if shard.len() >= SHARD_CAPACITY && !shard.contains_key(&key) {
            shard.retain(|_, verified| verified.expires_at > now);
            if shard.len() >= SHARD_CAPACITY {
                // Drops half of the tokens, in the map's random order. This is rare, and costs one verification for
                // each dropped token.
                let mut keep = false;
                shard.retain(|_, _| {
                    keep = !keep;
                    keep
                });
            }
        }
        shard.insert(key, verified);
    }

    /// Removes the tokens of a caller's principal, so that they are verified again.
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
        let caller = Arc::new(Caller::for_test());
        Verified { caller, expires_at, keys_generation: 0, policies_generation: None, account_checked_at: 0 }
    }

    fn key(n: u32) -> Key {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        key
    }

    #[test]
    fn expired_tokens_are_dropped_and_the_size_is_bounded() {
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
