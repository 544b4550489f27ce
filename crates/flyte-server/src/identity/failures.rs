//! Counts failures by address alone, for requests of programs: what they prove themselves with cannot be guessed, so that a
//! limit only keeps the noise down, and never counts a request before it has failed.

use std::{
    fmt,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::throttle::{AddressBlock, Counters, Policy, Throttled};
use crate::clock::Clock;

/// Many programs share an address, and one that is set up wrongly must not keep the others waiting for long.
const BY_ADDRESS: Policy =
    Policy { free: 100, first_wait: 1, longest_wait: 60, forget_after: 1, capacity: 20_000 };

/// Failures of each address.
pub struct Failures {
    clock: Clock,
    addresses: Mutex<Counters<AddressBlock>>,
}

impl Failures {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, addresses: Mutex::new(Counters::new(BY_ADDRESS)) }
    }

    /// Whether `address` may try.
    ///
    /// # Errors
    /// [`Throttled`] while it has to wait; waiting does not lengthen the wait.
    pub fn check(&self, address: IpAddr) -> Result<(), Throttled> {
        match self.addresses().wait(&AddressBlock::of(address), self.clock.now()) {
            0 => Ok(()),
            retry_after => Err(Throttled { retry_after }),
        }
    }

    /// Counts a failure of `address`.
    pub fn count(&self, address: IpAddr) {
        let _ = self.addresses().count(AddressBlock::of(address), self.clock.now());
    }

    fn addresses(&self) -> MutexGuard<'_, Counters<AddressBlock>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_keeps_failing_waits_and_others_do_not() {
        let clock = Clock::manual(1_800_000_000);
        let failures = Failures::new(clock.clone());
        let (noisy, quiet) = ("203.0.113.1".parse().unwrap(), "203.0.113.2".parse().unwrap());
        for _ in 0..100 {
            assert_eq!(failures.check(noisy), Ok(()));
            failures.count(noisy);
        }
        assert_eq!(failures.check(noisy), Err(Throttled { retry_after: 1 }));
        assert_eq!(failures.check(quiet), Ok(()));
        for _ in 0..50 {
            failures.count(noisy);
        }
        assert_eq!(failures.check(noisy), Err(Throttled { retry_after: 60 }), "never for long");
        clock.advance(60);
        assert_eq!(failures.check(noisy), Ok(()));
    }
}
