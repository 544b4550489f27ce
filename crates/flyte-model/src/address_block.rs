//! Blocks of IP addresses that belong to one party.

use std::net::{IpAddr, Ipv4Addr};

/// The addresses that usually belong to one party: one IPv4 address, or one IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressBlock {
    /// The address.
    V4(Ipv4Addr),
    /// The first four of the eight groups of the address.
    V6([u16; 4]),
}

impl AddressBlock {
    /// Returns the block that an address is in.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}
