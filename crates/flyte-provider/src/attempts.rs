//! What must be remembered while a user is at a provider, bound to the browser by a cookie.
//!
//! An entry is found by its key (for example `state`), returned once, and only to the browser that began it. Entries are in
//! memory: a restart makes the few users who are at a provider just then start again. Their number is limited for each
//! browser and each network, and as a whole.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};

use flyte_model::{
    AddressBlock,
    clock::{Clock, UnixTime},
};

/// How long an entry is kept, in seconds.
const LIFETIME_SECONDS: i64 = 600;
/// The most entries of one browser: tabs in which a sign-in has begun.
const MAX_OF_BROWSER: usize = 8;
/// The most entries of one network.
const MAX_OF_NETWORK: usize = 500;
/// The most entries.
const MAX_ENTRIES: usize = 10_000;

/// SHA-256 of a secret.
type Hash = [u8; 32];

/// Entries of one kind.
#[derive(Debug)]
pub struct Attempts<T> {
    clock: Clock,
    entries: Mutex<HashMap<Hash, Entry<T>>>,
}

#[derive(Debug)]
struct Entry<T> {
    browser: Hash,
    network: AddressBlock,
    at: UnixTime,
    value: T,
}

impl<T> Attempts<T> {
    /// Creates an empty set.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, entries: Mutex::default() }
    }

    /// Adds an entry. `browser` is the secret in the browser's cookie. If there are too many entries of the browser, of its
    /// network, or as a whole, the oldest of them is removed.
    pub fn put(&self, key: &[u8], browser: &[u8], address: IpAddr, value: T) {
        let (now, browser, network) = (self.clock.now(), hash(browser), AddressBlock::of(address));
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| is_alive(entry.at, now));
        remove_oldest(&mut entries, MAX_OF_BROWSER, |entry| entry.browser == browser);
        remove_oldest(&mut entries, MAX_OF_NETWORK, |entry| entry.network == network);
        remove_oldest(&mut entries, MAX_ENTRIES, |_| true);
        entries.insert(hash(key), Entry { browser, network, at: now, value });
    }

    /// Removes and returns an entry of this browser. The entry of another browser stays.
    pub fn take(&self, key: &[u8], browser: &[u8]) -> Option<T> {
        let (key, now) = (hash(key), self.clock.now());
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // The keys and secrets are hashed, so the time of the comparison says nothing about them.
        if entries.get(&key)?.browser != hash(browser) {
            return None;
        }
        entries.remove(&key).filter(|entry| is_alive(entry.at, now)).map(|entry| entry.value)
    }
}

impl<T: Clone> Attempts<T> {
    /// Returns an entry of this browser, which stays.
    #[must_use]
    pub fn get(&self, key: &[u8], browser: &[u8]) -> Option<T> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&hash(key)).filter(|entry| is_alive(entry.at, self.clock.now()))?;
        (entry.browser == hash(browser)).then(|| entry.value.clone())
    }
}

fn is_alive(at: UnixTime, now: UnixTime) -> bool {
    now.saturating_sub(at) < LIFETIME_SECONDS
}

/// Removes the oldest of the entries that `counts`, if there are already `most` of them.
fn remove_oldest<T>(entries: &mut HashMap<Hash, Entry<T>>, most: usize, counts: impl Fn(&Entry<T>) -> bool) {
    let counted = || entries.iter().filter(|(_, entry)| counts(entry));
    if counted().count() < most {
        return;
    }
    let oldest = counted().min_by_key(|(_, entry)| entry.at).map(|(key, _)| *key);
    if let Some(key) = oldest {
        entries.remove(&key);
    }
}

fn hash(secret: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyte_testing::NOW;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

    #[test]
    fn an_entry_is_for_one_browser_and_one_use() {
        let clock = Clock::manual(NOW);
        let attempts = Attempts::new(clock.clone());
        attempts.put(b"state", b"browser", HOME, 1);
        assert_eq!(attempts.take(b"state", b"another"), None);
        assert_eq!(attempts.take(b"other", b"browser"), None);
        assert_eq!(attempts.get(b"state", b"browser"), Some(1));
        assert_eq!(attempts.take(b"state", b"browser"), Some(1), "another browser did not use it up");
        assert_eq!(attempts.take(b"state", b"browser"), None, "single use");
        attempts.put(b"state", b"browser", HOME, 2);
        clock.advance(LIFETIME_SECONDS);
        assert_eq!(attempts.get(b"state", b"browser"), None);
        assert_eq!(attempts.take(b"state", b"browser"), None, "expired");
    }

    #[test]
    fn the_number_is_limited() {
        let clock = Clock::manual(NOW);
        let attempts = Attempts::new(clock.clone());
        for n in 0..=MAX_OF_BROWSER {
            attempts.put(&[u8::try_from(n).unwrap()], b"browser", HOME, n);
            clock.advance(1);
        }
        assert_eq!(attempts.take(&[0], b"browser"), None, "the oldest tab");
        assert_eq!(attempts.take(&[1], b"browser"), Some(1));
        attempts.put(b"victim", b"elsewhere", "198.51.100.1".parse().unwrap(), 0);
        clock.advance(1);
        for n in 0..2 * MAX_OF_NETWORK {
            attempts.put(&n.to_be_bytes(), &n.to_be_bytes(), HOME, n);
        }
        assert_eq!(attempts.entries.lock().unwrap().len(), MAX_OF_NETWORK + 1);
        assert_eq!(attempts.take(b"victim", b"elsewhere"), Some(0), "other networks lose nothing");
    }
}
