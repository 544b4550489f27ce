//! Limits of requests: for each client, and of failed attempts for each network.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use flyte_model::{AddressBlock, clock::UnixTime};

/// Requests of a client at once, and each second after that. Okta and Entra ID send fewer.
const OF_CLIENT: Rule = Rule { most: 2000, per_second: 200, capacity: 1000 };
/// Failed attempts of a network at once, and each second after that.
const OF_NETWORK: Rule = Rule { most: 30, per_second: 1, capacity: 10_000 };

#[derive(Clone, Copy, Debug)]
struct Rule {
    most: i64,
    per_second: i64,
    /// The most buckets that are remembered.
    capacity: usize,
}

/// What is left to a client.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: i64,
    filled_at: UnixTime,
}

/// Token buckets by key.
#[derive(Debug)]
struct Buckets<K>(Rule, Mutex<HashMap<K, Bucket>>);

impl<K: Eq + Hash> Buckets<K> {
    fn new(rule: Rule) -> Self {
        Self(rule, Mutex::default())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<K, Bucket>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills a bucket, then takes `taken` from it. Returns whether there was something left.
    fn take(&self, key: K, now: UnixTime, taken: i64) -> bool {
        let rule = self.0;
        let mut all = self.all();
        if !all.contains_key(&key) && all.len() >= rule.capacity {
            // Full buckets say nothing. If that is not enough, all begin again: a flood of networks must not use all memory.
            all.retain(|_, bucket| bucket.left + (now - bucket.filled_at) * rule.per_second < rule.most);
            if all.len() >= rule.capacity {
                all.clear();
            }
        }
        let bucket = all.entry(key).or_insert(Bucket { left: rule.most, filled_at: now });
        let seconds = now.saturating_sub(bucket.filled_at).max(0);
        bucket.left = bucket.left.saturating_add(seconds.saturating_mul(rule.per_second)).min(rule.most);
        bucket.filled_at = now;
        let has_some = bucket.left > 0;
        if has_some {
            bucket.left -= taken;
        }
        has_some
    }
}

/// The limits of a server.
#[derive(Debug)]
pub(crate) struct Limits {
    clients: Buckets<String>,
    networks: Buckets<AddressBlock>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { clients: Buckets::new(OF_CLIENT), networks: Buckets::new(OF_NETWORK) }
    }
}

impl Limits {
    /// Counts a request of a client; `false` if it has sent too many.
    pub(crate) fn admit_client(&self, client: &str, now: UnixTime) -> bool {
        self.clients.take(client.to_owned(), now, 1)
    }

    /// Whether a network may still try a key.
    pub(crate) fn admit_network(&self, address: IpAddr, now: UnixTime) -> bool {
        self.networks.take(AddressBlock::of(address), now, 0)
    }

    /// Counts a failed attempt.
    pub(crate) fn count_failure(&self, address: IpAddr, now: UnixTime) {
        self.networks.take(AddressBlock::of(address), now, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_emptied_and_filled_again() {
        let rule = Rule { most: 3, per_second: 1, capacity: 2 };
        let buckets = Buckets::new(rule);
        assert!((0..3).all(|_| buckets.take("a", 10, 1)));
        assert!(!buckets.take("a", 10, 1) && buckets.take("b", 10, 1));
        assert!(buckets.take("a", 11, 1) && !buckets.take("a", 11, 1));
        // A clock that was set back fills nothing, and breaks nothing.
        assert!(!buckets.take("a", 5, 1));
        for key in ["c", "d", "e"] {
            assert!(buckets.take(key, 12, 1));
            assert!(buckets.all().len() <= rule.capacity);
        }
    }
}
