//! Counts failures of programs by client and address. What they prove themselves with cannot be guessed, so that a limit only
//! keeps the noise down: it is for requests that have failed, and never in the way of one that proves itself.

use std::{
    fmt,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};

use super::throttle::{Counters, Policy, Throttled};
use flyte_model::AddressBlock;
use flyte_model::clock::Clock;

/// One client at one address.
const BY_CLIENT: Policy =
    Policy { free: 100, first_wait: 1, longest_wait: 60, forget_after: 1, capacity: 20_000 };

/// All clients at one address: many programs share it, and one that is set up wrongly must not hide from the others what is
/// wrong with them. It is for those that name another client each time.
const BY_ADDRESS: Policy =
    Policy { free: 1000, first_wait: 1, longest_wait: 60, forget_after: 1, capacity: 20_000 };

/// Failures of each client and address.
pub struct Failures {
    clock: Clock,
    counters: Mutex<FailureCounters>,
}

struct FailureCounters {
    clients: Counters<([u8; 32], AddressBlock)>,
    addresses: Counters<AddressBlock>,
}

impl Failures {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let counters =
            FailureCounters { clients: Counters::new(BY_CLIENT), addresses: Counters::new(BY_ADDRESS) };
        Self { clock, counters: Mutex::new(counters) }
    }

    /// Counts a failure of `client`, as it calls itself, at `address`.
    ///
    /// # Errors
    /// [`Throttled`] if it has failed so often that it should wait; a failure meanwhile does not lengthen the wait.
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
    fn who_names_another_client_each_time_waits_too() {
        let failures = Failures::new(Clock::manual(1_800_000_000));
        let address = "203.0.113.1".parse().unwrap();
        let told = (0..2000).filter(|n| failures.count(&n.to_string(), address).is_ok()).count();
        assert_eq!(told, 1000);
    }

    #[test]
    fn nobody_waits_long() {
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
