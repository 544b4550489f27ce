//! No client holds more than its share of what all of them need.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use flyte_model::AddressBlock;

/// One client may hold a quarter: it takes four that conspire to keep everybody else out, and who shares an address with
/// many others still has plenty.
const PART: usize = 4;

/// How much each client holds of something that is limited, such as connections.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    held: Mutex<HashMap<AddressBlock, usize>>,
}

/// What one client holds; given back when dropped.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    client: AddressBlock,
}

impl Shares {
    /// Each client may hold a quarter of `total`, and at least one.
    #[must_use]
    pub fn of(total: usize) -> Arc<Self> {
        Arc::new(Self { most: (total / PART).max(1), held: Mutex::default() })
    }

    /// One more for the client at this address; `None` where it holds its share already.
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
    fn a_client_holds_its_share_and_leaves_the_rest() {
        let shares = Shares::of(8);
        let [greedy, modest] = ["2001:db8::1", "203.0.113.9"].map(|text| text.parse::<IpAddr>().unwrap());
        let first = shares.take(greedy).unwrap();
        let _second = shares.take("2001:db8::2".parse().unwrap()).unwrap();
        assert!(shares.take(greedy).is_none(), "one party commands 64 bits' worth of addresses");
        let _other = shares.take(modest).unwrap();
        drop(first);
        let _again = shares.take(greedy).unwrap();
        assert!(shares.take(greedy).is_none());
    }

    #[test]
    fn nothing_is_kept_of_who_holds_nothing() {
        let shares = Shares::of(1);
        for _ in 0..3 {
            let _only = shares.take("203.0.113.9".parse().unwrap()).expect("at least one");
        }
        assert!(shares.held().is_empty());
    }
}
