//! Counts authentication failures of clients, by client and address. Client secrets cannot be guessed, so the limit
//! only reduces load. It applies to failed requests; a request that authenticates is never refused.

use std::{
    fmt,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};

use super::{
    counter::{Counters, Policy},
    throttle::Throttled,
};
use flyte_model::AddressBlock;
use flyte_model::clock::Clock;

/// One client at one address.
const BY_CLIENT: Policy =
    Policy { free: 100, first_wait: 1, longest_wait: 60, forget_after: 1, capacity: 20_000 };

/// All clients at one address. Many programs may share it, and a misconfigured program must not hide the error
/// messages of the others. This limit is for programs that use another client ID each time.
const BY_ADDRESS: Policy =
    Policy { free: 1000, first_wait: 1, longest_wait: 60, forget_after: 1, capacity: 20_000 };

/// Counts failures by client and address.
pub struct Failures {
    clock: Clock,
    counters: Mutex<FailureCounters>,
}

struct FailureCounters {
    clients: Counters<([u8; 32], AddressBlock)>,
    addresses: Counters<AddressBlock>,
}

impl Failures {
    /// Starts without failures.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let counters =
            FailureCounters { clients: Counters::new(BY_CLIENT), addresses: Counters::new(BY_ADDRESS) };
        Self { clock, counters: Mutex::new(counters) }
    }

    /// Counts a failure at `address` of a client with the client ID `client`.
    ///
    /// # Errors
    /// [`Throttled`] if the client must wait. Failures during the wait do not extend it.
    pub fn count(&self, client: &str, address: IpAddr) -> Result<(), Throttled> {
        let now = self.clock.now();
        let address = AddressBlock::of(address);
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, client.as_bytes()).as_ref());
        let client = (name, address);
        let mut counters = self.counters();
        match counters.clients.wait(&client, now).max(counters.addresses.wait(&address, now)) {
            0 => {
                let _ = counters.clients.count(client, now);
                let _ = counters.addresses.count(address, now);
                Ok(())
            }
            retry_after => Err(Throttled { retry_after }),
        }
    }

    fn counters(&self) -> MutexGuard<'_, FailureCounters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_client_that_keeps_failing_waits_and_others_do_not() {
        let clock = Clock::manual(1_800_000_000);
        let failures = Failures::new(clock.clone());
        let (noisy, quiet) = ("203.0.113.1".parse().unwrap(), "203.0.113.2".parse().unwrap());
        for _ in 0..100 {
            assert_eq!(failures.count("ci", noisy), Ok(()));
        }
        assert_eq!(failures.count("ci", noisy), Err(Throttled { retry_after: 1 }));
        assert_eq!(failures.count("cd", noisy), Ok(()), "another client, at the same address");
        assert_eq!(failures.count("ci", quiet), Ok(()), "the same client, at another address");
        clock.advance(1);
        assert_eq!(failures.count("ci", noisy), Ok(()));
    }

    #[test]
    fn changing_the_client_id_does_not_avoid_the_wait() {
        let failures = Failures::new(Clock::manual(1_800_000_000));
        let address = "203.0.113.1".parse().unwrap();
        let admitted = (0..2000).filter(|n| failures.count(&n.to_string(), address).is_ok()).count();
        assert_eq!(admitted, 1000);
    }

    #[test]
    fn the_wait_is_short() {
        let clock = Clock::manual(1_800_000_000);
        let failures = Failures::new(clock.clone());
        let address = "203.0.113.1".parse().unwrap();
        let mut longest = 0;
        for _ in 0..1000 {
            if let Err(throttled) = failures.count("ci", address) {
                longest = longest.max(throttled.retry_after);
                clock.advance(throttled.retry_after);
            }
        }
        assert_eq!(longest, 60);
    }
}
