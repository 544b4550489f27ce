//! The address of a control plane.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

/// The address of a control plane: host, optional port, optional path prefix, and whether TLS is used.
///
/// `https://host`, `http://host`, `dns:///host` and `host` are spellings of the same address; each may have a port. No spelling
/// turns TLS off, not even `http://`; only [`Endpoint::with_insecure`] does. Every Flyte tool reads addresses in this way. It
/// prevents that tokens are sent in plain text because a person pasted a URL.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host and port as written. The case is kept, because the name of the shared keyring entry depends on it.
    authority: String,
    /// Empty, or starts with `/` and does not end with one.
    path: String,
    insecure: bool,
    /// The base URL, made from the three fields above.
    url: Url,
}

/// Why a text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The text is empty.
    #[error("the endpoint is empty; give a host, for example flyte.example.com or localhost:8443")]
    Empty,
    /// The scheme is one that no Flyte tool supports.
    #[error("the endpoint has the scheme {0}://; use https://host, dns:///host or just the host")]
    Scheme(String),
    /// The text contains a user name or password. The message does not repeat it.
    #[error("the endpoint has a user name or password before the @; leave them out")]
    Credentials,
    /// The text has a `?` or `#` part.
    #[error("the endpoint has a part after ? or #; give only the host, as in https://flyte.example.com")]
    Query,
    /// The port is not a number from 1 to 65535.
    #[error("the endpoint {0:?} has no valid port; a port is a number from 1 to 65535")]
    Port(String),
    /// The host is not a name or an IP address.
    #[error("the endpoint {0:?} has no valid host name or IP address")]
    Host(String),
}

impl Endpoint {
    /// The same address with plain HTTP if `insecure`, otherwise with TLS. No credentials are sent over plain HTTP.
    #[must_use]
    pub fn with_insecure(mut self, insecure: bool) -> Self {
        // The constructor has parsed the same address with another scheme, so this does not fail.
        if let Ok(url) = base_url(insecure, &self.authority, &self.path) {
            (self.url, self.insecure) = (url, insecure);
        }
        self
    }

    /// Whether plain HTTP is used.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// The base URL of the control plane. Its path ends with `/`.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Host and port as written, for example `flyte.example.com`, `localhost:8443` or `[::1]:8443`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The service name of the keyring entry that all Flyte tools share: the endpoint without its scheme.
    #[must_use]
    pub fn keyring_service(&self) -> String {
        format!("{}{}", self.authority, self.path)
    }

    /// The host without the port. An IPv6 address has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = split_authority(&self.authority).0;
        host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
    }

    /// The port; `None` if the text has none.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        split_authority(&self.authority).1.and_then(|port| port.parse().ok())
    }

    /// The address in the form of configuration files, `dns:///host:port`.
    #[must_use]
    pub fn dns(&self) -> String {
        format!("dns:///{}{}", self.authority, self.path)
    }

    /// Whether the host is this machine (RFC 6761 section 6.3).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host.eq_ignore_ascii_case("localhost")
            || host.to_ascii_lowercase().ends_with(".localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The organization that the host name implies: its first label, if it has at least three labels. An IP address implies no
    /// organization.
    #[must_use]
    pub fn default_org(&self) -> Option<&str> {
        let host = self.host();
        if !matches!(self.url().host(), Some(Host::Domain(_))) {
            return None;
        }
        let mut labels = host.trim_end_matches('.').split('.');
        let first = labels.next().filter(|label| !label.is_empty())?;
        (labels.count() >= 2).then_some(first)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = strip_scheme(text.trim())?;
        if rest.contains('@') {
            return Err(EndpointError::Credentials);
        }
        if rest.contains(['?', '#']) {
            return Err(EndpointError::Query);
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let path = path.trim_end_matches('/');
        let host_error = || EndpointError::Host(text.trim().to_owned());
        if rest.is_empty() {
            return Err(EndpointError::Empty);
        }
        // A URL parser would drop, decode or change these.
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if rest.chars().any(odd)
            || authority.contains('%')
            || path.split('/').any(|part| matches!(part, "." | ".."))
        {
            return Err(host_error());
        }
        let authority = match authority.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => authority.to_owned(),
        };
        let (host, port) = split_authority(&authority);
        if port.is_some_and(|port| !is_port(port)) {
            return Err(EndpointError::Port(text.trim().to_owned()));
        }
        if host.is_empty() || (host.contains(':') && !host.starts_with('[')) {
            return Err(host_error());
        }
        let url = base_url(false, &authority, path).map_err(|_| host_error())?;
        if url.host_str().is_none_or(has_empty_label) {
            return Err(host_error());
        }
        Ok(Self { path: path.to_owned(), insecure: false, authority, url })
    }
}

/// Removes the scheme, which must be one that Flyte tools support.
fn strip_scheme(text: &str) -> Result<&str, EndpointError> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(text) };
    match scheme.to_ascii_lowercase().as_str() {
        "https" | "http" => Ok(rest),
        "dns" => rest.strip_prefix('/').ok_or_else(|| EndpointError::Host(text.to_owned())),
        other if other.contains('@') => Err(EndpointError::Credentials),
        other => Err(EndpointError::Scheme(other.to_owned())),
    }
}

/// Splits `host:port`; the host keeps the brackets of an IPv6 address.
fn split_authority(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Whether a host has an empty label. The dot of the root at the end is allowed.
fn has_empty_label(host: &str) -> bool {
    host.strip_suffix('.').unwrap_or(host).split('.').any(str::is_empty)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn base_url(insecure: bool, authority: &str, path: &str) -> Result<Url, url::ParseError> {
    let scheme = if insecure { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{authority}{path}/"))
}

impl fmt::Display for Endpoint {
    /// Writes the base URL without the final slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.insecure { "http" } else { "https" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Endpoint {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_spelling_gives_the_same_address() {
        for text in [
            "acme.example.com",
            "https://acme.example.com",
            "HTTPS://acme.example.com/",
            "http://acme.example.com",
            "dns:///acme.example.com",
            " acme.example.com ",
        ] {
            let endpoint = parse(text);
            assert_eq!(endpoint.authority(), "acme.example.com", "{text}");
            assert_eq!(endpoint.dns(), "dns:///acme.example.com", "{text}");
            assert_eq!(endpoint.url().as_str(), "https://acme.example.com/", "{text}");
            assert_eq!(endpoint.default_org(), Some("acme"), "{text}");
        }
    }

    #[test]
    fn no_spelling_turns_tls_off() {
        assert!(!parse("http://localhost:8080").is_insecure());
        let endpoint = parse("http://localhost:8080").with_insecure(true);
        assert_eq!(endpoint.url().as_str(), "http://localhost:8080/");
        assert_eq!(endpoint.to_string(), "http://localhost:8080");
    }

    #[test]
    fn ip_addresses_imply_no_organization() {
        for (text, authority, host) in [
            ("127.0.0.1:8090", "127.0.0.1:8090", "127.0.0.1"),
            ("[::1]:8443", "[::1]:8443", "::1"),
            ("::1", "[::1]", "::1"),
            ("https://[2001:db8::1]", "[2001:db8::1]", "2001:db8::1"),
            ("dns:///[::1]:8443", "[::1]:8443", "::1"),
        ] {
            let endpoint = parse(text);
            assert_eq!((endpoint.authority(), endpoint.host()), (authority, host), "{text}");
            assert_eq!(endpoint.default_org(), None, "{text}");
        }
        assert_eq!(parse("[::1]:8443").port(), Some(8443));
        assert!(parse("[::1]:8443").is_loopback());
        assert!(parse("LOCALHOST:1").is_loopback());
        assert!(!parse("localhost.example.com").is_loopback());
    }

    #[test]
    fn an_organization_needs_three_labels() {
        assert_eq!(parse("example.com").default_org(), None);
        assert_eq!(parse("localhost").default_org(), None);
        assert_eq!(parse("a.example.com.").default_org(), Some("a"));
        assert_eq!(parse("example.com.").default_org(), None);
    }

    #[test]
    fn case_and_path_are_kept_for_the_shared_keyring_entry() {
        let endpoint = parse("https://Flyte.Example.com:443/gateway/");
        assert_eq!(endpoint.keyring_service(), "Flyte.Example.com:443/gateway");
        assert_eq!(endpoint.url().as_str(), "https://flyte.example.com/gateway/");
    }

    #[test]
    fn other_texts_are_refused_and_passwords_are_not_repeated() {
        assert_eq!("".parse::<Endpoint>(), Err(EndpointError::Empty));
        assert_eq!("https://".parse::<Endpoint>(), Err(EndpointError::Empty));
        assert_eq!("ftp://host".parse::<Endpoint>(), Err(EndpointError::Scheme("ftp".into())));
        assert_eq!("host?x=1".parse::<Endpoint>(), Err(EndpointError::Query));
        for text in ["host:", "host:0", "host:65536", "host:http", "[::1]:x", "host:+1"] {
            assert!(matches!(text.parse::<Endpoint>(), Err(EndpointError::Port(_))), "{text}");
        }
        for text in ["ho st", "ho\\st", "a%2eb", "dns://8.8.8.8/host", ":80", "host/../x", "[::1", "a:b:80"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
        for text in [
            "/",
            "//",
            "///",
            "/x",
            "//:",
            "dns:///",
            "dns:////",
            "dns:////x",
            "https:///x",
            "http://:443",
            ".",
            "..",
            ".a",
            "a..b",
            "a..",
            "https://.",
            "dns:///.:443",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text} has no host");
        }
        let error = "https://ada:hunter2@host".parse::<Endpoint>().unwrap_err();
        assert!(!error.to_string().contains("hunter2") && error == EndpointError::Credentials);
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_its_result_is_usable(text in ".*") {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                prop_assert!(endpoint.url().host_str().is_some());
                let _ = endpoint.default_org();
                prop_assert_eq!(endpoint.dns().parse::<Endpoint>(), Ok(endpoint.clone()));
                prop_assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint));
            }
        }

        #[test]
        fn hosts_and_ports_are_kept(host in "[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9]{0,8}){0,3}", port in 1u16..) {
            for text in [format!("https://{host}:{port}/"), format!("dns:///{host}:{port}"), format!("{host}:{port}")] {
                let endpoint: Endpoint = text.parse().unwrap();
                prop_assert_eq!(endpoint.host(), host.as_str());
                prop_assert_eq!(endpoint.port(), Some(port));
            }
        }
    }
}
