//! Addresses of internal networks, which a document of an issuer must not make the server contact.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Whether an address is not one of the public internet: loopback, private, link-local (among them the metadata services of
/// clouds), shared, multicast, reserved, or an IPv4 address of these kinds inside an IPv6 address.
#[must_use]
pub fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_internal_v4(address),
        IpAddr::V6(address) => {
            let segments = address.segments();
            let embedded = |high: u16, low: u16| {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                is_internal_v4(Ipv4Addr::new(a, b, c, d))
            };
            match segments {
                // NAT64 (RFC 6052) and 6to4 (RFC 3056) lead to the IPv4 address that they contain.
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
                [0x2002, high, low, ..] => embedded(high, low),
                // Everything else outside of 2000::/3 is not routed on the internet (RFC 4291 section 2.4). 2001:db8::/32 is
                // for documentation.
                [first, second, ..] => first & 0xe000 != 0x2000 || (first == 0x2001 && second == 0xdb8),
            }
        }
    }
}

fn is_internal_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
}

/// Resolves names, and refuses those of issuers with an internal address. The connection uses the addresses that were
/// checked, so a name whose address changes in the meantime gains nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublicOnly {
    /// The hosts of requests. Other names are those of the machine's proxies, which are usually internal.
    requested: Arc<Mutex<HashSet<String>>>,
}

impl PublicOnly {
    /// Marks a host as that of a request.
    pub(crate) fn request(&self, host: &str) {
        self.requested.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_ascii_lowercase());
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_ascii_lowercase();
        let checked = self.requested.lock().unwrap_or_else(PoisonError::into_inner).contains(&name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if checked && let Some(internal) = found.iter().find(|found| is_internal(found.ip())) {
                return Err(refusal(&name, internal.ip()).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The error for a host with an internal address.
pub(crate) fn refusal(host: &str, address: IpAddr) -> io::Error {
    io::Error::other(format!("{host} has the internal address {address}, which the settings do not allow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_addresses_are_recognized_in_every_spelling() {
        for internal in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "::ffff:10.0.0.1",
            "::ffff:a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "2002:a00:1::",
            "ff02::1",
            "2001:db8::1",
            "::10.0.0.1",
        ] {
            assert!(is_internal(internal.parse().unwrap()), "{internal}");
        }
        for public in
            ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(!is_internal(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn only_the_hosts_of_requests_are_checked() {
        let resolver = PublicOnly::default();
        assert!(resolver.resolve("localhost".parse().unwrap()).await.is_ok(), "a proxy");
        resolver.request("LocalHost");
        let error = resolver.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(error.to_string().starts_with("localhost has the internal address"), "{error}");
    }
}
