//! Shares of limited resources, so that no client can use all of them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use flyte_model::AddressBlock;

/// One client may hold a quarter. So it takes four clients together to block all others, and a client that shares its
/// address with many others still has enough.
const SHARES: usize = 4;

/// The amount of a limited resource, for example connections, that each client holds.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    held: Mutex<HashMap<AddressBlock, usize>>,
}

/// The share of one client. Dropping it returns the share.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    client: AddressBlock,
}

impl Shares {
    /// Creates shares of a quarter of `total`, but at least one, for each client.
    #[must_use]
    pub fn of(total: usize) -> Arc<Self> {
        Arc::new(Self { most: (total / SHARES).max(1), held: Mutex::default() })
    }

    /// Takes one more for the client at this address. Returns `None` if the client already holds its share.
    #[must_use]
    pub fn take(self: &Arc<Self>, client: IpAddr) -> Option<Share> {
        let client = AddressBlock::of(client);
        let mut held = self.held();
        let count = held.entry(client).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { shares: Arc::clone(self), client })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<AddressBlock, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        if let Some(count) = held.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_hold_more_than_its_share() {
        let shares = Shares::of(8);
        let [greedy, modest] = ["2001:db8::1", "203.0.113.9"].map(|text| text.parse::<IpAddr>().unwrap());
        let first = shares.take(greedy).unwrap();
        let _second = shares.take("2001:db8::2".parse().unwrap()).unwrap();
        assert!(shares.take(greedy).is_none(), "one client can use all addresses of a /64");
        let _other = shares.take(modest).unwrap();
        drop(first);
        let _again = shares.take(greedy).unwrap();
        assert!(shares.take(greedy).is_none());
    }

    #[test]
    fn clients_without_a_share_are_not_stored() {
        let shares = Shares::of(1);
        for _ in 0..3 {
            let _only = shares.take("203.0.113.9".parse().unwrap()).expect("at least one");
        }
        assert!(shares.held().is_empty());
    }
}
