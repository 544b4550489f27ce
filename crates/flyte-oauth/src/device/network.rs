//! Compares the network of a device with that of the browser in which it is approved: attackers who send a code to a user ask
//! for it elsewhere (RFC 8628 section 5.4).

use std::net::{IpAddr, Ipv6Addr};

use flyte_pages::DeviceNetwork;

/// Addresses with the same first bits count as one network: providers have at least this much.
const IPV4_PREFIX: u32 = 16;
const IPV6_PREFIX: u32 = 32;

/// Compares the addresses of a device and a browser. Addresses of private networks are all one network: they say that the
/// request came from within.
pub(super) fn compare(device: IpAddr, browser: IpAddr) -> DeviceNetwork {
    let (device, browser) = (device.to_canonical(), browser.to_canonical());
    if device == browser {
        return DeviceNetwork::SameAddress;
    }
    let is_same = match (device, browser) {
        (one, other) if is_private(one) || is_private(other) => is_private(one) && is_private(other),
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (u32::from(one) ^ u32::from(other)).leading_zeros() >= IPV4_PREFIX
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            (u128::from(one) ^ u128::from(other)).leading_zeros() >= IPV6_PREFIX
        }
        _ => return DeviceNetwork::Unknown,
    };
    if is_same { DeviceNetwork::SameNetwork } else { DeviceNetwork::Other }
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
        use DeviceNetwork::{Other, SameAddress, SameNetwork, Unknown};
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
            let found = compare(device.parse().unwrap(), browser.parse().unwrap());
            assert_eq!(found, expected, "{device} {browser}");
        }
    }
}
