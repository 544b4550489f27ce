//! Limits password guessing, by account and by address.
//!
//! Failures are counted for the pair of account and address, so an attacker delays mainly themselves. Only failures
//! from many addresses together delay all unknown browsers. A browser that the user has signed in with before
//! (`known_browser`) has its own count and is not affected by the others.
//!
//! An address alone is only slowed down. After many failures there, at any accounts, an account without recent
//! failures at this address may still try, one at a time. So a user with the right password signs in. An attacker who
//! tries one password at many accounts gets one attempt at each, and uses one processor at most.
//!
//! Each attempt is counted as a failure *before* the password is verified, and uncounted if the password is right. So
//! simultaneous attempts cannot exceed the limit. Accounts are counted by the typed e-mail address, whether it exists
//! or not, so a limit does not reveal which accounts exist. `device` counts user codes of devices.

mod device;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};

pub use self::device::CodeAttempt;
use self::device::DeviceCounters;
use super::known_browser::BrowserId;
use flyte_model::AddressBlock;
use flyte_model::clock::{Clock, UnixTime};

/// The rules for counting failures of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Failures without a wait.
    pub(super) free: u32,
    /// Seconds of the first wait. Each further failure doubles it.
    pub(super) first_wait: i64,
    /// Seconds of the longest wait.
    pub(super) longest_wait: i64,
    /// Seconds after which one failure is forgotten, counted from the end of the wait.
    pub(super) forget_after: i64,
    /// The maximum number of counters.
    pub(super) capacity: usize,
}

/// One account from one address, or from one known browser. After a few mistyped passwords a user waits for seconds;
/// an attacker gets about three attempts an hour.
const BY_ONE: Policy =
    Policy { free: 5, first_wait: 2, longest_wait: 900, forget_after: 600, capacity: 20_000 };

/// One account from all addresses. A single address always stays below this limit; thousands of addresses together
/// get twelve attempts an hour.
const BY_ACCOUNT: Policy =
    Policy { free: 50, first_wait: 2, longest_wait: 300, forget_after: 60, capacity: 20_000 };

/// All accounts from one address, which many users may share.
const BY_ADDRESS: Policy =
    Policy { free: 100, first_wait: 2, longest_wait: 60, forget_after: 5, capacity: 20_000 };
/// Seconds to wait while another user's attempt is in progress at a slowed address.
const LANE_WAIT_SECONDS: i64 = 1;

/// Counts failed attempts and decides how long to wait.
pub struct Throttle {
    clock: Clock,
    counters: Mutex<SignInCounters>,
    devices: Mutex<DeviceCounters>,
}

struct SignInCounters {
    browsers: Counters<BrowserId>,
    pairs: Counters<(AccountKey, AddressBlock)>,
    accounts: Counters<AccountKey>,
    addresses: Counters<AddressBlock>,
    /// The slowed addresses at which an attempt is in progress.
    lanes: HashSet<AddressBlock>,
}

/// SHA-256 of the e-mail address in lower case: it has a fixed size and contains no personal data.
type AccountKey = [u8; 32];

/// Too many attempts have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many failed attempts; try again in {retry_after} s")]
pub struct Throttled {
    /// Seconds to wait.
    pub retry_after: i64,
}

/// An attempt in progress. If it is dropped, it counts as failed.
#[derive(Debug)]
#[must_use]
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    counted: Counted,
    lane: Option<AddressBlock>,
}

/// The counters that an attempt was counted in.
#[derive(Debug)]
enum Counted {
    Known {
        browser: (BrowserId, Wait),
    },
    Stranger {
        pair: ((AccountKey, AddressBlock), Wait),
        account: (AccountKey, Wait),
        address: (AddressBlock, Wait),
    },
}

impl Throttle {
    /// Starts without failures.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let counters = SignInCounters {
            browsers: Counters::new(BY_ONE),
            pairs: Counters::new(BY_ONE),
            accounts: Counters::new(BY_ACCOUNT),
            addresses: Counters::new(BY_ADDRESS),
            lanes: HashSet::new(),
        };
        Self { clock, counters: Mutex::new(counters), devices: Mutex::new(DeviceCounters::new()) }
    }

    /// Admits an attempt to sign in to `account` from `address`. `account` is an e-mail address that may not exist;
    /// case does not matter. `known` is the browser if it is known for the account.
    ///
    /// # Errors
    /// [`Throttled`] while the browser must wait or, for an unknown browser, the account or the address. Attempts
    /// during the wait do not extend it.
    pub fn admit(
        &self,
        account: &str,
        address: IpAddr,
        known: Option<BrowserId>,
    ) -> Result<Attempt<'_>, Throttled> {
        let now = self.clock.now();
        let account = account_key(account);
        let address = AddressBlock::of(address);
        let pair = (account, address);
        let mut counters = self.counters();
        let mut lane = None;
        let wait = match known {
            Some(browser) => counters.browsers.wait(&browser, now),
            None => {
                let own = counters.pairs.wait(&pair, now).max(counters.accounts.wait(&account, now));
                match counters.addresses.wait(&address, now) {
                    0 => own,
                    _ if own == 0 && !counters.pairs.has_failed(&pair, now) => {
                        lane = Some(address);
                        if counters.lanes.contains(&address) { LANE_WAIT_SECONDS } else { 0 }
                    }
                    wait => wait.max(own),
                }
            }
        };
        if wait > 0 {
            return Err(Throttled { retry_after: wait });
        }
        counters.lanes.extend(lane);
        let counted = match known {
            Some(browser) => Counted::Known { browser: (browser, counters.browsers.count(browser, now)) },
            None => Counted::Stranger {
                pair: (pair, counters.pairs.count(pair, now)),
                account: (account, counters.accounts.count(account, now)),
                address: (address, counters.addresses.count(address, now)),
            },
        };
        Ok(Attempt { throttle: self, counted, lane })
    }

    fn counters(&self) -> MutexGuard<'_, SignInCounters> {
        // The counters are consistent between any two statements, so a panic elsewhere does no damage.
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn device_counters(&self) -> MutexGuard<'_, DeviceCounters> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The password was right, so the failures of this pair or browser are cleared. The account and the address are
    /// uncounted for this attempt only. Otherwise the owner's sign-ins would let an attacker continue, and an
    /// attacker with an account of their own could guess for ever.
    pub fn succeeded(self) {
        let mut counters = self.throttle.counters();
        match &self.counted {
            Counted::Known { browser } => {
                counters.browsers.entries.remove(&browser.0);
            }
            Counted::Stranger { pair, account, address } => {
                counters.pairs.entries.remove(&pair.0);
                counters.accounts.forgive(account);
                counters.addresses.forgive(address);
            }
        }
    }

    /// The password was not checked, so the attempt does not count.
    pub fn withdrawn(self) {
        let mut counters = self.throttle.counters();
        match &self.counted {
            Counted::Known { browser } => counters.browsers.forgive(browser),
            Counted::Stranger { pair, account, address } => {
                counters.pairs.forgive(pair);
                counters.accounts.forgive(account);
                counters.addresses.forgive(address);
            }
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(address) = &self.lane {
            self.throttle.counters().lanes.remove(address);
        }
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").finish_non_exhaustive()
    }
}

fn account_key(account: &str) -> AccountKey {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, account.trim().to_lowercase().as_bytes()).as_ref());
    key
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    failures: u32,
    /// No attempt is admitted before this time.
    wait_until: UnixTime,
    /// The time from which the next failure is being forgotten.
    forgetting_since: UnixTime,
}

/// The end of the wait before and after a failure was counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    before: UnixTime,
    after: UnixTime,
    /// Whether the number of failures has increased. It does not increase beyond the longest wait.
    counted: bool,
}

pub(super) struct Counters<K> {
    policy: Policy,
    entries: HashMap<K, Counter>,
}

impl<K: Copy + Eq + Hash> Counters<K> {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, entries: HashMap::new() }
    }

    /// Returns the seconds that `key` must wait.
    pub(super) fn wait(&self, key: &K, now: UnixTime) -> i64 {
        let until = self.entries.get(key).map_or(now, |counter| counter.wait_until);
        // The wait is bounded even if the clock was set back.
        until.saturating_sub(now).clamp(0, self.policy.longest_wait)
    }

    /// Whether a failure of `key` is still counted.
    fn has_failed(&self, key: &K, now: UnixTime) -> bool {
        self.entries.get(key).is_some_and(|counter| {
            let mut counter = *counter;
            counter.forget(&self.policy, now);
            counter.failures > 0
        })
    }

    /// Counts a failure and returns its effect on the wait.
    pub(super) fn count(&mut self, key: K, now: UnixTime) -> Wait {
        if !self.entries.contains_key(&key) && self.entries.len() >= self.policy.capacity {
            self.make_room(now);
        }
        let policy = self.policy;
        let counter = self.entries.entry(key).or_insert(Counter {
            failures: 0,
            wait_until: now,
            forgetting_since: now,
        });
        counter.forget(&policy, now);
        let before = counter.wait_until;
        let failures = counter.failures;
        counter.failures = (failures + 1).min(policy.max_failures());
        let counted = counter.failures > failures;
        if let Some(doublings) = counter.failures.checked_sub(policy.free) {
            counter.wait_until = now.saturating_add(policy.wait_after(doublings));
        }
        counter.forgetting_since = counter.wait_until.max(now);
        Wait { before, after: counter.wait_until, counted }
    }

    /// Removes one failure and the wait that it caused. A wait that a later failure caused remains.
    fn forgive(&mut self, (key, wait): &(K, Wait)) {
        let Some(counter) = self.entries.get_mut(key) else { return };
        counter.failures = counter.failures.saturating_sub(u32::from(wait.counted));
        if counter.wait_until == wait.after {
            counter.wait_until = wait.before;
        }
        if counter.failures == 0 {
            self.entries.remove(key);
        }
    }

    /// Removes expired counters. If that is not enough, removes the quarter with the fewest and oldest failures. So a
    /// flood of new names cannot remove the counter of an account under attack.
    fn make_room(&mut self, now: UnixTime) {
        let policy = self.policy;
        self.entries.retain(|_, counter| {
            counter.forget(&policy, now);
            counter.failures > 0
        });
        let quarter = policy.capacity / 4;
        if self.entries.len() + quarter <= policy.capacity {
            return;
        }
        let mut order: Vec<_> = self
            .entries
            .iter()
            .map(|(key, counter)| (counter.failures, counter.forgetting_since, *key))
            .collect();
        order.select_nth_unstable_by_key(quarter, |&(failures, since, _)| (failures, since));
        for (_, _, key) in order.iter().take(quarter.max(1)) {
            self.entries.remove(key);
        }
    }
}

impl Counter {
    fn forget(&mut self, policy: &Policy, now: UnixTime) {
        let forgotten = now.saturating_sub(self.forgetting_since).max(0) / policy.forget_after;
        self.failures = self.failures.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
        self.forgetting_since += forgotten * policy.forget_after;
    }
}

impl Policy {
    fn wait_after(&self, doublings: u32) -> i64 {
        1_i64
            .checked_shl(doublings)
            .filter(|factor| *factor > 0)
            .map_or(self.longest_wait, |factor| self.first_wait.saturating_mul(factor))
            .min(self.longest_wait)
    }

    /// The number of failures after which the wait no longer grows.
    fn max_failures(&self) -> u32 {
        self.free + (self.longest_wait / self.first_wait).max(1).ilog2() + 1
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

    fn throttle() -> (Throttle, Clock) {
        let clock = Clock::manual(1_000_000);
        (Throttle::new(clock.clone()), clock)
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))
    }

    fn fail(throttle: &Throttle, account: &str, address: IpAddr) {
        drop(throttle.admit(account, address, None).unwrap());
    }

    #[test]
    fn guessing_delays_the_attacker_and_not_the_owner() {
        let (throttle, clock) = throttle();
        for _ in 0..4 {
            fail(&throttle, "ada@example.com", HOME);
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            fail(&throttle, "ada@example.com", HOME);
            let Throttled { retry_after } =
                throttle.admit("Ada@Example.com ", HOME, None).expect_err("the attacker waits");
            waits.push(retry_after);
            clock.advance(retry_after - 1);
            assert_eq!(throttle.admit("ada@example.com", HOME, None).unwrap_err().retry_after, 1);
            throttle.admit("ada@example.com", address(1), None).unwrap().withdrawn();
            clock.advance(1);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        fail(&throttle, "grace@example.com", HOME);
        // For a day, as fast as the limit allows: the owner is never locked out.
        for _ in 0..24 * 4 {
            fail(&throttle, "ada@example.com", HOME);
            throttle.admit("ada@example.com", address(1), None).unwrap().succeeded();
            clock.advance(900);
        }
    }

    #[test]
    fn guessing_from_many_addresses_delays_only_unknown_browsers() {
        let (throttle, clock) = throttle();
        for number in 0..49 {
            fail(&throttle, "ada@example.com", address(number));
        }
        let mut waits = Vec::new();
        for number in 49..60 {
            fail(&throttle, "ada@example.com", address(number));
            let waiting = throttle.admit("ada@example.com", address(1000), None).unwrap_err();
            waits.push(waiting.retry_after);
            throttle.admit("ada@example.com", address(1000), Some([7; 16])).unwrap().succeeded();
            clock.advance(waiting.retry_after);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        // The owner's success does not let the attackers continue.
        throttle.admit("ada@example.com", address(1000), None).unwrap().succeeded();
        fail(&throttle, "ada@example.com", address(1001));
        assert_eq!(throttle.admit("ada@example.com", address(1002), None).unwrap_err().retry_after, 300);
    }

    #[test]
    fn a_known_browser_has_a_limit_too() {
        let (throttle, _clock) = throttle();
        for number in 0..5 {
            drop(throttle.admit("ada@example.com", address(number), Some([7; 16])).unwrap());
        }
        assert_eq!(throttle.admit("ada@example.com", HOME, Some([7; 16])).unwrap_err().retry_after, 2);
        throttle.admit("ada@example.com", HOME, Some([8; 16])).unwrap().withdrawn();
        throttle.admit("ada@example.com", address(1), None).unwrap().succeeded();
    }

    #[test]
    fn an_address_is_slowed_down_and_ipv6_counts_by_64_bits() {
        for many in [|_| HOME, |n| format!("2001:db8::{n:x}").parse().unwrap()] {
            let (throttle, clock) = throttle();
            for number in 0..100 {
                fail(&throttle, &format!("{number}@example.com"), many(number));
            }
            // An account that has failed there waits.
            let again = |number: u32| throttle.admit(&format!("{number}@example.com"), many(999), None);
            assert_eq!(again(7).unwrap_err().retry_after, 2);
            // At another address it does not wait.
            fail(&throttle, "7@example.com", "2001:db8:0:1::1".parse().unwrap());
            // Other accounts there are admitted, also after hundreds of failures.
            for number in 100..1000 {
                throttle.admit("grace@example.com", many(number), None).unwrap().succeeded();
                fail(&throttle, &format!("{number}@example.com"), many(number));
                assert!(again(number).is_err(), "one password at many accounts is one attempt at each");
            }
            assert_eq!(again(7).unwrap_err().retry_after, 60);
            // After one mistake an account has failed there too.
            fail(&throttle, "grace@example.com", many(0));
            assert_eq!(throttle.admit("grace@example.com", many(0), None).unwrap_err().retry_after, 60);
            clock.advance(60);
            throttle.admit("grace@example.com", many(0), None).unwrap().succeeded();
        }
        let mapped = AddressBlock::of("::ffff:203.0.113.9".parse().unwrap());
        assert_eq!(mapped, AddressBlock::of(HOME));
    }

    #[test]
    fn a_slowed_address_admits_one_attempt_at_a_time() {
        let (throttle, _clock) = throttle();
        for number in 0..100 {
            fail(&throttle, &format!("{number}@example.com"), HOME);
        }
        for end in 0..3 {
            let first = throttle.admit("ada@example.com", HOME, None).unwrap();
            assert_eq!(
                throttle.admit("grace@example.com", HOME, None).unwrap_err().retry_after,
                LANE_WAIT_SECONDS
            );
            fail(&throttle, "grace@example.com", address(1));
            throttle.admit("grace@example.com", HOME, Some([7; 16])).unwrap().withdrawn();
            match end {
                0 => first.succeeded(),
                1 => first.withdrawn(),
                _ => drop(first),
            }
            throttle.admit("grace@example.com", HOME, None).unwrap().withdrawn();
        }
    }

    #[test]
    fn a_sign_in_does_not_reset_the_address() {
        let (throttle, clock) = throttle();
        for number in 0..200 {
            fail(&throttle, &format!("{number}@example.com"), HOME);
        }
        for _ in 0..200 {
            throttle.admit("mallory@example.com", HOME, None).unwrap().succeeded();
        }
        clock.advance(60);
        fail(&throttle, "0@example.com", HOME);
        assert_eq!(throttle.admit("0@example.com", HOME, None).unwrap_err().retry_after, 60);
    }

    #[test]
    fn simultaneous_attempts_do_not_exceed_the_limit() {
        let (throttle, _clock) = throttle();
        let admitted: Vec<_> =
            (0..50).filter_map(|_| throttle.admit("ada@example.com", HOME, None).ok()).collect();
        assert_eq!(admitted.len(), 5);
    }

    #[test]
    fn success_resets_the_account_and_not_the_address() {
        let (throttle, _clock) = throttle();
        for _ in 0..4 {
            fail(&throttle, "ada@example.com", HOME);
        }
        throttle.admit("ada@example.com", HOME, None).unwrap().succeeded();
        for _ in 0..4 {
            fail(&throttle, "ada@example.com", HOME);
        }
        throttle.admit("ada@example.com", HOME, None).unwrap().succeeded();
        for number in 0..92 {
            fail(&throttle, &format!("{number}@example.com"), HOME);
        }
        // A hundred failures; the owner of one account signs in between them.
        assert!(throttle.admit("0@example.com", HOME, None).is_err());
        for _ in 0..3 {
            throttle.admit("ada@example.com", HOME, None).unwrap().succeeded();
        }
    }

    #[test]
    fn a_success_keeps_the_wait_that_a_later_failure_caused() {
        let (throttle, _clock) = throttle();
        let own = throttle.admit("mallory@example.com", HOME, None).unwrap();
        for number in 0..99 {
            fail(&throttle, &format!("{number}@example.com"), HOME);
        }
        own.succeeded();
        assert!(throttle.admit("0@example.com", HOME, None).is_err());
    }

    #[test]
    fn a_withdrawn_attempt_does_not_count() {
        let (throttle, _clock) = throttle();
        for _ in 0..100 {
            throttle.admit("ada@example.com", HOME, None).unwrap().withdrawn();
        }
        for _ in 0..100 {
            throttle.admit("ada@example.com", HOME, Some([7; 16])).unwrap().withdrawn();
        }
        let counters = throttle.counters();
        assert!(counters.accounts.entries.is_empty() && counters.addresses.entries.is_empty());
        assert!(counters.pairs.entries.is_empty() && counters.browsers.entries.is_empty());
    }

    #[test]
    fn failures_are_forgotten_one_by_one() {
        let (throttle, clock) = throttle();
        for _ in 0..4 {
            fail(&throttle, "ada@example.com", HOME);
        }
        clock.advance(600);
        fail(&throttle, "ada@example.com", HOME);
        assert!(throttle.admit("ada@example.com", HOME, None).is_ok(), "one failure was forgotten");
        clock.advance(10 * 600);
        for _ in 0..5 {
            fail(&throttle, "ada@example.com", HOME);
        }
    }

    #[test]
    fn a_clock_set_back_causes_no_long_wait() {
        let (throttle, clock) = throttle();
        for _ in 0..5 {
            fail(&throttle, "ada@example.com", HOME);
        }
        clock.advance(-500_000);
        assert_eq!(throttle.admit("ada@example.com", HOME, None).unwrap_err().retry_after, 900);
    }

    #[test]
    fn memory_is_bounded_and_a_flood_keeps_the_counter_of_an_attacked_account() {
        let (throttle, _clock) = throttle();
        for number in 0..50 {
            fail(&throttle, "ada@example.com", address(number));
        }
        for number in 0..60_000 {
            fail(&throttle, &format!("{number}@example.com"), address(100 + number));
            let counters = throttle.counters();
            assert!(counters.accounts.entries.len() <= BY_ACCOUNT.capacity);
            assert!(counters.addresses.entries.len() <= BY_ADDRESS.capacity);
            assert!(counters.pairs.entries.len() <= BY_ONE.capacity);
        }
        assert!(throttle.admit("ada@example.com", address(99_999), None).is_err());
    }
}
