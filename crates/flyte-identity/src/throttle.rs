//! Slows down guessing, by account and by address.
//!
//! Whoever guesses at an account waits long, but mostly themselves: failures are counted for the account and the address
//! together, and only what comes from many addresses adds up to a wait for all strangers. A browser in which the person has
//! signed in before (`known_browser`) has a count of its own, and neither waits for anybody else.
//!
//! An address as a whole is only braked: however many fail there, at whatever accounts, somebody at whose account nobody
//! there has failed lately is let try, one such person at a time. Whoever is right then signs in, and whoever tries one
//! password at many accounts gets one try at each and takes one processor at most.
//!
//! Each attempt is counted as a failure *before* the password is verified and forgiven when it turns out right, so that
//! attempts made at the same time cannot slip past the limit together. Accounts are counted by what was typed, whether
//! or not it is an account, so that a limit says nothing about who exists here. `device` counts codes of devices.

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

/// How failures of one kind are counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Failures before the first wait.
    pub(super) free: u32,
    /// Seconds of the first wait; each further failure doubles it.
    pub(super) first_wait: i64,
    /// Seconds of the longest wait.
    pub(super) longest_wait: i64,
    /// Seconds, counted from the end of the wait, after which one failure is forgotten.
    pub(super) forget_after: i64,
    /// The most counters kept.
    pub(super) capacity: usize,
}

/// At one account from one address, or from one known browser: somebody who mistypes waits seconds; somebody who guesses
/// gets about three tries an hour.
const BY_ONE: Policy =
    Policy { free: 5, first_wait: 2, longest_wait: 900, forget_after: 600, capacity: 20_000 };

/// At one account from everywhere. One address that never tires stays below it for ever; thousands that conspire get twelve
/// tries an hour.
const BY_ACCOUNT: Policy =
    Policy { free: 50, first_wait: 2, longest_wait: 300, forget_after: 60, capacity: 20_000 };

/// At all accounts from one address, which many share.
const BY_ADDRESS: Policy =
    Policy { free: 100, first_wait: 2, longest_wait: 60, forget_after: 5, capacity: 20_000 };
/// Seconds after which to come again while somebody else at a braked address is let try.
const LANE_WAIT: i64 = 1;

/// Counts failed attempts, and tells who has to wait.
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
    /// The braked addresses at which somebody is let try all the same.
    lanes: HashSet<AddressBlock>,
}

/// SHA-256 of the e-mail address in lower case: of one size, and nobody's data.
type AccountKey = [u8; 32];

/// Too many attempts failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many failed attempts; try again in {retry_after} s")]
pub struct Throttled {
    /// Seconds to wait.
    pub retry_after: i64,
}

/// An attempt that is under way. Dropping it leaves it counted as failed.
#[derive(Debug)]
#[must_use]
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    counted: Counted,
    lane: Option<AddressBlock>,
}

/// Where an attempt is counted.
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
    /// Nobody has failed yet.
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

    /// Admits an attempt to sign in to `account` (an e-mail address in any case, existing or not) from `address`, or in a
    /// browser that is known to the account.
    ///
    /// # Errors
    /// [`Throttled`] while the browser or, where it is not known, account or address have to wait; waiting does not lengthen
    /// the wait.
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
                        if counters.lanes.contains(&address) { LANE_WAIT } else { 0 }
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
        // The counters are whole between any two statements: a panic elsewhere leaves nothing half done.
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn device_counters(&self) -> MutexGuard<'_, DeviceCounters> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The password was right: who knows it starts afresh. The account and the address are only forgiven this attempt, or
    /// else the owner's sign-ins would let others guess on, and whoever has one account could guess at the others for ever.
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

    /// The password was not looked at: nothing happened.
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
    /// No attempt before this.
    wait_until: UnixTime,
    /// From when on the next failure is being forgotten.
    forgetting_since: UnixTime,
}

/// Until when a counter's owner had to wait before and after a failure was counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    before: UnixTime,
    after: UnixTime,
    /// Whether it is one failure more: those beyond the longest wait are not.
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

    /// Seconds that `key` has to wait.
    pub(super) fn wait(&self, key: &K, now: UnixTime) -> i64 {
        let until = self.entries.get(key).map_or(now, |counter| counter.wait_until);
        // Bounded also when the clock was set back.
        until.saturating_sub(now).clamp(0, self.policy.longest_wait)
    }

    /// Whether a failure of `key` is still remembered.
    fn has_failed(&self, key: &K, now: UnixTime) -> bool {
        self.entries.get(key).is_some_and(|counter| {
            let mut counter = *counter;
            counter.forget(&self.policy, now);
            counter.failures > 0
        })
    }

    /// Counts a failure; returns what it did to the wait.
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
        counter.failures = (failures + 1).min(policy.most_failures());
        let counted = counter.failures > failures;
        if let Some(doublings) = counter.failures.checked_sub(policy.free) {
            counter.wait_until = now.saturating_add(policy.wait_after(doublings));
        }
        counter.forgetting_since = counter.wait_until.max(now);
        Wait { before, after: counter.wait_until, counted }
    }

    /// Takes back one failure and the wait that it imposed, but not one that a later failure imposed.
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

    /// Removes what is forgotten and, where that is not enough, the quarter with the fewest and oldest failures: a flood
    /// of fresh names cannot push out the counter of an account under attack.
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

    /// Failures beyond which the wait grows no longer, and which take no longer to be forgotten.
    fn most_failures(&self) -> u32 {
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
    fn who_guesses_at_an_account_waits_ever_longer_and_nobody_else() {
        let (throttle, clock) = throttle();
        for _ in 0..4 {
            fail(&throttle, "ada@example.com", HOME);
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            fail(&throttle, "ada@example.com", HOME);
            let Throttled { retry_after } =
                throttle.admit("Ada@Example.com ", HOME, None).expect_err("who guesses waits");
            waits.push(retry_after);
            clock.advance(retry_after - 1);
            assert_eq!(throttle.admit("ada@example.com", HOME, None).unwrap_err().retry_after, 1);
            throttle.admit("ada@example.com", address(1), None).unwrap().withdrawn();
            clock.advance(1);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        fail(&throttle, "grace@example.com", HOME);
        // For a day, as fast as it is let: the owner is never kept out.
        for _ in 0..24 * 4 {
            fail(&throttle, "ada@example.com", HOME);
            throttle.admit("ada@example.com", address(1), None).unwrap().succeeded();
            clock.advance(900);
        }
    }

    #[test]
    fn guessing_from_everywhere_makes_strangers_wait_and_not_known_browsers() {
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
        // The owner's success does not let the others guess on.
        throttle.admit("ada@example.com", address(1000), None).unwrap().succeeded();
        fail(&throttle, "ada@example.com", address(1001));
        assert_eq!(throttle.admit("ada@example.com", address(1002), None).unwrap_err().retry_after, 300);
    }

    #[test]
    fn a_known_browser_is_no_licence_to_guess() {
        let (throttle, _clock) = throttle();
        for number in 0..5 {
            drop(throttle.admit("ada@example.com", address(number), Some([7; 16])).unwrap());
        }
        assert_eq!(throttle.admit("ada@example.com", HOME, Some([7; 16])).unwrap_err().retry_after, 2);
        throttle.admit("ada@example.com", HOME, Some([8; 16])).unwrap().withdrawn();
        throttle.admit("ada@example.com", address(1), None).unwrap().succeeded();
    }

    #[test]
    fn an_address_is_braked_and_ipv6_by_64_bits() {
        for many in [|_| HOME, |n| format!("2001:db8::{n:x}").parse().unwrap()] {
            let (throttle, clock) = throttle();
            for number in 0..100 {
                fail(&throttle, &format!("{number}@example.com"), many(number));
            }
            // Who has failed there waits.
            let again = |number: u32| throttle.admit(&format!("{number}@example.com"), many(999), None);
            assert_eq!(again(7).unwrap_err().retry_after, 2);
            // Elsewhere nobody does.
            fail(&throttle, "7@example.com", "2001:db8:0:1::1".parse().unwrap());
            // Others there pass, also after hundreds more have failed.
            for number in 100..1000 {
                throttle.admit("grace@example.com", many(number), None).unwrap().succeeded();
                fail(&throttle, &format!("{number}@example.com"), many(number));
                assert!(again(number).is_err(), "one password at many accounts is one try at each");
            }
            assert_eq!(again(7).unwrap_err().retry_after, 60);
            // A mistake makes one of those who have failed there.
            fail(&throttle, "grace@example.com", many(0));
            assert_eq!(throttle.admit("grace@example.com", many(0), None).unwrap_err().retry_after, 60);
            clock.advance(60);
            throttle.admit("grace@example.com", many(0), None).unwrap().succeeded();
        }
        let mapped = AddressBlock::of("::ffff:203.0.113.9".parse().unwrap());
        assert_eq!(mapped, AddressBlock::of(HOME));
    }

    #[test]
    fn one_at_a_time_is_let_try_at_a_braked_address() {
        let (throttle, _clock) = throttle();
        for number in 0..100 {
            fail(&throttle, &format!("{number}@example.com"), HOME);
        }
        for end in 0..3 {
            let first = throttle.admit("ada@example.com", HOME, None).unwrap();
            assert_eq!(throttle.admit("grace@example.com", HOME, None).unwrap_err().retry_after, LANE_WAIT);
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
    fn who_signs_in_does_not_lift_the_brake() {
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
    fn attempts_at_the_same_time_do_not_slip_past() {
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
        // A hundred failures, between which the owner of one account signed in.
        assert!(throttle.admit("0@example.com", HOME, None).is_err());
        for _ in 0..3 {
            throttle.admit("ada@example.com", HOME, None).unwrap().succeeded();
        }
    }

    #[test]
    fn a_success_does_not_lift_the_wait_that_a_later_failure_imposed() {
        let (throttle, _clock) = throttle();
        let own = throttle.admit("mallory@example.com", HOME, None).unwrap();
        for number in 0..99 {
            fail(&throttle, &format!("{number}@example.com"), HOME);
        }
        own.succeeded();
        assert!(throttle.admit("0@example.com", HOME, None).is_err());
    }

    #[test]
    fn an_attempt_that_was_not_made_does_not_count() {
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
    fn a_clock_set_back_locks_nobody_out_for_long() {
        let (throttle, clock) = throttle();
        for _ in 0..5 {
            fail(&throttle, "ada@example.com", HOME);
        }
        clock.advance(-500_000);
        assert_eq!(throttle.admit("ada@example.com", HOME, None).unwrap_err().retry_after, 900);
    }

    #[test]
    fn memory_is_bounded_and_a_flood_does_not_push_out_an_attacked_account() {
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
