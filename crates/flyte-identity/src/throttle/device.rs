//! Slows down guessing at user codes, and flooding the server with devices (RFC 8628 sections 5.1 and 5.2).
//!
//! Attempts count before the code is looked up, as those to sign in do. They are counted apart from those: who mistypes
//! a code is not kept out of signing in.

use super::{AccountKey, Counters, IpAddr, Policy, Throttle, Throttled, Wait, account_key};
use flyte_model::AddressBlock;
use flyte_secrets::SecretHash;

/// Somebody who mistypes waits seconds; somebody who guesses gets about three tries an hour.
const BY_ACCOUNT: Policy =
    Policy { free: 5, first_wait: 2, longest_wait: 900, forget_after: 600, capacity: 20_000 };

/// All accounts at one address, which many share. It is for those of them that have failed: guessing takes an account, and a
/// few tries each is all that accounts get.
const BY_ADDRESS: Policy =
    Policy { free: 20, first_wait: 2, longest_wait: 900, forget_after: 30, capacity: 20_000 };

/// A person looks at a code a few times. One that is looked at again and again has been sent around.
const BY_CODE: Policy =
    Policy { free: 10, first_wait: 2, longest_wait: 900, forget_after: 60, capacity: 20_000 };

/// A device asks once for each sign-in; an office, or a machine that many share, starts some at a time.
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

/// A look at a user code that is under way. Dropping it leaves it counted as a guess that failed.
#[derive(Debug)]
#[must_use]
pub struct CodeAttempt<'a> {
    throttle: &'a Throttle,
    account: (AccountKey, Wait),
    address: (AddressBlock, Wait),
    code: (SecretHash, Wait),
}

impl Throttle {
    /// Admits a look at the device that waits with a user code (its hash, of a real one or not) by the person with this
    /// identifier.
    ///
    /// # Errors
    /// [`Throttled`] while the account or the code has to wait, or the address, and the account has failed lately; waiting does
    /// not lengthen the wait.
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

    /// Admits one more device that asks for codes from this address.
    ///
    /// # Errors
    /// [`Throttled`] while the address has to wait.
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
    /// There is such a device: nobody guessed. The account does not start afresh, or else whoever has a device of their
    /// own could guess at others' for ever; and the code stays counted, for it was looked at.
    pub fn found(self) {
        let mut counters = self.throttle.device_counters();
        counters.accounts.forgive(&self.account);
        counters.addresses.forgive(&self.address);
    }

    /// Nothing was looked up: nothing happened.
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
    fn an_account_an_address_and_a_code_wait_each() {
        let (throttle, _) = throttle();
        let admitted = (0..50).filter(|n| guess(&throttle, "ada", address(*n), code(*n))).count();
        assert_eq!(admitted, 5, "by account");
        let two_each = |n: &u32| guess(&throttle, &(n / 2).to_string(), HOME, code(100 + *n));
        assert_eq!(
            (0..100).filter(two_each).count(),
            60,
            "by address: the second look of those after the first ten"
        );
        throttle.admit_user_code("grace", HOME, code(1000)).unwrap().found();
        let admitted =
            (0..50).filter(|n| guess(&throttle, &n.to_string(), address(100 + n), code(999))).count();
        assert_eq!(admitted, 10, "by code");
        assert!(throttle.admit("ada", HOME, None).is_ok(), "signing in is counted apart");
    }

    #[test]
    fn finding_a_device_is_no_guess_but_no_licence_either() {
        let (throttle, _) = throttle();
        for _ in 0..4 {
            assert!(guess(&throttle, "ada", HOME, code(1)));
        }
        for number in 0..8 {
            throttle.admit_user_code("ada", HOME, code(10 + number)).unwrap().found();
        }
        assert!(guess(&throttle, "ada", HOME, code(1)), "the fifth guess");
        assert!(!guess(&throttle, "ada", HOME, code(2)));
        // A code that everybody has been sent.
        let looks = (0..50).filter(|n| {
            let attempt = throttle.admit_user_code(&n.to_string(), address(*n), code(3));
            attempt.map(CodeAttempt::found).is_ok()
        });
        assert_eq!(looks.count(), 10);
    }

    #[test]
    fn an_attempt_that_was_not_made_does_not_count() {
        let (throttle, _) = throttle();
        for _ in 0..100 {
            throttle.admit_user_code("ada", HOME, code(1)).unwrap().withdrawn();
        }
    }

    #[test]
    fn an_address_starts_some_devices_at_a_time() {
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
