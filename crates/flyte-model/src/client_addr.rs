//! The address of the client that sent a request.

use std::{future::Future, net::IpAddr};

use http::{HeaderMap, HeaderName};

use crate::Network;

tokio::task_local! {
    /// The client whose request this task answers.
    static CURRENT: ClientAddr;
}

/// The address of the client, as a request extension. Throttling and the log use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(pub IpAddr);

impl ClientAddr {
    /// Returns the address of the client whose request came from `peer`. This is `peer` itself, unless that is a
    /// trusted proxy. In that case it is the last address of `X-Forwarded-For` that is not a trusted proxy; the client
    /// could have made up the addresses before it.
    #[must_use]
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let mut client = peer.to_canonical();
        if !is_trusted(client) {
            return Self(client);
        }
        // A header that occurs several times is one list in order (RFC 9110 section 5.3).
        let forwarded: Vec<&str> = headers
            .get_all(HeaderName::from_static("x-forwarded-for"))
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for address in forwarded.iter().rev() {
            // If a trusted proxy wrote something other than an address, the rest of the header cannot be used.
            let Ok(address) = address.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !is_trusted(client) {
                break;
            }
        }
        Self(client)
    }

    /// Returns the client whose request is being answered; the span of the log has the same address. Code that records
    /// an event is often far from the code that reads the request. Returns `None` outside a request.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|client| *client).ok()
    }

    /// Runs `work` on behalf of this client.
    pub async fn answer<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        ClientAddr::of(peer.parse().unwrap(), &headers, &trusted).0.to_string()
    }

    #[test]
    fn an_untrusted_client_cannot_choose_its_address() {
        assert_eq!(client("203.0.113.9", &["10.0.0.1"], &[]), "203.0.113.9");
        assert_eq!(client("203.0.113.9", &["10.0.0.1"], &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn only_addresses_that_trusted_proxies_added_count() {
        let proxies = ["10.0.0.0/8"];
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 203.0.113.9"], &proxies), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "203.0.113.9, 10.0.0.2"], &proxies), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &[], &proxies), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, unknown"], &proxies), "10.0.0.1");
    }
}
