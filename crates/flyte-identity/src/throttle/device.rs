//! Limits the guessing of user codes, and the number of new devices (RFC 8628 sections 5.1 and 5.2).
//!
//! An attempt is counted before the code is looked up, as for sign-ins. The counters are separate, so a mistyped code
//! does not delay a sign-in.

use super::{AccountKey, IpAddr, Throttle, Throttled, account_key};
use crate::counter::{Counters, Policy, Wait};
use flyte_model::AddressBlock;
use flyte_secrets::SecretHash;

/// After a few mistyped codes a person waits for seconds; an attacker gets about three attempts an hour.
const BY_ACCOUNT: Policy =
    Policy { free: 5, first_wait: 2, longest_wait: 900, forget_after: 600, capacity: 20_000 };

/// All accounts at one address, which many users may share. It delays only accounts that have failed: guessing
/// requires an account, and each account gets few attempts.
const BY_ADDRESS: Policy =
    Policy { free: 20, first_wait: 2, longest_wait: 900, forget_after: 30, capacity: 20_000 };

/// A person looks at a code a few times. A code that is looked up many times has been passed around.
const BY_CODE: Policy =
    Policy { free: 10, first_wait: 2, longest_wait: 900, forget_after: 60, capacity: 20_000 };

/// A device sends one request for each sign-in. An office or a shared machine starts several at the same time.
const BY_DEVICE: Policy =
    Policy { free: 30, first_wait: 2, longest_wait: 60, forget_after: 5, capacity: 20_000 };

/// The counters of the device flow.
pub(super) struct DeviceCounters {
    accounts: Counters<AccountKey>,
    addresses: Counters<AddressBlock>,
    codes: Counters<SecretHash>,
    devices: Counters<AddressBlock>,
}

impl DeviceCounters {
    pub(super) fn new() -> Self {
        Self {
            accounts: Counters::new(BY_ACCOUNT),
            addresses: Counters::new(BY_ADDRESS),
            codes: Counters::new(BY_CODE),
            devices: Counters::new(BY_DEVICE),
        }
    }
}

/// A lookup of a user code in progress. If it is dropped, it counts as a failed guess.
#[derive(Debug)]
#[must_use]
pub struct CodeAttempt<'a> {
    throttle: &'a Throttle,
    account: (AccountKey, Wait),
    address: (AddressBlock, Wait),
    code: (SecretHash, Wait),
}

impl Throttle {
    /// Admits a lookup of a user code by a user. `code` is the hash of the code, which may not exist.
    ///
    /// # Errors
    /// [`Throttled`] while the account or the code must wait, or the address must wait and the account has failed
    /// recently. Attempts during the wait do not extend it.
    pub fn admit_user_code(
        &self,
        user_id: &str,
        address: IpAddr,
        code: SecretHash,
    ) -> Result<CodeAttempt<'_>, Throttled> {
        let now = self.clock.now();
        let (account, address) = (account_key(user_id), AddressBlock::of(address));
        let mut counters = self.device_counters();
        let wait = counters.accounts.wait(&account, now).max(counters.codes.wait(&code, now));
        let wait = if counters.accounts.has_failed(&account, now) {
            wait.max(counters.addresses.wait(&address, now))
        } else {
            wait
        };
        if wait > 0 {
            return Err(Throttled { retry_after: wait });
        }
        let account = (account, counters.accounts.count(account, now));
        let address = (address, counters.addresses.count(address, now));
        let code = (code, counters.codes.count(code, now));
        Ok(CodeAttempt { throttle: self, account, address, code })
    }

    /// Admits one more device authorization request from this address.
    ///
    /// # Errors
    /// [`Throttled`] while the address must wait.
    pub fn admit_device(&self, address: IpAddr) -> Result<(), Throttled> {
        let now = self.clock.now();
        let address = AddressBlock::of(address);
        let mut counters = self.device_counters();
        let wait = counters.devices.wait(&address, now);
        if wait > 0 {
            return Err(Throttled { retry_after: wait });
        }
        counters.devices.count(address, now);
        Ok(())
    }
}

impl CodeAttempt<'_> {
    /// The code belongs to a device, so this was not a guess. Earlier failures of the account remain: otherwise a
    /// user could reset them with a device of their own and guess other codes for ever. The code stays counted,
    /// because it was looked up.
    pub fn found(self) {
        let mut counters = self.throttle.device_counters();
        counters.accounts.forgive(&self.account);
        counters.addresses.forgive(&self.address);
    }

    /// The code was not looked up, so the attempt does not count.
    pub fn withdrawn(self) {
        let mut counters = self.throttle.device_counters();
        counters.accounts.forgive(&self.account);
        counters.addresses.forgive(&self.address);
        counters.codes.forgive(&self.code);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use flyte_model::clock::Clock;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

    fn throttle() -> (Throttle, Clock) {
        let clock = Clock::manual(1_000_000);
        (Throttle::new(clock.clone()), clock)
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))
    }

    fn code(number: u32) -> SecretHash {
        let mut code = [0; 32];
        code[..4].copy_from_slice(&number.to_be_bytes());
        code
    }

    fn guess(throttle: &Throttle, user: &str, address: IpAddr, code: SecretHash) -> bool {
        throttle.admit_user_code(user, address, code).is_ok()
    }

    #[test]
    fn accounts_addresses_and_codes_have_separate_waits() {
        let (throttle, _) = throttle();
        let admitted = (0..50).filter(|n| guess(&throttle, "ada", address(*n), code(*n))).count();
        assert_eq!(admitted, 5, "by account");
        let two_each = |n: &u32| guess(&throttle, &(n / 2).to_string(), HOME, code(100 + *n));
        assert_eq!(
            (0..100).filter(two_each).count(),
            60,
            "by address: the second lookup of the accounts after the first ten"
        );
        throttle.admit_user_code("grace", HOME, code(1000)).unwrap().found();
        let admitted =
            (0..50).filter(|n| guess(&throttle, &n.to_string(), address(100 + n), code(999))).count();
        assert_eq!(admitted, 10, "by code");
        assert!(throttle.admit("ada", HOME, None).is_ok(), "sign-ins are counted separately");
    }

    #[test]
    fn a_found_device_is_not_a_failure_and_resets_nothing() {
        let (throttle, _) = throttle();
        for _ in 0..4 {
            assert!(guess(&throttle, "ada", HOME, code(1)));
        }
        for number in 0..8 {
            throttle.admit_user_code("ada", HOME, code(10 + number)).unwrap().found();
        }
        assert!(guess(&throttle, "ada", HOME, code(1)), "the fifth guess");
        assert!(!guess(&throttle, "ada", HOME, code(2)));
        // A code that was sent to many people.
        let looks = (0..50).filter(|n| {
            let attempt = throttle.admit_user_code(&n.to_string(), address(*n), code(3));
            attempt.map(CodeAttempt::found).is_ok()
        });
        assert_eq!(looks.count(), 10);
    }

    #[test]
    fn a_withdrawn_attempt_does_not_count() {
        let (throttle, _) = throttle();
        for _ in 0..100 {
            throttle.admit_user_code("ada", HOME, code(1)).unwrap().withdrawn();
        }
    }

    #[test]
    fn an_address_may_start_several_devices_at_once() {
        let (throttle, clock) = throttle();
        let asked = |address| (0..100).filter(|_| throttle.admit_device(address).is_ok()).count();
        assert_eq!(asked(HOME), 30);
        assert_eq!(throttle.admit_device(HOME), Err(Throttled { retry_after: 2 }));
        assert_eq!(asked(address(1)), 30);
        clock.advance(2);
        assert_eq!(asked(HOME), 1);
        clock.advance(3600);
        assert_eq!(asked(HOME), 30);
    }
}
