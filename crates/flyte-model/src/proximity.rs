//! Whether two addresses are in the same network, without a database of networks.

use std::net::{IpAddr, Ipv6Addr};

/// What two addresses have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proximity {
    /// They are equal.
    SameAddress,
    /// They are in the same network.
    SameNetwork,
    /// They are in different networks.
    Other,
    /// They cannot be compared: one is of IPv4, the other of IPv6.
    Unknown,
}

/// Addresses with the same first bits count as one network: providers have at least this much.
const IPV4_PREFIX: u32 = 16;
const IPV6_PREFIX: u32 = 32;

impl Proximity {
    /// Compares two addresses. Addresses of private networks are all one network: they say that a request came from within.
    #[must_use]
    pub fn of(one: IpAddr, other: IpAddr) -> Self {
        let (one, other) = (one.to_canonical(), other.to_canonical());
        if one == other {
            return Self::SameAddress;
        }
        let is_same = match (one, other) {
            (one, other) if is_private(one) || is_private(other) => is_private(one) && is_private(other),
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                (u32::from(one) ^ u32::from(other)).leading_zeros() >= IPV4_PREFIX
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                (u128::from(one) ^ u128::from(other)).leading_zeros() >= IPV6_PREFIX
            }
            _ => return Self::Unknown,
        };
        if is_same { Self::SameNetwork } else { Self::Other }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => {
            address == Ipv6Addr::LOCALHOST || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_compared_by_prefix() {
        use Proximity::{Other, SameAddress, SameNetwork, Unknown};
        for (device, browser, expected) in [
            ("203.0.113.9", "203.0.113.9", SameAddress),
            ("::ffff:203.0.113.9", "203.0.113.9", SameAddress),
            ("203.0.113.9", "203.0.7.1", SameNetwork),
            ("203.0.113.9", "203.1.113.9", Other),
            ("2001:db8:1::1", "2001:db8:2::1", SameNetwork),
            ("2001:db8:1::1", "2001:db9:1::1", Other),
            ("203.0.113.9", "2001:db8:1::1", Unknown),
            ("127.0.0.1", "::1", SameNetwork),
            ("10.0.0.1", "192.168.7.7", SameNetwork),
            ("fd00::1", "10.0.0.1", SameNetwork),
            ("10.0.0.1", "203.0.113.9", Other),
            ("203.0.113.9", "fe80::1", Other),
        ] {
            let found = Proximity::of(device.parse().unwrap(), browser.parse().unwrap());
            assert_eq!(found, expected, "{device} {browser}");
        }
    }
}
