//! The part of the address space that one party commands.

use std::net::{IpAddr, Ipv4Addr};

/// What one party commands of the address space: one IPv4 address, or 64 bits' worth of IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressBlock {
    /// The address.
    V4(Ipv4Addr),
    /// The first four of its eight groups.
    V6([u16; 4]),
}

impl AddressBlock {
    /// The block that an address is in.
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
