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
//! or not, so a limit does not reveal which accounts exist. `device` counts user codes of devices,
//! and the module `counter` has the counters of both.

mod device;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fmt,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};

pub use self::device::CodeAttempt;
use self::device::DeviceCounters;
use super::{
    counter::{Counters, Policy, Wait},
    known_browser::BrowserId,
};
use flyte_model::AddressBlock;
use flyte_model::clock::Clock;

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
                counters.browsers.clear(&browser.0);
            }
            Counted::Stranger { pair, account, address } => {
                counters.pairs.clear(&pair.0);
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
